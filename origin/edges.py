"""Edges: which nodes follow this origin, and how far each one is.

Here lives what nodes say of themselves on their waiting requests and reports; it is kept in memory only, because a node
says it again within seconds. Nothing here decides what is true: a node that lies about its sequence harms its own wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from origin.waiting import Signal

PRESENT_SECONDS = 5.0  # since the last contact, when no request of the node waits here
STAGED_FIELDS = ("site", "release", "ok", "blocks", "bytes", "ms", "error")
STAGED_MAX = 100  # sites per node
NODES_MAX = 10_000  # names come from node tokens' holders; past this the longest unseen goes


@dataclass(slots=True)
class Edge:
    """One node as last heard of. `sequence` is the Head it serves."""

    node: str
    region: str = ""
    public: str | None = None
    sequence: int = 0
    seen: float = 0.0
    waiting: int = 0
    staged: dict[str, dict[str, Any]] = field(default_factory=dict)  # site → what it said of the last staged release

    @property
    def present(self) -> bool:
        return self.waiting > 0 or time.time() - self.seen < PRESENT_SECONDS

    def shown(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "region": self.region,
            "public": self.public,
            "sequence": self.sequence,
            "present": self.present,
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
    """The nodes heard of since start."""

    def __init__(self) -> None:
        self._edges: dict[str, Edge] = {}
        self.signal = Signal()

    def __repr__(self) -> str:
        return f"<Edges {sum(edge.present for edge in self._edges.values())} present of {len(self._edges)}>"

    def all(self) -> list[dict[str, Any]]:
        return [self._edges[name].shown() for name in sorted(self._edges)]

    def saw(self, node: str, region: str, sequence: int, public: str | None = None) -> Edge:
        """A node spoke. Its sequence may also go back: a node that lost its disk serves less than it did."""
        edge = self._edges.get(node)
        if edge is None:
            self._make_room()
            edge = self._edges[node] = Edge(node)
        moved = edge.sequence != sequence
        edge.region, edge.sequence, edge.seen = region or edge.region, sequence, time.time()
        edge.public = public or edge.public
        if moved:
            self.signal.notify()
        return edge

    @contextmanager
    def waits(self, edge: Edge) -> Iterator[None]:
        """While its request for the Head is open the node is present."""
        edge.waiting += 1
        try:
            yield
        finally:
            edge.waiting -= 1
            edge.seen = time.time()

    def all_serve(self, sequence: int) -> bool:
        return all(edge.sequence >= sequence for edge in self._edges.values() if edge.present)

    def _make_room(self) -> None:
        if len(self._edges) >= NODES_MAX:
            del self._edges[min(self._edges, key=lambda name: self._edges[name].seen)]
