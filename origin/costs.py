"""Costs: what each retained release alone keeps on the disk.

Here lives the walk that finds, for each block below the releases of all sites, whether one of them holds it or several.
What would be freed if a release were given up is the size of the blocks that it alone holds. Not here: giving up
(origin/changes, origin/gc), or how it is shown (origin/api/sites).

A block that two releases reach is shared, and so is all below it: it is looked at twice at most, however many releases
there are. New releases are added to what is known; when one goes, all is found anew. Above KEPT_MAX blocks only the
result is kept.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping

from content.catalog import Site
from content.cid import CID, IDENTITY, RAW
from content.walk import reachable
from origin.catalog import Catalog
from origin.reading import Absent, read
from origin.store import Store

KEPT_MAX = 500_000  # blocks whose holder is remembered between questions: some 60 MB
_SHARED = -1  # instead of the number of one release
_TRIES = 3  # a release that goes while it is walked takes its blocks along at the next collection


class Costs:
    """What each release alone holds, in bytes."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self._holders: dict[bytes, int] = {}  # a block → the number of its one release, or _SHARED
        self._numbers: dict[CID, int] = {}
        self._held: Counter[CID] = Counter()  # release → how many sites have it, as of the last question
        self._alone: list[int] = []  # by number
        self._one = threading.Lock()

    def __repr__(self) -> str:
        return f"<Costs {len(self._numbers)} releases, {len(self._holders)} blocks>"

    def alone(self) -> Mapping[CID, int]:
        """Release → bytes. Reads every node that is new to it: call it in a thread. Raises Absent."""
        with self._one:
            for left in reversed(range(_TRIES)):
                try:
                    return self._count()
                except Absent:
                    self._forget()
                    if not left:
                        raise
            raise AssertionError

    def _count(self) -> Mapping[CID, int]:
        held = Counter(_releases(self._catalog.world.sites.values()))
        if held != self._held:
            known = self._held.items() <= held.items() and (self._holders or not self._held)
            if not known:
                self._forget()
            for release, sites in held.items():
                if release not in self._numbers:
                    self._walk(release, sites)
            self._held = held
            if len(self._holders) > KEPT_MAX:
                self._holders = {}
        return {release: self._alone[number] for release, number in self._numbers.items()}

    def _walk(self, release: CID, sites: int) -> None:
        me = self._numbers[release] = len(self._alone)
        self._alone.append(0)
        mine = me if sites == 1 else _SHARED

        def enter(cid: CID) -> bool:
            if cid.hash_code == IDENTITY:
                return True  # no block, but it may have links
            key = cid.store_key if cid.codec == RAW else bytes(cid)  # the same bytes as raw have no links
            holder = self._holders.get(key)
            if holder in (_SHARED, me):
                return False
            size = self._store.length(cid)
            if size is None:  # it is not here
                return False
            if holder is not None:
                self._alone[holder] -= size
                self._holders[key] = _SHARED
                return True
            self._holders[key] = mine
            if mine == me:
                self._alone[me] += size
            return True

        read(self._store, reachable((release,), lambda cid: None, enter=enter))

    def _forget(self) -> None:
        self._holders, self._numbers, self._alone, self._held = {}, {}, [], Counter()


def _releases(sites: Iterable[Site]) -> Iterable[CID]:
    """Every release that a site keeps, once for each site."""
    for site in sites:
        named = (site.live, site.next, *site.retained)
        yield from {item.release for item in named if item is not None}
