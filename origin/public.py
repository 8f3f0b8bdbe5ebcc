"""Public: which blocks anyone on this machine may read without a token.

Here lives that question: content that a retained release of a site, a preview without password, or a pin reaches; and
its neighbours, what a gateway may show, and what a publisher may read: all that its own sites hold. Staged releases are
not public yet, protected previews and control blocks never are. The set is made when somebody first asks, and grows
with new releases; when something is given up it is made anew. Not here: who asks (origin/gateway, origin/api).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from content.catalog import Site
from content.cbor import is_control
from content.cid import CID
from origin.catalog import Catalog
from origin.pins import Pins
from origin.reach import Reach
from origin.store import Store
from origin.tokens import Token
from origin.world import served

_HELD_MAX = 8  # publishers with different sites that read at the same time


class Public:
    """The blocks that public roots reach."""

    def __init__(self, store: Store, catalog: Catalog, pins: Pins) -> None:
        self._store = store
        self._catalog = catalog
        self._pins = pins
        self._roots: frozenset[CID] = frozenset()
        self._reach = Reach(store)
        self._lock = threading.Lock()
        self._held: OrderedDict[frozenset[CID], Reach] = OrderedDict()  # releases → what they reach

    def holds(self, token: Token, cid: CID) -> Reach | None:
        """What the sites of this token reach, if this is among it, control blocks included. Call it in a thread."""
        sites = [site for name, site in self._catalog.world.sites.items() if token.sees(name)]
        roots = frozenset(release for site in sites for release in (*_kept(site), *served(site)))
        with self._lock:
            reach = self._held.get(roots)
            if reach is None:
                reach = self._held[roots] = Reach(self._store)
                reach.walk(roots)
                while len(self._held) > _HELD_MAX:
                    self._held.popitem(last=False)
            self._held.move_to_end(roots)
            return reach if reach.has(cid) else None

    def has(self, cid: CID) -> bool:
        """Whether anyone may read it. Reads nodes when releases have come: call it in a thread."""
        return not cid.is_control and self._reaches(cid)

    def leads_on(self, cid: CID) -> bool:
        """Whether what is below it is public with it (origin/reach). Ask `has` first; call it in a thread."""
        with self._lock:
            return self._reach.leads_on(cid)

    def shows(self, cid: CID) -> bool:
        """The same for a gateway, which is a node and reads with its token, so that all below is shown: DAG-CBOR that
        somebody pinned is content there. Our own control blocks never are, also where a pin reaches them."""
        if not self._reaches(cid) or not self.leads_on(cid):
            return False
        block = self._store.get(cid) if cid.is_control else None
        return not cid.is_control or (block is not None and not is_control(block.data))

    def _reaches(self, cid: CID) -> bool:
        with self._lock:
            roots = self._public_roots()
            if not roots >= self._roots:
                self._reach, self._roots = Reach(self._store), frozenset()
            if roots != self._roots:
                self._reach.walk(roots - self._roots)
                self._roots = roots
            return self._reach.has(cid)

    def _public_roots(self) -> frozenset[CID]:
        sites = self._catalog.world.sites.values()
        released = {release for site in sites for release in _kept(site)}
        return frozenset(released | {pin.cid for pin in self._pins.all()})


def _kept(site: Site) -> Iterable[CID]:
    """Live and retained releases, trials among them, and open previews. (A preview whose time is over stays readable
    until it is taken away: its name answers no more, and whoever has the hash has seen it.)"""
    items = (*site.kept, *((site.live,) if site.live else ()))
    shown = (alias.release for alias in site.aliases.values() if alias.password is None)
    return (*(item.release for item in items), *shown)
