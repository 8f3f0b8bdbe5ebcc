"""The memory tier: never over its budget, forgets first what nobody used."""

from __future__ import annotations

from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cache.admission import DOOR_SHUT, Door, fits_disk, fits_memory
from edge.cache.memory import CHANCES, ENTRY_OVERHEAD, Memory


def test_what_was_used_gets_a_second_chance() -> None:
    """A get marks an entry, a peek does not; who is marked stays once, and stands at the end of the queue."""
    memory: Memory[str, int] = Memory(3 * (ENTRY_OVERHEAD + 10))
    for number, key in enumerate("abc"):
        memory.put(key, number, 10)
    assert memory.get("a") == 0
    assert memory.peek("b") == 1
    memory.put("d", 3, 10)
    assert list(memory) == ["c", "a", "d"]
    assert memory.get("b") is None
    assert (memory.counts.hits, memory.counts.misses, memory.counts.evicted) == (1, 1, 1)


def test_a_slot_says_when_its_value_has_left() -> None:
    """Who holds on to a slot sees it emptied by eviction, by a drop, by a new value, by clear."""
    memory: Memory[str, str] = Memory(2 * (ENTRY_OVERHEAD + 10))
    memory.put("a", "a", 10)
    evicted = memory.slot("a")
    memory.put("b", "b", 10)
    memory.put("c", "c", 10)
    dropped = memory.slot("b")
    memory.drop("b")
    replaced = memory.slot("c")
    memory.put("c", "again", 10)
    cleared = memory.slot("c")
    memory.clear()
    slots = (evicted, dropped, replaced, cleared)
    assert [slot and slot.value for slot in slots] == [None] * 4
    assert None not in slots
    assert memory.slot("c") is None


def test_a_scan_does_not_push_out_what_is_in_use() -> None:
    """10,000 blocks that are read once pass by; of 50 that are used now and then none is lost."""
    memory: Memory[int, int] = Memory(200 * (ENTRY_OVERHEAD + 10))
    for key in range(50):
        memory.put(key, key, 10)
    for key in range(1000, 11_000):
        memory.put(key, key, 10)
        assert memory.get(key % 50) == key % 50


def test_one_eviction_is_bounded() -> None:
    """Where all are marked the oldest goes after so many chances."""
    memory: Memory[int, int] = Memory(1000 * (ENTRY_OVERHEAD + 10))
    for key in range(1000):
        memory.put(key, key, 10)
        memory.get(key)
    memory.put(1000, 0, 10)
    assert CHANCES not in memory
    assert list(memory)[-CHANCES - 1 :] == [*range(CHANCES), 1000]


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


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "get", "drop"]), st.integers(0, 9), st.integers(0, 900)),
        max_size=80,
    )
)
def test_it_behaves_as_a_clock(moves: list[tuple[str, int, int]]) -> None:
    """Against a model in a few lines: same entries in the same order, never over budget."""
    budget = 4 * ENTRY_OVERHEAD
    memory: Memory[int, int] = Memory(budget)
    model: OrderedDict[int, list[int]] = OrderedDict()  # key → cost, mark
    for move, key, cost in moves:
        if move == "put":
            memory.put(key, key, cost)
            model.pop(key, None)
            if (total := cost + ENTRY_OVERHEAD) <= budget:
                while sum(each for each, _ in model.values()) + total > budget:
                    while model[oldest := next(iter(model))][1]:
                        model[oldest][1] = 0
                        model.move_to_end(oldest)
                    del model[oldest]
                model[key] = [total, 0]
        elif move == "get":
            assert memory.get(key) == (key if key in model else None)
            if key in model:
                model[key][1] = 1
        else:
            assert memory.drop(key) == (model.pop(key, None) is not None)
        assert list(memory) == list(model)
        assert memory.bytes == sum(each for each, _ in model.values()) <= budget


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
