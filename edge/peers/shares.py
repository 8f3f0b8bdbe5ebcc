"""Shares: who owns a block among the processes of one machine. A pure function, as the ring's is.

Here lives placement below the machine: the ring (edge/peers/ring) says which machine owns a block, this says which of
its processes writes it to disk, deletes it there, and fetches it when nobody on the machine has it. Not here: asking
another process (edge/cache/sources), or which ones live (edge/processes).

Rendezvous again, under a seed of its own: the blocks of one machine spread evenly over its processes, and one process
more moves only its fair share of files to another owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

_MEMO = 65_536


@dataclass(frozen=True, slots=True)
class Shares:
    """This process among those of its machine. `urls` are their inner listeners, by index."""

    index: int = 0
    urls: tuple[str, ...] = ("",)

    @property
    def count(self) -> int:
        return len(self.urls)

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(index for index in range(self.count) if index != self.index)

    def is_mine(self, key: bytes) -> bool:
        """Whether this process is the block's owner here (of a block's key, CID.store_key)."""
        return share_of(key, self.count) == self.index

    def name(self, index: int) -> str:
        """Its name in the book of health; no member's name holds a space."""
        return f"process {index}"


@lru_cache(_MEMO)
def share_of(key: bytes, count: int) -> int:
    """The index of the process that owns this block on a machine of `count` processes."""
    if count == 1:
        return 0
    return max(range(count), key=lambda index: blake2b(key, digest_size=8, key=b"process %d" % index).digest())
