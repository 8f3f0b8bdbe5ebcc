"""Toxic: a TCP proxy that spoils what it carries, as told, while it runs.

Here live one listener in a thread of its own, the ways a wire can be sick, and the count of what passed. Every draw is
made from a seed and the connection's number, so a play repeats. netem would do half of this in the kernel, but many
kernels come without it, and it knows nothing of answers. Not here: loss and partition (tests/kit/netns), lies on
purpose (tests/kit/evilpeer).

    with Toxic(edge.private, seed=7) as toxic:      # others are given toxic.url
        toxic.set(latency=0.5)                      # from the next byte on, on open connections too
        toxic.heal()
        toxic.down(); toxic.up()                    # refuses; takes connections again, at the same port
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from urllib.parse import urlsplit

import httptools

from tests.kit.ports import free_port

_PIECE = 1 << 16
_HELD = 64  # pieces on their way at most, each direction of a connection: past it the sender is made to wait


@dataclass(frozen=True, slots=True)
class Poison:
    """What is wrong with a wire. "Bytes of an answer" are its head and body, counted anew at each question."""

    latency: float = 0.0  # s that an answer's bytes are late; the line stays as wide as it was
    jitter: float = 0.0  # s, up to which they are later still, drawn for each piece; never out of order
    rate: int | None = None  # bytes of answers a second, each connection
    slice: int | None = None  # answers come in pieces of 1 to this many bytes
    corrupt: float = 0.0  # chance for an answer with a body that one bit of it is flipped
    stall: int | None = None  # after this many bytes of an answer nothing passes; it goes on when this is healed
    cut: int | None = None  # after this many bytes of an answer the connection ends, politely
    reset: int | None = None  # ... with a reset
    blackhole: bool = False  # connections are taken; no byte passes either way until this is healed
    share: float = 1.0  # of connections that all this befalls, drawn when they are made


HEALTHY = Poison()


@dataclass(frozen=True, slots=True)
class Question:
    """One request that passed up."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case; of doubles the last


@dataclass(slots=True)
class Toxic:
    """Passes TCP on to `upstream` (an http URL); `url` is its own. Use it as a context."""

    upstream: str
    seed: int = 0
    host: str = "127.0.0.1"
    poison: Poison = HEALTHY
    connections: int = 0  # taken, ever
    refused: int = 0  # ended at once, since nobody listens above
    asked: list[Question] = field(default_factory=list)
    url: str = ""
    _links: set[_Link] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _listener: socket.socket | None = None
    _accepting: asyncio.Task[None] | None = None
    _thread: threading.Thread | None = None
    _port: int = field(default_factory=free_port)  # not one that the kernel lends: while down, another could take it

    @property
    def requests(self) -> int:
        """Questions that passed up, ever."""
        return len(self.asked)

    @property
    def open(self) -> int:
        """Connections open now."""
        return len(self._links)

    def set(self, **fields: float | int | bool | None) -> None:
        """From now on the wire has just this; what was before is healed."""
        self.poison = replace(HEALTHY, **fields)  # type: ignore[arg-type] - checked by the dataclass's own fields
        self._call(self._tell)

    def heal(self) -> None:
        """From now on nothing is wrong; what was held passes."""
        self.set()

    @contextlib.contextmanager
    def under(self, **fields: float | int | bool | None) -> Iterator[None]:
        """Sick within the block."""
        self.set(**fields)
        try:
            yield
        finally:
            self.heal()

    def down(self, reset: bool = True) -> None:
        """Nobody listens here any more. With `reset` open connections break, as when a process dies."""
        self._call(lambda: self._close(reset))

    def up(self) -> None:
        """Listen again, at the same port."""
        self._call(self._listen)

    def __enter__(self) -> Toxic:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._call(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread:
            self._thread.join(10)
        self._loop.close()

    # In the loop.

    def _call(self, do: Callable[[], object]) -> None:
        async def run() -> None:
            done = do()
            if asyncio.iscoroutine(done):
                await done

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((self.host, self._port), backlog=1024)
            self._listener.setblocking(False)
            self._port = self._listener.getsockname()[1]
            self.url = f"http://{self.host}:{self._port}"
            self._accepting = self._loop.create_task(self._accept(self._listener))

    async def _accept(self, listener: socket.socket) -> None:
        """By hand: in Python 3.11 a connection that asyncio's server has just taken when it is closed hangs unheard."""
        while True:
            sock, _ = await self._loop.sock_accept(listener)
            self.connections += 1
            link = _Link(self, sock, random.Random(f"{self.seed} {self.connections}"))
            self._links.add(link)
            link.task = self._loop.create_task(self._carry(link))

    def _close(self, reset: bool) -> None:
        if self._listener is not None and self._accepting is not None:
            self._accepting.cancel()
            self._listener.close()
            self._listener = None
        for link in list(self._links) if reset else []:
            link.reset()

    async def _end(self) -> None:
        tasks = [link.task for link in self._links if link.task is not None]
        self._close(reset=True)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, link: _Link) -> None:
        try:
            await link.run()
        except (_Cut, asyncio.CancelledError):
            pass  # closed below, with all that was written
        except OSError:
            self.refused += not link.reached
            link.abort()
        finally:
            self._links.discard(link)
            link.close()


class _Cut(Exception):
    """The connection ends here, as told."""


