"""Protocol: the wire of a listener, and the hot path. The only contact with uvicorn's internals.

Here lives what uvicorn's own class leaves open (each with a test in tests/edge/http/test_protocol.py): a timer from the
first moment of a connection to its last, a budget and a deadline for heads, a bound on what is queued, one Host, order,
a client that closes its half. And the hot path: a plain GET or HEAD that names a ready answer is written in one go,
without parser, task, scope or await. Not here: what a plain head is (edge/http/heads), what to answer (edge/ready finds
it, edge/http/answer chooses), or anything unusual: that goes through the parser to the app.

uvicorn 0.54, read: it cancels its keep-alive timer on every byte and arms none before the first response, sets no limit
to a head, forgets the timer of a connection that ends in a reset, and parses all of a pipelined read at once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum, auto
from fcntl import ioctl
from itertools import islice
from termios import TIOCOUTQ
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from content.errors import ContentError
from edge.cache.sheet import IS_THERE
from edge.counting import NOBODY, Told
from edge.http.address import of_peer
from edge.http.deadline import Deadline
from edge.http.door import Door
from edge.http.forwarded import Fields
from edge.http.heads import Plain
from edge.http.limits import LIMITS, Limits
from edge.http.outcome import Outcome
from edge.http.pour import Pour
from edge.http.problem import Problem
from edge.http.proxy import BadHeader
from edge.http.proxy import read as read_header
from edge.http.status import STATUS_LINE
from edge.kept import Shot
from edge.ready import Ready

logger = logging.getLogger("rim.edge")
_SLICE = 4 * 1024  # bytes parsed between two looks at what is queued
_JOINED = 32 * 1024  # up to here head and body are joined and written at once; above, copying costs more than writev
_NUDGE = 16 * 1024  # bytes given to the transport when the socket is full: it tells when they have gone
_LOOKED_AT = 256  # connections, to find an idle one
_AT_ONCE = 256 * 1024  # bytes of answers to one read, then others have their turn
_BODY_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"expect"})


_SHED = frozenset({429, 503})  # there is no room: then there is none to linger in either


class _Phase(Enum):
    IDLE = auto()  # between requests
    HEAD = auto()  # a head has begun and not ended
    BUSY = auto()  # a request is being answered


_IDLE = _Phase.IDLE


class _Wire:
    """The transport as one of uvicorn's cycles uses it; its end is ours."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close


class _Refused(Exception):
    """Stops the parser; what to say stands in `_refusal`."""


