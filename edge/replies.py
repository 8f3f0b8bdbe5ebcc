"""Replies: a request as the public side looks at it, and what can be said to it.

Here live the two values of edge/app, and the replies that no asset stands behind. Not here: when which is given
(edge/app), nor the assets' own answers (edge/http/answer).
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from starlette.types import Scope

from content.denylists import Refusal
from edge.cache.loaded import Overloaded, Unavailable
from edge.http.address import of_peer
from edge.http.answer import Asking
from edge.http.fields import NOSNIFF
from edge.http.outcome import Outcome
from edge.http.problem import Problem
from edge.site.rules import is_navigation

RETRY = (("Retry-After", "5"),)
ALLOW = ("Allow", "GET, HEAD, OPTIONS")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as this side looks at it."""

    method: str
    raw_path: bytes
    query: bytes
    fields: dict[bytes, bytes]
    asking: Asking
    client: str  # the visitor's address
    sent: Sequence[tuple[bytes, bytes]] = ()  # the fields as they came
    peer: str = ""  # the address of the connection itself; "" where nothing that it tells of others is believed
    scheme: str = "http"  # of the connection itself
    hint: Callable[[bytes], bool] | None = None  # sends header lines ahead of the answer; whether it did

    @classmethod
    def read(cls, scope: Scope) -> Asked:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        asking = Asking.read(scope["method"], headers)
        wire = scope["extensions"]["rim"]
        client = wire["client"]
        peer = of_peer(scope["client"][0]) if scope.get("client") and wire["believed"] else ""
        said = (scope["method"], scope["raw_path"], scope["query_string"], dict(headers), asking, client, headers)
        return cls(*said, peer, scope.get("scheme", "http"), wire.get("hint"))

    @property
    def host(self) -> bytes:
        return self.fields.get(b"host", b"")

    @property
    def is_navigation(self) -> bool:
        return is_navigation(self.fields.get(b"sec-fetch-mode"), self.fields.get(b"accept"))

    @property
    def raw_target(self) -> bytes:
        """Path and query."""
        return self.raw_path + b"?" + self.query if self.query else self.raw_path

    @property
    def target(self) -> str:
        """Host, path and query, for people."""
        return (self.host + self.raw_target).decode("latin-1")


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send: a status, header lines (each ended by CRLF), where it came from, the body in pieces."""

    status: int
    head: bytes
    outcome: Outcome
    body: AsyncGenerator[bytes, None] | bytes = b""
    settled: bool = False  # made once more after this process stood still, it stands, however long that took

    @classmethod
    def of(cls, problem: Problem, outcome: Outcome | None = None) -> Reply:
        word = outcome or _OUTCOMES.get(problem.status, Outcome.ERROR)
        return cls(problem.status, problem.head, word, problem.body)

    async def discard(self) -> None:
        """It will not be sent."""
        if not isinstance(self.body, bytes):
            await self.body.aclose()

    @property
    def tells_cache_status(self) -> bool:
        """Whether a cache had any part in it: not in what is wrong with the request itself, or denied."""
        return self.status < 400 or self.status >= 500 or self.status in (404, 416)


_OUTCOMES = {200: Outcome.HIT, 404: Outcome.NEGATIVE, 410: Outcome.DENIED, 451: Outcome.DENIED}


def unavailable(error: Unavailable) -> Problem:
    """A block cannot be had: the origin's fault, or the way to it, or too much is asked of this edge."""
    if isinstance(error, Overloaded):
        rest = (("Retry-After", str(math.ceil(error.rest or 1))),)
        return Problem(503, "This edge fetches as much as it can; what it holds, it serves.", headers=rest)
    if error.rest is not None:
        rest = (("Retry-After", str(max(1, math.ceil(error.rest)))),)
        return Problem(503, "The origin is busy, and nobody else holds this.", headers=rest)
    if error.absent:
        return Problem(502, "The origin does not hold what was published here.", headers=RETRY)
    return Problem(504, "Nobody who holds this could be reached in time.", headers=RETRY)


def denied(refusal: Refusal) -> Problem:
    """What is denied, as RFC 9110 (410) or RFC 7725 (451) has it: short, and kept by nobody, for it may be allowed."""
    words = "Legal reasons forbid" if refusal.status == 451 else "The operator of this edge forbids"
    detail = f"{words} showing what is here.{' ' * bool(refusal.reason)}{refusal.reason}"
    return Problem(refusal.status, detail, headers=(("Rim-Reason", "denied"),))


def preflight(asked: Asked, origin: str | None) -> Reply:
    """OPTIONS: what is allowed; and for what other origins may use, that they may. `origin`: who may, as the path's own
    answer says it (Access-Control-Allow-Origin). The rest is said to a preflight alone (Fetch standard §3.2.3)."""
    lines = b"allow: GET, HEAD, OPTIONS\r\ncache-control: no-store\r\n" + NOSNIFF
    if origin is not None:
        lines += b"access-control-allow-origin: %s\r\n" % origin.encode("latin-1")
        if b"access-control-request-method" in asked.fields:
            lines += b"access-control-allow-methods: GET, HEAD, OPTIONS\r\n"
            lines += b"access-control-allow-headers: *\r\naccess-control-max-age: 86400\r\n"
    return Reply(204, lines, Outcome.HIT)
