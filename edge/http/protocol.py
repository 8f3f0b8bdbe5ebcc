"""Protocol: the wire of a listener, and the hot path. The only contact with uvicorn's internals.

Here lives what uvicorn's own class leaves open (each with a test in tests/edge/http/test_protocol.py): a timer from the
first moment of a connection to its last, a budget and a deadline for heads, a bound on what is queued, one Host, order.
And the hot path: a GET or HEAD that names a ready answer is written in one go, without a task, scope or await.
Not here: what to answer (edge/ready finds it, edge/http/answer chooses), or anything unusual: that goes to the app.

uvicorn 0.54, read: it cancels its keep-alive timer on every byte and arms none before the first response, sets no limit
to a head, forgets the timer of a connection that ends in a reset, and parses all of a pipelined read at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge.http.answer import Asking
from edge.http.deadline import Deadline
from edge.http.outcome import Outcome
from edge.http.problem import Problem
from edge.ready import Ready


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost. Sizes in bytes, times in seconds."""

    head: int = 16 * 1024  # target, field names and values; nginx's and h11's are of this order
    fields: int = 100
    target: int = 8 * 1024
    pipelined: int = 16  # requests waiting behind one that is being answered
    idle: float = 75.0  # above the 60 s that proxies keep their upstream connections, or they would meet a closed one
    head_time: float = 10.0
    write_stall: float = 30.0  # no byte taken by the client: boxo's figure


LIMITS = Limits()
_SLICE = 4 * 1024  # bytes parsed between two looks at what is queued
_JOINED = 32 * 1024  # up to here head and body are joined and written at once; above, copying costs more than writev
_BODY_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"expect"})


class _Phase(Enum):
    IDLE = auto()  # between requests
    HEAD = auto()  # a head has begun and not ended
    BUSY = auto()  # the app has a request


class _Refused(Exception):
    """Stops the parser; what to say stands in `_refusal`."""


