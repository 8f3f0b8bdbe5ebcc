"""World: edges without a network: the real code of each, and a made-up wire between them.

Here live an edge (its real Loader, Sources, Members, Mirrors, PeerClient and private listener's handler), the regions
and how far they are from each other, the origin, and what can be wrong with an edge. Not here: the clock (kit/virtual),
traffic and what is counted of it (ring.py).

Made up are: the round trips (below), the origin's time, the disk (a bounded map with the tier's verbs), and what of the
client speaks to sockets. An answer is looked at and proved as one from the wire is. Nothing is shared between edges but
the Ring, which is a value.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from multidict import CIMultiDict
from starlette.requests import Request

from content.block import Block
from content.cid import CID
from edge.cache.loader import Loader
from edge.cache.memory import Memory
from edge.control.giving import Giving
from edge.control.refused import Refused
from edge.control.roster.probes import TICK, Probes
from edge.peers import words
from edge.peers.client import Answer, PeerClient, Question
from edge.peers.faults import Fault, PeerError
from edge.peers.heat import Heat
from edge.peers.members import Members
from edge.peers.mirrors import Mirrors
from edge.peers.proof import RAW_TYPE, prove, refuse_by_head
from edge.peers.pulse import Pulses
from edge.peers.ring import Member, Ring
from edge.peers.states import State

# Round trips between regions in ms, of the size that public clouds tell of; within one: NEAR.
REGIONS = ("iad", "pdx", "fra", "gru", "nrt", "sin", "bom", "syd")
TRIPS = (
    (65, 90, 115, 150, 215, 190, 200),
    (145, 175, 98, 165, 215, 140),
    (205, 230, 160, 120, 280),
    (260, 330, 300, 315),
    (70, 125, 105),
    (60, 92),
    (150,),
)
NEAR = 1.0
ORIGIN = "http://origin.sim"
ORIGIN_REGION = "iad"
ORIGIN_TIME = 0.012  # s, the middle of what the origin takes for a block
SERVICE = 0.0002  # s that an edge takes for an answer of its own
IDLE = 30.0  # s after which an unused connection is closed
DISK = 0.0003  # s that a read takes


def trip(one: str, other: str) -> float:
    """Seconds from one region to the other and back."""
    if one == other:
        return NEAR / 1000
    low, high = sorted((REGIONS.index(one), REGIONS.index(other)))
    return TRIPS[low][high - low - 1] / 1000


class Stock:
    """In place of the disk: its verbs over a bounded map. `wants` says of a key whether it is kept at all."""

    def __init__(self, budget: int, wants: Callable[[bytes], bool]) -> None:
        self._held: Memory[bytes, Block] = Memory(budget)
        self._wants = wants

    async def get(self, cid: CID) -> Block | None:
        block = self._held.get(cid.store_key)
        if block is not None:
            await asyncio.sleep(DISK)
        return block

    def offer(self, block: Block, *, keep: bool = False) -> bool:
        if self._wants(block.cid.store_key):
            self._held.put(block.cid.store_key, block, len(block.data))
        return True

    async def remove(self, cids: Iterable[CID]) -> None:
        for cid in cids:
            self._held.drop(cid.store_key)


@dataclass(slots=True)
class Sickness:
    """What is wrong with an edge at this moment."""

    late: float = 0.0  # s by which all its answers are late, that for its health included
    is_dead: bool = False  # its machine refuses connections
    flaps: float = 0.0  # s after which it goes from well to refusing and back; 0: it does not


class Wire(PeerClient):
    """The real client; a question goes to the other edge's handler, and its answer is proved as always."""

    def __init__(self, node: str, world: World) -> None:
        super().__init__(node)
        self._world = world
        self.pulses = Heartbeats(node, world)

    async def exchange(self, question: Question, heard: Callable[[], None]) -> Answer:
        answer = await self._world.carry(self.node, question)
        heard()
        said: Any = answer
        self._note(said, question.headers)
        refuse_by_head(said, question.url)
        block = await prove(question.cid, answer.body, "", question.url)
        return Answer(block, "", words.mirrors_of(answer.headers), answer.headers.get(words.STATE, ""))


class Heartbeats(Pulses):
    """Questions for health."""

    def __init__(self, node: str, world: World) -> None:
        super().__init__()
        self._node, self._world = node, world

    async def beat(self, url: str) -> bool:
        return await self._world.beat(self._node, url)


