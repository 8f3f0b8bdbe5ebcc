"""Following: bringing a store that has pins and names of its own after the Catalog.

Here lives what is done after each commit, and at start, for such a store: give it the records of the sites whose
records changed, and let go of the pins that nothing wants any more. A commit never waits for it and never fails by it:
what did not work is logged, counted, and tried again. Not here: what keeping means (origin/gc, origin/store), or how a
record is made (origin/records).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from origin.catalog import Catalog
from origin.errors import OriginError
from origin.gc import Collector
from origin.store import Store
from origin.waiting import Signal

REST_SECONDS = 2.0  # at least, between two rounds: each walks all that is kept, and a storm of commits needs one
REST_SHARE = 4  # times as long as the round took, where that is more: a large origin does not walk all the time
AGAIN_SECONDS = 5.0  # after a round that failed; doubled up to AGAIN_MAX
AGAIN_MAX = 60.0
LOOK_SECONDS = 600.0  # without a commit: records that were renewed, leases that ran out, a Kubo that forgot
log = logging.getLogger("rim.origin")


class Follower:
    """Keeps pins and names where the Catalog is."""

    def __init__(self, store: Store, catalog: Catalog, collector: Collector) -> None:
        self._store = store
        self._catalog = catalog
        self._collector = collector
        self.signal = Signal()  # something else than a commit has changed what is wanted
        self._told: dict[str, bytes] = {}  # site → the record that the store has
        self.records = 0
        self.records_failed = 0
        self.rounds = 0
        self.rounds_failed = 0

    def __repr__(self) -> str:
        return f"<Follower {self.rounds} rounds, {len(self._told)} records>"

    async def keep(self) -> None:
        """Follow, until cancelled."""
        if not self._store.follows:
            return
        again, whole = AGAIN_SECONDS, True
        while True:  # the waits begin before the round, so that nothing that happens during it is missed
            woken = [signal.wait(LOOK_SECONDS) for signal in (self._catalog.feed.signal, self.signal)]
            began = time.monotonic()
            if await asyncio.to_thread(self._round, whole):
                again = AGAIN_SECONDS
                await asyncio.sleep(max(REST_SECONDS, REST_SHARE * (time.monotonic() - began)))
                slept = time.monotonic()
                await asyncio.wait(woken, return_when=asyncio.FIRST_COMPLETED)
                whole = time.monotonic() - slept > LOOK_SECONDS / 2  # nothing called: see what others have done
            else:
                await asyncio.sleep(again)
                again, whole = min(2 * again, AGAIN_MAX), True
            for waiter in woken:
                waiter.cancel()

    def _round(self, whole: bool) -> bool:
        """One round, in a thread; whether all of it worked."""
        pins = self._try(lambda: self._collector.reconcile(whole), "pins")
        self.rounds += 1
        self.rounds_failed += not pins
        return self._try(self._tell, "records") and pins

    def _tell(self) -> None:
        """Give the store every record that it has not; the first failure ends it, for the next would fail as well."""
        world = self._catalog.world
        for name in self._told.keys() - world.sites.keys():
            del self._told[name]
        for site in world.sites.values():
            record = self._catalog.records.of_site(site, world.sequence)
            if record is None or site.ipns is None or self._told.get(site.name) == record:
                continue
            try:
                self._store.announce(site.ipns, record)
            except OriginError:
                self.records_failed += 1
                raise
            self._told[site.name] = record
            self.records += 1

    def _try(self, action: Callable[[], object], what: str) -> bool:
        try:
            action()
        except OriginError as error:  # a Kubo that is away says so in a sentence, which is no stack's worth
            log.warning("%s: %s", what, error)
            return False
        except Exception:
            log.exception("%s", what)
            return False
        return True
