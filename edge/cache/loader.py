"""Loader: where a block comes from, in one order that can be read aloud.

Here lives the loading order, its counts, the driver of walks and the read-ahead of files.
Not here: the tiers themselves (memory, disk), the network (edge/peers), what an answer looks like (edge/http).

    memory → disk → the owner in this region → the owner in the block's home region → the origin
    → whoever still holds it → outside gateways

Each node only ever asks *upwards*: a question carries the rung it climbs to, and the node that gets it asks rungs above
that only. Flights are kept apart by rung for the same reason: a question from a peer never waits for a fill that may
itself be waiting for that peer (mailgun/groupcache#72: two member lists, and both wait for ever).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from content.block import Block
from content.cid import CID, IDENTITY
from content.errors import BadNode
from content.limits import BLOCKS_BEFORE_FIRST_BYTE, check
from content.walk import Leaf, Walk, leaf_bytes
from edge.cache.admission import fits_memory
from edge.cache.disk import DiskTier
from edge.cache.flight import Flight, Verdict
from edge.cache.memory import Memory
from edge.peers.client import GATEWAY, PEER, TRUE_ANSWERS, Budgets, Fault, PeerClient, PeerError
from edge.peers.client import ORIGIN as ORIGIN_BUDGETS
from edge.peers.members import LAST_BACKOFF, LIE, ORIGIN, Members
from edge.peers.ring import Ring

T = TypeVar("T")

WINDOW = 8  # blocks of a file read ahead: 8 MiB, about what 100 Mbit/s carries while the farthest source answers
ABSENT_FOR = 1.0  # s that "nobody has it" is believed
ORIGIN_BACKOFF = 5.0  # s, at most, that a sick origin is left alone
ABSENT_MAX = 4_096  # CIDs of which that is remembered
FILLS = 256  # fills under way per rung; each rung its own, so that no rung can wait for a lower one's place
OWNERS_TRIED = 2  # per rung: the owner, and the next in order should the owner fail
HOLDERS_TRIED = 4  # members asked for what they still hold when the origin is away
SLICE = 64  # blocks of a walk between two breaths of the event loop
ORIGIN_RUNG = 2  # from here on a fill asks the origin only


class Source(StrEnum):
    """Where a block came from, nearest first."""

    MEMORY = "memory"
    DISK = "disk"
    PEER = "peer"
    ORIGIN = "origin"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A block and where this node had it from."""

    block: Block
    source: Source


class Unavailable(Verdict):
    """Nobody who could be asked gave the block. `absent`: the origin was reached and has it not."""

    def __init__(self, cid: CID, absent: bool, tried: Sequence[str] = ()) -> None:
        why = "the origin has it not" if absent else "nobody who has it could be asked"
        super().__init__(f"block {cid}: {why}{'; ' * bool(tried)}{'; '.join(tried)}")
        self.cid = cid
        self.absent = absent
        self.tried = tuple(tried)


@dataclass(slots=True)
class LoadCounts:
    """What loading came to, ever."""

    loaded: Counter[Source] = field(default_factory=Counter)
    bytes: Counter[Source] = field(default_factory=Counter)
    unavailable: int = 0
    absent_hits: int = 0  # answered "nobody has it" from memory


@dataclass(slots=True)
class _Try:
    """One fill's notes: what the asked said, and whether the origin itself said no."""

    cid: CID
    said: list[str] = field(default_factory=list)
    absent: bool = False

    def note(self, error: PeerError) -> None:
        self.said.append(f"{error.url}: {error.fault}")


