"""Edges: which nodes follow this origin, how far each one is, and which are expected to.

Here lives what nodes say of themselves on their waiting requests and reports. Not here: the roll on disk (origin/roll).
Nothing here decides what is true: a node that lies about its sequence harms its own wait.

A node is *present* while a request of it waits here, or a moment after its last word. It is *expected* from its first
word on until it says goodbye, is forgotten, or has been unseen for a day: who waits for all waits for these, since a
node that hangs or is cut off may still serve visitors what it had.

A name belongs to the key that was first seen with it, so that no node can give a receipt for another, though all hold
the same token. The key lets go of it when its holder has been away for some minutes, or is forgotten.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from content.limits import GATEWAY_BYTES
from content.release import is_base_url
from origin.errors import Forbidden, Missing
from origin.waiting import Signal

PRESENT_SECONDS = 5.0  # since the last contact, when no request of the node waits here
EXPECTED_SECONDS = 86_400.0  # unseen for so long, a node is not waited for any more, and then not known any more
HOLDER_SECONDS = 300.0  # away for so long, a node's name may be taken by another key
STAGED_FIELDS = ("site", "release", "ok", "blocks", "bytes", "ms", "error")
STAGED_MAX = 100  # sites per node
NODES_MAX = 10_000  # names come from node tokens' holders; past this the longest unseen goes
log = logging.getLogger("rim.origin")
STATES = ("joining", "ready", "draining")
WEIGHT_MAX = 1e6
VERSION_CHARS = 40
URL_CHARS = 200
UNNAMED = "?"  # a node that does not say its name


@dataclass(slots=True)
class Edge:
    """One node as last heard of. `sequence` is the Head it serves; `left` says that it said goodbye."""

    node: str
    region: str = ""
    public: str | None = None
    gateway: str | None = None  # the base URL of its trustless gateway, as browsers reach it
    sequence: int = 0
    seen: float = 0.0
    left: bool = False
    key: str | None = None  # the one its name belongs to; None: of a Rim that does not sign yet
    heard: float = -math.inf  # its last word to this process, of the monotonic clock
    waiting: int = 0
    private: str | None = None  # where peers reach it; None: it joins no ring through this origin
    weight: float = 1.0
    version: str = ""
    state: str = ""  # joining, ready, draining; empty: of a Rim that does not say
    word: float = -math.inf  # its last own word, of the monotonic clock: a connection that ends is none
    ahead: bool = False  # of anything this origin has signed, when it last asked
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
            "gateway": self.gateway,
            "sequence": self.sequence,
            "present": self.present,
            "expected": self.expected,
            "bound": self.key is not None,
            "weight": self.weight,
            "version": self.version,
            "state": self.state,
            "seen": round(self.seen, 3),
            "staged": list(self.staged.values()),
        }

    def as_member(self) -> dict[str, Any]:
        """For the ring."""
        row = {"name": self.node, "url": self.private, "region": self.region or "local"}
        return {**row, "weight": self.weight, "version": self.version, "state": self.state or "ready"}

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
        self._started = time.time()
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

    def gateways(self) -> list[str]:
        """The gateways of those that are here. May be asked in any thread."""
        return [edge.gateway for edge in list(self._edges.values()) if edge.gateway is not None and edge.present]

    def joined(self) -> list[Edge]:
        """Those that want to be in the ring and are who they were: a name without a key could be anybody's."""
        return [edge for edge in self._edges.values() if edge.private is not None and edge.key is not None]

    def heard(self, node: str, key: str | None) -> None:
        """A sign of life, of which nothing else is new. Raises Forbidden when the name belongs to another key."""
        self.check_holder(node, key)
        edge = self._edges.get(node)
        if edge is not None and not edge.left:
            edge.spoke()
            edge.word = time.monotonic()

    def told_member(self, edge: Edge, body: dict[str, Any]) -> None:
        """An edge's word for how it is reached by peers, and what it is. What cannot be meant is not taken: others
        would be sent there."""
        private, weight = body.get("private"), body.get("weight")
        before = edge.private, edge.weight, edge.version
        edge.private = private if isinstance(private, str) and _is_node_url(private) else None
        if isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight <= WEIGHT_MAX:
            edge.weight = float(weight)
        edge.version = _word(body.get("version"), VERSION_CHARS)
        edge.state = state if (state := body.get("state")) in STATES else ""
        self.changed |= before != (edge.private, edge.weight, edge.version)

    def told_gateway(self, edge: Edge, url: Any) -> None:
        """An edge's word for where browsers reach its gateway. What is no base URL is none: it would be signed."""
        known = url if isinstance(url, str) and is_base_url(url) and len(url) <= GATEWAY_BYTES else None
        self.changed |= known != edge.gateway
        edge.gateway = known

    def saw(
        self,
        node: str,
        region: str,
        sequence: int,
        public: str | None = None,
        leaving: bool = False,
        key: str | None = None,
        aside: bool = False,
    ) -> Edge:
        """A node spoke, and proved to hold this key. Its sequence may also go back: a node that lost its disk serves
        less than it did. Not so `aside` of its waiting request: such a word may have been overtaken by that on its way,
        and who waits for this edge would wait until it speaks again. Raises Forbidden when the name belongs to another
        key."""
        self.check_holder(node, key)
        edge = self._edges.get(node)
        if edge is None:
            self._make_room()
            edge = self._edges[node] = Edge(node)
            self.changed = True
        sequence = max(sequence, edge.sequence) if aside else sequence
        before = edge.sequence, edge.left, edge.region, edge.public, edge.key
        edge.key = key or edge.key
        edge.spoke()
        edge.word = time.monotonic()
        edge.region, edge.sequence = region or edge.region, sequence
        edge.public, edge.left = public or edge.public, leaving
        self.changed |= before[1:] != (edge.left, edge.region, edge.public, edge.key)
        if before[:2] != (sequence, leaving):
            self.signal.notify()
        return edge

    def compare(self, edge: Edge, sequence: int) -> None:
        """Note whether it serves what this origin, now at this sequence, has never signed: then the origin was put back
        to an older state. Said once for each time it comes about."""
        ahead = edge.sequence > sequence
        if ahead and not edge.ahead:
            log.warning(
                "edge %s serves %d, which is ahead of this origin (%d): was it put back to an older copy? Edges keep "
                "what they have until the next commit, which is ahead of them",
                edge.node,
                edge.sequence,
                sequence,
            )
        edge.ahead = ahead

    def check_holder(self, node: str, key: str | None) -> None:
        """Raise Forbidden when this name belongs to another key than the one that was proved."""
        edge = self._edges.get(node)
        if edge is not None and edge.key is not None and edge.key != key:
            self._change_holder(edge, key)

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

    def _change_holder(self, edge: Edge, key: str | None) -> None:
        away = 0.0 if edge.waiting else time.time() - max(edge.seen, self._started)
        if key is None or away < HOLDER_SECONDS:
            raise Forbidden(
                f"the name {edge.node!r} belongs to another node: give this one its own (--name), or, if it takes the "
                f"other's place, run `rim edges forget {edge.node}` or wait until that one has been away for "
                f"{HOLDER_SECONDS / 60:g} minutes",
                "other_node",
                node=edge.node,
            )
        log.warning("edge %s: another key takes the name, its holder was away for %.0f s", edge.node, away)
        edge.key, edge.staged = key, {}
        self.changed = True

    def _make_room(self) -> None:
        if len(self._edges) >= NODES_MAX:
            del self._edges[min(self._edges, key=lambda name: self._edges[name].seen)]


def _is_node_url(text: str) -> bool:
    """Whether other nodes may be sent there: scheme, host and port, and nothing else."""
    try:
        url = urlsplit(text)
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            return False
    except ValueError:
        return False
    return len(text) <= URL_CHARS and text.isprintable() and text == f"{url.scheme}://{url.netloc}" and "@" not in text


def _word(value: Any, most: int) -> str:
    return value[:most] if isinstance(value, str) and value.isprintable() else ""
