"""The memory tier: never over its budget, forgets the least recently used first."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cache.admission import DOOR_SHUT, Door, fits_disk, fits_memory
from edge.cache.memory import ENTRY_OVERHEAD, Memory


def test_the_least_recently_used_goes_first() -> None:
    """A get makes an entry young, a peek does not."""
    memory: Memory[str, int] = Memory(3 * (ENTRY_OVERHEAD + 10))
    for number, key in enumerate("abc"):
        memory.put(key, number, 10)
    assert memory.get("a") == 0
    assert memory.peek("b") == 1
    memory.put("d", 3, 10)
    assert list(memory) == ["c", "a", "d"]
    assert memory.get("b") is None
    assert (memory.counts.hits, memory.counts.misses, memory.counts.evicted) == (1, 1, 1)


@pytest.mark.parametrize(("cost", "taken"), [(1000, True), (1001, False)])
def test_a_value_over_the_whole_budget_is_refused(cost: int, taken: bool) -> None:
    """At the budget it fits, one past it nothing is evicted for it in vain."""
    memory: Memory[str, str] = Memory(1000 + ENTRY_OVERHEAD)
    memory.put("a", "a", 10)
    assert memory.put("b", "b", cost) is taken
    assert ("a" in memory) is not taken
    assert memory.counts.refused == (not taken)


def test_a_refused_value_replaces_the_old_one_by_nothing() -> None:
    """After a put the key never answers with what it held before."""
    memory: Memory[str, str] = Memory(1000)
    memory.put("a", "old", 10)
    memory.put("a", "new", 10_000)
    assert memory.get("a") is None
    assert memory.bytes == 0


def test_a_purge_drops_by_condition_and_a_smaller_budget_shrinks() -> None:
    """drop_where, resize and clear keep the count of bytes true."""
    memory: Memory[int, int] = Memory(100 * (ENTRY_OVERHEAD + 1))
    for number in range(100):
        memory.put(number, number, 1)
    assert memory.drop_where(lambda key: key % 2 == 0) == 50
    assert memory.bytes == 50 * (ENTRY_OVERHEAD + 1)
    memory.resize(10 * (ENTRY_OVERHEAD + 1))
    assert list(memory) == list(range(81, 100, 2))
    memory.clear()
    assert (memory.bytes, len(memory)) == (0, 0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 9), st.integers(0, 900)),
        max_size=80,
    )
)
def test_it_behaves_as_a_plain_lru(moves: list[tuple[str, int, int]]) -> None:
    """Against a ten-line model: same entries in the same order, never over budget."""
    budget = 4 * ENTRY_OVERHEAD
    memory: Memory[int, int] = Memory(budget)
    model: OrderedDict[int, int] = OrderedDict()
    for move, key, cost in moves:
        if move == "put":
            memory.put(key, key, cost)
            model.pop(key, None)
            if cost + ENTRY_OVERHEAD <= budget:
                model[key] = cost + ENTRY_OVERHEAD
                while sum(model.values()) > budget:
                    model.popitem(last=False)
        elif move == "get":
            assert memory.get(key) == (key if key in model else None)
            if key in model:
                model.move_to_end(key)
        else:
            assert memory.drop(key) == (model.pop(key, None) is not None)
        assert list(memory) == list(model)
        assert memory.bytes == sum(model.values()) <= budget


def test_one_block_takes_an_eighth_of_a_tier_and_no_more() -> None:
    """Admission at its limit and one past it."""
    for fits in (fits_memory, fits_disk):
        assert fits(1000, 8000)
        assert not fits(1001, 8000)


def test_the_door_stays_shut_for_a_moment() -> None:
    """After a failure the disk is left alone until the clock has moved on."""
    now = [5.0]
    door = Door(lambda: now[0])
    assert door.is_open
    door.shut()
    assert not door.is_open
    now[0] += DOOR_SHUT
    assert door.is_open
