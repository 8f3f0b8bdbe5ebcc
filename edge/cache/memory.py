"""Memory: the first tier, an LRU that counts bytes.

Here lives one bounded map from any key to any value with a cost; blocks and ready answers each have their own.
Not here: what may enter (edge/cache/admission), or where misses go (edge/cache/loader).

Plain LRU for now. S3-FIFO misses 11-15 % less on a made-up trace of a CDN and would fit behind these same four verbs;
a hit here costs one dict lookup and one `move_to_end`, both in C.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

ENTRY_OVERHEAD = 256  # B: key, tuple, OrderedDict node and the value's own object header, measured on CPython 3.11


@dataclass(slots=True)
class MemoryCounts:
    """What happened, ever."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    refused: int = 0  # larger than the whole budget


class Memory(Generic[K, V]):
    """A map that never holds more than `budget` bytes, its own overhead counted. Not for use by threads."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self.counts = MemoryCounts()
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, now the most recently used; None when absent."""
        entry = self._entries.get(key)
        if entry is None:
            self.counts.misses += 1
            return None
        self._entries.move_to_end(key)
        self.counts.hits += 1
        return entry[0]

    def peek(self, key: K) -> V | None:
        """The value, without counting it as a use."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def items(self) -> list[tuple[K, V]]:
        """All that is here at this moment, the least recently used first."""
        return [(key, value) for key, (value, _) in self._entries.items()]

    def put(self, key: K, value: V, cost: int) -> bool:
        """Keep a value of `cost` bytes, at the price of the least recently used. False: it would never fit."""
        self.drop(key)
        total = cost + ENTRY_OVERHEAD
        if total > self.budget:
            self.counts.refused += 1
            return False
        self._entries[key] = (value, total)
        self.bytes += total
        self.counts.stored += 1
        self._shrink()
        return True

    def drop(self, key: K) -> bool:
        """Forget one key. Whether it was there."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.bytes -= entry[1]
        return True

    def drop_where(self, condition: Callable[[K], bool]) -> int:
        """Forget every key for which the condition holds (a purge); how many those were."""
        doomed = [key for key in self._entries if condition(key)]
        for key in doomed:
            self.drop(key)
        return len(doomed)

    def resize(self, budget: int) -> None:
        """Live with another budget from now on."""
        self.budget = budget
        self._shrink()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0

    def _shrink(self) -> None:
        while self.bytes > self.budget:
            _, (_, cost) = self._entries.popitem(last=False)
            self.bytes -= cost
            self.counts.evicted += 1

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        """Keys, least recently used first."""
        return iter(list(self._entries))

    def __repr__(self) -> str:
        return f"<Memory {len(self._entries)} entries, {self.bytes} of {self.budget} B>"
