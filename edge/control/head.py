"""Head: follows the origin's one signed pointer, and makes what it names the truth of this edge.

Here lives the waiting for Heads, and the order in which one is taken: judge → read → forget what was purged → store
durably → swap. Not here: the requests (edge/control/asking), the judgement (judging), the keys (trust), the disk
(keeping), the views (views), warming (warm).

A Head is taken only if a trusted key signed it, it has not ended, and its sequence is higher than any seen. Equal
sequence and value with a later end is a renewal. Equal sequence with another value is a fork: two histories were
signed, the old one stays and the counter `fork` is what an operator must be woken for. A Head that ends while the
origin is away is served on, and said to be stale.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from content import ipns
from content.block import Block
from content.catalog import Catalog
from content.cid import CID
from content.denyrule import Rule
from content.errors import BadNode, ContentError
from edge.cache.flight import Verdict
from edge.cache.loader import Loader, Unavailable
from edge.control.asking import HeadClient, HeadError
from edge.control.judging import Judge, catalog_in, check_named
from edge.control.keeping import Keeping
from edge.control.owed import Event, Owed
from edge.control.stored import HeadStore, StoredHead
from edge.control.trust import Handover, Trust
from edge.control.views import Head, World, build
from edge.denials import Denials
from edge.site.router import Router

logger = logging.getLogger("rim.edge")

WAIT = 30.0  # s that the origin may hold a request for the Head
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 5.0
HINT_GRACE = 0.5  # s that a waiting request gets to bring what a hint promises, before it is asked again
RENEW_BELOW = 24 * 3600.0  # s left of a record below which its renewal is looked for


def _unheard(name: str, site: str | None = None, **detail: Any) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class HeadCounts:
    """What following came to, ever."""

    swaps: int = 0
    errors: int = 0


class Follower:
    """Keeps the router's views those of the newest Head."""

    def __init__(
        self,
        *,
        source: HeadClient,
        trust: Trust,
        loader: Loader,
        router: Router,
        store: HeadStore,
        on_swap: Callable[[Head], Awaitable[None]] | None = None,
        on_event: Event = _unheard,
        on_stored: Callable[[int], None] = lambda sequence: None,
        denials: Denials | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.source = source
        self.trust = trust
        self.loader = loader
        self.router = router
        self.on_swap = on_swap
        self.on_event = on_event
        self.on_stored = on_stored
        self.denials = Denials() if denials is None else denials
        self.clock = clock
        self.head: Head | None = None
        self.floor = 0  # no lower sequence is taken
        self.counts = HeadCounts()
        self.ready = asyncio.Event()  # there is something to say: a Head, or an origin that has none newer
        self._hint = asyncio.Event()
        self._hinted = 0
        self._taking = asyncio.Lock()
        self._owed = Owed(loader, on_event)
        self.keeping = Keeping(store, self._owed, lambda: self.head)
        self.judge = Judge(trust, on_event, clock)
        self._met = False  # the origin has answered, and no request has failed since
        self._said_ahead = False
        self._heir: str | None = None  # the key that the last believed Catalog with a successor named

    @property
    def sequence(self) -> int:
        return self.head.sequence if self.head else 0

    @property
    def stored(self) -> int:
        """The sequence that is durable here, with nothing owed: what the origin is told."""
        return self.keeping.stored

    @property
    def seconds_left(self) -> float:
        """Until the record ends; negative once it has."""
        return self.head.record.eol - self.clock() if self.head else 0.0

    @property
    def following(self) -> str:
        """The name whose Heads are looked for."""
        return self._newest_key()

    @property
    def is_ahead(self) -> bool:
        """Whether the origin is at a lower sequence than what is served: it was put back to an older state."""
        return self.head is not None and self.source.sequence is not None and self.source.sequence < self.sequence

    @property
    def is_stale(self) -> bool:
        return self.head is not None and self.seconds_left <= 0

    def hint(self, sequence: int) -> None:
        """Somebody says that there is a newer Head: look now. A lie costs one question, and each number counts once."""
        if sequence > max(self.sequence, self._hinted):
            self._hinted = sequence
            self._hint.set()

    async def store_in(self, store: HeadStore) -> None:
        """Store Heads there from now on, for another process stores them where they were."""
        await self.keeping.move(store)

    async def keep(self) -> None:
        """Store what is served, if that could not be done before."""
        await self.keeping.once_more()

    # From disk.

    async def restore(self) -> bool:
        """Serve the stored Head, if there is one. Its end is not looked at: an old truth is better than none."""
        self.trust.handovers = await asyncio.to_thread(self.keeping.store.trusted)
        if record := await asyncio.to_thread(self.keeping.store.record):
            self.floor = self.trust.sequence_of(record)
        stored = await asyncio.to_thread(self.keeping.store.load)
        if stored is None:
            return False
        try:
            record_read = self.trust.verify(stored.record, None)
            world = await build(stored.catalog, stored.blocks, None, self._nowhere)
            check_named(record_read, stored.catalog, world.catalog)
            self._owed.recall(stored.owed, world.views)
        except (ContentError, Verdict) as error:
            logger.warning("the stored Head is of no use: %s", error)
            return False
        self.keeping.recall(record_read.sequence)
        if self._owed.sites:
            self.loader.forget_memory()  # nothing is there; but what other processes give back until all is paid may
        await self._serve(Head(record_read, stored.record, stored.catalog, world))
        return True

    async def _nowhere(self, cid: CID) -> Block:
        raise BadNode(f"{cid} is not among the stored control blocks")

    # From the origin.

    async def follow(self) -> None:
        """Follow the Head for ever."""
        backoff, said = FIRST_BACKOFF, ""
        while True:
            try:
                if await self._ask() and not self._is_due:
                    backoff = FIRST_BACKOFF
                    continue
            except (aiohttp.ClientError, TimeoutError, OSError, HeadError, ContentError, Verdict) as error:
                self.counts.errors += 1
                self._met = False
                trouble = str(error) or type(error).__name__
                if backoff == FIRST_BACKOFF or trouble != said:  # an origin that is down, and then up and refuses us
                    logger.warning("following the Head: %s", trouble)
                said = trouble
            await self._pause(backoff)
            backoff = min(backoff * 2, LAST_BACKOFF)
            await self._settle()

    async def confirm(self) -> bool:
        """Whether what is served is the newest, as the origin says now; what it brings is taken. Beside the waiting
        request, whose answer may be from before."""
        try:
            answer = await self.source.newer_than(self.stored, self._newest_key(), 0.0)
            if answer is None:
                return True
            return await self.take(answer) and self.stored >= self.sequence
        except (aiohttp.ClientError, TimeoutError, OSError, HeadError, ContentError, Verdict) as error:
            logger.warning("confirming the Head: %s", error or type(error).__name__)
            return False

    async def _pause(self, seconds: float) -> None:
        """Wait, with jitter (or all edges ask a restarted origin in one breath), unless a hint comes."""
        self._hint.clear()
        try:
            async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):  # noqa: S311 (spreads, guards nothing)
                await self._hint.wait()
        except TimeoutError:
            return

    async def _ask(self) -> bool:
        """One waiting request, and what it brings; False if that was refused, and to ask again at once would bring the
        same. A hint ends the waiting, if that does not bring what the hint promised."""
        asking = asyncio.ensure_future(self.source.newer_than(self.stored, self._newest_key(), self._patience()))
        hinted = asyncio.ensure_future(self._hint.wait())
        try:
            await asyncio.wait({asking, hinted}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                self._hint.clear()
                await asyncio.wait({asking}, timeout=HINT_GRACE)
            if not asking.done():
                return True  # ask anew
            answer = asking.result()
        finally:
            for task in (asking, hinted):
                task.cancel()
            await asyncio.gather(asking, hinted, return_exceptions=True)
        self._met = True
        taken = answer is None or await self.take(answer)
        self._say_if_ahead()
        if answer is None and self.head is not None and self.seconds_left < RENEW_BELOW:
            await self._renew()
        if taken and (answer is None or self.head is not None):
            self.ready.set()
        return taken

    def _say_if_ahead(self) -> None:
        """Once for each time it comes about. What is served stays: a Head that was signed is not taken back."""
        if self.is_ahead and not self._said_ahead:
            behind = f"{self.source.sequence}, {self.sequence} is served here"
            logger.error(
                "the origin is at an older Head: %s; was it restored from a copy? Its next commit ends this", behind
            )
            self.on_event("origin behind", sequence=self.source.sequence)
        self._said_ahead = self.is_ahead

    def _patience(self) -> float:
        """How long the origin may stay silent. Sites that limit their staleness must hear of it well within that. Who
        has just come or comes back says at once where it stands."""
        if self.head is None or not self._met:
            return 0.0
        limits = [view.max_stale for view in self.router.sites.values() if view.max_stale is not None]
        return min([WAIT, *(limit / 3 for limit in limits)])

    def _newest_key(self) -> str:
        """The key whose Heads are looked for: the origin uses it to tell a node that slept through a rotation."""
        if self._heir is not None:
            return self._heir
        if self.head is None:
            return self.trust.configured[0]
        return self.head.world.catalog.successor or self.head.record.name

    async def _renew(self) -> None:
        """Take the record's renewal, if there is one."""
        assert self.head is not None
        raw = await self.source.record(self.head.record.name)
        if self.trust.verify(raw, self.clock()).sequence == self.sequence:  # else it is no renewal, and the next
            await self.take(StoredHead(raw, self.head.catalog, ()))  # question brings the Head that it belongs to

    # Taking.

    async def take(self, offered: StoredHead) -> bool:
        """Serve this Head if it is to be believed and newer. False: it was refused, or is what is served already.
        One at a time: the waiting request and a confirmation may bring two, and the older must not come last."""
        async with self._taking:
            return await self._take(offered)

    async def _take(self, offered: StoredHead) -> bool:
        record = self.judge.record(offered.record, max(self.sequence, self.floor))
        if record is None:
            return False
        if self.head is not None and record.sequence == self.sequence:
            return await self._same_sequence(record, offered)
        inherited = False
        try:
            catalog = catalog_in(record, offered)
            inherited = catalog is not None and await self._inherit(record, catalog)
            old = self.head.world if self.head else None
            world = await build(offered.catalog, offered.blocks, old, self._fetch, catalog)
            if catalog is None:
                check_named(record, offered.catalog, world.catalog)
        except ContentError as error:
            self.judge.refuse("broken", error)
            return False
        except Verdict:
            if not inherited:
                raise
            return True  # a rotated key's last word names a world that may be gone by now; ask for the heir's
        await self._become(Head(record, offered.record, offered.catalog, world))
        return True

    async def _inherit(self, record: ipns.Record, catalog: Catalog) -> bool:
        """Trust the successor that a believed Catalog names, before the rest of it is read; whether it is news."""
        if catalog.successor in (None, self._heir, record.name):
            return False
        if all(kept.old != record.name for kept in self.trust.handovers):
            handovers = (*self.trust.handovers, Handover(record.name, catalog.successor, record.sequence))
            await self.keeping.trust(handovers)
            self.trust.handovers = handovers
        self._heir = catalog.successor
        return True

    async def _same_sequence(self, record: ipns.Record, offered: StoredHead) -> bool:
        assert self.head is not None
        if record.value != self.head.record.value:
            self.judge.refuse("fork", f"sequence {record.sequence} also names {record.value}")
            return False
        renewed = record.eol > self.head.record.eol
        if renewed:
            self.head = Head(record, offered.record, self.head.catalog, self.head.world)
            self.keeping.renewed()
        if renewed or self.stored < self.sequence:
            await self._pay()
        return False

    async def _fetch(self, cid: CID) -> Block:
        return (await self.loader.get(cid)).block

    async def _become(self, head: Head) -> None:
        """Refuse what is denied, forget what was purged, then store, then serve. In this order a crash at any point
        leaves an edge that serves the old Head or the new one, and a receipt is never ahead of what it promises; the
        other way round, one killed before it forgot would start on the new Head with the old blocks and nobody left to
        drop them. What cannot be forgotten yet keeps back the receipt, not the Head: that is stored with what it owes,
        or a restart without the origin would go back behind what was shown; and it is asked for again until all is
        done."""
        self.denials.set_own(head.world.denied.own)  # at once: who must not answer need not wait for what follows
        await self._take_denied(head.world)
        if self.head is None and self.floor:  # there was a Head here, and it is lost
            self._owed.suspect(head.world.views)
        owed = self._owed.sites
        try:
            await self._owed.carry_out({} if self.head is None else self.head.world.views, head.world.views)
            await self.keeping.save(head)
        except BaseException:
            self._owed.sites = owed  # what is served still owes what it did: the next Head's Indexes are not its own
            raise
        await self._serve(head)
        self._tell()

    def _tell(self) -> None:
        """Say that all is done. Not before: what was dropped until then counts as dropped for this Head, and is dropped
        again when the other processes have come as far."""
        if self.stored >= self.sequence:
            self.on_stored(self.stored)

    async def _settle(self) -> None:
        """Do what the Head that is served still waits for: a disk may have room again, a peer the Index, and the origin
        be away. What fails again is tried again."""
        async with self._taking:
            with suppress(OSError):  # of a disk that lets nothing be taken off it
                if self._is_due:
                    await self._pay()

    @property
    def _is_due(self) -> bool:
        """Whether what is served is not on the disk as it is (a renewal is an end of its own), or a purge is owed."""
        return min(self.stored, self.keeping.kept) < self.sequence

    async def _pay(self) -> None:
        """Forget what is owed, and store: with nothing owed any more, or what was not stored at all."""
        assert self.head is not None
        views = self.head.world.views
        if await self._owed.carry_out(views, views) or self.keeping.kept < self.sequence:
            await self.keeping.save(self.head)
            self._tell()

    async def _take_denied(self, world: World) -> None:
        """Take away what is denied from now on. Nobody would be given it any more; the room is for others."""
        known = frozenset() if self.head is None else self.head.world.denied.rules
        rules = map(Rule.parse, world.denied.rules - known)
        blocks = [block for rule in rules if (block := rule.block) is not None]
        if blocks:
            with suppress(Unavailable, ContentError):  # then some parts of a file stay, under names of their own
                await self.loader.take_away(blocks)
            self.on_event("denied", blocks=len(blocks))

    async def _serve(self, head: Head) -> None:
        self.denials.set_own(head.world.denied.own)
        self.router.swap(head.world.all_views)
        self.head = head
        self.counts.swaps += 1
        self.ready.set()
        logger.info("serving Head %d: %d sites", head.sequence, len(head.world.views))
        if self.on_swap is not None:
            await self.on_swap(head)

    def __repr__(self) -> str:
        return f"<Follower of {self.source.origin} at {self.sequence}{', stale' if self.is_stale else ''}>"
