"""The disk tier's book and policy: the order in which blocks go, against an S3-FIFO and an LRU told in a few lines."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from collections import OrderedDict
from pathlib import Path

import pytest

from content.block import Block
from content.cid import RAW
from edge.cache.admission import Probation
from edge.cache.disk import DiskTier
from edge.cache.ghosts import Ghosts
from edge.cache.inventory import LAPS_MAX, LOW_WATER, PAGE, USES_MAX, Inventory, Policy, cost


def key(number: int) -> bytes:
    return b"b\x12\x20" + random.Random(number).randbytes(32)


def book(count: int, policy: Policy = "s3fifo", pages: int = 1_000) -> Inventory:
    held = Inventory(pages * PAGE, policy)
    for number in range(count):
        held.enter(key(number), 1)
    return held


# The order in which blocks go.


@pytest.mark.parametrize(
    ("policy", "used", "gone"),
    [
        ("lru", [], [0, 1, 2, 3]),
        ("lru", [0, 2, 0], [1, 3, 2, 0]),
        ("s3fifo", [], [0, 1, 2, 3]),
        ("s3fifo", [0, 2], [1, 3, 0, 2]),
        ("s3fifo", [2, 0], [1, 3, 0, 2]),  # use moves nothing
        ("s3fifo", [0, 0, 0, 1], [2, 3, 1, 0]),
        ("s3fifo", [0, *[1] * 9], [2, 3, 0, 1]),
    ],
)
def test_who_goes(policy: Policy, used: list[int], gone: list[int]) -> None:
    """Four blocks, some used, all pushed out."""
    held = book(4, policy)
    for number in used:
        held.use(key(number))
    assert held.shrink(held.bytes) == [key(number) for number in gone]
    assert (len(held), held.bytes) == (0, 0)


def test_uses_are_counted_up_to_three() -> None:
    """However popular a block was, it is gone after three more rounds."""
    held = book(2)
    for _ in range(100):
        held.use(key(0))
    assert held.take_touched() == [(key(0), USES_MAX)]
    for number in range(10, 10 + USES_MAX):
        held.enter(key(number), 1)
        held.shrink(PAGE)
        assert key(0) in held
    held.shrink(PAGE * len(held))
    assert not held.rows()


def test_a_disk_full_of_popular_blocks_is_not_searched_for_ever() -> None:
    """So many second chances at once, then the next goes whatever its uses: the event loop waits for this."""
    count = LAPS_MAX + 10
    held = book(count, pages=count)
    for number in range(count):
        held.use(key(number))
    assert held.shrink(1) == [key(LAPS_MAX)]


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
def test_what_the_tier_above_answers_stays(policy: Policy) -> None:
    """Its uses never come here. When that is said of all, the oldest goes all the same."""
    held = Inventory(1_000 * PAGE, policy, used_above=lambda one: one != key(2))
    for number in range(4):
        held.enter(key(number), 1)
    assert held.shrink(1) == [key(2)]
    assert held.rows() == [(key(number), 1) for number in (3, 0, 1)]
    assert len(held.shrink(1)) == 1


def test_room_is_made_to_below_the_budget_and_in_steps() -> None:
    """Not every write evicts; nothing goes while all fits."""
    held = book(LOW_WATER, pages=LOW_WATER)
    assert held.make_room(0) == []
    assert held.make_room(PAGE) == [key(0), key(1)]
    assert held.make_room(PAGE) == []


def test_full_is_a_state_that_lasts() -> None:
    """What an eviction frees does not open the door to everybody; what a purge frees does."""
    held = book(32, pages=32)
    assert not held.has_room(PAGE)
    held.leave(key(0))
    assert not held.has_room(PAGE)
    for number in range(1, 3):
        held.leave(key(number))
    assert held.has_room(PAGE)
    assert held.has_room(2 * PAGE)


def test_the_book_is_true_whatever_happens() -> None:
    """Seeded disorder, beside a list and a dict."""
    chance = random.Random(5)
    held = Inventory(1 << 40, "lru")
    model: OrderedDict[bytes, int] = OrderedDict()
    for _ in range(5_000):
        each, size = key(chance.randrange(60)), chance.randrange(20_000)
        match chance.randrange(5):
            case 0:
                held.enter(each, size)
                model[each] = size
                model.move_to_end(each)
            case 1:
                held.enter(each, size, oldest=True)
                model[each] = size
                model.move_to_end(each, last=False)
            case 2:
                held.leave(each)
                model.pop(each, None)
            case 3:
                held.use(each)
                if each in model:
                    model.move_to_end(each)
            case 4 if len(model) > 40:
                assert held.shrink(1) == [model.popitem(last=False)[0]]
        assert held.size(each) == model.get(each)
        assert held.bytes == sum(map(cost, model.values()))
    assert held.rows() == list(model.items())


# Ghosts.


def test_ghosts_are_remembered_for_so_many_pages() -> None:
    """At the limit still, past it no more; asked once."""
    ghosts = Ghosts(limit=10)
    ghosts.add(key(1), 5, 1_000)
    ghosts.add(key(2), 10, 1_000)
    assert ghosts.take(key(1))
    assert not ghosts.take(key(1))
    ghosts.add(key(3), 11, 1_000)
    assert not ghosts.take(key(2))
    assert ghosts.take(key(3))
    assert not ghosts.take(key(4))


def test_there_are_not_many_more_ghosts_than_blocks() -> None:
    """The table grows as long as ghosts are worth it, and then the oldest of a row makes place."""
    ghosts = Ghosts(limit=1 << 30)
    for number in range(20_000):
        ghosts.add(key(number), 1, 4_000)
    assert 3_500 < len(ghosts) <= 4_096
    assert sum(ghosts.take(key(number)) for number in range(18_000, 20_000)) > 1_900


def test_ghosts_outlive_their_clock_turning_over() -> None:
    """The clock has 32 bits of pages."""
    ghosts = Ghosts(limit=1_000)
    ghosts.add(key(1), 0xFFFF_FFFF, 1_000)
    ghosts.add(key(2), 100, 1_000)
    assert ghosts.take(key(1))
    assert ghosts.take(key(2))


# The size of the index.


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
def test_a_block_costs_at_most_250_bytes_of_index(policy: Policy) -> None:
    """At 200,000 blocks, with as many ghosts; bench/hit_ratio.py --index measures a million."""
    count = 200_000
    chance = random.Random(1)
    gc.collect()
    tracemalloc.start()
    try:
        held, probation = Inventory(count * PAGE, policy), Probation(count * PAGE if policy == "s3fifo" else 0)
        one = Block.make(RAW, b"x")
        for _ in range(count):
            held.enter(b"b\x12\x20" + chance.randbytes(32), 1)
        if policy == "s3fifo":
            for _ in range(count):
                probation.forget(b"b\x12\x20" + chance.randbytes(32), one, count)
        each = tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()
    print(f"{policy}: {each:.0f} B")
    assert each <= 250


# A trace, through the tier itself.

BUDGET = 200 * PAGE


def made_trace() -> tuple[list[int], list[Block]]:
    """2,000 requests by Zipf's law, a sixth of them for what nobody asks for again."""
    chance = random.Random(20261124)
    weights = [1 / rank**0.9 for rank in range(1, 601)]
    requests = chance.choices(range(600), weights, k=2_000)
    requests = [600 + n if chance.random() < 0.15 else each for n, each in enumerate(requests)]
    sizes = {each: min(int(chance.lognormvariate(8.6, 1.0)) + 9, 20 * PAGE) for each in range(2_600)}
    return requests, [Block.make(RAW, each.to_bytes(8, "big").ljust(sizes[each], b"\0")) for each in range(2_600)]


