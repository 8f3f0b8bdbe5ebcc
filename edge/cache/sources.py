"""Sources: the rungs of the ladder that lie outside this node, and where on it a question stands.

Here live the owners, on this machine and on others, the origin, the holders and the gateways, each as "a block, or go
on".
Not here: their order (edge/cache/loader), or one question and its budgets (edge/peers/client).

Each node only ever asks *upwards*: a question carries the rung it climbs to, and the node that gets it asks rungs above
that only. Trouble is noted and counted, never raised: a sick neighbour is a count, not an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from content.block import Block
from content.cid import CID
from edge.cache.flight import Flight
from edge.cache.loaded import Loaded, Source, Unavailable
from edge.peers.client import GATEWAY, PEER, TRUE_ANSWERS, Budgets, Fault, PeerClient, PeerError
from edge.peers.client import ORIGIN as ORIGIN_BUDGETS
from edge.peers.members import LAST_BACKOFF, LIE, ORIGIN, Members
from edge.peers.ring import Ring
from edge.peers.shares import Shares, share_of

ORIGIN_BACKOFF = 5.0  # s, at most, that a sick origin is left alone
PROCESS_BACKOFF = 1.0  # s, at most, that a process of this machine is: its parent starts it anew within that
OWNERS_TRIED = 2  # per rung: the owner, and the next in order should the owner fail
HOLDERS_TRIED = 4  # members asked for what they still hold when the origin is away
ORIGIN_RUNG = 2  # from here on a question goes to the origin
_ABSENT = frozenset({Fault.NOT_FOUND, Fault.DENIED})  # of the origin: it has been reached, and does not give it
# Another process of this machine goes the whole way on our behalf: two owners, the origin, who still holds it
INNER = Budgets(patience=25.0)


@dataclass(slots=True)
class Attempt:
    """One fill's notes: what the asked said, and whether the origin itself said no."""

    cid: CID
    said: list[str] = field(default_factory=list)
    absent: bool = False

    def note(self, error: PeerError) -> None:
        self.said.append(f"{error.url}: {error.fault}")


