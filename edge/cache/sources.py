"""Sources: the rungs of the ladder that lie outside this node, and where on it a question stands.

Here live the owners, on this machine and on others, the origin, the holders and the gateways, each as "a block, or go
on".
Not here: their order (edge/cache/ladder), one question (edge/peers/asker), or the race of two (edge/peers/hedge).

Each node only ever asks *upwards*: a question carries the rung it climbs to, and the node that gets it asks rungs above
that only. Trouble is noted and counted, never raised: a sick neighbour is a count, not an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from content.block import Block
from content.cid import CID
from edge.cache.attempt import Attempt
from edge.cache.flight import Flight
from edge.cache.loaded import Loaded, Source, Unavailable
from edge.peers.asker import ABSENT, ORIGIN_REST, Asker, How, Whom
from edge.peers.client import GATEWAY, PEER, TRUE_ANSWERS, Answer, Budgets, Fault, PeerClient, PeerError
from edge.peers.client import ORIGIN as ORIGIN_BUDGETS
from edge.peers.hedge import Race
from edge.peers.members import LIE, ORIGIN, Members
from edge.peers.mirrors import Mirrors
from edge.peers.ring import Member, Ring
from edge.peers.shares import Shares, share_of

PROCESS_BACKOFF = 1.0  # s, at most, that a process of this machine is left alone: its parent starts it anew within that
HOLDERS_TRIED = 4  # members asked for what they still hold when the origin is away
ORIGIN_RUNG = 2  # from here on a question goes to the origin
# Another process of this machine goes the whole way on our behalf: two owners, the origin, who still holds it
INNER = Budgets(patience=25.0)


class Sources:
    """Everybody who can be asked, as one node sees them. `ring` must name this node too; swap it by assignment."""

    def __init__(
        self,
        node: str,
        region: str,
        client: PeerClient,
        members: Members,
        origin: str | None,
        ring: Ring | None = None,
        gateways: tuple[str, ...] = (),
        peer_budgets: Budgets = PEER,
        origin_budgets: Budgets = ORIGIN_BUDGETS,
    ) -> None:
        self.node = node
        self.region = region
        self.client = client
        self.members = members
        self.origin = origin
        self.gateways = gateways
        self.peer_budgets = peer_budgets
        self.origin_budgets = origin_budgets
        self.asker = Asker(client, members)
        self.at_origin: Flight[CID, tuple[Block | None, PeerError | None]] = Flight()
        self.shares = Shares()
        self.inner: PeerClient | None = None  # asks the other processes of this machine
        self.mirrors: Mirrors | None = None  # where reads of hot keys are spread
        self.holding: tuple[Member, ...] = ()  # members that join or leave: they fill nothing, and give what they hold
        self.hedges: Counter[str] = Counter()  # by whether they won
        self.mirror_reads: Counter[str] = Counter()  # by what came of them
        self._ourselves: frozenset[str] = frozenset({node})
        self.ring = ring or Ring()

    @property
    def ring(self) -> Ring:
        """Who is in, this node among them."""
        return self._ring

    @ring.setter
    def ring(self, ring: Ring) -> None:
        self._ring = ring
        self._ourselves = frozenset({self.node})

    async def process(self, attempt: Attempt, rung: int) -> Loaded | None:
        """Ask the process of this machine that owns the block to go the way from this rung on. Raises Unavailable when
        it went in vain: it asked whom we would. It is asked by nobody it asks: the owner asks no other process."""
        key, shares = attempt.cid.store_key, self.shares
        if self.inner is None or shares.is_mine(key):
            return None
        owner = share_of(key, shares.count)
        name = shares.name(owner)
        if not self.members.admit(name):
            return None
        try:
            answer = await self.inner.fetch_told(
                shares.urls[owner], attempt.cid, tier=rung, budgets=INNER, chain=attempt.chain
            )
        except PeerError as error:
            attempt.note(error)
            if error.fault is Fault.DENIED:  # one of us two has not come to the newest Head yet
                return None
            if error.origin_busy:  # as it was told itself; that stands in its own book, and is not copied into ours
                attempt.busy = ORIGIN_REST if error.rest is None else error.rest
            if error.fault in TRUE_ANSWERS or error.origin_busy:
                self.members.success(name)
                attempt.absent = error.fault is Fault.NOT_FOUND
                raise Unavailable(attempt.cid, attempt.absent, attempt.said, attempt.busy) from error
            if error.rest is not None:
                self.members.rest(name, error.rest)
            elif error.fault is not Fault.CROWDED:
                self.members.failure(name, longest=PROCESS_BACKOFF)
            return None
        self.members.success(name)
        return Loaded(answer.block, Source(answer.source) if answer.source in set(Source) else Source.PEER)

    async def owner(self, attempt: Attempt, region: str | None, tier: int, *, spread: bool = False) -> Loaded | None:
        """Ask the owner of the block in a region; when it fails, the next in order takes its place. `spread`: one of
        its mirrors may be read instead."""
        key, region = attempt.cid.store_key, region or ""
        order = self.ring.order(key, region)
        mirrors = self.mirrors if spread else None
        mirror, weight = (
            (None, 1) if mirrors is None else (self._mirror(mirrors, key, order), mirrors.weight(key, order))
        )
        full = How(self.peer_budgets, tier, mirrors=weight)
        held = How(self.peer_budgets, held=True, mirror=mirror is not None, mirrors=weight)

        async def ask(member: Member, is_held: bool, on_doubt: Callable[[], None]) -> Answer | PeerError:
            if not is_held:
                retries.earned()
            end = await self._ask(attempt, member, held if is_held else full, on_doubt)
            if member is mirror:
                self.mirror_reads["hit" if isinstance(end, Answer) else _missed(end)] += 1
            elif mirrors is not None and isinstance(end, Answer) and not is_held and member is order[0]:
                mirrors.learned(key, end.mirrors)
            return end

        latencies, retries = self.asker.latencies(region), self.asker.retries
        race = Race(
            ask,
            self._owners(key, order),
            hedge_after=latencies.p95(),
            may_hedge=retries.spend,
            counts=self.hedges,
            on_time=latencies.add,
            on_late=lambda member: self.asker.doubts.late(*self._whom(member)),
        )
        end = await race.run(mirror)
        if isinstance(end, Answer):
            return Loaded(end.block, Source.PEER)
        attempt.told_absent = end is not None and end.fault is Fault.NOT_FOUND
        if end is not None and end.origin_busy and self._is_believed(attempt):
            attempt.busy = ORIGIN_REST if end.rest is None else end.rest
        return None

    def _is_believed(self, attempt: Attempt) -> bool:
        """Whether this question is given up because a neighbour says that the origin is busy. Once a second it is not:
        a neighbour may be wrong, or lie, and where it alone owns a block nobody would ever get it."""
        attempt.looks = attempt.looks or not self.members.hear(ORIGIN)
        return not attempt.looks

    def _owners(self, key: bytes, order: Sequence[Member]) -> Iterator[Member]:
        """Those that may be asked to fill, in order, up to this node's own place: from there on it is ours to fill."""
        for place, member in enumerate(order):
            if member.name in self._ourselves:
                return
            if not self.client.is_full(member.url) and self.members.admit(member.name, None if place else key):
                yield member

    def _mirror(self, mirrors: Mirrors, key: bytes, order: Sequence[Member]) -> Member | None:
        mirror = mirrors.choose(key, order)
        if mirror is None or mirror.name in self._ourselves or self.client.is_full(mirror.url):
            return None
        return mirror if self.members.admit(mirror.name) else None

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
            attempt.busy = self.members.resting(ORIGIN) or None
            return None
        chain = attempt.chain
        block, error = await self.at_origin.run(attempt.cid, lambda: self._ask_origin(attempt.cid, origin, chain))
        if error is not None:
            attempt.note(error)
            attempt.absent = error.fault in ABSENT
            attempt.busy = error.rest
        if block is None:
            return None
        for name, strikes in attempt.words.items():
            self.members.failure(name, strikes)
        return Loaded(block, Source.ORIGIN)

    async def _ask_origin(self, cid: CID, origin: str, chain: tuple[str, ...]) -> tuple[Block | None, PeerError | None]:
        end = await self.asker.ask(Whom(ORIGIN, origin, self.client.strain()), cid, How(self.origin_budgets), chain)
        return (end.block, None) if isinstance(end, Answer) else (None, end)

    async def holders(self, attempt: Attempt) -> Loaded | None:
        """The origin is away: ask others for what they still hold. They ask nobody on our behalf and wait for nobody,
        so on any rung this may look sideways and down."""
        if attempt.absent:
            return None
        key, tried = attempt.cid.store_key, 0
        nearest = (self.region, *(region for region in self.ring.regions if region != self.region))
        everybody = (*(member for region in nearest for member in self.ring.order(key, region)), *self.holding)
        for member in everybody:
            if member.name in self._ourselves or member.name in attempt.asked or not self.members.admit(member.name):
                continue
            end = await self._ask(attempt, member, How(self.peer_budgets, held=True))
            if isinstance(end, Answer):
                return Loaded(end.block, Source.PEER)
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
                end = await self.asker.ask(Whom(url, url), attempt.cid, How(GATEWAY))
                if isinstance(end, Answer):
                    return Loaded(end.block, Source.GATEWAY)
                attempt.note(end)
        return None

    async def _ask(
        self, attempt: Attempt, member: Member, how: How, on_doubt: Callable[[], None] | None = None
    ) -> Answer | PeerError:
        """One question to a member."""
        attempt.asked.add(member.name)
        end = await self.asker.ask(self._whom(member), attempt.cid, how, attempt.chain, on_doubt)
        if isinstance(end, PeerError):
            attempt.note(end)
            if end.origin_busy:
                attempt.words[member.name] = 1  # it may have been so a moment ago
            elif end.fault is Fault.NOT_FOUND:  # it says that it asked the origin; or is no node of ours at all
                attempt.words[member.name] = LIE
            if end.fault is Fault.LOOP and not attempt.chain:  # our name alone was in it: it is us, under another name
                self._ourselves |= {member.name}
        return end

    def _whom(self, member: Member) -> Whom:
        """In one's own region nobody is far, however long the first answers took."""
        is_near = member.region == self.region
        trip = 0.0 if is_near else self.client.trips.of(member.url)
        return Whom(member.name, member.url, trip + self.client.strain())

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
            if member.name in self._ourselves:
                return True
            if self.members.is_well(member.name):
                return False
        return True

    async def close(self) -> None:
        """End what is asked."""
        await self.at_origin.close()
        await self.asker.close()


def _missed(error: PeerError) -> str:
    return "miss" if error.fault is Fault.NOT_HELD else "failed"
