"""Reach: everything at or below some roots that is here.

Here lives the set that garbage collection and the question "may anyone read this block?" both need. Not here: which
roots count (origin/gc, origin/public).
"""

from __future__ import annotations

from collections.abc import Iterable

from content.cid import CID, RAW
from content.walk import reachable
from origin.reading import read
from origin.store import Store


class Reach:
    """What was reached: nodes by CID (bytes that are a node as dag-pb are a leaf as raw), blocks by store key."""

    def __init__(self, store: Store, whole: bool = False) -> None:
        """`whole`: nothing below the roots can be lacking, so the store is not asked for each block."""
        self.nodes: set[bytes] = set()
        self.keys: set[bytes] = set()
        self._store = store
        self._whole = whole

    def __repr__(self) -> str:
        return f"<Reach {len(self.keys)} blocks>"

    def copy(self) -> Reach:
        """As much, to go on from where what is lacking may be met."""
        other = Reach(self._store)
        other.nodes, other.keys = set(self.nodes), set(self.keys)
        return other

    def has(self, cid: CID) -> bool:
        """Whether these bytes were reached, under whatever codec."""
        return cid.store_key in self.keys

    def leads_on(self, cid: CID) -> bool:
        """Whether they were reached as what this CID takes them for, and so what is below it. A leaf may well read as a
        node too: who has a file published could have it lead anywhere."""
        return cid.codec == RAW or cid.v1 in self.nodes

    def walk(self, roots: Iterable[CID]) -> None:
        """Add everything that is here at or below these; what was reached already is not walked again."""
        read(self._store, reachable(roots, self._found, enter=self._enter))

    def _enter(self, cid: CID) -> bool:
        known = cid.store_key in self.keys if cid.codec == RAW else cid in self.nodes
        return not known and (self._whole or self._store.has(cid))

    def _found(self, cid: CID) -> None:
        self.keys.add(cid.store_key)
        if cid.codec != RAW:
            self.nodes.add(cid)
