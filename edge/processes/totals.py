"""Totals: the numbers of an edge, out of those of its processes.

Here live how two processes' numbers become one, and what is left of the counts of those that ended. Not here: counting,
the names (edge/control/metrics), the gathering in one process (edge/numbers).

A counter is the sum over processes, also over ended ones as far as they had told: each writes down what it tells,
before it tells it. So no counter ever goes down while the edge lives, and Prometheus sees no reset that none was: a
process that is killed takes along only what nobody had seen yet. With the parent all counts begin anew, as they do for
an edge of one process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from operator import add
from pathlib import Path
from typing import Any

from edge.control.metrics import METRICS, Value
from edge.processes.board import Board
from edge.processes.folders import COUNTED, folder_of
from edge.processes.inner import Inner

_KNOWN = frozenset(row.name for row in METRICS)  # while an edge is restarted, its processes may be of two versions
_LEAST = frozenset(
    {
        "rim_head_sequence",
        "rim_head_ends_seconds",
        "rim_sites",
        "rim_tls_certificate_ends_seconds",
        "rim_denylist_rules",
        "rim_ring_members",
    }
)
_MOST = frozenset(
    {
        "rim_head_stale",
        "rim_head_ahead",
        "rim_head_contact_seconds",
        "rim_loop_lag_seconds",
        "rim_peers_ejected",
        "rim_peer_state",
        "rim_denylist_age_seconds",
    }
)
Plain = dict[str, Any]  # as it goes over the wire: a number, or a list of [labels, number]


class Totals:
    """The numbers of one process, `own` alone and `values` of all."""

    def __init__(
        self,
        state: Path,
        inner: Inner,
        board: Board,
        values: Callable[[], Mapping[str, Value]],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._state = state
        self._inner = inner
        self._board = board
        self._values = values
        self._status = status
        self._name = f"{os.getpid()}-{time.time_ns()}.json"

    async def own(self) -> dict[str, Any]:
        """For another process that asks."""
        return {"pid": os.getpid(), "values": self._told(), "status": self._status()}

    async def values(self) -> dict[str, Value]:
        """For /metrics."""
        parts = [self._told()]
        for index, numbers in (await self._inner.numbers()).items():
            parts.append(_sum(_counted(self._folder(index))) if numbers is None else numbers["values"])
        whole = {name: _from_plain(value) for name, value in _sum(parts).items() if name in _KNOWN}
        return {**whole, "rim_process_restarts_total": self._board.restarts}

    async def status(self) -> dict[str, Any]:
        """For /api/v1/status: what the edge serves and holds, and how far each process is."""
        parts = {self._inner.shares.index: await self.own(), **(await self._inner.numbers())}
        known = [part["status"] for part in parts.values() if part is not None]
        told = {
            **self._status(),
            "sequence": min(status["sequence"] for status in known),
            "stored": self._board.cleared,
            "stale": any(status["stale"] for status in known),
            "ready": all(status["ready"] for status in known),
            "ejected": sorted({name for status in known for name in status["ejected"]}),
        }
        for name in ("memory", "disk", "outcomes"):
            told[name] = _added([status[name] for status in known])
        told["processes"] = [_row(index, part) for index, part in sorted(parts.items())]
        return told

    def write(self) -> None:
        """Write down what this process has counted."""
        self._told()

    def _told(self) -> Plain:
        """What this process tells, with the counts of those that had its place before, written down first."""
        mine = {name: _to_plain(value) for name, value in self._values().items()}
        folder = self._folder(self._inner.shares.index)
        before = [{name: part[name] for name in part if name in mine} for part in _counted(folder, but=self._name)]
        counts = {name: value for name, value in mine.items() if name.endswith("_total")}
        with suppress(OSError):  # on a full disk a count may go down with its process
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f"{self._name}.tmp"
            temporary.write_text(json.dumps(counts))
            temporary.replace(folder / self._name)
        return _sum([mine, *before])

    def _folder(self, index: int) -> Path:
        return folder_of(self._state, index, self._inner.shares.count) / COUNTED


def _counted(folder: Path, but: str = "") -> list[Plain]:
    """What processes wrote down in this folder."""
    found: list[Plain] = []
    for path in sorted(folder.glob("*.json")):
        if path.name != but:
            with suppress(OSError, ValueError):
                found.append(json.loads(path.read_text()))
    return found


def _sum(parts: Iterable[Plain]) -> Plain:
    whole: Plain = {}
    for part in parts:
        for name, value in part.items():
            whole[name] = _joined(name, whole[name], value) if name in whole else value
    return whole


def _joined(name: str, one: Any, other: Any) -> Any:
    join: Callable[[Any, Any], Any] = min if name in _LEAST else max if name in _MOST else add
    if not isinstance(one, list):
        return join(one, other)
    numbers = {tuple(labels): number for labels, number in one}
    for labels, number in other:
        known = numbers.get(tuple(labels))
        numbers[tuple(labels)] = number if known is None else join(known, number)
    return [[list(labels), number] for labels, number in numbers.items()]


def _to_plain(value: Value) -> Any:
    if not isinstance(value, Mapping):
        return value
    return [[[labels] if isinstance(labels, str) else list(labels), number] for labels, number in value.items()]


def _from_plain(value: Any) -> Value:
    return {tuple(labels): number for labels, number in value} if isinstance(value, list) else value


def _added(parts: list[dict[str, int]]) -> dict[str, int]:
    return {key: sum(part.get(key, 0) for part in parts) for key in sorted({key for part in parts for key in part})}


def _row(index: int, part: dict[str, Any] | None) -> dict[str, Any]:
    if part is None:
        return {"process": index, "answers": False}
    status = part["status"]
    return {"process": index, "answers": True, "pid": part["pid"]} | {
        key: status[key] for key in ("sequence", "stored")
    }
