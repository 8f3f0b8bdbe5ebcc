"""Loaded: what loading a block comes to, as values.

Here live a block with its source, the one way to have none, and the counts. Not here: the loading (edge/cache/loader).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from content.block import Block
from content.cid import CID
from edge.cache.flight import Verdict


class Source(StrEnum):
    """Where a block came from, nearest first."""

    MEMORY = "memory"
    DISK = "disk"
    PROCESS = "process"  # another process of this machine; counted so, and told as what that one says
    PEER = "peer"
    ORIGIN = "origin"
    GATEWAY = "gateway"


_ORDER = tuple(Source)


def farthest(seen: Collection[Source]) -> Source:
    """Of these the one that is farthest away; memory where there is none."""
    return max(seen, key=_ORDER.index, default=Source.MEMORY)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A block and where this node had it from."""

    block: Block
    source: Source


class Unavailable(Verdict):
    """Nobody who could be asked gave the block. `absent`: the origin was reached and has it not; `rest`: it asks to be
    left alone for so many seconds."""

    def __init__(self, cid: CID, absent: bool, tried: Sequence[str] = (), rest: float | None = None) -> None:
        why = "the origin has it not" if absent else "nobody who has it could be asked"
        if rest is not None:
            why = "the origin is busy"
        super().__init__(f"block {cid}: {why}{'; ' * bool(tried)}{'; '.join(tried)}")
        self.cid = cid
        self.absent = absent
        self.tried = tuple(tried)
        self.rest = rest


class Overloaded(Unavailable):
    """This node has as much under way as it can take, and begins no more for now: ask again after `rest` seconds."""

    def __init__(self, cid: CID, rest: float) -> None:
        super().__init__(cid, False, ["this node is overloaded"])
        self.rest = rest


@dataclass(slots=True)
class LoadCounts:
    """What loading came to, ever. Followers of a fill count in Flight.shared, not here."""

    loaded: Counter[Source] = field(default_factory=Counter)
    bytes: Counter[Source] = field(default_factory=Counter)
    unavailable: int = 0
    absent_hits: int = 0  # answered "nobody has it" from memory

    def add(self, loaded: Loaded) -> Loaded:
        """Count a block, and hand it on."""
        self.loaded[loaded.source] += 1
        self.bytes[loaded.source] += len(loaded.block.data)
        return loaded
