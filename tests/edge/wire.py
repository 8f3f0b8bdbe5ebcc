"""Raw requests to a real edge: bytes out, responses in, nothing hidden.

Here lives a client that reads exactly what HTTP says to read, so that two answers in one read stay two answers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge.config import EdgeConfig
from edge.http.limits import LIMITS, Limits
from edge.node import Node
from tests.edge.origin import TOKEN, TinyOrigin


@dataclass
class Got:
    """One response, and whether its body was whole."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True
    cookies: tuple[str, ...] = ()  # the values of Set-Cookie, the one field that may stand in lines of its own

    @property
    def outcome(self) -> str:
        """The detail of Cache-Status."""
        return self.headers.get("cache-status", "").rpartition("detail=")[2]


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader = reader
        self.writer = writer
        self.host = host

    def request(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> bytes:
        """A request's bytes."""
        fields = {"Host": self.host, **(headers or {})}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, path: str, method: str = "GET", **headers: str) -> Got:
        """One exchange. Header names are given with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.send(self.request(path, method, named))
        return await self.read(method)

    async def read(self, method: str = "GET") -> Got:
        """The next response. Raises EOFError where the connection ended instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError(getattr(error, "partial", b"")) from error
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        cookies = tuple(line[12:] for line in lines if line.lower().startswith("set-cookie: "))
        lines = [line for line in lines if not line.lower().startswith("set-cookie: ")]
        names = [line.partition(": ")[0].lower() for line in lines]
        assert len(set(names)) == len(names), f"a field is sent twice: {head!r}"
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
        status = int(first.split(" ")[1])
        length = 0 if method == "HEAD" or status in (204, 304) else int(headers["content-length"])
        try:
            return Got(status, headers, await self.reader.readexactly(length), cookies=cookies)
        except asyncio.IncompleteReadError as error:
            return Got(status, headers, error.partial, whole=False)
        except ConnectionError:
            return Got(status, headers, b"", whole=False)

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; whether nothing came before it."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def wire(
    node: Node, host: str = "demo.localhost", *, private: bool = False, window: int | None = None
) -> AsyncIterator[Wire]:
    """A connection to a node's public (or private) listener. `window`: bytes that the system takes in unread, about."""
    url = urlsplit(node.private_url if private else node.public_url)
    sock = socket.socket()
    if window is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (url.hostname, url.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 24)
    connection = Wire(reader, writer, host)
    try:
        yield connection
    finally:
        connection.close()


async def fetch(node: Node, path: str, host: str = "demo.localhost", method: str = "GET", **headers: str) -> Got:
    """One request on a connection of its own."""
    async with wire(node, host) as connection:
        return await connection.get(path, method, **headers)


def config_of(folder: Path, origin: TinyOrigin, name: str = "edge-1", **fields: Any) -> EdgeConfig:
    """An edge's config on free ports."""
    given: dict[str, Any] = {
        "name": name,
        "state": folder / name,
        "origin": origin.url,
        "catalog": (origin.world.name,),
        "token": TOKEN,
        "public": "127.0.0.1:0",
        "cache_bytes": 1 << 28,
        "memory_bytes": 1 << 26,
    }
    return EdgeConfig(**{**given, **fields})


@asynccontextmanager
async def running(config: EdgeConfig, limits: Limits = LIMITS, *, wait: bool = True) -> AsyncIterator[Node]:
    """A node from start to stop."""
    node = Node(config, limits)
    await node.start()
    try:
        if wait:
            await node.ready()
        yield node
    finally:
        await node.stop()


@asynccontextmanager
async def edge(
    folder: Path, world: Any, limits: Limits = LIMITS, **fields: Any
) -> AsyncIterator[tuple[Node, TinyOrigin]]:
    """One edge and its tiny origin, the World signed."""
    if not world.head:
        world.sign()
    origin = await TinyOrigin(world).start()
    try:
        async with running(config_of(folder, origin, **fields), limits) as node:
            yield node, origin
    finally:
        await origin.stop()