class _Link:
    """One connection and its twin to the upstream."""

    def __init__(self, toxic: Toxic, sock: socket.socket, rng: random.Random) -> None:
        self.toxic, self.sock, self.rng = toxic, sock, rng
        self.task: asyncio.Task[None] | None = None
        self.client: asyncio.StreamWriter | None = None
        self.above: asyncio.StreamWriter | None = None
        self._luck = rng.random()
        self._parser = httptools.HttpRequestParser(self)
        self._target, self._headers = b"", dict[str, str]()
        self._answer = _Answer()

    @property
    def reached(self) -> bool:
        return self.above is not None

    @property
    def poison(self) -> Poison:
        """What befalls this connection now."""
        poison = self.toxic.poison
        return poison if self._luck < poison.share else HEALTHY

    async def run(self) -> None:
        await self._while(lambda poison: poison.blackhole)
        reader, self.client = await asyncio.open_connection(sock=self.sock)
        parts = urlsplit(self.toxic.upstream)
        from_above, self.above = await asyncio.open_connection(parts.hostname, parts.port)
        up = asyncio.ensure_future(self._climb(reader, self.above))
        down = asyncio.ensure_future(self._fall(from_above, self.client))
        try:
            await asyncio.gather(up, down)
        finally:
            up.cancel()
            down.cancel()

    async def _climb(self, reader: asyncio.StreamReader, above: asyncio.StreamWriter) -> None:
        """What clients send is passed on as it is, and read along to count it."""
        while piece := await reader.read(_PIECE):
            await self._while(lambda poison: poison.blackhole)
            with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._parser.feed_data(piece)
            above.write(piece)
            await above.drain()
        above.write_eof()

    async def _fall(self, from_above: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """What comes back, held as long as it is late: read and written by two, so that late is not narrow."""
        late: asyncio.Queue[tuple[float, bytes | OSError]] = asyncio.Queue(_HELD)
        reading = asyncio.ensure_future(self._hold(from_above, late))
        try:
            while True:
                due, piece = await late.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if isinstance(piece, OSError):
                    raise piece
                if not piece:
                    client.write_eof()
                    return
                await self._pass(piece, client)
        finally:
            reading.cancel()

    async def _hold(self, from_above: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes | OSError]]) -> None:
        due = 0.0
        piece: bytes | OSError = b"-"
        while isinstance(piece, bytes) and piece:
            try:
                piece = await from_above.read(_PIECE)
            except OSError as error:
                piece = error
            poison = self.poison
            due = max(due, time.monotonic() + poison.latency + self.rng.uniform(0, poison.jitter))
            await late.put((due, piece))

    async def _pass(self, piece: bytes, client: asyncio.StreamWriter) -> None:
        """A piece of an answer, with all that befalls it."""
        while piece:
            await self._while(lambda poison: poison.blackhole or self._is_at(poison.stall))
            poison = self.poison
            if self._is_at(poison.reset):
                raise ConnectionResetError("as told")
            if self._is_at(poison.cut):
                raise _Cut
            length = min(len(piece), self._room(poison))
            now, piece = piece[:length], piece[length:]
            client.write(self._answer.seen(now, poison.corrupt, self.rng))
            await client.drain()
            if poison.rate:
                await asyncio.sleep(length / poison.rate)
            elif poison.slice:
                await asyncio.sleep(0.0005)  # else the kernel would put the slices together again

    def _is_at(self, limit: int | None) -> bool:
        return limit is not None and self._answer.bytes >= limit

    def _room(self, poison: Poison) -> int:
        """Bytes that may pass in one go, at least 1."""
        limits = [limit - self._answer.bytes for limit in (poison.stall, poison.cut, poison.reset) if limit is not None]
        if poison.slice:
            limits.append(self.rng.randint(1, poison.slice))
        if poison.rate:
            limits.append(poison.rate // 20)  # twenty breaths a second
        return max(1, min(limits, default=_PIECE))

    async def _while(self, sick: Callable[[Poison], bool]) -> None:
        while sick(self.poison):
            await self.toxic._changed.wait()

    def reset(self) -> None:
        """Break both connections off, from outside."""
        self.abort()
        if self.task is not None:
            self.task.cancel()

    def abort(self) -> None:
        """An RST to both sides."""
        for writer in (self.client, self.above):
            if writer is not None:
                _never_linger(writer.get_extra_info("socket"))
                writer.transport.abort()
        if self.client is None:
            _never_linger(self.sock)

    def close(self) -> None:
        for writer in (self.client, self.above):
            if writer is not None:
                writer.close()
        if self.client is None:
            self.sock.close()

    # httptools calls these.

    def on_message_begin(self) -> None:
        self._target, self._headers = b"", {}

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        method = self._parser.get_method().decode()
        self.toxic.asked.append(Question(method, self._target.decode("latin-1"), self._headers))
        self._answer = _Answer()


def _never_linger(sock: socket.socket | None) -> None:
    """close() sends RST from now on."""
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class _Answer:
    """How far an answer has come. Nobody here pipelines, so one begins with each question."""

    def __init__(self) -> None:
        self.bytes = 0
        self._end = b""  # of what came, until the head has ended
        self._in_body = self._drawn = False

    def seen(self, piece: bytes, chance: float, rng: random.Random) -> bytes:
        """The piece as it is to be sent."""
        self.bytes += len(piece)
        start = 0
        if not self._in_body:
            found = (self._end + piece).find(b"\r\n\r\n")
            if found < 0:
                self._end = (self._end + piece)[-3:]
                return piece
            start, self._in_body = found + 4 - len(self._end), True
        if start >= len(piece) or self._drawn or not chance:
            return piece
        self._drawn = True
        if rng.random() >= chance:
            return piece
        spoilt, place = bytearray(piece), rng.randrange(start, len(piece))
        spoilt[place] ^= 1 << rng.randrange(8)
        return bytes(spoilt)
