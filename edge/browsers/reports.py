"""Reports: what browsers tell of other places and of themselves. `POST /.rim/report?kind=lie&path=…&at=…`

Here lives the taking of a report, on whatever host: a lie is told where a worker took its bytes instead, which may be
another edge's gateway and no site at all. Not here: what is reported (edge/site/browser: worker.js of lies; client.js
of pages that did not come up, and of browsers without room).

It stands in the query, because this side of an edge reads no bodies (edge/http/protocol/reading), and nothing here is
worth to begin with it. Anybody can send one, so it proves nothing and changes nothing: it is a number to alert on, by a
few kinds, and a line in the log at most each second. A page of another origin may, without a preflight, and with
sendBeacon; no cookie is read.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from content.limits import KiB
from edge.http.address import key_of
from edge.http.fields import NOSNIFF, pairs
from edge.http.problem import Problem
from edge.http.rates import Buckets, Rate

logger = logging.getLogger("rim.edge")
REPORT: Final = "/.rim/report"
LONGEST: Final = KiB  # bytes of a report
KINDS: Final = frozenset({"lie", "boot", "quota"})  # others are counted as "other": a label must not grow with them
_RATE: Final = Rate(1.0, 20)  # of one client; what is over is counted as "over"
_LOGGED: Final = Rate(1.0, 1)
_FIELDS: Final = 8  # of the query that are looked at
_ALLOW: Final = ("Allow", "POST, OPTIONS")
_COMMON: Final = b"access-control-allow-origin: *\r\ncache-control: no-store\r\n" + NOSNIFF
_PREFLIGHT: Final = (
    b"allow: POST, OPTIONS\r\naccess-control-allow-methods: POST\r\naccess-control-allow-headers: content-type\r\n"
    b"access-control-max-age: 86400\r\n"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was told. `at`: the host whose answer was not what the manifest says, or that the browser speaks of."""

    kind: str
    site: str = ""
    path: str = ""
    at: str = ""


def read(query: bytes) -> Report:
    """The report in a query. Raises ValueError."""
    pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS)
    told = {name: value for name, value in pairs if name in ("kind", "site", "path", "at")}
    if "kind" not in told:
        raise ValueError("no kind")
    return Report(**told)


class Reports:
    """Takes reports, as an ASGI app of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that never go back."""
        self.counts: Counter[str] = Counter()  # by kind
        self._clock = clock
        self._clients: Buckets[str] = Buckets(_RATE)
        self._lines: Buckets[None] = Buckets(_LOGGED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, head, body = 204, self._take(scope), b""
        except Problem as problem:
            status, head, body = problem.status, problem.head + _COMMON[: _COMMON.index(b"cache")], problem.body
        await send({"type": "http.response.start", "status": status, "headers": pairs(head)})
        await send({"type": "http.response.body", "body": body})

    def _take(self, scope: Scope) -> bytes:
        """The header lines of what is said to it. Raises Problem."""
        if scope["method"] == "OPTIONS":
            return _PREFLIGHT + _COMMON
        if scope["method"] != "POST":
            raise Problem(405, "Reports are posted here.", headers=(_ALLOW,))
        query = scope["query_string"]
        if len(query) > LONGEST:
            raise Problem(414, f"A report has at most {LONGEST:,} bytes.")
        try:
            report = read(query)
        except ValueError:
            raise Problem(400, "A report is a query: ?kind=lie&path=…&at=….") from None
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
