"""Waiting for edges: until they hold a staged release (the gate), or serve a sequence (--wait), or the time is over.

Here lives looking at the rows the origin has of its edges, and what they mean for the exit code. Not here: what an edge
must have done before it reports (edge/control).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rim.client import SILENCE_SECONDS, Origin, site_path
from rim.exits import OK, PARTIAL, TIMED_OUT, Usage
from rim.output import Advance, count, size

_LOOK_SECONDS = 1.0  # one waiting request; then the rows are shown again
_LOOK_AGAIN = 0.1
_SETTLE_SECONDS = 1.0  # without --wait: who reloads the page when the command ends should see what it did
_AWAY_SECONDS = 5.0  # that the gate waits for an edge that is not present: it may be connecting again
_GATE_FIRST, _GATE_MOST = 0.01, 0.25  # between looks at the gate: a small release is warm in milliseconds


@dataclass(slots=True)
class Edges:
    """The edges that count, and those of them that are not there yet."""

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
    enough: int | None = None  # so many edges of each region suffice; None: all


def wait_until_warm(origin: Origin, gate: Gate, deadline: float) -> str:
    """Until every expected edge has said how staging this release went, or enough of each region have. Who did not, or
    could not, in words. An edge that is not present is waited for a moment only."""
    advance: Advance | None = None
    answered: dict[str, dict[str, Any]] = {}
    pause, begun = _GATE_FIRST, time.monotonic()
    while True:
        rows = {str(row["node"]): row for row in _expected(origin)}
        staged = {name: _staged(row, gate.site, gate.release) for name, row in rows.items()}
        new = {name: said for name, said in staged.items() if said and name not in answered}
        silent = [name for name, said in staged.items() if said is None]
        away = [name for name in silent if not rows[name]["present"]]
        if silent and advance is None:
            advance = gate.bar(gate.weight * len(rows))
        for name, said in new.items():
            gate.say(_told(rows[name], said))
            if advance is not None:
                advance(gate.weight)
        answered |= new
        patient = time.monotonic() - begun < _AWAY_SECONDS
        waiting = silent if patient else [name for name in silent if name not in away]
        left = deadline - time.monotonic()
        if _suffices(rows, staged, gate.enough):
            return _cold([], [], answered)
        if not waiting or left <= 0 or (pause == _GATE_MOST and not _is_next(origin, gate)):
            return _cold([name for name in silent if name not in away], away, answered)
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _GATE_MOST)


def _suffices(
    rows: Mapping[str, Mapping[str, Any]], staged: Mapping[str, Mapping[str, Any] | None], enough: int | None
) -> bool:
    """Whether so many edges of each region have it (where a region has fewer: all of them)."""
    if enough is None:
        return False
    there = Counter(row["region"] for row in rows.values())
    warm = Counter(row["region"] for name, row in rows.items() if (said := staged[name]) and said["ok"])
    return all(warm[region] >= min(enough, count) for region, count in there.items())


def _is_next(origin: Origin, gate: Gate) -> bool:
    """Whether the release is still the one staged: edges say nothing more of one that another publisher replaced."""
    staged = origin.get(site_path(gate.site)).get("next")
    return staged is not None and bool(staged["release"] == gate.release)


def warmed(row: Mapping[str, Any], site: str, release: str) -> dict[str, Any]:
    """What this edge said of the release, as `publish --json` shows it; null what it did not say."""
    said = _staged(row, site, release) or {}
    return {key: said.get(key) for key in ("ok", "blocks", "bytes", "ms")}


def _staged(row: Mapping[str, Any], site: str, release: str) -> dict[str, Any] | None:
    """What this edge said of the release."""
    staged: list[dict[str, Any]] = row.get("staged", [])
    return next((said for said in staged if said["site"] == site and said["release"] == release), None)


def _told(row: Mapping[str, Any], staged: Mapping[str, Any]) -> str:
    """One edge's report, as a row."""
    name = f"{row['region']:<8}  {row['node']:<12}"
    if not staged["ok"]:
        return f"{name}  {staged.get('error', 'could not fetch it')}"
    return f"{name}  {count(staged['blocks'], 'block'):>12}  {size(staged['bytes']):>9}  {staged['ms']:>6} ms"


def _cold(silent: list[str], away: list[str], answered: dict[str, dict[str, Any]]) -> str:
    said = [f"{name} said nothing in time" for name in silent]
    said += [f"{name} is away and was not waited for" for name in away]
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


def check_gate(flag: int | None, toml: object) -> int | None:
    """The flag, else rim.toml's `gate`, else None: all edges. Raises Usage."""
    gate = toml if flag is None else flag
    if gate is None or (isinstance(gate, int) and not isinstance(gate, bool) and gate > 0):
        return gate
    raise Usage(f"gate: {gate!r}", "give the number of edges of each region that suffice, from 1 up")


def _look(origin: Origin, sequence: int, wait: str | None, seconds: float) -> Edges:
    """The edges now, or as soon as all of them serve the sequence, at most after these seconds.

    Who waits, waits for all that are expected; who does not is told of those that are present.
    """
    if wait not in (None, "all"):
        seconds = min(seconds, _LOOK_AGAIN)  # the origin answers when *all* are there; some are seen by looking
    answer = origin.get(
        "/api/v1/edges",
        timeout=SILENCE_SECONDS + seconds,
        sequence=sequence,
        wait=round(seconds, 3),
        present=1 if wait is None else None,
    )
    rows = [row for row in answer["edges"] if row["expected"]]
    behind = [str(row["node"]) for row in rows if row["sequence"] < sequence]
    return Edges(len(rows) if wait in (None, "all") else int(str(wait)), int(answer["sequence"]), rows, behind)


def _expected(origin: Origin) -> list[dict[str, Any]]:
    return [row for row in origin.get("/api/v1/edges")["edges"] if row["expected"]]
