"""Admission: what may enter a tier, and when it may not.

Here live the decisions as values: size against a tier's budget, a door that shuts while a disk is sick, and probation,
where blocks wait while the disk is full. Not here: the tiers (memory, disk), or what leaves them (inventory).

As long as there is room, everything that fits goes to disk at first sight: so an edge can promise that what it has
served once, it serves with the origin dead. On a full disk that promise would cost another block's place, and three of
four objects of a CDN are asked for once. There a block is on probation in memory, S3-FIFO's small queue, and reaches
the disk when it is used again, or when it comes back as a ghost.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from content.block import Block
from content.limits import MiB
from edge.cache.ghosts import Ghosts
from edge.cache.inventory import PAGE, cost

MEMORY_SHARE = 8  # one block may take 1/8 of the memory tier, or a long file read once would empty it
DISK_SHARE = 8  # the same for the disk tier
PROBATION_SHARE = 10  # S3-FIFO's small queue: 1/10 of the disk's budget ...
PROBATION_MAX = 32 * MiB  # ... but of memory; the ghosts see to it that a shorter one decides as well
GHOST_SHARE = 10  # ghosts stand for all of the budget but a tenth
DOOR_SHUT = 1.0  # s; space that returns is used again after at most this


def fits_memory(size: int, budget: int) -> bool:
    """Whether a value of this size may enter a memory tier of this budget."""
    return size <= budget // MEMORY_SHARE


def fits_disk(size: int, budget: int) -> bool:
    """Whether a block of this size may enter a disk tier of this budget."""
    return size <= budget // DISK_SHARE


class Probation:
    """Blocks seen once while the disk was full, first come first gone, and the ghosts of those that went."""

    def __init__(self, disk_budget: int) -> None:
        self.budget = min(disk_budget // PROBATION_SHARE, PROBATION_MAX)
        self.bytes = 0
        self._blocks: OrderedDict[bytes, Block] = OrderedDict()
        self._ghosts = Ghosts((disk_budget - disk_budget // GHOST_SHARE) // PAGE)

    def knew(self, key: bytes) -> bool:
        """Whether the block was here lately: one that comes back is worth its place on disk. Asked once."""
        return self._ghosts.take(key)

    def enter(self, key: bytes, block: Block) -> None:
        """Take a block in."""
        self.take(key)
        self._blocks[key] = block
        self.bytes += cost(len(block.data))

    def overflow(self) -> Iterator[tuple[bytes, Block]]:
        """Those that must leave, first come first, each as it leaves."""
        while self.bytes > self.budget:
            key, block = self._blocks.popitem(last=False)
            self.bytes -= cost(len(block.data))
            yield key, block

    def forget(self, key: bytes, block: Block, held: int) -> None:
        """A block was not worth its place: it is a ghost now. `held` is how many blocks the disk holds."""
        self._ghosts.add(key, cost(len(block.data)) // PAGE, held)

    def take(self, key: bytes) -> Block | None:
        """A block leaves: it was used again, or is not to be kept."""
        block = self._blocks.pop(key, None)
        if block is not None:
            self.bytes -= cost(len(block.data))
        return block

    def __contains__(self, key: bytes) -> bool:
        return key in self._blocks

    def __len__(self) -> int:
        return len(self._blocks)


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
