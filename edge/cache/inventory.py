"""Inventory: what a disk holds, by size, and in which order it goes. A book, no disk.

Here live the sum of bytes, the queue of S3-FIFO's main part or of an LRU, and the plan of who goes when something
comes. Not here: who may come in (admission), files or rows (shelf), or who carries a plan out (disk). Every method is a
plain step without await, so the book is never half-changed.

S3-FIFO (Yang et al., SOSP 2023): a block that is used is only counted, up to three; one that comes to the end of the
queue with a use to its name pays with it for another round, one without goes. LRU: what is used goes to the back. In
both, one that the memory tier answers (so that its uses never come here) stays; a start will need it.

A million blocks may stand in it, so a block is a number (slot) in arrays, and two of these are the queue.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Final, Literal

from content.limits import MiB

Policy = Literal["s3fifo", "lru"]

PAGE = 4_096  # B: what a file takes on disk is counted, not what is in it
LOW_WATER = 128  # eviction goes on to 1/128 below the budget, so that not every write has to evict ...
LOW_WATER_MAX = 4 * MiB  # ... or this much; striking a thousand blocks takes the event loop 2 ms
STEP = 32 * MiB  # struck at once, and ...
LAPS_MAX = 4_096  # ... blocks that get another round at once; after that, uses no longer count ...
ASKED_MAX = 512  # ... nor, after so many questions, what the memory tier knows
NOT_FULL = 16  # a disk that was full has room again when 1/16 of its budget is free
USES_MAX = 3  # uses that count
TOUCHED_MAX = 16_384  # blocks whose uses wait to be written down; those of others are lost at a restart
_ENDS: Final = 0  # the slot before the oldest and behind the newest


class Inventory:
    """Keys with sizes, in the order in which they go."""

    def __init__(
        self, budget: int, policy: Policy = "s3fifo", used_above: Callable[[bytes], bool] = lambda key: False
    ) -> None:
        self.budget = budget
        self.policy = policy
        self._used_above = used_above
        self.bytes = 0
        self._full = False
        self._slots: dict[bytes, int] = {}
        self._keys: list[bytes] = [b""]
        self._sizes = array("Q", [0])
        self._uses = array("B", [0])
        self._older = array("I", [_ENDS])
        self._newer = array("I", [_ENDS])
        self._empty = array("I")  # slots that are free
        self._touched: dict[bytes, None] = {}

    def enter(self, key: bytes, size: int, *, oldest: bool = False, uses: int = 0) -> None:
        """A block is there, as the newest or as the oldest, used so often before."""
        self.leave(key)
        slot = self._slots[key] = self._new_slot()
        self._keys[slot], self._sizes[slot], self._uses[slot] = key, size, min(uses, USES_MAX)
        self.bytes += cost(size)
        self._link(slot, oldest)

    def leave(self, key: bytes) -> None:
        """A block is gone, or will be."""
        slot = self._slots.pop(key, None)
        self._touched.pop(key, None)
        if slot is not None:
            self.bytes -= cost(self._sizes[slot])
            self._unlink(slot)
            self._keys[slot] = b""
            self._empty.append(slot)

    def use(self, key: bytes) -> None:
        """A block was used just now."""
        slot = self._slots.get(key)
        if slot is None:
            return  # evicted while it was being read
        if self._uses[slot] < USES_MAX:
            self._uses[slot] += 1
        if self.policy == "lru":
            self._unlink(slot)
            self._link(slot)
        self._touched.pop(key, None)
        if len(self._touched) < TOUCHED_MAX:
            self._touched[key] = None

    def has_room(self, coming: int) -> bool:
        """Whether so many bytes may come in without a choice. A disk once full stays it until much has gone: what an
        eviction sets free is for those that were chosen."""
        if self.bytes + coming > self.budget:
            self._full = True
        elif self.bytes + coming <= self.budget - self.budget // NOT_FULL:
            self._full = False
        return not self._full

    def make_room(self, coming: int) -> list[bytes]:
        """Strike the blocks that must go for this many bytes to come in, and say which; ask again until none must."""
        excess = self.bytes + coming - self.budget
        if excess <= 0:
            return []
        self._full = True
        return self.shrink(min(excess + min(self.budget // LOW_WATER, LOW_WATER_MAX), STEP))

    def shrink(self, by: int) -> list[bytes]:
        """Strike blocks of at least so many bytes in all, or whatever there is, and say which."""
        victims: list[bytes] = []
        target, laps, asked = self.bytes - by, 0, 0
        while self._slots and self.bytes > target:
            slot = self._newer[_ENDS]
            spared = False
            if self.policy == "s3fifo" and self._uses[slot] and laps < LAPS_MAX:
                laps, spared = laps + 1, True
                self._uses[slot] -= 1
            elif asked < ASKED_MAX:
                asked, spared = asked + 1, self._used_above(self._keys[slot])
            if spared:
                self._unlink(slot)
                self._link(slot)
            else:
                victims.append(self._keys[slot])
                self.leave(victims[-1])
        return victims

    def take_touched(self) -> list[tuple[bytes, int]]:
        """What was used since this was last asked, in order of use, and how often it was in all."""
        touched, self._touched = self._touched, {}
        return [(key, self._uses[self._slots[key]]) for key in touched]

    def size(self, key: bytes) -> int | None:
        """The size of a block that is there."""
        slot = self._slots.get(key)
        return None if slot is None else self._sizes[slot]

    def rows(self) -> list[tuple[bytes, int]]:
        """All of it, in the order in which it goes."""
        found: list[tuple[bytes, int]] = []
        slot = self._newer[_ENDS]
        while slot != _ENDS:
            found.append((self._keys[slot], self._sizes[slot]))
            slot = self._newer[slot]
        return found

    def keys(self) -> list[bytes]:
        """All of it, in no order."""
        return list(self._slots)

    def __contains__(self, key: bytes) -> bool:
        return key in self._slots

    def __len__(self) -> int:
        return len(self._slots)

    def _new_slot(self) -> int:
        if self._empty:
            return self._empty.pop()
        self._keys.append(b"")
        for column in (self._sizes, self._uses, self._older, self._newer):
            column.append(0)
        return len(self._keys) - 1

    def _link(self, slot: int, oldest: bool = False) -> None:
        before = _ENDS if oldest else self._older[_ENDS]
        behind = self._newer[before]
        self._older[slot], self._newer[slot] = before, behind
        self._newer[before] = self._older[behind] = slot

    def _unlink(self, slot: int) -> None:
        before, behind = self._older[slot], self._newer[slot]
        self._newer[before], self._older[behind] = behind, before


def cost(size: int) -> int:
    """Bytes a file of this size takes: whole pages, and one for an empty file's own record."""
    return max(1, -(-size // PAGE)) * PAGE
