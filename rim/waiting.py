"""Waiting for edges: until they hold a staged release (the gate), or serve a sequence (--wait), or the time is over.

Here lives looking at the rows the origin has of its edges, and what they mean for the exit code. Not here: what an edge
must have done before it reports (edge/control).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rim.client import SILENCE_SECONDS, Origin
from rim.exits import OK, PARTIAL, TIMED_OUT, Usage
from rim.output import Advance

_LOOK_SECONDS = 1.0  # one waiting request; then the rows are shown again
_LOOK_AGAIN = 0.1
_SETTLE_SECONDS = 1.0  # without --wait: who reloads the page when the command ends should see what it did
_GATE_FIRST, _GATE_MOST = 0.01, 0.25  # between looks at the gate: a small release is warm in milliseconds


@dataclass(slots=True)
class Edges:
    """The edges present, and those that are not there yet."""

    wanted: int = 0  # how many were asked for
    sequence: int = 0  # of the origin
    edges: list[dict[str, Any]] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)

    @property
    def done(self) -> int:
        return len(self.edges) - len(self.behind)

    @property
    def code(self) -> int:
        """0 when enough are there, 5 when some are, 4 when none is."""
        if self.done >= self.wanted:
            return OK
        return PARTIAL if self.done else TIMED_OUT

    def remark(self, what: str) -> str:
        """Who is missing, in words; empty when nobody is."""
        if self.code == OK:
            return ""
        names = ", ".join(self.behind[:10]) or "there are no more edges"
        return f"{self.done} of {self.wanted} edges {what}; not yet: {names}"


def wait_until_warm(
    origin: Origin, site: str, release: str, deadline: float, bar: Callable[[int], Advance], weight: int
) -> str:
    """The gate: until every edge present has said how staging this release went; who did not, or could not."""
    advance: Advance | None = None
    told = 0
    pause = _GATE_FIRST
    while True:
        rows = _rows(origin)
        found = {str(row["node"]): _staged(row, site, release) for row in rows}
        waiting = [name for name, staged in found.items() if staged is None]
        if waiting and advance is None:
            advance = bar(weight * len(rows))
        if advance is not None:
            advance(weight * (len(found) - len(waiting) - told))
            told = len(found) - len(waiting)
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            return _cold(waiting, {name: staged for name, staged in found.items() if staged and not staged["ok"]})
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _GATE_MOST)


def _staged(row: dict[str, Any], site: str, release: str) -> dict[str, Any] | None:
    """What this edge said of this release."""
    staged: list[dict[str, Any]] = row.get("staged", [])
    return next((said for said in staged if said["site"] == site and said["release"] == release), None)


def _cold(silent: list[str], failed: dict[str, dict[str, Any]]) -> str:
    said = [f"{name} said nothing in time" for name in silent]
    said += [f"{name} could not fetch it ({staged.get('error', 'no reason given')})" for name, staged in failed.items()]
    return f"live before every edge was warm: {'; '.join(said)}; they fetch on demand" if said else ""


def wait_for_edges(
    origin: Origin,
    sequence: int,
    wait: str | None,
    deadline: float,
    bar: Callable[[int], Advance] = lambda total: lambda count: None,
    weight: int = 1,
) -> Edges:
    """Look at the edges; with `wait` ("all", or a number) until they serve the sequence or the deadline has passed.

    `weight` is what one edge adds to the bar, in bytes.
    """
    seen = _look(origin, sequence, wait, _SETTLE_SECONDS if wait is None else 0.0)
    if wait is None or seen.code == OK:
        return seen
    advance = bar(weight * len(seen.edges))
    advance(weight * seen.done)
    while seen.code != OK and (left := deadline - time.monotonic()) > 0:
        before, seen = seen.done, _look(origin, sequence, wait, min(left, _LOOK_SECONDS))
        advance(weight * (seen.done - before))
    return seen


def check_wait(wait: str | None) -> str | None:
    """`all` or a number, as --wait takes it. Raises Usage."""
    if wait is None or wait == "all" or (wait.isdecimal() and int(wait) > 0):
        return wait
    raise Usage(f"--wait {wait}", "give `all`, or a number of edges")


def _look(origin: Origin, sequence: int, wait: str | None, seconds: float) -> Edges:
    """The edges now, or as soon as all of them serve the sequence, at most after these seconds."""
    if wait not in (None, "all"):
        seconds = min(seconds, _LOOK_AGAIN)  # the origin answers when *all* are there; some are seen by looking
    answer = origin.get("/api/v1/edges", timeout=SILENCE_SECONDS + seconds, sequence=sequence, wait=round(seconds, 3))
    rows = [row for row in answer["edges"] if row["present"]]
    behind = [str(row["node"]) for row in rows if row["sequence"] < sequence]
    return Edges(len(rows) if wait in (None, "all") else int(str(wait)), int(answer["sequence"]), rows, behind)


def _rows(origin: Origin) -> list[dict[str, Any]]:
    return [row for row in origin.get("/api/v1/edges")["edges"] if row["present"]]