@dataclass(slots=True)
class Sources:
    """Everybody who can be asked, as one node sees them. `ring` must name this node too; swap it by assignment."""

    node: str
    region: str
    client: PeerClient
    members: Members
    origin: str | None
    ring: Ring = field(default_factory=Ring)
    gateways: tuple[str, ...] = ()
    peer_budgets: Budgets = PEER
    origin_budgets: Budgets = ORIGIN_BUDGETS
    at_origin: Flight[CID, tuple[Block | None, PeerError | None]] = field(default_factory=Flight)
    shares: Shares = field(default_factory=Shares)
    inner: PeerClient | None = None  # asks the other processes of this machine

    async def process(self, attempt: Attempt, rung: int) -> Loaded | None:
        """Ask the process of this machine that owns the block to go the way from this rung on. Raises Unavailable when
        it went in vain: it asked whom we would. It is asked by nobody it asks: the owner asks no other process."""
        key, shares = attempt.cid.store_key, self.shares
        if self.inner is None or shares.is_mine(key):
            return None
        owner = share_of(key, shares.count)
        if not self.members.admit(shares.name(owner)):
            return None
        try:
            answer = await self.inner.fetch_told(shares.urls[owner], attempt.cid, tier=rung, budgets=INNER)
        except PeerError as error:
            if error.fault is Fault.DENIED:  # one of us two has not come to the newest Head yet
                attempt.note(error)
                return None
            if error.fault in TRUE_ANSWERS:
                self.members.success(shares.name(owner))
                raise Unavailable(attempt.cid, error.fault is Fault.NOT_FOUND, (str(error),)) from error
            attempt.note(error)
            self.members.failure(shares.name(owner), longest=PROCESS_BACKOFF)
            return None
        self.members.success(shares.name(owner))
        return Loaded(answer.block, Source(answer.source) if answer.source in set(Source) else Source.PEER)

    async def owner(self, attempt: Attempt, region: str | None, tier: int) -> Loaded | None:
        """Ask the owner of the block in a region; when it fails, the next in order takes its place."""
        tried = 0
        for member in self.ring.order(attempt.cid.store_key, region or ""):
            if member.name == self.node:
                return None  # ours to fill: on to the next rung
            if not self.members.admit(member.name):
                continue
            block, error = await self._ask(member.name, member.url, attempt, tier=tier, budgets=self.peer_budgets)
            if block is not None:
                return Loaded(block, Source.PEER)
            tried += 1
            if tried == OWNERS_TRIED or (error is not None and error.fault in TRUE_ANSWERS):
                return None
        return None

    async def from_origin(self, attempt: Attempt, arrived: Callable[[CID], Block | None]) -> Loaded | None:
        """Ask the origin, once for all rungs: this question waits for nobody else's, so it may be shared by all.

        `arrived` looks whether another rung's fill has brought the block since this one looked.
        """
        if block := arrived(attempt.cid):
            return Loaded(block, Source.MEMORY)
        if (origin := self.origin) is None:
            return None
        if not self.members.admit(ORIGIN):
            attempt.said.append(f"{origin}: left alone for a moment")
            return None
        block, error = await self.at_origin.run(attempt.cid, lambda: self._ask_origin(attempt.cid, origin))
        if error is not None:
            attempt.note(error)
            attempt.absent = error.fault in _ABSENT
        return None if block is None else Loaded(block, Source.ORIGIN)

    async def _ask_origin(self, cid: CID, origin: str) -> tuple[Block | None, PeerError | None]:
        return await self._ask(ORIGIN, origin, Attempt(cid), budgets=self.origin_budgets)

    async def holders(self, attempt: Attempt) -> Loaded | None:
        """The origin is away: ask others for what they still hold. They ask nobody on our behalf and wait for nobody,
        so on any rung this may look sideways and down."""
        if attempt.absent:
            return None
        key, tried = attempt.cid.store_key, 0
        nearest = (self.region, *(region for region in self.ring.regions if region != self.region))
        for member in (member for region in nearest for member in self.ring.order(key, region)):
            if member.name == self.node or not self.members.admit(member.name):
                continue
            block, _ = await self._ask(member.name, member.url, attempt, held=True, budgets=self.peer_budgets)
            if block is not None:
                return Loaded(block, Source.PEER)
            tried += 1
            if tried == HOLDERS_TRIED:
                break
        return None

    async def outside(self, attempt: Attempt) -> Loaded | None:
        """Ask outside gateways, for content only: what a site is made of is nobody else's business."""
        if attempt.cid.is_control:
            return None
        for url in self.gateways:
            if self.members.admit(url):
                block, _ = await self._ask(url, url, attempt, budgets=GATEWAY)
                if block is not None:
                    return Loaded(block, Source.GATEWAY)
        return None

    async def _ask(
        self, name: str, url: str, attempt: Attempt, *, budgets: Budgets, tier: int | None = None, held: bool = False
    ) -> tuple[Block | None, PeerError | None]:
        """One question, and what it says about the health of the asked."""
        try:
            block = await self.client.fetch(url, attempt.cid, tier=tier, only_if_cached=held, budgets=budgets)
        except PeerError as error:
            attempt.note(error)
            # A proxy in front of a dead origin says 504: from the origin only "no such block" and "denied" are.
            if error.fault in TRUE_ANSWERS and (name != ORIGIN or error.fault in _ABSENT):
                self.members.success(name)
            else:
                longest = ORIGIN_BACKOFF if name == ORIGIN else LAST_BACKOFF
                self.members.failure(name, LIE if error.is_lie else 1, longest)
            return None, error
        self.members.success(name)
        return block, None

    def rung(self, cid: CID, tier: int) -> int:
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

    def home(self, cid: CID) -> str | None:
        """The block's home region."""
        return self.ring.home_region(cid.store_key)

    def _is_first(self, key: bytes, region: str) -> bool:
        """Whether nobody well stands before this node in the order of owners."""
        for member in self.ring.order(key, region):
            if member.name == self.node:
                return True
            if self.members.is_well(member.name):
                return False
        return True
