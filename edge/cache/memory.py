"""Memory: the first tier, a map that counts bytes and forgets what nobody used.

Here lives one bounded map from any key to any value with a cost. Not here: what may enter (edge/cache/admission),
where misses go (edge/cache/loader), or the ready answers (edge/kept), which have a budget of their own.

A hit sets a mark and moves nothing; who brings something in sweeps: oldest first, and what is marked loses its mark and
goes to the end instead (second chance, Corbató 1968). So what is read once by somebody who reads everything leaves
before what is in use, and a hit costs no more than finding its slot. A slot can be held on to by who comes often (the
hot path does): it says itself whether its value is still there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge.cache.sheet import IS_THERE, Sheet

K = TypeVar("K")
V = TypeVar("V")

ENTRY_OVERHEAD = 340  # B: key, slot, OrderedDict node and the value's own object header, measured on CPython 3.11
SHEETS_SHARE = 4  # of the budget; the same bytes lie there twice
CHANCES = 256  # second chances given for one eviction; then the oldest goes, marked or not, so no put takes long


@dataclass(slots=True)
class MemoryCounts:
    """What happened, ever. Hits through a slot that was held on to are not among them."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    refused: int = 0  # larger than the whole budget


class Slot(Generic[V]):
    """A place in the tier. `value` is None once it has left. `mark`: used since it was last swept. `sheet`: the value
    once more, to be sent without copying."""

    __slots__ = ("cost", "mark", "sheet", "value")

    def __init__(self, value: V, cost: int) -> None:
        self.value: V | None = value
        self.cost = cost
        self.mark = False
        self.sheet: Sheet | None = None


class Memory(Generic[K, V]):
    """A map that never holds more than `budget` bytes, its own overhead counted. Not for use by threads."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self.sheets = 0  # bytes of sheets among them
        self.counts = MemoryCounts()
        self._slots: OrderedDict[K, Slot[V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, marked as used; None when absent."""
        slot = self._slots.get(key)
        if slot is None:
            self.counts.misses += 1
            return None
        slot.mark = True
        self.counts.hits += 1
        return slot.value

    def peek(self, key: K) -> V | None:
        """The value, without counting it as a use."""
        slot = self._slots.get(key)
        return None if slot is None else slot.value

    def slot(self, key: K) -> Slot[V] | None:
        """The value's place, to be held on to."""
        return self._slots.get(key)

    def put(self, key: K, value: V, cost: int) -> bool:
        """Keep a value of `cost` bytes, at the price of what was not used. False: it would never fit."""
        self.drop(key)
        total = cost + ENTRY_OVERHEAD
        if total > self.budget:
            self.counts.refused += 1
            return False
        while self.bytes + total > self.budget:  # before it enters, or among marked ones it would be the first to go
            self._sweep()
        self._slots[key] = Slot(value, total)
        self.bytes += total
        self.counts.stored += 1
        return True

    def write_sheet(self, slot: Slot[V], data: bytes) -> Sheet | None:
        """The slot's sheet, of these bytes; None where there is no room for it. All sheets together have a share."""
        if slot.sheet is not None:
            return slot.sheet
        room = self.budget // SHEETS_SHARE - self.sheets
        if slot.value is None or not IS_THERE or len(data) > room:
            return None
        while self.bytes + len(data) > self.budget:
            self._sweep()
        if slot.value is None:
            return None  # swept itself
        try:
            slot.sheet = Sheet(data)
        except OSError:
            return None
        slot.cost += len(data)
        self.bytes += len(data)
        self.sheets += len(data)
        return slot.sheet

    def drop(self, key: K) -> bool:
        """Forget one key. Whether it was there."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return False
        self._leave(slot)
        return True

    def clear(self) -> None:
        """Forget everything."""
        for slot in self._slots.values():
            self._leave(slot)
        self._slots.clear()

    def _sweep(self) -> None:
        """Evict one, with a second chance for what was used."""
        slots = self._slots
        for _ in range(CHANCES):
            key = next(iter(slots))
            slot = slots[key]
            if not slot.mark:
                break
            slot.mark = False
            slots.move_to_end(key)
        key, slot = slots.popitem(last=False)
        self._leave(slot)
        self.counts.evicted += 1

    def _leave(self, slot: Slot[V]) -> None:
        slot.value = None
        self.bytes -= slot.cost
        if slot.sheet is not None:
            self.sheets -= slot.sheet.size
            slot.sheet.close()
            slot.sheet = None

    def __contains__(self, key: K) -> bool:
        return key in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[K]:
        """Keys, those that would go first at the front."""
        return iter(list(self._slots))

    def __repr__(self) -> str:
        return f"<Memory {len(self._slots)} entries, {self.bytes} of {self.budget} B>"
