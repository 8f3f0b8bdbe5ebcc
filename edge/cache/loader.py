"""Loader: where a block comes from, in one order that can be read aloud.

Here live the loading order, the driver of walks and the read-ahead of files.
Not here: the tiers (memory, disk), the rungs outside (sources), what an answer looks like (edge/http).

    memory → disk → the process of this machine that owns it → the owner in this region
    → the owner in the block's home region → the origin → whoever still holds it → outside gateways

Flights are kept apart by rung: a question from a peer never waits for a fill that may itself be waiting for that peer
(mailgun/groupcache#72: two nodes with different member lists, and both wait for ever).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from content.asking import unixfs
from content.block import Block
from content.cid import CID, DAG_PB, IDENTITY, RAW, SHA2_256
from content.dagpb import FILE, RAW_DATA
from content.denylists import Denied, Refusal
from content.errors import ContentError
from content.limits import BLOCKS_BEFORE_FIRST_BYTE, KiB, check
from content.walk import Leaf, Walk, links
from edge.cache.admission import fits_memory
from edge.cache.disk import DiskTier
from edge.cache.flight import FillerDied, Flight
from edge.cache.loaded import LoadCounts, Loaded, Source, Unavailable
from edge.cache.memory import Memory
from edge.cache.sources import Attempt, Sources
from edge.peers.client import ORIGIN, PEER, Budgets, PeerClient
from edge.peers.members import Members
from edge.peers.ring import Ring

__all__ = ["LoadCounts", "Loaded", "Loader", "Source", "Unavailable"]

T = TypeVar("T")

WINDOW = 8  # blocks of a file read ahead: 8 MiB, about what 100 Mbit/s carries while the farthest source answers
ABSENT_FOR = 1.0  # s that "nobody has it" is believed
ABSENT_MAX = 4_096  # CIDs of which that is remembered
FILLS = 256  # fills under way per rung; each rung its own, so that no rung can wait for a lower one's place
SLICE = 64  # blocks of a walk between two breaths of the event loop ...
BREATH = 64 * KiB  # ... or bytes of them: so many are 1,000 links or more, 10 ms
DROPS = 4_096  # blocks dropped from memory between two breaths


class Loader:
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
            node, region, client, members, origin, ring or Ring(), tuple(gateways), peer_budgets, origin_budgets
        )
        self.counts = LoadCounts()
        self.flight: Flight[tuple[CID, int], Loaded] = Flight()
        self._clock = clock
        self._absent: OrderedDict[tuple[CID, int], tuple[float, bool, list[str]]] = OrderedDict()
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

    async def get(self, cid: CID, tier: int = 0) -> Loaded:
        """The block, verified, and where it came from. Raises Unavailable, Denied.

        `tier` is the rung the question has climbed to: 0 a visitor's, 1 a node's that takes us for the owner in this
        region, 2 a node's that takes us for the home owner.
        """
        if loaded := self._at_hand(cid):
            return loaded
        rung = self.sources.rung(cid, tier)
        self._refuse_absent(cid, rung)
        try:
            loaded = await self.flight.run((cid, rung), lambda: self._fill(cid, rung))
        except FillerDied as error:
            raise Unavailable(cid, False, ["this node is stopping"]) from error
        self.check(cid)  # once more: it may have been denied meanwhile
        return loaded

    async def _fill(self, cid: CID, rung: int) -> Loaded:
        """The loading order: what lies here, then what others have."""
        if loaded := await self._from_here(cid):
            return loaded
        attempt = Attempt(cid)
        async with self._places.setdefault(rung, asyncio.Semaphore(FILLS)):
            if loaded := await self._from_process(attempt, rung):
                return loaded
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
            attempt.absent = error.absent
            attempt.said.extend(error.tried)
            raise self._remember_absent(attempt, rung) from error
        if loaded is None:
            return None
        if drops == self._drops:  # else it may be from before a purge that was carried out here meanwhile
            self._remember(loaded.block)
        self.counts.add(Loaded(loaded.block, Source.PROCESS))
        return loaded

    async def _fetch(self, attempt: Attempt, rung: int) -> Loaded | None:
        """The part of the loading order that lies outside this node."""
        ask, home = self.sources, self.sources.home(attempt.cid)
        if rung < 1 and (loaded := await ask.owner(attempt, ask.region, tier=1)):
            return loaded
        if rung < 2 and home != ask.region and (loaded := await ask.owner(attempt, home, tier=2)):
            return loaded
        if loaded := await ask.from_origin(attempt, self.memory.peek):
            return loaded
        if loaded := await ask.holders(attempt):
            return loaded
        return await ask.outside(attempt)

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

    async def take_away(self, cids: Iterable[CID]) -> None:
        """What is denied from now on, off the disk and out of memory, under every codec. Of a file its blocks too; what
        a folder names may well be others' also, and stays."""
        doomed: list[CID] = []
        for cid in cids:
            spellings = _spellings(cid)
            doomed += spellings
            held = await self._from_here(spellings[0])  # as dag-pb, which a file of several blocks is
            doomed += [] if held is None else await self._with_parts(_parts(held.block))
        await self.disk.remove(doomed)
        await self._drop_twice(doomed)

    async def scrub(self) -> None:
        """Take what is denied by now out of memory, where a long answer that is under way would go on with it. What
        lies on the disk is never given out, and leaves it with time."""
        for number, cid in enumerate(self.memory, 1):
            if self._is_denied(cid):
                self.memory.drop(cid)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    # What is remembered.

    def _remember(self, block: Block) -> None:
        if fits_memory(len(block.data), self.memory.budget) and not self._is_denied(block.cid):
            self.memory.put(block.cid, block, len(block.data))

    def _refuse_absent(self, cid: CID, rung: int) -> None:
        if (known := self._absent.get((cid, rung))) is None:
            return
        until, absent, said = known
        if self._clock() >= until:
            del self._absent[cid, rung]
            return
        self.counts.absent_hits += 1
        raise Unavailable(cid, absent, said)

    def _remember_absent(self, attempt: Attempt, rung: int) -> Unavailable:
        self.counts.unavailable += 1
        self._absent[attempt.cid, rung] = (self._clock() + ABSENT_FOR, attempt.absent, attempt.said)
        self._absent.move_to_end((attempt.cid, rung))
        if len(self._absent) > ABSENT_MAX:
            self._absent.popitem(last=False)
        return Unavailable(attempt.cid, attempt.absent, attempt.said)

    async def forget(self, cids: Iterable[CID]) -> None:
        """Take files off the disk and out of memory (a purge, a denied CID); in this order, or who reads the disk
        meanwhile would bring them back into memory."""
        doomed = await self._with_parts(cids)
        await self.disk.remove(doomed)
        await self._drop_twice(doomed)

    async def reread(self, cids: Iterable[CID]) -> None:
        """Take files out of memory alone (a soft purge): the next who asks has them read and proved again."""
        await self._drop_twice(await self._with_parts(cids))

    def forget_memory(self) -> None:
        """Drop everything from memory, where it is not known what must go."""
        self._drops += 1
        self.memory.clear()
        self._again = None

    def take_again(self) -> frozenset[CID] | None:
        """What was dropped since this was last asked, and may have come back from a process of this machine that had
        not dropped it yet; None: everything."""
        again, self._again = self._again, set()
        return None if again is None else frozenset(again)

    async def drop_again(self, again: frozenset[CID] | None) -> None:
        """Drop it from memory once more, now that all processes have."""
        if again is None:
            self._drops += 1
            self.memory.clear()
        else:
            await self._drop(again)

    async def _drop_twice(self, cids: Iterable[CID]) -> None:
        cids = list(cids)
        await self._drop(cids)
        if self.sources.shares.count > 1 and self._again is not None:
            self._again.update(cids)

    async def _with_parts(self, cids: Iterable[CID]) -> list[CID]:
        """These files' blocks, those below them too as far as nodes that lie here tell. Nobody is asked for a node:
        a purge must not wait for others, and of a file whose node is not here there is most likely nothing. But where
        processes share a disk: its owner may have taken the node away already, and the parts be ours to take. Raises
        Unavailable."""
        found: dict[CID, None] = {}
        for top in cids:
            below = [top]
            while below:
                cid = below.pop()
                if cid in found:
                    continue
                found[cid] = None
                if cid.codec == RAW:
                    continue
                if (loaded := await self._from_here(cid) or await self._from_others(cid)) is not None:
                    below += links(loaded.block)
        return list(found)

    async def _from_others(self, cid: CID) -> Loaded | None:
        """A node that another process of this machine may have taken away; None where nobody has it any more."""
        try:
            return await self.get(cid) if self.sources.shares.count > 1 else None
        except Denied:
            return None
        except Unavailable as error:
            if error.absent:
                return None
            raise

    async def _drop(self, cids: Iterable[CID]) -> None:
        self._drops += 1
        for number, cid in enumerate(cids, 1):
            self.memory.drop(cid)
            if number % DROPS == 0:
                await asyncio.sleep(0)

    # Walks and files.

    async def run(
        self,
        walk: Walk[T],
        *,
        tier: int = 0,
        seen: set[Source] | None = None,
        limit: int | None = BLOCKS_BEFORE_FIRST_BYTE,
    ) -> T:
        """Drive a walk to its end over `get`. `seen` collects where its blocks came from. Raises Unavailable."""
        asked = read = 0
        try:
            cid = next(walk)
            while True:
                asked += 1
                if limit is not None:
                    check("blocks looked at before the first byte", asked, limit)
                if asked % SLICE == 0 or read >= BREATH:
                    read = 0
                    await asyncio.sleep(0)  # a walk through memory alone would never let anybody else run
                loaded = await self.get(cid, tier)
                read += len(loaded.block.data)
                if seen is not None:
                    seen.add(loaded.source)
                cid = walk.send(loaded.block)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            walk.close()

    async def read(
        self, leaves: Iterable[Leaf], *, seen: set[Source] | None = None, window: int = WINDOW
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of these leaves in order, up to `window` blocks read ahead. Raises Unavailable, BadNode.

        The window opens as the reader goes on (1, 2, 4, 8): who reads one block of a long file costs one block.
        Close it when leaving early (contextlib.aclosing).
        """
        rest = iter(leaves)
        ahead: deque[tuple[Leaf, Loaded | asyncio.Task[Loaded]]] = deque()
        width = 1
        try:
            while True:
                while len(ahead) < width and (leaf := next(rest, None)) is not None:
                    ahead.append((leaf, self._at_hand(leaf.cid) or _begin(self.get(leaf.cid))))
                if not ahead:
                    return
                leaf, begun = ahead.popleft()
                loaded = begun if isinstance(begun, Loaded) else await begun
                if seen is not None:
                    seen.add(loaded.source)
                width = min(width * 2, window)
                yield leaf.cut(loaded.block)
        finally:
            for _, begun in ahead:
                if isinstance(begun, asyncio.Task):
                    begun.cancel()  # the wait, not the fill: that goes on and warms the cache

    async def close(self) -> None:
        """End all fills."""
        await self.flight.close()
        await self.sources.at_origin.close()


def _begin(waiting: Coroutine[Any, Any, Loaded]) -> asyncio.Task[Loaded]:
    """Wait for a block in a task of its own, whose failure may go unseen when its reader leaves."""
    task = asyncio.ensure_future(waiting)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _spellings(cid: CID) -> list[CID]:
    """A multihash under each codec and version that memory may hold it under."""
    multihash = cid.multihash
    forms = [CID(bytes((1, codec)) + multihash) for codec in (DAG_PB, RAW)]
    return [*forms, CID(multihash)] if cid.hash_code == SHA2_256 else forms


def _parts(block: Block) -> list[CID]:
    """The blocks of a file below its top; none of anything else."""
    try:
        _, data = unixfs(block.cid, block.data)
    except ContentError:
        return []
    return links(block) if data.kind in (FILE, RAW_DATA) else []
