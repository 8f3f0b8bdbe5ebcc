"""An evil peer: speaks the trustless gateway on a raw socket and lies, hangs or breaks off as told.

Here lives one server with a table of tricks; it can be asked honestly too, and counts what it was asked.
Not here: what a node should make of it (the plays), or an honest hop that counts (tests/kit/proxy).

    async with EvilPeer(blocks, trick="another_block") as peer: ...     # inside a loop
    with EvilPeer(blocks).in_thread() as peer: peer.trick = "html"      # beside real processes
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

from content.block import Block
from content.cid import CID, RAW
from content.errors import BadCID
from content.limits import BLOCK_ACCEPTED

STRANGER = Block.make(RAW, b"an honest block, but not the one that was asked for")
HTML = b"<!doctype html><title>Welcome to nginx!</title><p>Please sign in to the hotel's network."
LIES = ("another_block", "one_byte_more", "another_cid", "wrong_length", "html")

_REQUEST = re.compile(rb"GET (/[^ ]*) HTTP/1\.1\r\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]  # names in lower case

    @property
    def cid(self) -> str:
        return self.path.removeprefix("/ipfs/").partition("?")[0]


@dataclass(slots=True)
class Wire:
    """One connection, seen by a trick."""

    writer: asyncio.StreamWriter
    asked: Asked
    block: Block | None
    released: asyncio.Event

    async def send(self, status: str, body: bytes, length: int | None = -1, more: str = "", **headers: str) -> None:
        """An answer; length=-1 is the true one, None leaves Content-Length out."""
        fields = {"Content-Type": "application/vnd.ipld.raw", "ETag": f'"{self.asked.cid}.raw"'}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if length is not None:
            fields["Content-Length"] = str(len(body) if length < 0 else length)
        head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + more
        self.writer.write(head.encode() + b"\r\n" + body)
        await self.writer.drain()

    @property
    def data(self) -> bytes:
        return self.block.data if self.block else b""

    async def hang(self) -> None:
        """Do nothing until the play lets go."""
        await self.released.wait()

    def reset(self) -> None:
        """Break the connection off with an RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER: close() sends RST
        self.writer.transport.abort()


Trick = Callable[[Wire], Awaitable[None]]


async def _honest(wire: Wire) -> None:
    if wire.block is None:
        await wire.send("404 Not Found", b"")
    else:
        await wire.send("200 OK", wire.data)


async def _another_block(wire: Wire) -> None:
    """Bytes of the right length that are nobody's block here."""
    await wire.send("200 OK", bytes(byte ^ 1 for byte in wire.data[:1]) + wire.data[1:])


async def _one_byte_more(wire: Wire) -> None:
    await wire.send("200 OK", wire.data + b"!")


async def _another_cid(wire: Wire) -> None:
    await wire.send("200 OK", STRANGER.data, ETag=f'"{STRANGER.cid}.raw"')


async def _wrong_length(wire: Wire) -> None:
    await wire.send("200 OK", wire.data, length=len(wire.data) + 5)
    wire.writer.close()


async def _short_length(wire: Wire) -> None:
    """Content-Length says less than is sent: the rest would be read as the next answer."""
    await wire.send("200 OK", wire.data, length=max(0, len(wire.data) - 5))


async def _html(wire: Wire) -> None:
    await wire.send("200 OK", HTML, Content_Type="text/html; charset=utf-8")


async def _html_as_raw(wire: Wire) -> None:
    await wire.send("200 OK", HTML)


async def _hang(wire: Wire) -> None:
    await wire.hang()


async def _wait(wire: Wire) -> None:
    """Honest, once the play lets go."""
    await wire.hang()
    await _honest(wire)


async def _late(wire: Wire) -> None:
    """Alive, and honest, but silent until asked for its health."""
    if wire.asked.path == "/healthz":
        await wire.send("200 OK", b"")
        wire.released.set()
    else:
        await wire.hang()
        await _honest(wire)