@dataclass(frozen=True, slots=True)
class Carried:
    """An answer that came over the wire, as the client's proof looks at one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_length(self) -> int:
        return len(self.body)


class Edge:
    """One edge: everything in it is the real thing but for its disk and its sockets."""

    def __init__(self, member: Member, world: World) -> None:
        clock, seed = asyncio.get_running_loop().time, f"{world.seed} {member.name}"
        self.member, self.world = member, world
        self.sickness = Sickness()
        self.is_up = True  # visitors are sent to it
        self.fills = True  # for others too: it is not leaving
        self.counts: Counter[str] = Counter()
        self.members = Members(clock, random.Random(seed))
        self.members.watched = frozenset(each.name for each in world.ring.members if each != member)
        self.mirrors = world.mirrors(Heat(clock), clock, random.Random(f"{seed} mirrors"), member.name)
        self.client = Wire(member.name, world)
        self.stock = Stock(world.stock, self._wants if world.places else lambda key: True)
        disk: Any = self.stock
        self.loader = Loader(
            node=member.name,
            region=member.region,
            memory=Memory(world.memory),
            disk=disk,
            client=self.client,
            members=self.members,
            origin=ORIGIN,
            ring=world.ring,
            clock=clock,
        )
        self.loader.sources.mirrors = self.mirrors
        self._count_races(self.loader.sources)
        pulse, trip = self.client.pulses.of, self.client.trips.of
        self.probes = Probes(self.members, self._member, member.region, pulse, trip, clock)
        self.task = asyncio.get_running_loop().create_task(self.probe())
        self.giving = Giving(
            node=member.name,
            token=None,
            open=True,
            loader=self.loader,
            sequence=lambda: 1,
            fills=lambda: self.fills,
            mirrors=self.mirrors,
        )

    async def probe(self) -> None:
        """Look after those that are out, as the roster has it done."""
        chance = random.Random(f"{self.world.seed} {self.member.name} probes")
        while True:
            self.probes.look()
            await asyncio.sleep(TICK * chance.uniform(0.5, 1.0))

    def _member(self, name: str) -> Member | None:
        return next((each for each in self.loader.ring.members if each.name == name), None)

    def _count_races(self, sources: Any) -> None:
        """Count what the questions to owners and mirrors are asked for."""
        run = sources.owner

        async def owner(*arguments: Any, **more: Any) -> Any:
            self.world.counts["races"] += 1
            return await run(*arguments, **more)

        sources.owner = owner

    def _wants(self, key: bytes) -> bool:
        order = self.loader.ring.order(key, self.member.region)
        return order[0].name == self.member.name or self.mirrors.is_mirror(key, order)

    def hear(self, ring: Ring) -> None:
        """The ring is another one: newcomers get their keys little by little."""
        old = {each.name for each in self.loader.ring.members}
        new = {each.name for each in ring.members}
        for name in sorted(new - old):
            self.members.came(name)
        for name in sorted(old - new):
            self.members.went(name)
        self.members.watched = frozenset(new - {self.member.name})
        self.loader.ring = ring

    def die(self) -> None:
        """It refuses connections from now on."""
        self.sickness.is_dead = True

    def heal(self) -> None:
        """Whatever it was, it is over."""
        self.sickness = Sickness()

    async def answer(self, question: Question) -> Carried:
        """What its private listener says."""
        cid = self.world.name(question.cid)
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/ipfs/{cid}",
            "raw_path": f"/ipfs/{cid}".encode(),
            "query_string": b"format=raw",
            "headers": [(name.lower().encode(), value.encode()) for name, value in question.headers.items()],
            "path_params": {"cid": cid},
        }
        try:
            response = await self.giving.block(Request(scope))
        except Refused as error:
            response = error.response()
        headers = dict(response.headers) | ({} if self.fills else {words.STATE: State.DRAINING})
        return Carried(response.status_code, CIMultiDict(headers), bytes(response.body))


class OwnerOnly(Mirrors):
    """No mirrors: what placement alone comes to."""

    def advised(self, key: bytes, members: int) -> int:
        return 1


class World:
    """All edges, the origin, and the wire between them. Make it inside the running loop."""

    def __init__(
        self,
        seed: int,
        members: Iterable[Member],
        blocks: Mapping[CID, bytes],
        *,
        mirrors: type[Mirrors] = Mirrors,
        places: bool = True,
        memory: int = 0,
        stock: int = 1 << 40,
    ) -> None:
        """`places`: an edge keeps what placement gives it, nothing else. `memory`, `stock`: bytes of each edge's."""
        self.seed, self.mirrors, self.places, self.memory, self.stock = seed, mirrors, places, memory, stock
        self.blocks = blocks
        self.name = lru_cache(1 << 20)(str)
        self.chance = random.Random(f"{seed} wire")
        self.origin: Counter[CID] = Counter()  # fetches, by block
        self.counts: Counter[str] = Counter()
        self._used: dict[tuple[str, str], float] = {}  # when a connection was used last
        self.ring = Ring(members)
        self.edges: dict[str, Edge] = {}
        for member in self.ring.members:
            self.add(member)

    def add(self, member: Member) -> Edge:
        """Another edge, which sees the ring as it is now."""
        edge = self.edges[member.url] = Edge(member, self)
        return edge

    # The wire.

    async def carry(self, asker: str, question: Question) -> Carried:
        """A question and its answer, each half a trip. Raises PeerError."""
        if question.url == ORIGIN:
            await asyncio.sleep(self._half(asker, ORIGIN_REGION))
            self.origin[question.cid] += 1
            takes = ORIGIN_TIME * self.chance.lognormvariate(0, 0.4)
            await asyncio.sleep(takes + self._half(asker, ORIGIN_REGION))
            return Carried(200, CIMultiDict({"Content-Type": RAW_TYPE}), self.blocks[question.cid])
        edge, kind = self.edges[question.url], kind_of(question.headers)
        self.counts[kind] += 1
        await self._reach(asker, edge, self._opening(asker, edge.member, question.budgets.connect))
        answer = await edge.answer(question)
        await asyncio.sleep(SERVICE + edge.sickness.late + self._half(asker, edge.member.region))
        if answer.status == 200:
            edge.counts["given"] += 1
            if kind != "tier 2":
                edge.counts["read"] += 1
                self.edge(asker).counts["got"] += 1
        return answer

    async def beat(self, asker: str, url: str) -> bool:
        """Whether it answers for its health, on a connection of its own, which is a trip more."""
        edge = self.edges[url]
        self.counts["beats"] += 1
        try:
            await self._reach(asker, edge, trip(self._region(asker), edge.member.region))
        except PeerError:
            return False
        await asyncio.sleep(edge.sickness.late + self._half(asker, edge.member.region))
        return True

    def _opening(self, asker: str, member: Member, patience: float) -> float:
        """Seconds until there is a connection: a trip, or none. Past `patience` it is given up."""
        pair, now = (asker, member.name), asyncio.get_running_loop().time()
        opens = now - self._used.get(pair, -IDLE) >= IDLE
        takes = trip(self._region(asker), member.region) if opens else 0.0
        if takes <= patience:
            self._used[pair] = now
        return takes if takes <= patience else -patience

    async def _reach(self, asker: str, edge: Edge, opening: float) -> None:
        """Half a trip, after the opening; below 0: no connection came of it. Raises PeerError."""
        sick, half = edge.sickness, self._half(asker, edge.member.region)
        await asyncio.sleep(abs(opening) + half)
        flapped = sick.flaps and int(asyncio.get_running_loop().time() / sick.flaps) % 2
        if opening < 0 or sick.is_dead or flapped:
            await asyncio.sleep(0.0 if opening < 0 else half)
            raise PeerError(Fault.UNREACHED if opening < 0 else Fault.REFUSED, edge.member.url)

    def _half(self, asker: str, region: str) -> float:
        """Seconds of half a trip; a few of them are clearly later than the rest."""
        return trip(self._region(asker), region) / 2 * self.chance.lognormvariate(0, 0.15)

    # Who is where.

    def edge(self, name: str) -> Edge:
        return self.edges[url_of(name)]

    def _region(self, name: str) -> str:
        return self.edge(name).member.region

    async def close(self) -> None:
        """End all fills."""
        for edge in self.edges.values():
            edge.task.cancel()
            await edge.loader.close()


def kind_of(headers: Mapping[str, str]) -> str:
    """What a question to another edge is, in a word."""
    if words.MIRROR in headers:
        return "mirror"
    return "held" if "Cache-Control" in headers else f"tier {headers.get('Rim-Tier')}"


def url_of(name: str) -> str:
    return f"http://{name}.sim"


def member(region: str, number: int) -> Member:
    return Member(f"{region}-{number}", url_of(f"{region}-{number}"), region)
