"""Admission: what may enter a tier, and when it may not.

Here live the two decisions as values: size against a tier's budget, and a door that shuts while a disk is sick.
Not here: the tiers (memory, disk), or what leaves them.

Everything that fits goes to disk at first sight. Admission on the second hit would halve the writes (three of four
objects of a CDN are asked for once), but then an edge could not promise that what it has served once, it serves with
the origin dead.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MEMORY_SHARE = 8  # one block may take 1/8 of the memory tier, or a long file read once would empty it
DISK_SHARE = 8  # the same for the disk tier
DOOR_SHUT = 1.0  # s; space that returns is used again after at most this


def fits_memory(size: int, budget: int) -> bool:
    """Whether a value of this size may enter a memory tier of this budget."""
    return size <= budget // MEMORY_SHARE


def fits_disk(size: int, budget: int) -> bool:
    """Whether a block of this size may enter a disk tier of this budget."""
    return size <= budget // DISK_SHARE


class Door:
    """Open until something breaks, then shut for a moment: a full disk is not tried again for every block."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, shut_for: float = DOOR_SHUT) -> None:
        self._clock = clock
        self._shut_for = shut_for
        self._until = float("-inf")

    @property
    def is_open(self) -> bool:
        return self._clock() >= self._until

    def shut(self) -> None:
        """Something broke just now."""
        self._until = self._clock() + self._shut_for