class Loader:
    """All tiers and all sources behind `get`. Swap `ring` by plain assignment."""

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
        origin_budgets: Budgets = ORIGIN_BUDGETS,
    ) -> None:
        self.node = node
        self.region = region
        self.memory = memory
        self.disk = disk
        self.client = client
        self.members = members
        self.origin = origin
        self.ring = ring or Ring()
        self.gateways = tuple(gateways)
        self.counts = LoadCounts()
        self.flight: Flight[tuple[CID, int], Loaded] = Flight()
        self._at_origin: Flight[CID, tuple[Block | None, PeerError | None]] = Flight()
        self._clock = clock
        self._peer_budgets = peer_budgets
        self._origin_budgets = origin_budgets
        self._absent: OrderedDict[tuple[CID, int], tuple[float, Unavailable]] = OrderedDict()
        self._places: dict[int, asyncio.Semaphore] = {}

    async def get(self, cid: CID, tier: int = 0) -> Loaded:
        """The block, verified, and where it came from. Raises Unavailable.

        `tier` is the rung the question has climbed to: 0 a visitor's, 1 a node's that takes us for the owner in this
        region, 2 a node's that takes us for the home owner.
        """
        if loaded := self._at_hand(cid):
            return loaded
        rung = self._rung(cid, tier)
        self._refuse_absent(cid, rung)
        return await self.flight.run((cid, rung), lambda: self._fill(cid, rung))

    async def _fill(self, cid: CID, rung: int) -> Loaded:
        """The loading order: what lies here, then what others have."""
        if loaded := await self.held(cid):
            return loaded
        note = _Try(cid)
        async with self._place(rung):
            loaded = await self._fetch(note, rung)
        if loaded is None:
            raise self._remember_absent(note, rung)
        self._keep(loaded)
        return loaded

    async def _fetch(self, note: _Try, rung: int) -> Loaded | None:
        """The part of the loading order that lies outside this node."""
        home = self.ring.home_region(note.cid.store_key)
        if rung < 1 and (loaded := await self._from_owner(note, self.region, 1)):
            return loaded
        if rung < 2 and home != self.region and (loaded := await self._from_owner(note, home, 2)):
            return loaded
        if loaded := await self._from_origin(note):
            return loaded
        if loaded := await self._from_holders(note):
            return loaded
        return await self._from_gateways(note)

    async def held(self, cid: CID) -> Loaded | None:
        """The block if it lies in memory or on disk (only-if-cached); nobody is asked."""
        if loaded := self._at_hand(cid):
            return loaded
        block = await self.disk.get(cid)
        if block is None:
            return None
        self._remember(block)
        return self._count(Loaded(block, Source.DISK))

    def _at_hand(self, cid: CID) -> Loaded | None:
        if cid.hash_code == IDENTITY:  # the data is in the name; the wire never sees one
            return Loaded(Block(cid, cid.digest), Source.MEMORY)
        block = self.memory.get(cid)
        return None if block is None else self._count(Loaded(block, Source.MEMORY))

    # The rungs. Each answers with a block, or None: "go on". Trouble is noted and counted, never raised.

    async def _from_owner(self, note: _Try, region: str | None, tier: int) -> Loaded | None:
        """Ask the owner of the block in a region; when it fails, the next in order takes its place."""
        tried = 0
        for member in self.ring.order(note.cid.store_key, region or ""):
            if member.name == self.node:
                return None  # ours to fill: on to the next rung
            if not self.members.admit(member.name):
                continue
            block, error = await self._ask(member.name, member.url, note, tier=tier, budgets=self._peer_budgets)
            if block is not None:
                return Loaded(block, Source.PEER)
            tried += 1
            if tried == OWNERS_TRIED or (error is not None and error.fault in TRUE_ANSWERS):
                return None
        return None

    async def _from_origin(self, note: _Try) -> Loaded | None:
        """Ask the origin, once for all rungs: this question waits for nobody else's, so it may be shared by all."""
        if block := self.memory.peek(note.cid):  # another rung's fill has just brought it
            return Loaded(block, Source.MEMORY)
        origin = self.origin
        if origin is None:
            return None
        if not self.members.admit(ORIGIN):
            note.said.append(f"{origin}: left alone for a moment")
            return None
        block, error = await self._at_origin.run(note.cid, lambda: self._ask_origin(note.cid, origin))
        if error is not None:
            note.note(error)
            note.absent = error.fault is Fault.NOT_FOUND
        return None if block is None else Loaded(block, Source.ORIGIN)

    async def _ask_origin(self, cid: CID, origin: str) -> tuple[Block | None, PeerError | None]:
        return await self._ask(ORIGIN, origin, _Try(cid), budgets=self._origin_budgets)

    async def _from_holders(self, note: _Try) -> Loaded | None:
        """The origin is away: ask others for what they still hold. They ask nobody on our behalf and wait for nobody,
        so on any rung this may look sideways and down."""
        if note.absent:
            return None
        key, tried = note.cid.store_key, 0
        nearest = (self.region, *(region for region in self.ring.regions if region != self.region))
        for member in (member for region in nearest for member in self.ring.order(key, region)):
            if member.name == self.node or not self.members.admit(member.name):
                continue
            block, _ = await self._ask(member.name, member.url, note, held=True, budgets=self._peer_budgets)
            if block is not None:
                return Loaded(block, Source.PEER)
            tried += 1
            if tried == HOLDERS_TRIED:
                break
        return None

    async def _from_gateways(self, note: _Try) -> Loaded | None:
        """Ask outside gateways, for content only: what a site is made of is nobody else's business."""
        if note.cid.is_control:
            return None
        for url in self.gateways:
            if self.members.admit(url):
                block, _ = await self._ask(url, url, note, budgets=GATEWAY)
                if block is not None:
                    return Loaded(block, Source.GATEWAY)
        return None

    async def _ask(
        self, name: str, url: str, note: _Try, *, budgets: Budgets, tier: int | None = None, held: bool = False
    ) -> tuple[Block | None, PeerError | None]:
        """One question, and what it says about the health of the asked."""
        try:
            block = await self.client.fetch(url, note.cid, tier=tier, only_if_cached=held, budgets=budgets)
        except PeerError as error:
            note.note(error)
            if error.fault in TRUE_ANSWERS and not (name == ORIGIN and error.fault is not Fault.NOT_FOUND):
                self.members.success(name)
            else:
                longest = ORIGIN_BACKOFF if name == ORIGIN else LAST_BACKOFF
                self.members.failure(name, LIE if error.is_lie else 1, longest)
            return None, error
        self.members.success(name)
        return block, None

    # Places on the ladder.

    def _rung(self, cid: CID, tier: int) -> int:
        """The rung a question starts on here: the one it came with, or higher where this node is the owner itself.

        So a visitor's question at the owner and a peer's question to the owner are one flight, and one fetch.
        """
        key = cid.store_key
        rung = max(0, min(tier, ORIGIN_RUNG))
        if rung < 1 and self._is_first(key, self.region):
            rung = 1
        if rung == 1:
            home = self.ring.home_region(key)
            if home is None or home == self.region or self._is_first(key, home):
                rung = ORIGIN_RUNG
        return rung

    def _is_first(self, key: bytes, region: str) -> bool:
        """Whether nobody well stands before this node in the order of owners."""
        for member in self.ring.order(key, region):
            if member.name == self.node:
                return True
            if self.members.is_well(member.name):
                return False
        return True

    def _place(self, rung: int) -> asyncio.Semaphore:
        return self._places.setdefault(rung, asyncio.Semaphore(FILLS))

    # What is remembered.

    def _keep(self, loaded: Loaded) -> None:
        self._count(loaded)
        self._remember(loaded.block)
        self.disk.offer(loaded.block)

    def _remember(self, block: Block) -> None:
        if fits_memory(len(block.data), self.memory.budget):
            self.memory.put(block.cid, block, len(block.data))

    def _count(self, loaded: Loaded) -> Loaded:
        self.counts.loaded[loaded.source] += 1
        self.counts.bytes[loaded.source] += len(loaded.block.data)
        return loaded

    def _refuse_absent(self, cid: CID, rung: int) -> None:
        known = self._absent.get((cid, rung))
        if known is None:
            return
        until, verdict = known
        if self._clock() >= until:
            del self._absent[cid, rung]
            return
        self.counts.absent_hits += 1
        raise Unavailable(cid, verdict.absent, verdict.tried)

    def _remember_absent(self, note: _Try, rung: int) -> Unavailable:
        self.counts.unavailable += 1
        verdict = Unavailable(note.cid, note.absent, note.said)
        self._absent[note.cid, rung] = (self._clock() + ABSENT_FOR, verdict)
        self._absent.move_to_end((note.cid, rung))
        if len(self._absent) > ABSENT_MAX:
            self._absent.popitem(last=False)
        return verdict

    async def forget(self, cids: Iterable[CID]) -> None:
        """Take blocks out of memory and off the disk (a purge, a denied CID)."""
        doomed = list(cids)
        for cid in doomed:
            self.memory.drop(cid)
        await self.disk.remove(doomed)

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
        asked = 0
        try:
            cid = next(walk)
            while True:
                asked += 1
                if limit is not None:
                    check("blocks looked at before the first byte", asked, limit)
                if asked % SLICE == 0:
                    await asyncio.sleep(0)  # a walk through memory alone would never let anybody else run
                loaded = await self.get(cid, tier)
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
                yield _cut(leaf, loaded.block)
        finally:
            for _, begun in ahead:
                if isinstance(begun, asyncio.Task):
                    begun.cancel()  # the wait, not the fill: that goes on and warms the cache

    async def close(self) -> None:
        """End all fills."""
        await self.flight.close()
        await self._at_origin.close()


def _begin(waiting: Coroutine[Any, Any, Loaded]) -> asyncio.Task[Loaded]:
    """Wait for a block in a task of its own, whose failure may go unseen when its reader leaves."""
    task = asyncio.ensure_future(waiting)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _cut(leaf: Leaf, block: Block) -> bytes:
    """The leaf's part of the file. A shorter leaf than its parent said is refused, or the body would end short."""
    piece = leaf_bytes(block)[leaf.skip : leaf.skip + leaf.stop - leaf.start]
    if len(piece) != leaf.stop - leaf.start:
        raise BadNode(f"leaf {block.cid} holds fewer bytes than its parent says")
    return piece
