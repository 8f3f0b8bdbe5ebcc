"""Inventory: what a disk holds, by size and by last use. A book, no disk.

Here live the sum of bytes, recency, and the plan of who goes when something comes. Not here: files or rows (shelf),
or who carries a plan out (disk). Every method is a plain step without await, so the book is never half-changed.
"""

from __future__ import annotations

from collections import OrderedDict

PAGE = 4_096  # B: what a file takes on disk is counted, not what is in it
LOW_WATER = 64  # eviction goes on to 1/64 below the budget, so that not every write has to evict
TOUCHED_MAX = 65_536  # uses remembered until they are written down


class Inventory:
    """Keys with sizes, least recently used first."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.bytes = 0
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._touched: OrderedDict[bytes, None] = OrderedDict()

    def enter(self, key: bytes, size: int, *, oldest: bool = False) -> None:
        """A block is there, as the last used or as the one used longest ago."""
        self.leave(key)
        self._sizes[key] = size
        self.bytes += cost(size)
        if oldest:
            self._sizes.move_to_end(key, last=False)

    def leave(self, key: bytes) -> None:
        """A block is gone, or will be."""
        size = self._sizes.pop(key, None)
        self._touched.pop(key, None)
        if size is not None:
            self.bytes -= cost(size)

    def use(self, key: bytes) -> None:
        """A block was used just now."""
        if key not in self._sizes:
            return  # evicted while it was being read
        self._sizes.move_to_end(key)
        self._touched[key] = None
        self._touched.move_to_end(key)
        if len(self._touched) > TOUCHED_MAX:
            self._touched.popitem(last=False)

    def make_room(self, coming: int) -> list[bytes]:
        """Strike the blocks that must go for this many bytes to come in, and say which: least recently used first."""
        victims: list[bytes] = []
        if self.bytes + coming > self.budget:
            target = self.budget - self.budget // LOW_WATER - coming
            while self._sizes and self.bytes > target:
                victims.append(next(iter(self._sizes)))
                self.leave(victims[-1])
        return victims

    def take_touched(self) -> list[bytes]:
        """What was used since this was last asked, in order of use."""
        touched, self._touched = list(self._touched), OrderedDict()
        return touched

    def size(self, key: bytes) -> int | None:
        """The size of a block that is there."""
        return self._sizes.get(key)

    def rows(self) -> list[tuple[bytes, int]]:
        """All of it, least recently used first."""
        return list(self._sizes.items())

    def __contains__(self, key: bytes) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)


def cost(size: int) -> int:
    """Bytes a file of this size takes: whole pages, and one for an empty file's own record."""
    return max(1, -(-size // PAGE)) * PAGE
