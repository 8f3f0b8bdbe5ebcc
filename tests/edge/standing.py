"""Servers that stand while a whole table of cases is sent to them, each in a thread with an event loop of its own.

Here live the thread, and the blocking exchange on a raw socket that a row of a table is: bytes out, all that comes back
until the end. Not here: the client that reads one response after another (tests/edge/wire).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvloop

T = TypeVar("T")
PATIENCE = 10.0  # s without a byte and without an end: that is a hang


@contextmanager
def standing(start: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[tuple[T, asyncio.AbstractEventLoop]]:
    """What `start` yields, alive on a loop of another thread until the block ends; and that loop."""
    begun: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def life() -> None:
        over = asyncio.Event()
        async with start() as it:
            begun.set_result((it, asyncio.get_running_loop(), over))
            await over.wait()

    with ThreadPoolExecutor(1) as thread:
        living = thread.submit(_run, life)
        either: list[Future[Any]] = [begun, living]
        wait(either, 60, FIRST_COMPLETED)
        if living.done():
            living.result()
        it, loop, over = begun.result(0)
        try:
            yield it, loop
        finally:
            loop.call_soon_threadsafe(over.set)
            living.result(60)


def _run(life: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the loop that `rim edge` runs on
        runner.run(life())


def exchange(url: str, *pieces: bytes, half_close: bool = False) -> bytes:
    """All that a server says to these bytes, until it ends the connection. Raises TimeoutError where it hangs."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                sock.sendall(piece)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it has heard enough; what it said is there to be read
        said = bytearray()
        try:
            while got := sock.recv(1 << 16):
                said += got
        except ConnectionError:
            pass
        return bytes(said)


@dataclass(frozen=True, slots=True)
class Said:
    """One response on the wire. `status` None: bytes without a head, as HTTP/0.9 has them."""

    status: int | None
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str | None:
        return next((value for had, value in self.fields if had == name), None)


def responses(data: bytes, *methods: str) -> list[Said]:
    """All responses in these bytes; what each was asked with says whether a body follows its head (default: GET)."""
    found: list[Said] = []
    at = final = 0
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        if not data.startswith(b"HTTP/1.", at) or end < 0:
            return [*found, Said(None, (), data[at:])]
        first, *lines = data[at:end].decode("latin-1").split("\r\n")
        fields = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        status = int(first.split(" ")[1])
        method = methods[final] if final < len(methods) else "GET"
        final += status >= 200
        body, at = _body(status, dict(fields), method, data, end + 4)
        found.append(Said(status, fields, body))
    return found


def _body(status: int, fields: dict[str, str], method: str, data: bytes, at: int) -> tuple[bytes, int]:
    if method == "HEAD" or status < 200 or status in (204, 304):
        return b"", at
    if fields.get("transfer-encoding") == "chunked":
        return _unchunked(data, at)
    size = int(fields.get("content-length", len(data)))
    return data[at : at + size], at + size


def _unchunked(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while at < len(data):
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        body, at = body + data[end + 2 : end + 2 + size], end + size + 4
        if size == 0:
            break
    return body, at
