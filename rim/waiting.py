"""Waiting for edges: until all of them, or k, serve a sequence, or the time is over.

Here lives that question to the origin and what its answer means for the exit code. Not here: what an edge must have
done before it reports (edge/control).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rim.client import Origin, Rejected, stopped
from rim.exits import OK, PARTIAL, TIMED_OUT, Usage
from rim.output import Advance

_LOOK_SECONDS = 1.0  # one waiting request; then the rows are shown again
_LOOK_AGAIN = 0.1


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
    seen = _look(origin, sequence, wait, 0.0)
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
    try:
        answer = origin.get("/api/v1/edges", timeout=30 + seconds, sequence=sequence, wait=round(seconds, 3))
    except Rejected as error:
        if error.status == 403 and wait is None:
            return Edges()  # a token that may publish need not see the ring
        stopped(error)
    rows = [row for row in answer["edges"] if row["present"]]
    behind = [str(row["node"]) for row in rows if row["sequence"] < sequence]
    return Edges(len(rows) if wait in (None, "all") else int(str(wait)), int(answer["sequence"]), rows, behind)