async def _hang_in_body(wire: Wire) -> None:
    await wire.send("200 OK", wire.data[: len(wire.data) // 2], length=len(wire.data))
    await wire.hang()


async def _slice(wire: Wire) -> None:
    """One byte at a time, head and all."""
    whole = f"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.ipld.raw\r\nContent-Length: {len(wire.data)}\r\n\r\n"
    for byte in whole.encode() + wire.data:
        wire.writer.write(bytes([byte]))
        await wire.writer.drain()
        await asyncio.sleep(0)


async def _reset(wire: Wire) -> None:
    wire.reset()


async def _reset_in_body(wire: Wire) -> None:
    await wire.send("200 OK", wire.data[: len(wire.data) // 2], length=len(wire.data))
    wire.reset()


async def _endless(wire: Wire) -> None:
    """A chunked body without end."""
    await wire.send("200 OK", b"", length=None, Transfer_Encoding="chunked")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    with contextlib.suppress(ConnectionError):
        while not wire.released.is_set():
            wire.writer.write(chunk)
            await wire.writer.drain()


async def _too_long(wire: Wire) -> None:
    await wire.send("200 OK", b"", length=BLOCK_ACCEPTED + 1)
    await wire.hang()


async def _encoded(wire: Wire) -> None:
    await wire.send("200 OK", wire.data, Content_Encoding="br")


async def _redirect(wire: Wire) -> None:
    await wire.send("302 Found", b"", Location="/elsewhere")


async def _garbage(wire: Wire) -> None:
    wire.writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    wire.writer.close()


async def _two_lengths(wire: Wire) -> None:
    await wire.send("200 OK", wire.data, more="Content-Length: 1\r\n")


async def _huge_head(wire: Wire) -> None:
    await wire.send("200 OK", wire.data, more=f"X-Filler: {'x' * 70_000}\r\n")


async def _sequenced(wire: Wire) -> None:
    await wire.send("200 OK", wire.data, Rim_Sequence="1766000000000000")


async def _sequenced_nonsense(wire: Wire) -> None:
    await wire.send("200 OK", wire.data, Rim_Sequence="-1e9")


async def _not_held(wire: Wire) -> None:
    await wire.send("504 Gateway Timeout", b"")


async def _absent(wire: Wire) -> None:
    """Says that the origin has it not."""
    await wire.send("404 Not Found", b"")


async def _busy(wire: Wire) -> None:
    await wire.send("503 Service Unavailable", b"")


async def _resting(wire: Wire) -> None:
    """Overloaded, and says for how long."""
    await wire.send("503 Service Unavailable", b"", Retry_After="7")


async def _origin_busy(wire: Wire) -> None:
    """Well, but the origin behind it is not."""
    await wire.send("503 Service Unavailable", b"", Retry_After="7", Rim_Reason="origin-busy")


async def _draining(wire: Wire) -> None:
    """Leaves, and fills nothing for others."""
    await wire.send("504 Gateway Timeout", b"", Rim_State="draining")


async def _advising(wire: Wire) -> None:
    """Honest, and says that four may be asked for this."""
    await wire.send("200 OK", wire.data, Rim_Mirrors="4")


async def _forbidden(wire: Wire) -> None:
    await wire.send("401 Unauthorized", b"")


TRICKS: dict[str, Trick] = {
    name.removeprefix("_"): trick
    for name, trick in list(globals().items())
    if name.startswith("_") and inspect.iscoroutinefunction(trick)
}


@dataclass(slots=True)
class EvilPeer:
    """The server. `trick` may be changed at any time; `tricks[cid text]` overrides it for one block."""

    blocks: Mapping[CID, Block] = field(default_factory=dict)
    trick: str = "honest"
    tricks: dict[str, str] = field(default_factory=dict)
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    played: Counter[str] = field(default_factory=Counter)
    source: Callable[[CID], Block | None] | None = None  # where blocks come from that are not in `blocks`
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def release(self) -> None:
        """Let every hanging trick end."""
        self.released.set()

    async def start(self) -> None:
        """Listen on `port` (0: any)."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and every connection."""
        self.release()
        if self._server is not None:
            self._server.close()
            for writer in list(self.connections):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> EvilPeer:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    @contextlib.contextmanager
    def in_thread(self) -> Iterator[EvilPeer]:
        """Serve from a thread with a loop of its own, for plays with real processes."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(self.start(), loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.stop(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        try:
            while not writer.is_closing():
                await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        match = _REQUEST.match(head)
        assert match, head
        lines = (line.partition(b":") for line in head[match.end() :].split(b"\r\n") if line)
        headers = {name.decode().lower(): value.decode().strip() for name, _, value in lines}
        asked = Asked(match[1].decode(), headers)
        self.asked.append(asked)
        trick = self.tricks.get(asked.cid, self.trick)
        self.played[trick] += 1
        await TRICKS[trick](Wire(writer, asked, self._find(asked.cid), self.released))

    def _find(self, text: str) -> Block | None:
        try:
            cid = CID.parse(text)
        except BadCID:
            return None
        return self.blocks.get(cid) or (self.source(cid) if self.source else None)
