"""Reading: bytes in, one head after the other, through the parser to the app.

Here live the budgets of a head, what has no one meaning, the order of what is queued, and refusals. Not here: plain
requests for what is ready (hot), what the app answers (edge/app).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools

from edge.counting import NOBODY, Told
from edge.http.outcome import Outcome
from edge.http.problem import Problem
from edge.http.protocol.entry import Entry
from edge.http.status import STATUS_LINE

_SLICE = 4 * 1024  # bytes parsed between two looks at what is queued
_BODY_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"expect"})
_SHED = frozenset({429, 503})  # there is no room: then there is none to linger in either


class _Wire:
    """The transport as one of uvicorn's cycles uses it; its end is ours."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close


class _Refused(Exception):
    """Stops the parser; what to say stands in `_refusal`."""


class Reading(Entry):
    """The part of a connection that reads requests."""

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
            if self._opens_tunnel:
                return self._open_tunnel()
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
        wire |= {"client": self._client_of(self.headers), "believed": not self._in_tunnel}
        if self._ready is not None:
            wire["hint"] = self._hint
        self.scope["extensions"] = {"rim": wire}
        super().on_headers_complete()
        self.cycle.transport = _Wire(self.transport, self._close)  # type: ignore[assignment]
        if self._draining:
            self.cycle.keep_alive = False
        if self._ready is not None and any(name in _BODY_FIELDS and value != b"0" for name, value in self.headers):
            self.cycle.keep_alive = False  # the public side reads no bodies: what may follow this one is not parsed on

    def _hint(self, lines: bytes) -> bool:
        """Tell the client, before the answer that is being made, of these fields (RFC 8297); whether it is told. On
        this side one request at a time is with the app, so nothing else can be under way. HTTP/1.0 knows no 1xx
        (RFC 9110 §15.2)."""
        may = self.scope["http_version"] == "1.1" and self._is_asking() and not self.cycle.response_started
        if may:
            self.transport.write(STATUS_LINE[103] + lines + b"\r\n")
        return may

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
            self._check_connect()
        if b"#" in self.url or not self.url.isascii():
            self._stop(400)
        if not self.url.startswith(b"/"):
            self._to_origin_form()

    def _check_codings(self, version: str) -> None:
        """`chunked` on HTTP/1.1, once and alone (RFC 9112 §6.1, §6.3): where another coding's body ends is a guess."""
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (version != "1.1" or codings != [b"chunked"]):
            self._stop(501 if len(codings) == 1 and codings[0].endswith(b", chunked") else 400)

    def _check_connect(self) -> None:
        """CONNECT to a host that is ours is granted where the operator wants it (RFC 9110 §9.3.6): who has us for a
        proxy to our hosts means this connection, which then goes on as one. It never leads anywhere else."""
        has_body = any(name in _BODY_FIELDS for name, _ in self.headers)
        self._opens_tunnel = (
            self._hot is not None  # heads come one at a time: nothing behind this one has been parsed
            and not has_body
            and not self._is_asking()
            and self._tunnels is not None
            and self._tunnels(self.url)
        )
        self._stop(405)

    def _open_tunnel(self) -> bool:
        """From here on nothing that is said in fields about clients, hosts or schemes is believed, whoever is there: a
        proxy of the operator's that took this for the beginning of a tunnel passes on whatever its client writes."""
        self._opens_tunnel = self._in_head = self._in_message = False
        self._in_tunnel = True
        self.parser = httptools.HttpRequestParser(self)
        self.transport.write(b"".join((STATUS_LINE[200], self._lines(), b"\r\n")))
        return True

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

    def _lines(self) -> bytes:
        """Date, and whatever uvicorn adds: it replaces the list once a second, and only then lines are made anew."""
        state: Any = self.server_state
        if state.default_headers is not getattr(state, "rim_of", None):
            state.rim_of = state.default_headers
            state.rim_lines = b"".join(b"%s: %s\r\n" % pair for pair in state.default_headers)
        lines: bytes = state.rim_lines
        return lines


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
