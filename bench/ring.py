"""bench/ring: up to 1,000 edges in 8 regions on a virtual clock: balance, origin load, misses, churn, sickness.

    python bench/ring.py [zipf regions many stall flap] [--seed 8] [--edges N] [--requests N] [--keys N] [--zipf 0.9]

Here live the traffic, what happens to the ring meanwhile, and the table. Not here: the edges and the wire between them
(kit/world: the real loader, sources, members, mirrors and client of each edge, only disk and sockets are made up), or
the clock (kit/virtual). The same seed prints the same table, on any machine.

Requests come by a Poisson process, to edges at random, for blocks by Zipf's law. In `zipf`, `stall` and `flap` an edge
keeps what placement gives it and nothing else: what it owns, and what owners told it to mirror. So every request is
answered by whom placement says, as if the edges' own memories were churned by far more than they hold; with caches that
hold what is hot, the hot keys hardly come to the ring. In `regions` and `many` an edge keeps what passes, in memory for
2 % of all blocks and on disk for 10 %, and edges join, leave, crash and stall; what moves to another owner then comes
from the origin once more.

Load is the number of requests that were answered from an edge's copy: a visitor's at that edge, and those of others
which it was asked for as owner or mirror. Each request counts once. Beside each run stands the same traffic with
owners alone (mirrors off).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from multiprocessing import get_context
from typing import Any

from kit import virtual
from kit.world import REGIONS, Edge, OwnerOnly, World, member

from content.cid import CID, RAW
from edge.cache.loaded import Source, Unavailable
from edge.peers.mirrors import Mirrors
from edge.peers.ring import Member, Ring

SIZE = 64  # B of a block: what is looked at is who asks whom
KEPT_MEMORY, KEPT_DISK = 0.02, 0.10  # of all blocks, where an edge keeps what passes
OVERHEAD = 340 + SIZE  # B that a block takes of a tier
UNHEARD = 15.0  # s after which the origin's register strikes out who crashed
TELLING = 2.0  # s until the last edge has heard of a change
BALANCE, ONCE, SLOWER, EXTRA, ATTEMPTS = 1.25, 1.10, 1.5, 0.05, 1.1  # what is to be reached

Play = Callable[["Run"], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Plan:
    """One simulation."""

    name: str
    edges: int
    regions: Sequence[str]
    requests: int
    keys: int
    zipf: float
    rate: float  # requests/s to each edge
    places: bool = True
    mirrors: type[Mirrors] = Mirrors
    play: Play | None = None


@dataclass
class Result:
    """What came of it."""

    plan: Plan
    distinct: int = 0
    hits: int = 0
    failed: int = 0
    misses: list[tuple[float, float, str]] = field(default_factory=list)  # when asked, s it took, at which edge
    origin: int = 0
    reads: list[int] = field(default_factory=list)  # by edge: requests answered from its copy
    given: list[int] = field(default_factory=list)  # by edge: questions of others answered
    counts: Counter[str] = field(default_factory=Counter)
    then: Counter[str] = field(default_factory=Counter)  # the same when the play said `mark` ...
    reads_then: list[int] = field(default_factory=list)  # ... and these
    moved: list[tuple[str, float, float]] = field(default_factory=list)  # what, share of keys, fair share
    out: float | None = None  # s from a sickness to when every other edge had put the sick one out

    def percentile(self, part: float, sick: str = "") -> float:
        """Of the time of misses, in ms, those at a sick edge itself aside."""
        took = sorted(seconds for _, seconds, edge in self.misses if edge != sick)
        return 1000 * took[min(len(took) - 1, int(part * len(took)))] if took else 0.0

    @property
    def reads_since(self) -> list[int]:
        """Reads by edge, from the mark on."""
        return [now - then for now, then in zip(self.reads, self.reads_then, strict=True)]

    @property
    def attempts(self) -> float:
        """Questions to other edges for each request that led to one."""
        return asked(self.counts) / max(1, self.counts["races"])

    @property
    def attempts_since(self) -> float:
        """The same, from the mark on."""
        return asked(self.counts - self.then) / max(1, self.counts["races"] - self.then["races"])


def asked(counts: Counter[str]) -> int:
    """Questions for blocks, from edge to edge."""
    return sum(counts[kind] for kind in ("tier 1", "tier 2", "mirror", "held"))


class Run:
    """One simulation under way."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.chance = random.Random(f"{seed} traffic")
        self.cids = [CID.of(RAW, bytes_of(number)) for number in range(plan.keys)]
        blocks = {cid: bytes_of(number) for number, cid in enumerate(self.cids)}
        per_region = plan.edges // len(plan.regions)
        members = [member(region, number) for region in plan.regions for number in range(per_region)]
        kept = (
            (0, 1 << 40)
            if plan.places
            else tuple(int(part * plan.keys * OVERHEAD) for part in (KEPT_MEMORY, KEPT_DISK))
        )
        self.world = World(
            seed, members, blocks, mirrors=plan.mirrors, places=plan.places, memory=kept[0], stock=kept[1]
        )
        self.result = Result(plan)
        self.members = members  # who is in, as the register sees it
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def seconds(self) -> float:
        """How long the traffic lasts."""
        return self.plan.requests / (self.plan.rate * self.plan.edges)

    async def whole(self) -> Result:
        """All the traffic, and what happens meanwhile."""
        play = self._begin(self.plan.play(self)) if self.plan.play else None
        asked = set()
        for when, number in self._traffic():
            await asyncio.sleep(when - self.now)
            open_ = [edge for edge in self.world.edges.values() if edge.is_up]
            asked.add(number)
            self._begin(self._visit(self.chance.choice(open_), self.cids[number]))
        if play is not None:
            play.cancel()
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        await self.world.close()
        self._count(len(asked))
        return self.result

    def _traffic(self) -> Iterator[tuple[float, int]]:
        plan, when = self.plan, 0.0
        weights = list(accumulate(rank**-plan.zipf for rank in range(1, plan.keys + 1)))
        numbers = list(range(plan.keys))
        self.chance.shuffle(numbers)
        for number in self.chance.choices(numbers, cum_weights=weights, k=plan.requests):
            when += self.chance.expovariate(plan.rate * plan.edges)
            yield when, number

    def _begin(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _visit(self, edge: Edge, cid: CID) -> None:
        begun = self.now
        edge.counts["visits"] += 1
        try:
            loaded = await edge.loader.get(cid)
        except Unavailable:
            self.result.failed += 1
            return
        if loaded.source in (Source.MEMORY, Source.DISK):
            self.result.hits += 1
        else:
            self.result.misses.append((begun, self.now - begun, edge.member.name))

    def _count(self, distinct: int) -> None:
        result, edges = self.result, list(self.world.edges.values())
        result.distinct = distinct
        result.origin = self.world.origin.total()
        result.reads = self._reads()
        result.given = [edge.counts["given"] for edge in edges]
        result.counts = self.world.counts

    def _reads(self) -> list[int]:
        edges = self.world.edges.values()
        return [edge.counts["visits"] - edge.counts["got"] + edge.counts["read"] for edge in edges]

    # What a play does.

    def mark(self) -> None:
        """From here on it is counted apart."""
        self.result.then, self.result.reads_then = self.world.counts.copy(), self._reads()

    def tell(self, what: str, members: list[Member]) -> None:
        """Who is in has changed: each edge hears of it when it does."""
        old, new = Ring(self.members), Ring(members)
        region = next(iter({*self.members} ^ {*members})).region
        keys = [cid.store_key for cid in self.cids[:2_000]]
        moved = sum(old.order(key, region)[:1] != new.order(key, region)[:1] for key in keys) / len(keys)
        self.result.moved.append((what, moved, 1 / max(old.size(region), new.size(region))))
        self.members = members
        for edge in self.world.edges.values():
            edge_ring = new if edge.member in members else Ring([*members, edge.member])
            self._at(self.chance.uniform(0, TELLING), partial(edge.hear, edge_ring))

    def _at(self, seconds: float, what: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(seconds, what)

    def join(self, region: str) -> None:
        """A new edge, known to itself at once."""
        new = member(region, 1_000 + len(self.world.edges))
        self.world.ring = Ring([*self.members, new])
        edge = self.world.add(new)
        edge.is_up = True
        self.tell(f"{new.name} joins", [*self.members, new])

    def leave(self, edge: Edge) -> None:
        """It says so; who has not heard of it finds it there for some seconds more."""
        edge.is_up = edge.fills = False
        self.tell(f"{edge.member.name} leaves", [each for each in self.members if each != edge.member])
        self._at(2 * TELLING, edge.die)

    def crash(self, edge: Edge) -> None:
        """Gone at once; the register notices when it is unheard of for long."""
        edge.is_up = False
        edge.die()
        members = [each for each in self.members if each != edge.member]
        self._at(UNHEARD, lambda: self.tell(f"{edge.member.name} crashed", members))

    def well(self) -> list[Edge]:
        """Edges that are in, and up."""
        return [edge for edge in self.world.edges.values() if edge.is_up and edge.member in self.members]


async def halves(run: Run) -> None:
    """The second half is counted apart: by then who asks has learned which keys are hot."""
    await asyncio.sleep(run.seconds / 2)
    run.mark()


async def churn(run: Run) -> None:
    """Twelve things, one after the other: an edge joins, one leaves, one crashes, one stalls for some seconds."""
    chance = random.Random(f"{run.seed} churn")
    pause = run.seconds / 13
    for turn in range(12):
        await asyncio.sleep(pause)
        edge = chance.choice(run.well())
        match turn % 4:
            case 0:
                run.join(edge.member.region)
            case 1:
                run.leave(edge)
            case 2:
                run.crash(edge)
            case 3:
                edge.sickness.late = 0.5
                run._at(pause, edge.heal)


async def stall(run: Run) -> None:
    """After a third of the time one edge answers everything half a second late, to the end."""
    await asyncio.sleep(run.seconds / 3)
    sick = next(iter(run.world.edges.values()))
    sick.sickness.late = 0.5
    since = run.now
    unaware = {each.member.name: each for each in run.well() if each is not sick}
    while unaware:
        await asyncio.sleep(0.05)
        unaware = {name: each for name, each in unaware.items() if sick.member.name not in each.members.ejected()}
    run.result.out = run.now - since
    run.mark()


async def flap(run: Run) -> None:
    """After a third of the time one edge refuses every connection for three seconds, then is well for three, and so
    on to the end."""
    await asyncio.sleep(run.seconds / 3)
    next(iter(run.world.edges.values())).sickness.flaps = 3.0
    run.mark()


def bytes_of(number: int) -> bytes:
    return number.to_bytes(SIZE, "big")


def simulate(plan: Plan, seed: int) -> Result:
    """Run it. The same seed, the same result."""

    async def whole() -> Result:
        return await Run(plan, seed).whole()

    return virtual.run(whole)


def row(name: str, result: Result) -> str:
    plan = result.plan
    sick = f"{plan.regions[0]}-0" if plan.play in (stall, flap) else ""
    return (
        f"{name:20} {plan.edges:5} {plan.requests:9,} {result.distinct:8,} {result.origin / result.distinct:7.3f}"
        f" {result.hits / plan.requests:6.1%} {result.percentile(0.5, sick):7.1f} {result.percentile(0.99, sick):7.1f}"
        f" {level(result.reads):6.2f} {level(result.given):6.2f} {result.attempts:8.3f}"
        f" {result.counts['held']:7,} {result.failed:6}"
    )


HEAD = (
    f"{'run':20} {'edges':>5} {'requests':>9} {'distinct':>8} {'origin':>7} {'hits':>6} {'p50':>7} {'p99':>7}"
    f" {'load':>6} {'given':>6} {'attempts':>8} {'hedges':>7} {'failed':>6}"
)


def level(counts: Sequence[int]) -> float:
    """The largest over the mean."""
    return max(counts) * len(counts) / max(1, sum(counts))


@dataclass
class Bench:
    """All runs, and what was to be reached."""

    seed: int
    edges: int
    requests: int
    keys: int
    zipf: float
    missed: int = 0

    def plan(self, name: str, edges: int, regions: Sequence[str], rate: float, **more: Any) -> Plan:
        common = {"requests": self.requests, "keys": self.keys, "zipf": self.zipf}
        return Plan(name, edges, regions, rate=rate, **(common | more))

    def show(self, **plans: Plan) -> list[Result]:
        """Run these beside each other, a process each; their rows, in this order."""
        with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
            results = list(pool.map(simulate, plans.values(), [self.seed] * len(plans)))
        for name, result in zip(plans, results, strict=True):
            print(row(name.replace("_", " "), result), flush=True)
        return results

    def goal(self, text: str, reached: bool) -> None:
        print(f"  {'ok    ' if reached else 'MISSED'} {text}", flush=True)
        self.missed += not reached

    def zipf_run(self) -> None:
        """One region: how even the load is."""
        plan = self.plan("zipf", self.edges, ["fra"], 250.0, play=halves, requests=2 * self.requests)
        alone, spread = self.show(zipf_owners_alone=replace(plan, mirrors=OwnerOnly), zipf_mirrors=plan)
        second = level(spread.reads_since)
        text = (
            f"max/mean load {second:.2f} (≤ {BALANCE}) in the second half, owners alone {level(alone.reads_since):.2f}"
        )
        self.goal(text, second <= BALANCE)
        self._once(spread)

    def _once(self, result: Result) -> None:
        ratio = result.origin / result.distinct
        self.goal(f"origin fetches {ratio:.3f}× distinct blocks (≤ {ONCE})", ratio <= ONCE)

    def regions_run(self, edges: int) -> None:
        """Eight regions, caches that keep what passes, and churn."""
        plan = self.plan("regions", edges, REGIONS, 4.0 * 64 / edges, places=False, play=churn)
        _, result = self.show(regions_owners_alone=replace(plan, mirrors=OwnerOnly), regions_mirrors=plan)
        for what, moved, fair in result.moved:
            print(f"         {what}: {moved:.2%} of its region's keys moved, {moved / fair:.2f}× its share")
        self.goal(f"{result.failed} requests failed", not result.failed)

    def stall_run(self) -> None:
        """One of eight stalls."""
        plan = self.plan("stall", 8, ["fra"], 25.0)
        healthy, result = self.show(all_healthy=plan, one_stalls_500_ms=replace(plan, play=stall))
        slower = result.percentile(0.99, "fra-0") / healthy.percentile(0.99, "fra-0")
        self.goal(f"p99 of misses at the others {slower:.2f}× healthy (≤ {SLOWER})", slower <= SLOWER)
        self.goal(f"ejected by all after {result.out or 0:.2f} s (≤ 2)", result.out is not None and result.out <= 2)
        extra = result.attempts_since - 1
        self.goal(f"extra questions from then on {extra:.1%} (≤ {EXTRA:.0%})", extra <= EXTRA)

    def flap_run(self) -> None:
        """One of eight comes and goes."""
        (result,) = self.show(one_flaps=self.plan("flap", 8, ["fra"], 25.0, play=flap))
        self.goal(
            f"upstream attempts {result.attempts_since:.3f}× requests (≤ {ATTEMPTS})", result.attempts_since <= ATTEMPTS
        )


RUNS: dict[str, Callable[[Bench], None]] = {
    "zipf": Bench.zipf_run,
    "regions": lambda bench: bench.regions_run(64),
    "many": lambda bench: bench.regions_run(1_000),
    "stall": Bench.stall_run,
    "flap": Bench.flap_run,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="A ring of simulated edges: balance, origin load, misses, sickness.")
    parser.add_argument("runs", nargs="*", choices=[*RUNS, []], help="all of them when none is named")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--edges", type=int, default=64, help="of the run `zipf`")
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--zipf", type=float, default=0.9)
    options = parser.parse_args()
    bench = Bench(options.seed, options.edges, options.requests, options.keys, options.zipf)
    print(f"seed {bench.seed}, {bench.keys:,} blocks, Zipf {bench.zipf}; p50 and p99 of misses in ms\n{HEAD}")
    for name in options.runs or RUNS:
        RUNS[name](bench)
    return bool(bench.missed)


if __name__ == "__main__":
    sys.exit(main())
