"""bench/hit_ratio: what the disk tier misses and writes, beside an LRU in its place and beside libcachesim.

    python bench/hit_ratio.py [--requests 100000] [--seed 20261124] [--shares 0.02 0.10] [--index 1000000]

Here lives the whole bench: the trace, the runs, the table. Not here: the policy (edge/cache/inventory, admission).

The trace is made up, and stated as such: requests for 30,000 objects by Zipf's law with exponent 0.9, 15 % noise of
objects asked for once and never again (seven of ten objects are asked for once in all), sizes lognormal with a median
of 10 KB and a mean of about 42 KB, none above the 2 MiB of a block. Each run is one pass, cold at first, over the real
tier with real files in a folder that does not stay: get, and what was missed is offered. libcachesim's S3-FIFO and LRU
see the same requests with the sizes that files take on disk (whole pages), for that is what a budget counts here.
Blocks on probation lie in memory, so the tier gets that much less disk: together it is what libcachesim has.

Reached when: object and byte misses at most 1 % above libcachesim's S3-FIFO, at least 10 % below the better LRU, and at
most half the bytes written that the LRU writes. Exit code 1 when one is missed. `--index N` fills the index with N
blocks and as many ghosts instead, in a process of its own, and prints the memory that takes; reached at 250 B a block.

Needs numpy and libcachesim 0.3.5 beside Rim's own packages.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import random
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from content.block import Block
from content.cid import CID, RAW
from content.limits import BLOCK_ACCEPTED
from edge.cache.admission import PROBATION_MAX, PROBATION_SHARE, Probation
from edge.cache.disk import DiskTier
from edge.cache.inventory import PAGE, Inventory, Policy, cost

OBJECTS = 30_000
NOISE = 0.15
ZIPF = 0.9
MEDIAN, MEAN = 10_000, 45_000  # B, before the largest are cut
DRAIN = 16  # blocks offered before they are waited for: a trace is faster than any visitors
NEAR, FEWER, WRITES, INDEX = 1.01, 0.90, 0.50, 250


@dataclass(frozen=True)
class Trace:
    """Which object each request is for, and each object's size."""

    requests: list[int]
    sizes: list[int]

    @property
    def asked(self) -> int:
        return sum(self.sizes[each] for each in self.requests)


@dataclass
class Run:
    """What one policy came to."""

    name: str
    misses: int = 0
    missed: int = 0  # bytes
    written: int | None = None


def make_trace(requests: int, seed: int) -> Trace:
    """The same on every machine: numpy's default_rng."""
    import numpy

    chance = numpy.random.default_rng(seed)
    weights = 1 / numpy.arange(1, OBJECTS + 1) ** ZIPF
    wanted = chance.choice(OBJECTS, size=requests, p=weights / weights.sum())
    wanted = numpy.where(chance.random(requests) < NOISE, OBJECTS + numpy.arange(requests), wanted)
    names, numbers = numpy.unique(wanted, return_inverse=True)
    sigma = (2 * numpy.log(MEAN / MEDIAN)) ** 0.5
    sizes = numpy.clip(chance.lognormal(numpy.log(MEDIAN), sigma, len(names)), 16, BLOCK_ACCEPTED)
    return Trace(numbers.tolist(), sizes.astype(int).tolist())


def run_peer(name: str, trace: Trace, budget: int) -> Run:
    """libcachesim's policy of this name."""
    import libcachesim

    run = Run(f"libcachesim {name}")
    cache = getattr(libcachesim, name)(cache_size=budget)
    request = libcachesim.Request()
    for each in trace.requests:
        request.obj_id, request.obj_size = each, cost(trace.sizes[each])
        if not cache.get(request):
            run.misses += 1
            run.missed += trace.sizes[each]
    return run


def bytes_of(number: int, size: int) -> bytes:
    return number.to_bytes(16, "big").ljust(size, b"\0")