class Protocol(HttpToolsProtocol):
    """One connection. `ready` None: no hot path (the private listener). `door` None: everybody is let in.
    `client`: whom a PROXY header before TLS has named."""

    def __init__(
        self,
        *args: Any,
        ready: Ready | None = None,
        limits: Limits = LIMITS,
        door: Door | None = None,
        client: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(*args, **rest)
        self._ready = self._hot = ready
        self._draining = False
        self._limits = limits
        self._door = door
        self._rates = door if door is not None and door.has_rates else None
        self._has_entered = False
        self._named = client
        self._awaits_header = False  # of the PROXY protocol; what came of it stands in the backlog
        self._phase = _IDLE
        self._deadline = Deadline(self.loop, self._on_deadline)
        self._unsent = 0
        self._backlog = b""  # read, not looked at: too much is queued, or a long answer is on its way
        self._pour: Pour | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._socket: int | None = None  # while a long answer may go past the transport
        self._in_head = False
        self._in_message = False
        self._deaf = False  # refused: nothing further is read from this connection
        self._ending = False  # when all that is due is answered, it closes
        self._heard_all = False  # the client has closed its half
        self._lingers = False  # ours is closed, the client is heard out
        self._refusal = 400
        self._size = self._fields = self._raw = 0
        self.client_address = ""

    # The connection's life.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client_address = self._named or (of_peer(self.client[0]) if self.client else "")
        self._deadline.set(self._limits.idle)
        if self._door is not None:
            self._knock(self._door)
        if getattr(self.server_state, "draining", False):
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._backlog, self._deaf = b"", True
        self.pipeline.clear()
        if self._fetching is not None:
            self._fetching.cancel()
        if self._pour is not None:
            self._end_pour(self._pour)
        if self._has_entered and self._door is not None:
            self._door.leave(self.client_address)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it will may still read: stay open for writing until all it asked is answered."""
        self._ending = self._heard_all = True
        if self._lingers or self._awaits_header or self._is_quiet():
            return False
        if self._is_asking() and not self._backlog:
            self.cycle.keep_alive = False
        return self.scheme != "https"  # TLS has no half: asyncio closes, whatever is said here

    def shutdown(self) -> None:
        """Finish what is under way, then close (uvicorn calls this when the server ends)."""
        if self._is_quiet():
            self.transport.close()
        else:
            self._last_one()
        self._settle()

    def drain(self) -> None:
        """Close after the next answer, and say so in it: who is about to ask would meet a closed door."""
        self._hot, self._draining = None, True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self._untaken()
        self._deadline.set(self._limits.write_stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pour is not None:
            self._pour_on()
        self._settle()
        self._release()

    # What is awaited, and what becomes of it when it does not come.

    def _on_deadline(self) -> None:
        if self.flow.write_paused or self.transport.is_closing():
            self._on_write_stall()
        elif self._lingers:
            self._on_write_stall() if self._untaken() else self.transport.abort()
        elif self._phase is _Phase.HEAD and self._awaits_header:
            self.transport.close()
        elif self._phase is _Phase.HEAD:
            self._refuse(408)
        else:
            self.transport.close()
            self._deadline.set(self._limits.write_stall)

    def _on_write_stall(self) -> None:
        """The client has taken nothing for so long: give up. Has it taken something, however little: wait on."""
        unsent = self._untaken()
        if unsent and unsent >= self._unsent and self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._deadline.set(self._limits.write_stall)

    def _untaken(self) -> int:
        """Bytes that the client has not taken yet, those that the system keeps for it included: they may be megabytes,
        and who takes a little of them at a time is slow, not gone."""
        waiting = self.transport.get_write_buffer_size()
        with suppress(OSError, ValueError):
            fd = self.transport.get_extra_info("socket").fileno()
            waiting += int.from_bytes(ioctl(fd, TIOCOUTQ, bytes(4)), sys.byteorder)
        return waiting

    def _settle(self) -> None:
        """What is awaited now, and for how long."""
        if self._ending and self._is_quiet() and not self.transport.is_closing():
            self._close()
        if self.transport.is_closing():
            self._unsent = self._untaken()
            self._deadline.set(self._limits.write_stall)
        elif self._lingers:
            return  # its own deadline stands
        elif self._is_busy():
            self._phase = _Phase.BUSY
            if not self.flow.write_paused:  # its own deadline stands
                self._deadline.clear()
        elif self._in_head:
            if self._phase is not _Phase.HEAD:  # counted from the head's start, not from its last byte
                self._phase = _Phase.HEAD
                self._deadline.set(self._limits.head_time)
        else:
            self._phase = _IDLE
            if not self.flow.write_paused:
                self._deadline.set(self._limits.idle)

    def _is_asking(self) -> bool:
        """Whether the app has a request."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_busy(self) -> bool:
        return self._pour is not None or self._is_asking()

    def _is_quiet(self) -> bool:
        """Whether nothing is due to this client."""
        return not (self._backlog or self._is_busy())

    def _close(self) -> None:
        """Say that all is said. Where the client may still be sending it is heard out for a moment: with bytes of its
        unread, the kernel would send a reset, and what was written last might never be read (RFC 9112 §9.6)."""
        unread = self._deaf or self._in_message or self._backlog or self.flow.read_paused
        if not unread or self._heard_all or not self.transport.can_write_eof():
            self.transport.close()
        elif not self._lingers:
            self._lingers = self._deaf = True
            self._backlog = b""
            self.pipeline.clear()
            self.transport.write_eof()
            self.flow.resume_reading()
            self._unsent = 0  # when the moment is over, who has not taken all yet has until the next look
            self._deadline.set(self._limits.linger)

    # Who is there.

    @property
    def idle_until(self) -> float | None:
        """When it will be closed if nothing comes; None: it has something to do."""
        if self.flow.write_paused or self.transport.is_closing() or self._backlog:
            return None
        if self._phase is not _IDLE and not self._lingers:
            return None
        return self._deadline.at

    def _knock(self, door: Door) -> None:
        others = (one for one in self.connections if one is not self)
        if not door.has_room(len(self.connections), lambda: make_room(others)):
            self._refuse(503)
        elif self._named is None and door.expects_header(self.client_address):
            self._awaits_header = True
            self._phase = _Phase.HEAD
            self._deadline.set(self._limits.head_time)
        else:
            self._enter(door)

    def _enter(self, door: Door) -> None:
        self._has_entered = door.enter(self.client_address)
        if not self._has_entered:
            self._refuse(429)

    def _read_header(self, door: Door, data: bytes) -> bytes:
        """What follows the PROXY header. One that is none ends the connection, without a word."""
        try:
            header = read_header(data)
        except BadHeader:
            door.refused["PROXY header"] += 1
            self._last_one()
            self._settle()
            return b""
        if header is None:
            self._backlog = data
            return b""
        self._backlog, self._awaits_header, self._phase = b"", False, _IDLE
        self.client_address = header.client or self.client_address
        self._deadline.set(self._limits.idle)
        self._enter(door)
        return data[header.size :]

    def _client_of(self, fields: Fields) -> str:
        """Whose request this is."""
        door = self._door
        if door is None or not door.reads_fields:
            return self.client_address
        return door.client(self.client_address, fields)

    def _may(self, shot: Shot, plain: Plain) -> bool:
        """Whether one more request is within the rates, if there are any. The app tells who is refused."""
        return self._rates is None or self._rates.allows(self._client_of(plain.head.fields), shot.kind[0])

    # Bytes in.

    def data_received(self, data: bytes) -> None:
        if self._awaits_header and self._door is not None and not self._deaf:
            data = self._read_header(self._door, self._backlog + data)
            if not data:
                return
        if self._deaf:
            return
        if self._backlog or self._pour is not None:
            self._hold(self._backlog + data)
            return
        if self._phase is _IDLE and self._hot is not None and not self._in_message:
            before = 0
            while len(data) != before and self._pour is None and not self.flow.write_paused:
                before = len(data)
                data = self._answer(data)
                if not data:
                    return
            if self._pour is not None or self.flow.write_paused:
                self._hold(data)
                return
        self._feed(data)
        self._settle()

    def _feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._is_full():
                self._hold(data[at:])
                return
            stop = at + _SLICE
            if self._hot is not None:  # a head at a time: what comes behind may be the hot path's
                end = data.find(b"\r\n\r\n", at, stop)
                stop = stop if end < 0 else end + 4
            if not self._parse(data[at:stop]):
                return
            at = stop

    def _is_full(self) -> bool:
        """Whether what came is not looked at yet: on the public side until what was asked is answered."""
        return self._is_asking() if self._hot is not None else len(self.pipeline) >= self._limits.pipelined

    def _parse(self, piece: bytes) -> bool:
        """Whether to go on reading this connection."""
        was_in_head = self._in_head
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:  # never granted: this request is answered, and it is the last one
            self._last_one()
            return False
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return False
        if self._in_head:  # a field is reported when it is whole, so an endless one shows in the raw count only
            self._raw = self._raw + len(piece) if was_in_head else 0
            if self._raw > self._limits.head + _SLICE:
                self._refuse(431)
                return False
        return not (self._deaf or self.transport.is_closing())

    def _hold(self, data: bytes) -> None:
        self._backlog = data
        self.flow.pause_reading()

    def _release(self) -> None:
        """Go on where too much was queued, or a long answer was on its way."""
        if not self._backlog or self._pour is not None or self.flow.write_paused or self.transport.is_closing():
            return
        if self._is_full():
            return
        data, self._backlog = self._backlog, b""
        self.data_received(data)
        if not self._backlog and not self._deaf:
            self.flow.resume_reading()
        self._settle()

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._size = self._fields = self._raw = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.target:
            self._stop(414)
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value.rstrip(b" \t"))  # the parser leaves what RFC 9112 §5 excludes
        self._fields += 1
        self._size += len(name) + len(value) + 4
        if self._fields > self._limits.fields or self._size > self._limits.head:
            self._stop(431)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._check_head()
        wire: dict[object, object] = {"abort": self.transport.abort, "is_closing": self.transport.is_closing}
        wire |= {"client": self._client_of(self.headers)}
        self.scope["extensions"] = {"rim": wire}
        super().on_headers_complete()
        self.cycle.transport = _Wire(self.transport, self._close)  # type: ignore[assignment]
        if self._draining:
            self.cycle.keep_alive = False
        if self._ready is not None and any(name in _BODY_FIELDS and value != b"0" for name, value in self.headers):
            self.cycle.keep_alive = False  # the public side reads no bodies: what may follow this one is not parsed on

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The app has answered: the next in the queue, or wait for one."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            if not self._backlog:
                self.flow.resume_reading()
            else:
                self.loop.call_soon(self._release)
        self._settle()

    # Heads.

    def _check_head(self) -> None:
        """Refuse what has no one meaning; turn an absolute-form target into origin-form (RFC 9112 §3.2)."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):  # the parser reads 0.9 and 2.0 too, as if they were 1.1
            self._stop(505)
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            self._stop(400)
        self._check_codings(version)
        if self.parser.get_method() == b"CONNECT":
            self._stop(405)
        if b"#" in self.url or not self.url.isascii():
            self._stop(400)
        if not self.url.startswith(b"/"):
            self._to_origin_form()

    def _check_codings(self, version: str) -> None:
        """`chunked` on HTTP/1.1, once and alone (RFC 9112 §6.1, §6.3): where another coding's body ends is a guess."""
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (version != "1.1" or codings != [b"chunked"]):
            self._stop(501 if len(codings) == 1 and codings[0].endswith(b", chunked") else 400)

    def _to_origin_form(self) -> None:
        url = httptools.parse_url(self.url)  # raises an HttpParserError of its own: 400
        if not url.host or url.userinfo or url.schema.lower() not in (b"http", b"https"):
            self._stop(400)
        host = url.host if url.port is None else b"%s:%d" % (url.host, url.port)
        self.headers[:] = [(b"host", host), *((name, value) for name, value in self.headers if name != b"host")]
        self.url = (url.path or b"/") + (b"?" + url.query if url.query else b"")

    def _stop(self, status: int) -> None:
        self._refusal = status
        raise _Refused

    def _refuse(self, status: int) -> None:
        """Say what is wrong and close; where answers are still due, they go first and close without a word."""
        self._deaf, self._backlog = True, b""
        self.flow.pause_reading()
        if self._ready is not None:
            self._ready.counts.refused[status] += 1
        if self._is_busy():
            self._last_one()
            return
        problem = Problem(status, _REASONS.get(status, "The request is not HTTP/1.1 as RFC 9112 has it."))
        allow = b"allow: GET, HEAD, OPTIONS\r\n" if status == 405 else b""
        head = (STATUS_LINE[status], self._lines(), problem.head, allow, b"connection: close\r\n\r\n")
        self.transport.write(b"".join((*head, problem.body)))
        if self._ready is not None and self._ready.log is not None:  # no request came of it: it has no method
            said = (self.client_address, NOBODY, "", b"", b"", status, len(problem.body), Outcome.ERROR, ())
            self._ready.log(Told(*said))
        if status in _SHED:
            self.transport.close()
        else:
            self._close()
        self._settle()

    def _last_one(self) -> None:
        """After the answers that are due, close."""
        self._deaf, self._backlog, self._ending = True, b"", True
        if self._is_asking():
            self.cycle.keep_alive = False
        elif self._pour is None:
            self._close()

    def _lines(self) -> bytes:
        """Date, and whatever uvicorn adds: it replaces the list once a second, and only then lines are made anew."""
        state: Any = self.server_state
        if state.default_headers is not getattr(state, "rim_of", None):
            state.rim_of = state.default_headers
            state.rim_lines = b"".join(b"%s: %s\r\n" % pair for pair in state.default_headers)
        lines: bytes = state.rim_lines
        return lines

    # The hot path.

    def _answer(self, data: bytes) -> bytes:
        """Answer the plain requests at the front of these bytes that wait in memory. Returns what is left."""
        ready = self._ready
        assert ready is not None
        if ready.pause.look():
            return data
        out: list[bytes | memoryview] = []
        shot = ready.known.shots.get(data) if self._rates is None else None  # a rate looks at the request's fields
        if shot is not None and (shot.body is None or shot.body.value is not None):
            self._take(shot, out)
            left, due = b"", shot.size
            if ready.log is not None and (plain := ready.heads.read(data, 0)) is not None:
                self._tell(plain, shot, due)
        else:
            left, due = self._gather(ready, data, out)
            if not out:
                return data
        self._deadline.at = self.loop.time() + self._limits.idle
        if due <= _JOINED or self._pour is not None:
            self.transport.write(b"".join(out))
        else:
            self.transport.writelines(out)
        if self._pour is not None:
            self._begin_pour(self._pour)
        elif left and due >= _AT_ONCE:
            self.loop.call_soon(self._release)
            self._hold(left)
            return b""
        return left

    def _gather(self, ready: Ready, data: bytes, out: list[bytes | memoryview]) -> tuple[bytes, int]:
        """Gather the answers to the requests at the front; what is left, and how many bytes of bodies those are."""
        at = due = 0
        while at < len(data) and due < _AT_ONCE and self._pour is None:
            plain = ready.heads.read(data, at)
            shot = None if plain is None else ready.shot(plain.head, plain.target, plain.is_get)
            if plain is None or shot is None or not self._may(shot, plain):
                break
            if shot.leaves:
                self._pour = Pour(ready, shot, plain)
                out += (shot.head, self._lines(), b"\r\n")
            else:
                self._take(shot, out)
                if ready.log is not None:
                    self._tell(plain, shot, shot.size)
                if at == 0 and plain.end == len(data):
                    ready.known.put(data, shot)
            at, due = plain.end, due + shot.size
        return data[at:] if at else data, due

    def _take(self, shot: Shot, out: list[bytes | memoryview]) -> None:
        """Put this shot's bytes behind the others, and count it."""
        out += (shot.head, self._lines(), b"\r\n")
        slot = shot.body
        if slot is not None and (block := slot.value) is not None:
            slot.mark = True
            data, size = block.data, shot.size
            out.append(data if size == shot.whole else memoryview(data)[shot.start : shot.start + size])
        shot.kept.asked += 1
        tally = shot.tally
        tally.requests += 1
        tally.bytes += shot.size

    def _tell(self, plain: Plain, shot: Shot, sent: int) -> None:
        """Tell the log of a hit, if there is one."""
        if self._ready is not None and self._ready.log is not None:
            site, status, outcome = shot.kind
            method, head = "GET" if plain.is_get else "HEAD", plain.head
            said = (self._client_of(head.fields), site, method, head.host, plain.target, status, sent, outcome)
            self._ready.log(Told(*said, head.fields))

    # Long answers.

    def _begin_pour(self, pour: Pour) -> None:
        """The head is written. uvloop hands it to the socket at the end of this turn of the loop: until then, and so
        for two turns, nothing may go past the transport."""
        self._settle()
        if not IS_THERE or self.scheme != "http":
            self._pour_on()
            return
        self.transport.set_write_buffer_limits(high=0)  # what does not go at once stops us, and tells when it has gone
        self.loop.call_soon(self.loop.call_soon, self._pour_past, pour)

    def _pour_past(self, pour: Pour) -> None:
        """From here on what the transport has nothing before may go past it."""
        if self._pour is pour and not self.transport.is_closing():
            self._socket = self.transport.get_extra_info("socket").fileno()
            self._pour_on()

    def _pour_on(self) -> None:
        """Write on as far as the client takes it."""
        pour = self._pour
        if pour is None or self._fetching is not None:
            return
        while not (pour.is_over or self.flow.write_paused or self.transport.is_closing()):
            try:
                piece = self._next_piece(pour)
            except (ContentError, OSError) as error:
                self._break_off(pour, error)
                return
            if piece is None:
                self._fetching = self.loop.create_task(self._fetch(pour))
                return
            if piece:
                self.transport.write(piece)
        if pour.is_over:
            self._end_pour(pour)
            self._settle()
            if self._backlog:
                self.loop.call_soon(self._release)

    def _next_piece(self, pour: Pour) -> memoryview | bytes | None:
        """What is to be written next; b"" where the socket took it by itself, None where it must be fetched."""
        if self._socket is None or self.transport.get_write_buffer_size():
            return pour.take()
        sent = pour.send(self._socket)
        if sent:
            return b""
        return pour.take() if sent is None else pour.take(_NUDGE)

    async def _fetch(self, pour: Pour) -> None:
        """Bring a block that has left memory since the answer was begun."""
        try:
            await pour.fetch()
        except Exception as error:
            self._break_off(pour, error)
        finally:
            self._fetching = None
        self._pour_on()

    def _break_off(self, pour: Pour, error: Exception) -> None:
        """The rest cannot be had: the client must not take what it has for the whole."""
        logger.warning("%r: cut off after %d bytes: %s", pour.request.target, pour.sent, error)
        if self._ready is not None:
            self._ready.counts.broken += 1
        self.transport.abort()

    def _end_pour(self, pour: Pour) -> None:
        self._pour = None
        if self._socket is not None:
            self._socket = None
            self.transport.set_write_buffer_limits()
        shot = pour.shot
        shot.kept.asked += 1
        shot.tally.requests += 1
        shot.tally.bytes += pour.sent
        self._tell(pour.request, shot, pour.sent)


def make_room(connections: Iterable[Any]) -> bool:
    """Close the connection that has waited longest for its next request; whether there is one. Of some, not of all: to
    look at tens of thousands would cost more than they are worth. nginx makes room the same way."""
    idle = [one for one in islice(connections, _LOOKED_AT) if one.idle_until is not None]
    if not idle:
        return False
    min(idle, key=lambda one: one.idle_until).transport.close()
    return True


_REASONS = {
    405: "CONNECT is not served here.",
    408: "The head of the request did not come in time.",
    429: "There are too many connections from this address.",
    503: "This edge has as many connections as it can serve.",
    414: "The request target is longer than 8 KiB.",
    501: "No transfer coding but chunked is known here.",
    505: "HTTP/1.1 and HTTP/1.0 are spoken here.",
    431: "The head of the request is longer than 16 KiB, or has more than 100 fields.",
}
