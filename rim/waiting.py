"""Waiting for edges: until they hold a staged release (the gate), or serve a sequence (--wait), or the time is over.

Here lives looking at the rows the origin has of its edges, and what they mean for the exit code. Not here: what an edge
must have done before it reports (edge/control).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rim.client import SILENCE_SECONDS, Origin, site_path
from rim.exits import OK, PARTIAL, TIMED_OUT, Usage
from rim.output import Advance, count, size

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


@dataclass(frozen=True, slots=True)
class Gate:
    """Which release the edges are to hold before it is live, and where to show how far they are."""

    site: str
    release: str
    weight: int  # what one edge adds to the bar, in bytes
    bar: Callable[[int], Advance]
    say: Callable[[str], None]


def wait_until_warm(origin: Origin, gate: Gate, deadline: float) -> str:
    """Until every edge present has said how staging this release went. Who did not, or could not, in words."""
    advance: Advance | None = None
    answered: dict[str, dict[str, Any]] = {}
    pause = _GATE_FIRST
    while True:
        rows = {str(row["node"]): _staged(row, gate) for row in _rows(origin)}
        new = {name: staged for name, staged in rows.items() if staged and name not in answered}
        waiting = [name for name, staged in rows.items() if staged is None]
        if waiting and advance is None:
            advance = gate.bar(gate.weight * len(rows))
        for name, staged in new.items():
            gate.say(_told(name, staged))
            if advance is not None:
                advance(gate.weight)
        answered |= new
        left = deadline - time.monotonic()
        if not waiting or left <= 0 or (pause == _GATE_MOST and not _is_next(origin, gate)):
            return _cold(waiting, answered)
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _GATE_MOST)


def _is_next(origin: Origin, gate: Gate) -> bool:
    """Whether the release is still the one staged: edges say nothing more of one that another publisher replaced."""
    staged = origin.get(site_path(gate.site)).get("next")
    return staged is not None and bool(staged["release"] == gate.release)


def _staged(row: dict[str, Any], gate: Gate) -> dict[str, Any] | None:
    """What this edge said of the release."""
    staged: list[dict[str, Any]] = row.get("staged", [])
    return next((said for said in staged if said["site"] == gate.site and said["release"] == gate.release), None)


def _told(name: str, staged: dict[str, Any]) -> str:
    if not staged["ok"]:
        return f"{name}: {staged.get('error', 'could not fetch it')}"
    return f"{name}: {count(staged['blocks'], 'block')}, {size(staged['bytes'])} in {staged['ms'] / 1000:.1f} s"


def _cold(silent: list[str], answered: dict[str, dict[str, Any]]) -> str:
    said = [f"{name} said nothing in time" for name in silent]
    said += [
        f"{name} could not fetch it ({staged.get('error', 'no reason given')})"
        for name, staged in answered.items()
        if not staged["ok"]
    ]
    return f"live before every edge was warm: {'; '.join(said)}; they fetch on demand" if said else ""


def wait_for_edges(origin: Origin, sequence: int, wait: str | None, deadline: float) -> Edges:
    """Look at the edges; with `wait` ("all", or a number) until they serve the sequence or the deadline has passed."""
    seen = _look(origin, sequence, wait, _SETTLE_SECONDS if wait is None else 0.0)
    if wait is None or seen.code == OK:
        return seen
    while seen.code != OK and (left := deadline - time.monotonic()) > 0:
        seen = _look(origin, sequence, wait, min(left, _LOOK_SECONDS))
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
