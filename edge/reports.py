"""Reports: what browsers tell of other places, as a service worker found them. `POST /.rim/report`.

Here lives the taking of a report, on whatever host: it comes where a worker took its bytes instead, which may be
another edge's gateway and no site at all. Not here: what a worker reports (edge/site/browser/worker.js).

Anybody can send one, so it proves nothing and changes nothing: it is a number to alert on, by a few kinds, and a line
in the log at most each second. A page of another origin may, without a preflight (Fetch §2.2.2: `text/plain`, as
sendBeacon sends); no cookie is read.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from content.limits import KiB
from edge.http.address import key_of
from edge.http.fields import NOSNIFF
from edge.http.problem import Problem
from edge.http.rates import Buckets, Rate

logger = logging.getLogger("rim.edge")
REPORT: Final = "/.rim/report"
LONGEST: Final = KiB  # bytes of a report
PATIENCE: Final = 5.0  # s for it to arrive
KINDS: Final = frozenset({"lie", "boot", "quota"})  # others are counted as "other": a label must not grow with them
_RATE: Final = Rate(1.0, 20)  # of one client; what is over is counted as "over"
_LOGGED: Final = Rate(1.0, 1)
_TEXTS: Final = ("site", "path", "at")
_ALLOW: Final = ("Allow", "POST, OPTIONS")
_COMMON: Final = b"access-control-allow-origin: *\r\ncache-control: no-store\r\n" + NOSNIFF
_PREFLIGHT: Final = (
    b"allow: POST, OPTIONS\r\naccess-control-allow-methods: POST\r\naccess-control-allow-headers: content-type\r\n"
    b"access-control-max-age: 86400\r\n"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was told. `at`: the host whose answer was not what the manifest says."""

    kind: str
    site: str = ""
    path: str = ""
    at: str = ""


def read(body: bytes) -> Report:
    """The report in these bytes. Raises ValueError."""
    value = json.loads(body.decode())
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise ValueError("no object with a kind")
    told = {key: value.get(key, "") for key in _TEXTS}
    if not all(isinstance(text, str) for text in told.values()):
        raise ValueError("what is no text")
    return Report(value["kind"], **told)


class Reports:
    """Takes reports, as an ASGI app of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, patience: float = PATIENCE) -> None:
        """`clock`: seconds that never go back. `patience`: seconds for a report to arrive."""
        self.counts: Counter[str] = Counter()  # by kind
        self._clock = clock
        self._patience = patience
        self._clients: Buckets[str] = Buckets(_RATE)
        self._lines: Buckets[None] = Buckets(_LOGGED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, head, body = 204, await self._take(scope, receive), b""
        except Problem as problem:
            status, head, body = problem.status, problem.head + _COMMON[: _COMMON.index(b"cache")], problem.body
        lines = [line.partition(b": ") for line in head.split(b"\r\n")[:-1]]
        headers = [(name, value) for name, _, value in lines]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _take(self, scope: Scope, receive: Receive) -> bytes:
        """The header lines of what is said to it. Raises Problem."""
        if scope["method"] == "OPTIONS":
            return _PREFLIGHT + _COMMON
        if scope["method"] != "POST":
            raise Problem(405, "Reports are posted here.", headers=(_ALLOW,))
        try:
            async with asyncio.timeout(self._patience):
                report = read(await _body(receive))
        except TimeoutError:
            raise Problem(408, "The report did not come in time.", headers=(("Connection", "close"),)) from None
        except (ValueError, RecursionError):
            raise Problem(400, 'A report is JSON: {"kind": "lie", "path": …, "at": …}.') from None
        self._count(report, key_of(scope["extensions"]["rim"]["client"]))
        return _COMMON

    def _count(self, report: Report, client: str) -> None:
        now = self._clock()
        if self._clients.take(client, now) is not None:
            self.counts["over"] += 1
            return
        self.counts[report.kind if report.kind in KINDS else "other"] += 1
        if self._lines.take(None, now) is None:
            told = (report.kind, report.at, report.path, report.site, client)
            logger.warning("a browser reports %.40r of %.100r: path %.200r, site %.64r (client %s)", *told)

    def __repr__(self) -> str:
        return f"<Reports {dict(self.counts)}>"


async def _body(receive: Receive) -> bytes:
    """All of a short body. Raises Problem."""
    body = bytearray()
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            raise Problem(400, "The report broke off.")
        body += message.get("body", b"")
        if len(body) > LONGEST:
            raise Problem(413, f"A report has at most {LONGEST:,} bytes.", headers=(("Connection", "close"),))
        if not message.get("more_body"):
            return bytes(body)
