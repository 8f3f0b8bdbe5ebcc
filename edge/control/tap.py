"""Tap: what this edge answers and does, as rows, while somebody looks.

Here lives the fan-out from the access log's hook, and the bounded buffer of one who looks. While nobody does, the hook
is as it was, so the hot path pays nothing. Not here: who looks (edge/control/asks).
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edge.counting import Log, Told
from edge.ready import Ready

ROWS_MAX = 4096  # waiting to be sent; then the oldest go, and are counted
TARGET_CHARS = 2048
Row = dict[str, Any]
_CLASS = re.compile(r"[1-5]xx\Z")


@dataclass(frozen=True, slots=True)
class Filter:
    """What somebody wants to see. None: any."""

    site: str | None = None
    status: str | None = None  # 404, or 4xx
    outcome: str | None = None
    method: str | None = None
    path: str | None = None  # the beginning of it
    events: bool = True

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Filter:
        texts = {key: str(asked[key]) for key in ("site", "status", "outcome", "method", "path") if key in asked}
        return cls(**texts, events=asked.get("events") is True)

    def wants(self, method: str, path: str, status: int, outcome: str) -> bool:
        return (
            (self.status is None or _is_status(status, self.status))
            and (self.outcome is None or outcome == self.outcome.lower())
            and (self.method is None or method == self.method.upper())
            and (self.path is None or path.startswith(self.path))
        )


@dataclass(slots=True, eq=False)  # two who look for the same are two
class Looker:
    """One who looks: rows that wait for it, and how many went before they could be taken."""

    filter: Filter
    lost: int = 0
    _rows: deque[Row] = field(default_factory=deque)

    def put(self, row: Row) -> None:
        if len(self._rows) >= ROWS_MAX:
            self._rows.popleft()
            self.lost += 1
        self._rows.append(row)

    def take(self, most: int) -> tuple[list[Row], int]:
        """At most so many rows, and how many were lost since the last time."""
        rows = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
        lost, self.lost = self.lost, 0
        return rows, lost


class Tap:
    """Rows of one edge. `site_of` tells the site of a Host field."""

    def __init__(self, answers: Ready, clock: Callable[[], float] = time.time) -> None:
        self._answers = answers
        self._clock = clock
        self._lookers: list[Looker] = []
        self._below: Log | None = None  # the hook as it was before anybody looked

    @contextmanager
    def look(self, wanted: Filter) -> Iterator[Looker]:
        """While this is open, rows are gathered."""
        looker = Looker(wanted)
        if not self._lookers:
            self._below, self._answers.log = self._answers.log, self._log
        self._lookers.append(looker)
        try:
            yield looker
        finally:
            self._lookers.remove(looker)
            if not self._lookers:
                self._answers.log = self._below

    def event(self, name: str, site: str | None = None, **detail: Any) -> None:
        """Something happened here that is no answer."""
        for looker in self._lookers:
            if looker.filter.events and looker.filter.site in (None, site):
                looker.put({"time": round(self._clock(), 3), "event": name, "site": site, **detail})

    def _log(self, told: Told) -> None:
        if self._below is not None:
            self._below(told)
        path, site = told.target.decode("latin-1"), told.site or None
        row: Row | None = None
        for looker in self._lookers:
            wanted = looker.filter
            if wanted.site in (None, site) and wanted.wants(told.method, path, told.status, told.outcome):
                row = row or {
                    "time": round(self._clock(), 3),
                    "client": told.client,
                    "site": site,
                    "method": told.method,
                    "host": told.host.decode("latin-1"),
                    "path": path[:TARGET_CHARS],
                    "status": told.status,
                    "bytes": told.size,
                    "outcome": str(told.outcome),
                }
                looker.put(row)

    def __repr__(self) -> str:
        return f"<Tap {len(self._lookers)} looking>"


def _is_status(status: int, wanted: str) -> bool:
    return str(status)[0] == wanted[0] if _CLASS.match(wanted.lower()) else str(status) == wanted
