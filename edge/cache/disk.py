"""Disk: the second tier. STUB with the real signatures; the working one follows within the hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from content.block import Block
from content.cid import CID


@dataclass(slots=True)
class DiskCounts:
    """What happened, ever."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    quarantined: int = 0
    skipped: int = 0
    read_errors: Counter[str] = field(default_factory=Counter)
    write_errors: Counter[str] = field(default_factory=Counter)
    index_errors: Counter[str] = field(default_factory=Counter)
    rebuilds: int = 0


class DiskTier:
    """Blocks in files named by their multihash, within a budget of bytes."""

    def __init__(self, folder: Path, budget: int, *, owner: bool = True) -> None:
        self.counts = DiskCounts()
        self.budget = budget
        self.bytes = 0

    async def open(self) -> None:
        """Begin to serve at once; the index is read (or rebuilt) behind it."""

    async def ready(self) -> None:
        """Wait until the index is whole."""

    async def get(self, cid: CID) -> Block | None:
        """The block, verified; None when absent or when what lay there was not it."""
        return None

    def offer(self, block: Block) -> bool:
        """Store it soon, if all is well; never waits, never raises. False: not taken."""
        return False

    async def put(self, block: Block) -> bool:
        """Store it; True once it lies under its name. Never raises for a sick disk."""
        return False

    async def remove(self, cids: Iterable[CID]) -> None:
        """Take blocks away (a purge, a denied CID)."""

    async def close(self) -> None:
        """Write down what is still to be written, and let go of everything."""

    def __contains__(self, cid: CID) -> bool:
        return False

    def __len__(self) -> int:
        return 0