async def run_tier(policy: Policy, trace: Trace, cids: list[CID], budget: int) -> Run:
    """The real tier, on real files."""
    if policy == "s3fifo":
        budget -= min(budget // (PROBATION_SHARE + 1), PROBATION_MAX)
    run = Run(f"this tier, {policy}")
    with tempfile.TemporaryDirectory() as folder:
        tier = DiskTier(Path(folder), budget, policy=policy)
        await tier.open()
        await tier.ready()
        offered = 0
        for each in trace.requests:
            if await tier.get(cids[each]) is None:
                run.misses += 1
                run.missed += trace.sizes[each]
                block = Block.make(RAW, bytes_of(each, trace.sizes[each]))
                offered += tier.offer(block)
            if offered == DRAIN:
                await tier.settled()
                offered = 0
            assert tier.used <= budget, "the budget holds at every moment"
        await tier.close()
        assert not tier.counts.write_errors
        run.written = tier.counts.written
    return run


def compare(trace: Trace, cids: list[CID], share: float) -> list[str]:
    """Run all four at this share of the trace's bytes and print them. What was not reached."""
    budget = int(sum(map(cost, trace.sizes)) * share)
    lru, s3fifo = (
        asyncio.run(run_tier("lru", trace, cids, budget)),
        asyncio.run(run_tier("s3fifo", trace, cids, budget)),
    )
    peer_lru, peer_s3fifo = run_peer("LRU", trace, budget), run_peer("S3FIFO", trace, budget)
    print(f"\ncache of {share:.0%} of the trace's bytes ({budget / 1e6:.0f} MB)")
    print(f"  {'policy':22} {'object misses':>14} {'byte misses':>12} {'written':>12}")
    for run in (peer_lru, lru, peer_s3fifo, s3fifo):
        written = "" if run.written is None else f"{run.written / 1e6:9.0f} MB"
        misses, missed = run.misses / len(trace.requests), run.missed / trace.asked
        print(f"  {run.name:22} {misses:14.4f} {missed:12.4f} {written:>12}")
    objects = s3fifo.misses / peer_s3fifo.misses, s3fifo.misses / min(lru.misses, peer_lru.misses)
    bytes_ = s3fifo.missed / peer_s3fifo.missed, s3fifo.missed / min(lru.missed, peer_lru.missed)
    writes = (s3fifo.written or 0) / (lru.written or 1)
    goals = [
        (f"object misses {objects[0]:.3f}× libcachesim's S3-FIFO (≤ {NEAR})", objects[0] <= NEAR),
        (f"byte misses   {bytes_[0]:.3f}× libcachesim's S3-FIFO (≤ {NEAR})", bytes_[0] <= NEAR),
        (f"object misses {objects[1]:.3f}× the better LRU's (≤ {FEWER:.2f})", objects[1] <= FEWER),
        (f"byte misses   {bytes_[1]:.3f}× the better LRU's (≤ {FEWER:.2f})", bytes_[1] <= FEWER),
        (f"bytes written {writes:.3f}× the LRU tier's (≤ {WRITES:.2f})", writes <= WRITES),
    ]
    for text, reached in goals:
        print(f"  {'ok    ' if reached else 'MISSED'} {text}")
    return [text for text, reached in goals if not reached]


def resident() -> int:
    """Bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def keys(count: int, seed: int) -> Iterable[bytes]:
    chance = random.Random(seed)
    return (b"b\x12\x20" + chance.randbytes(32) for _ in range(count))


def fill_index(count: int, policy: Policy, found: Any) -> None:
    """Fill an index and as many ghosts; what that took, per block."""
    before = resident()
    held, probation = Inventory(count * 10 * PAGE, policy), Probation(count * 10 * PAGE)
    for number, key in enumerate(keys(count, 1)):
        held.enter(key, number % 70_000)
    block = Block.make(RAW, bytes(5 * PAGE))
    for key in keys(count if policy == "s3fifo" else 0, 2):
        probation.forget(key, block, len(held))
    found.put((resident() - before) / count)


def measure_index(count: int) -> list[str]:
    """Memory for the index of so many blocks, one process for each policy."""
    missed = []
    for policy in ("s3fifo", "lru"):
        spawned = multiprocessing.get_context("spawn")
        found = spawned.Queue()
        process = spawned.Process(target=fill_index, args=(count, policy, found))
        process.start()
        each = found.get(timeout=300)
        process.join()
        print(f"index of {count:,} blocks, {policy}: {each:.0f} B each (≤ {INDEX})")
        if each > INDEX:
            missed.append(policy)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description="Misses and writes of the disk tier beside an LRU and libcachesim.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.02, 0.10])
    parser.add_argument("--index", type=int, metavar="N")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if options.index:
        return bool(measure_index(options.index))
    trace = make_trace(options.requests, options.seed)
    once = sum(count == 1 for count in _counts(trace.requests).values()) / len(trace.sizes)
    print(
        f"{len(trace.requests):,} requests, seed {options.seed}: {len(trace.sizes):,} objects, {once:.0%} asked for"
        f" once, mean {sum(trace.sizes) / len(trace.sizes) / 1e3:.1f} KB, {sum(trace.sizes) / 1e6:.0f} MB in all"
    )
    cids = [CID.of(RAW, bytes_of(number, size)) for number, size in enumerate(trace.sizes)]
    missed = [goal for share in options.shares for goal in compare(trace, cids, share)]
    return bool(missed)


def _counts(numbers: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for each in numbers:
        counts[each] = counts.get(each, 0) + 1
    return counts


if __name__ == "__main__":
    sys.exit(main())