class Protocol(HttpToolsProtocol):
    """One connection. `ready` None: no hot path (the private listener)."""

    def __init__(self, *args: Any, ready: Ready | None = None, limits: Limits = LIMITS, **named: Any) -> None:
        super().__init__(*args, **named)
        self._ready = ready
        self._limits = limits
        self._phase = _Phase.IDLE
        self._deadline = Deadline(self.loop, self._on_deadline)
        self._unsent = 0
        self._backlog = b""  # read, not parsed: too much is queued
        self._in_head = False
        self._in_message = False
        self._answered = False
        self._deaf = False  # refused: nothing further is read from this connection
        self._refusal = 400
        self._size = self._fields = self._raw = 0

    # The connection's life.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline.set(self._limits.idle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._backlog, self._deaf = b"", True
        self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it will may still read: stay open for writing while an answer is under way."""
        if self._is_busy():
            self._last_one()
            return True
        return False

    def shutdown(self) -> None:
        super().shutdown()
        self._settle()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._deadline.set(self._limits.write_stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._settle()

    # What is awaited, and what becomes of it when it does not come.

    def _on_deadline(self) -> None:
        if self.flow.write_paused or self.transport.is_closing():
            self._on_write_stall()
        elif self._phase is _Phase.HEAD:
            self._refuse(408)
        else:
            self.transport.close()
            self._deadline.set(self._limits.write_stall)

    def _on_write_stall(self) -> None:
        """The client has taken nothing for so long: give up. Has it taken something, however little: wait on."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent >= self._unsent and self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._deadline.set(self._limits.write_stall)

    def _settle(self) -> None:
        """What is awaited now, and for how long."""
        if self.transport.is_closing():
            self._unsent = self.transport.get_write_buffer_size()
            self._deadline.set(self._limits.write_stall)
        elif self.flow.write_paused:
            return  # its own deadline stands
        elif self._is_busy():
            self._phase = _Phase.BUSY
            self._deadline.clear()
        elif self._in_head:
            if self._phase is not _Phase.HEAD:  # counted from the head's start, not from its last byte
                self._phase = _Phase.HEAD
                self._deadline.set(self._limits.head_time)
        else:
            self._phase = _Phase.IDLE
            self._deadline.set(self._limits.idle)

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Bytes in.

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._backlog:
            self._hold(self._backlog + data)
            return
        self._feed(data)
        self._settle()

    def _feed(self, data: bytes) -> None:
        for at in range(0, len(data), _SLICE):
            if len(self.pipeline) >= self._limits.pipelined:
                self._hold(data[at:])
                return
            if not self._parse(data if len(data) <= _SLICE else data[at : at + _SLICE]):
                return

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
        """Parse on where the queue was full."""
        data, self._backlog = self._backlog, b""
        if self._deaf or self.transport.is_closing():
            return
        self._feed(data)
        if not self._backlog:
            self.flow.resume_reading()
        self._settle()

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._answered = False
        self._size = self._fields = self._raw = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.target:
            self._stop(414)
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._fields += 1
        self._size += len(name) + len(value) + 4
        if self._fields > self._limits.fields or self._size > self._limits.head:
            self._stop(431)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._check_head()
        if not self._is_busy() and self._answer_now():
            self._answered = True
            return
        self.scope["extensions"] = {"rim": {"abort": self.transport.abort, "is_closing": self.transport.is_closing}}
        super().on_headers_complete()
        if self._ready is not None and any(name in _BODY_FIELDS and value != b"0" for name, value in self.headers):
            self.cycle.keep_alive = False  # the public side reads no bodies: what may follow this one is not parsed on

    def on_body(self, body: bytes) -> None:
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_message = False
        if not self._answered:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The app has answered: the next in the queue, or wait for one."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            if not self._backlog:
                self.flow.resume_reading()
            elif len(self.pipeline) < self._limits.pipelined:
                self.loop.call_soon(self._release)
        self._settle()

    # Heads.

    def _check_head(self) -> None:
        """Refuse what has no one meaning; turn an absolute-form target into origin-form (RFC 9112 §3.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._stop(400)
        if self.parser.get_method() == b"CONNECT":
            self._stop(405)
        if b"#" in self.url or not self.url.isascii():
            self._stop(400)
        if not self.url.startswith(b"/"):
            self._to_origin_form()

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
        head = (STATUS_LINE[status], self._defaults(), problem.head, allow, b"connection: close\r\n\r\n")
        self.transport.write(b"".join((*head, problem.body)))
        self.transport.close()
        self._settle()

    def _last_one(self) -> None:
        """After the answers that are due, close."""
        self._deaf = True
        if self._is_busy():
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def _defaults(self) -> bytes:
        """Date, and whatever uvicorn adds: it replaces the list once a second, and only then lines are made anew."""
        state = self.server_state
        made: tuple[object, bytes] = getattr(state, "rim_lines", (None, b""))
        if made[0] is not state.default_headers:
            lines = b"".join(b"%s: %s\r\n" % pair for pair in state.default_headers)
            made = state.default_headers, lines
            state.rim_lines = made  # type: ignore[attr-defined]
        return made[1]

    # The hot path.

    def _answer_now(self) -> bool:
        """Answer from memory, if this is a plain request for something ready. Whatever is unusual goes to the app."""
        ready = self._ready
        if ready is None or self.flow.write_paused or self.transport.is_closing():
            return False
        if ready.pause is not None and ready.pause.look():
            return False
        method = self.parser.get_method()
        if method not in (b"GET", b"HEAD") or self.parser.should_upgrade() or not self.parser.should_keep_alive():
            return False
        if self.parser.get_http_version() != "1.1":
            return False
        host = b""
        for name, value in self.headers:
            if name == b"host":
                host = value
            elif name in _BODY_FIELDS:
                return False
        answer = ready.find(host, self.url)
        if answer is None:
            return False
        verb = "GET" if method == b"GET" else "HEAD"
        choice = answer.choose(Asking.read(verb, self.headers))
        body = ready.body(choice)
        if body is None:
            return False
        outcome = ready.outcome(Outcome.HIT)
        head = (STATUS_LINE[choice.status], self._defaults(), choice.head, ready.status_line(outcome), b"\r\n")
        self._write(b"".join(head), body)
        self.server_state.total_requests += 1
        ready.count(verb, host.decode("latin-1") + self.url.decode("latin-1"), choice.status, len(body), outcome)
        return True

    def _write(self, head: bytes, body: bytes | memoryview) -> None:
        if len(body) <= _JOINED:
            self.transport.write(head + body if body else head)
        else:
            self.transport.writelines((head, body))


_REASONS = {
    405: "CONNECT is not served here.",
    408: "The head of the request did not come in time.",
    414: "The request target is longer than 8 KiB.",
    431: "The head of the request is longer than 16 KiB, or has more than 100 fields.",
}
