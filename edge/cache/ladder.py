"""Ladder: where a block comes from, in one order that can be read aloud.

Here live the loading order, one fill per block and rung, and what is refused before anything is looked into.
Not here: the tiers (memory, disk), the rungs outside (sources), taking blocks away (edge/cache/dropping), walks and
files (edge/cache/loader).

    memory → disk → the process of this machine that owns it → the owner in this region, or a mirror
    → the owner in the block's home region → the origin → whoever still holds it → outside gateways

Flights are kept apart by rung: a question from a peer never waits for a fill that may itself be waiting for that peer
(mailgun/groupcache#72: two nodes with different member lists, and both wait for ever).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from content.block import Block
from content.cid import CID, IDENTITY
from content.denylists import Denied, Refusal
from edge.cache.absence import Absence
from edge.cache.admission import fits_memory
from edge.cache.attempt import Attempt
from edge.cache.disk import DiskTier
from edge.cache.flight import FillerDied, Flight
from edge.cache.loaded import LoadCounts, Loaded, Overloaded, Source, Unavailable
from edge.cache.memory import Memory
from edge.cache.sources import Sources
from edge.peers.budget import ORIGIN, PEER, Budgets
from edge.peers.client import PeerClient
from edge.peers.members import Members
from edge.peers.ring import Ring
from edge.pressure import ASKER, Pressure

FILLS = 256  # fills that ask outside this machine, per rung; each its own: no rung waits for a lower one's place
BEHIND = 16  # blocks fetched at once that nobody waits for


class Ladder:
    """All tiers and all sources behind `get`."""

    def __init__(
        self,
        *,
        node: str,
        region: str,
        memory: Memory[CID, Block],
        disk: DiskTier,
        client: PeerClient,
        members: Members,
        origin: str | None,
        ring: Ring | None = None,
        gateways: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
        peer_budgets: Budgets = PEER,
        origin_budgets: Budgets = ORIGIN,
    ) -> None:
        self.memory = memory
        self.disk = disk
        self.client = client
        self.members = members
        self.sources = Sources(
            node, region, client, members, origin, ring, tuple(gateways), peer_budgets, origin_budgets
        )
        self.pressure = Pressure(memory.budget)
        client.room = self.pressure.room
        self.counts = LoadCounts()
        self.flight: Flight[tuple[CID, int], Loaded] = Flight()
        self._absent = Absence(clock)
        self._behind: dict[CID, asyncio.Task[None]] = {}
        self._places: dict[int, asyncio.Semaphore] = {}
        self._drops = 0  # times that something was dropped
        self._again: set[CID] | None = set()  # dropped, and to be dropped again; None: everything
        self._refusal: Callable[[CID], Refusal | None] | None = None

    @property
    def ring(self) -> Ring:
        """The ring as this node sees it; it must name this node too. Swap it by assignment."""
        return self.sources.ring

    @ring.setter
    def ring(self, ring: Ring) -> None:
        self.sources.ring = ring

    async def get(self, cid: CID, tier: int = 0, chain: tuple[str, ...] = ()) -> Loaded:
        """The block, verified, and where it came from. Raises Unavailable, Denied.

        `tier` is the rung the question has climbed to: 0 a visitor's, 1 a node's that takes us for the owner in this
        region, 2 a node's that takes us for the home owner. `chain`: the nodes it came through; whoever starts a fill
        hands his on.
        """
        if loaded := self._at_hand(cid):
            return loaded
        rung = self.sources.rung(cid, tier)
        if (refusal := self._absent.known(cid, rung)) is not None:
            self.counts.absent_hits += 1
            raise refusal
        try:
            loaded = await self._fly(cid, rung, chain)
        except FillerDied as error:
            raise Unavailable(cid, False, ["this node is stopping"]) from error
        self.check(cid)  # once more: it may have been denied meanwhile
        return loaded

    async def _fly(self, cid: CID, rung: int, chain: tuple[str, ...]) -> Loaded:
        """The one fill of this block and rung. Who is not turned away himself begins it anew where it was begun for one
        who is."""
        while True:
            try:
                return await self.flight.run((cid, rung), lambda: self._fill(cid, rung, chain))
            except Overloaded:
                if (asker := ASKER.get()) is not None:
                    self.pressure.shed[asker] += 1
                    raise

    async def _fill(self, cid: CID, rung: int, chain: tuple[str, ...]) -> Loaded:
        """The loading order: what lies here, then what others have, if one more may be asked for."""
        if loaded := await self._from_here(cid):
            return loaded
        if ASKER.get() is not None and (rest := self.pressure.admit()) is not None:
            raise Overloaded(cid, rest)
        self.pressure.misses += 1
        try:
            return await self._miss(Attempt(cid, chain), rung)
        finally:
            self.pressure.misses -= 1

    async def _miss(self, attempt: Attempt, rung: int) -> Loaded:
        cid = attempt.cid
        # Before a place is taken here, since it takes one there: two processes whose places were full of each other's
        # blocks would wait for each other
        if loaded := await self._from_process(attempt, rung):
            return loaded
        async with self._places.setdefault(rung, asyncio.Semaphore(FILLS)):
            loaded = await self._fetch(attempt, rung)
        if loaded is None:
            raise self._remember_absent(attempt, rung)
        self._remember(loaded.block)
        if self.sources.shares.is_mine(cid.store_key) and not self._is_denied(cid):
            self.disk.offer(loaded.block)
        return self.counts.add(loaded)

    async def _from_process(self, attempt: Attempt, rung: int) -> Loaded | None:
        """From the process of this machine that owns the block, which stores it too."""
        drops = self._drops
        try:
            loaded = await self.sources.process(attempt, rung)
        except Unavailable as error:
            raise self._remember_absent(attempt, rung) from error
        if loaded is None:
            return None
        if drops == self._drops:  # else it may be from before a purge that was carried out here meanwhile
            self._remember(loaded.block)
        self.counts.add(Loaded(loaded.block, Source.PROCESS))
        return loaded

    async def _fetch(self, attempt: Attempt, rung: int) -> Loaded | None:
        """The part of the loading order that lies outside this node. Of a busy origin nobody above is asked either: he
        would only ask it."""
        ask, home = self.sources, self.sources.home(attempt.cid)
        if rung < 1 and (loaded := await ask.owner(attempt, ask.region, tier=1, spread=True)):
            return loaded
        far = rung < 2 and home != ask.region and not attempt.told_absent
        if far and attempt.busy is None and (loaded := await ask.owner(attempt, home, tier=2)):
            return loaded
        if attempt.busy is None and (loaded := await ask.from_origin(attempt, self.memory.peek)):
            return loaded
        if loaded := await ask.holders(attempt):
            return loaded
        return await ask.outside(attempt)

    def fetch_behind(self, cid: CID) -> None:
        """Have the block here for the next who asks; nobody waits for it. Of many wishes at once some are forgotten."""
        if len(self._behind) >= BEHIND or cid in self._behind:
            return
        task = asyncio.get_running_loop().create_task(self._get_quietly(cid))
        self._behind[cid] = task
        task.add_done_callback(lambda _: self._behind.pop(cid, None))

    async def _get_quietly(self, cid: CID) -> None:
        with suppress(Unavailable, Denied):
            await self.get(cid)

    async def held(self, cid: CID) -> Loaded | None:
        """The block if it lies in memory or on disk (only-if-cached); nobody is asked. Raises Denied."""
        self.check(cid)
        return await self._from_here(cid)

    async def _from_here(self, cid: CID) -> Loaded | None:
        if loaded := self._in_memory(cid):
            return loaded
        block = await self.disk.get(cid)
        if block is None:
            return None
        self._remember(block)
        return self.counts.add(Loaded(block, Source.DISK))

    def _at_hand(self, cid: CID) -> Loaded | None:
        self.check(cid)
        return self._in_memory(cid)

    def _in_memory(self, cid: CID) -> Loaded | None:
        if cid.hash_code == IDENTITY:  # the data is in the name; the wire never sees one
            return Loaded(Block(cid, cid.digest), Source.MEMORY)
        block = self.memory.get(cid)
        return None if block is None else self.counts.add(Loaded(block, Source.MEMORY))

    def keep(self, block: Block) -> None:
        """Have a block here that came another way, as if it had been asked for. It is verified, as every Block is."""
        if self._is_denied(block.cid):
            return
        self._remember(block)
        if self.sources.shares.is_mine(block.cid.store_key):
            self.disk.offer(block, keep=True)

    # What is denied.

    def deny(self, refusal: Callable[[CID], Refusal | None] | None) -> None:
        """From now on, ask this of each block before any cache is looked into; None: nothing is denied. What nobody had
        because it was denied is asked for anew."""
        self._refusal = refusal
        self._absent.clear()

    def check(self, cid: CID) -> None:
        """Raises Denied. Control blocks are not asked about: they are for nodes, and what is denied comes with them."""
        if self._refusal is None or cid.is_control:
            return
        if (refusal := self._refusal(cid)) is not None:
            raise Denied(cid, refusal)

    def _is_denied(self, cid: CID) -> bool:
        try:
            self.check(cid)
        except Denied:
            return True
        return False

    # What is remembered.

    def _remember(self, block: Block) -> None:
        if fits_memory(len(block.data), self.memory.budget) and not self._is_denied(block.cid):
            self.memory.put(block.cid, block, len(block.data))

    def _remember_absent(self, attempt: Attempt, rung: int) -> Unavailable:
        self.counts.unavailable += 1
        error = Unavailable(attempt.cid, attempt.absent, attempt.said, attempt.busy)
        self._absent.remember(rung, error)
        return error

    async def close(self) -> None:
        """End all fills."""
        for task in list(self._behind.values()):
            task.cancel()
        await self.flight.close()
        await self.sources.close()
