"""Garbage collection: taking away what nothing needs.

Here lives the mark (everything reachable from the Catalog, pins, leases and what is being checked right now), the sweep
of the index, and compaction of the packs. Not here: how a pack is rewritten (store/compact).

Publishers go on while it marks. Three things make that safe: blocks put after the mark began are kept whatever they
are; whoever *relies* on a block (a lease, a check, a commit, a pin) says so under the gate before it looks whether the
block is here; and the end (mark what was added meanwhile, take the rest out of the index) has the gate to itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from content.cid import CID
from content.errors import ContentError
from origin.catalog import Catalog
from origin.check import Proofs
from origin.errors import StoreFailed
from origin.leases import Leases
from origin.pins import Pins
from origin.reach import Reach
from origin.reading import Absent
from origin.steps import step
from origin.store import Marks, Store
from origin.world import named

PIN_NAME = "rim/pin"  # of explicit pins, in a store that names them
log = logging.getLogger("rim.origin")


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection took away."""

    blocks_removed: int
    bytes_freed: int


class Collector:
    """The garbage collector of one origin. One collection at a time."""

    def __init__(
        self, store: Store, catalog: Catalog, pins: Pins, leases: Leases, proofs: Proofs, gate: threading.RLock
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._pins = pins
        self._leases = leases
        self._proofs = proofs
        self._gate = gate
        self._held: dict[CID, int] = {}
        self._counting = threading.Lock()
        self._one = threading.Lock()

    @asynccontextmanager
    async def hold(self, root: CID) -> AsyncIterator[None]:
        """Keep this DAG, as far as it is here, while it is checked and committed."""
        await asyncio.to_thread(self._take_hold, root)
        try:
            yield
        finally:
            self._hold(root, -1)  # not under the gate: letting go needs to wait for nobody

    def run(self) -> Collected:
        """Take away what nothing needs. Takes as long as reading every node does: call it in a thread."""
        with self._one:
            self._sweep()
            freed = self._store.compact()
            return Collected(freed.blocks, freed.bytes)

    def reconcile(self, whole: bool = True) -> None:
        """Only let go of what nothing needs, and see that the store keeps what is wanted: no disk is given back.
        `whole` False: not where the store knows that there is nothing to do."""
        with self._one:
            if whole or not self._store.rests(self._wanted().keys()):
                self._sweep()

    def _take_hold(self, root: CID) -> None:
        with self._gate:
            self._hold(root, 1)

    def _hold(self, root: CID, change: int) -> None:
        with self._counting:
            self._held[root] = self._held.get(root, 0) + change
            if not self._held[root]:
                del self._held[root]

    def _sweep(self) -> None:
        store = self._store
        store.watch()
        try:
            rooted = Reach(store, whole=True)
            before = self._wanted()
            rooted.walk(store.mend(before))
            mark = rooted.copy()
            mark.walk(self._roots())
            step("garbage marked")
            with self._gate:
                wanted = self._wanted()
                rooted.walk(filter(store.pinned, wanted))
                mark.walk(self._roots())
                # Under the gate: a rotation stores its last Catalog first and makes it a last word some steps later.
                mark.keys.update(last.catalog.store_key for last in self._catalog.last_words.values())
                self._proofs.keep(mark.nodes)
                with self._counting:
                    # Also what a commit dropped since: its blocks are among the marks, so it stays until next time.
                    roots = before.keys() | wanted.keys() | self._held.keys()
                store.sweep(Marks(mark.keys, rooted.keys, mark.nodes, roots))
            step("garbage forgotten")
            store.settle()
        except (Absent, ContentError) as error:
            raise StoreFailed(f"{error}: nothing was removed; run `rim origin fsck`", "damaged") from error
        finally:
            store.unwatch()

    def _wanted(self) -> dict[CID, str]:
        """The roots that are to stay: every release of every site, and the pins; each with the name of its pin."""
        with self._gate:
            pins = {pin.cid: PIN_NAME for pin in self._pins.all() if not pin.partial}  # those keep what was there
            sites = self._catalog.world.sites.values()
            return pins | {release: pin_name(site.name) for site in sites for release in named(site)}

    def _roots(self) -> list[CID]:
        with self._gate:
            leased = [cid for lease in self._leases.all() for cid in lease.cids.values()]
            with self._counting:
                held = list(self._held)
            pinned = [pin.cid for pin in self._pins.all()]
            return [self._catalog.world.cid, *held, *pinned, *leased]


def pin_name(site: str) -> str:
    """What the pins of a site's releases are called."""
    return f"rim/{site}"
