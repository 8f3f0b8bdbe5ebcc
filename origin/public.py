"""Public: which blocks anyone on this machine may read without a token.

Here lives that one question: content that a retained release of a site, or a pin, reaches. Staged releases are not
public yet, and control blocks never are. The set is made when somebody without a token first asks (nodes never do), and
grows with new releases; when something is given up it is made anew. Not here: who asks (origin/gateway).
"""

from __future__ import annotations

import threading

from content.cid import CID
from origin.catalog import Catalog
from origin.pins import Pins
from origin.reach import Reach
from origin.store import Store


class Public:
    """The blocks that public roots reach."""

    def __init__(self, store: Store, catalog: Catalog, pins: Pins) -> None:
        self._store = store
        self._catalog = catalog
        self._pins = pins
        self._roots: frozenset[CID] = frozenset()
        self._reach = Reach(store)
        self._lock = threading.Lock()

    def has(self, cid: CID) -> bool:
        """Whether anyone may read it. Reads nodes when releases have come: call it in a thread."""
        if cid.is_control:
            return False
        with self._lock:
            roots = self._public_roots()
            if not roots >= self._roots:
                self._reach, self._roots = Reach(self._store), frozenset()
            if roots != self._roots:
                self._reach.walk(roots - self._roots)
                self._roots = roots
            return cid.store_key in self._reach.keys

    def _public_roots(self) -> frozenset[CID]:
        sites = self._catalog.world.sites.values()
        released = {item.release for site in sites for item in (*site.retained, *((site.live,) if site.live else ()))}
        return frozenset(released | {pin.cid for pin in self._pins.all()})