def lru_oracle(requests: list[int], costs: list[int]) -> int:
    """Misses of an LRU of that budget."""
    held: OrderedDict[int, int] = OrderedDict()
    misses = 0
    for each in requests:
        if each in held:
            held.move_to_end(each)
            continue
        misses += 1
        if sum(held.values()) + costs[each] > BUDGET:
            while sum(held.values()) + costs[each] > BUDGET - BUDGET // LOW_WATER:
                held.popitem(last=False)
        held[each] = costs[each]
    return misses


def s3fifo_oracle(requests: list[int], costs: list[int]) -> tuple[int, int]:
    """Misses and blocks written of an S3-FIFO whose small queue is not written."""
    small: OrderedDict[int, None] = OrderedDict()
    main: OrderedDict[int, int] = OrderedDict()
    ghosts: OrderedDict[int, int] = OrderedDict()
    misses = written = pages = 0
    full = False

    def promote(each: int) -> None:
        nonlocal written, full
        if sum(costs[one] for one in main) + costs[each] > BUDGET:
            while sum(costs[one] for one in main) + costs[each] > BUDGET - BUDGET // LOW_WATER:
                oldest, uses = main.popitem(last=False)
                if uses:
                    main[oldest] = uses - 1
        main[each] = 0
        written += 1

    for each in requests:
        if each in main:
            main[each] = min(3, main[each] + 1)
        elif each in small:
            del small[each]
            promote(each)
        else:
            misses += 1
            full = full or sum(costs[one] for one in main) + costs[each] > BUDGET
            if not full or ((when := ghosts.pop(each, None)) is not None and pages - when <= BUDGET * 9 // 10 // PAGE):
                promote(each)
                continue
            small[each] = None
            while sum(costs[one] for one in small) > BUDGET // 10:
                gone, _ = small.popitem(last=False)
                pages += costs[gone] // PAGE
                ghosts[gone] = pages
    return misses, written


@pytest.mark.parametrize("policy", ["s3fifo", "lru"])
def test_a_trace_misses_and_writes_what_the_policy_says(tmp_path: Path, policy: Policy) -> None:
    """2,000 seeded requests: the tier's misses and writes are the oracle's, one for one."""
    requests, blocks = made_trace()
    costs = [cost(len(each.data)) for each in blocks]

    async def run() -> tuple[int, int]:
        tier = DiskTier(tmp_path, BUDGET, policy=policy)
        await tier.open()
        await tier.ready()
        misses = 0
        for each in requests:
            block = blocks[each]
            if await tier.get(block.cid) is None:
                misses += 1
                tier.offer(block)
            await tier.settled()
            assert tier.used <= BUDGET
        await tier.close()
        return misses, tier.counts.stored

    if policy == "lru":
        expected = lru_oracle(requests, costs)
        assert asyncio.run(run()) == (expected, expected)
    else:
        expected_misses, expected_writes = s3fifo_oracle(requests, costs)
        assert asyncio.run(run()) == (expected_misses, expected_writes)
        assert expected_misses <= 0.9 * lru_oracle(requests, costs)
        assert expected_writes <= 0.5 * lru_oracle(requests, costs)
