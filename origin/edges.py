"""Edges: which nodes follow this origin, how far each one is, and which are expected to.

Here lives what nodes say of themselves on their waiting requests and reports. Not here: the roll on disk (origin/roll).
Nothing here decides what is true: a node that lies about its sequence harms its own wait.

A node is *present* while a request of it waits here, or a moment after its last word. It is *expected* from its first
word on until it says goodbye, is forgotten, or has been unseen for a day: who waits for all waits for these, since a
node that hangs or is cut off may still serve visitors what it had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from origin.errors import Missing
from origin.waiting import Signal

PRESENT_SECONDS = 5.0  # since the last contact, when no request of the node waits here
EXPECTED_SECONDS = 86_400.0  # unseen for so long, a node is not waited for any more, and then not known any more
STAGED_FIELDS = ("site", "release", "ok", "blocks", "bytes", "ms", "error")
STAGED_MAX = 100  # sites per node
NODES_MAX = 10_000  # names come from node tokens' holders; past this the longest unseen goes
UNNAMED = "?"  # a node that does not say its name


@dataclass(slots=True)
class Edge:
    """One node as last heard of. `sequence` is the Head it serves; `left` says that it said goodbye."""

    node: str
    region: str = ""
    public: str | None = None
    sequence: int = 0
    seen: float = 0.0
    left: bool = False
    heard: float = -math.inf  # its last word to this process, of the monotonic clock
    waiting: int = 0
    staged: dict[str, dict[str, Any]] = field(default_factory=dict)  # site → what it said of the last staged release

    @property
    def present(self) -> bool:
        return not self.left and (self.waiting > 0 or time.monotonic() - self.heard < PRESENT_SECONDS)

    @property
    def known(self) -> bool:
        return self.waiting > 0 or time.time() - self.seen < EXPECTED_SECONDS

    @property
    def expected(self) -> bool:
        return not self.left and self.known and self.node != UNNAMED

    def spoke(self) -> None:
        """A word of it came just now."""
        self.seen, self.heard = time.time(), time.monotonic()

    def shown(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "region": self.region,
            "public": self.public,
            "sequence": self.sequence,
            "present": self.present,
            "expected": self.expected,
            "seen": round(self.seen, 3),
            "staged": list(self.staged.values()),
        }

    def take_staged(self, rows: list[dict[str, Any]]) -> None:
        """Note what the node says of staged releases; the last word per site counts."""
        for row in rows:
            site = str(row.get("site", ""))[:63]
            self.staged.pop(site, None)
            self.staged[site] = {key: row[key] for key in STAGED_FIELDS if isinstance(row.get(key), str | int | float)}
        while len(self.staged) > STAGED_MAX:
            del self.staged[next(iter(self.staged))]


class Edges:
    """The nodes known. `changed` is for the roll: something that it keeps is another than it was."""

    def __init__(self, known: Iterable[Edge] = ()) -> None:
        self._edges: dict[str, Edge] = {edge.node: edge for edge in known if edge.known}
        self.changed = False
        self.signal = Signal()

    def __repr__(self) -> str:
        return f"<Edges {sum(edge.present for edge in self._edges.values())} present of {len(self._edges)}>"

    def all(self) -> list[dict[str, Any]]:
        return [self._edges[name].shown() for name in sorted(self._edges)]

    def known(self) -> list[Edge]:
        """Those that are not past their time; the others are dropped."""
        for edge in [edge for edge in self._edges.values() if not edge.known]:
            del self._edges[edge.node]
        return list(self._edges.values())

    def saw(self, node: str, region: str, sequence: int, public: str | None = None, leaving: bool = False) -> Edge:
        """A node spoke. Its sequence may also go back: a node that lost its disk serves less than it did."""
        edge = self._edges.get(node)
        if edge is None:
            self._make_room()
            edge = self._edges[node] = Edge(node)
            self.changed = True
        before = edge.sequence, edge.left, edge.region, edge.public
        edge.spoke()
        edge.region, edge.sequence = region or edge.region, sequence
        edge.public, edge.left = public or edge.public, leaving
        self.changed |= before[1:] != (edge.left, edge.region, edge.public)
        if before[:2] != (sequence, leaving):
            self.signal.notify()
        return edge

    def forget(self, node: str) -> None:
        """Expect this node no more. Raises Missing. It is known again at its next word."""
        if self._edges.pop(node, None) is None:
            raise Missing(f"no edge {node!r}", "no_edge")
        self.changed = True
        self.signal.notify()

    @contextmanager
    def waits(self, edge: Edge) -> Iterator[None]:
        """While its request for the Head is open the node is present."""
        edge.waiting += 1
        try:
            yield
        finally:
            edge.waiting -= 1
            if not edge.left:
                edge.spoke()

    def all_serve(self, sequence: int, present: bool = False) -> bool:
        """Whether all expected nodes serve it; with `present` only those that are here now are asked about."""
        asked = (edge for edge in self._edges.values() if (edge.present if present else edge.expected))
        return all(edge.sequence >= sequence for edge in asked)

    def _make_room(self) -> None:
        if len(self._edges) >= NODES_MAX:
            del self._edges[min(self._edges, key=lambda name: self._edges[name].seen)]
