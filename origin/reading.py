"""Reading: the store as the source of walks.

Here lives the driver for content's walks over this origin's own blocks. Not here: the walks (content).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from content import tree
from content.asking import Walk, drive
from content.block import Block
from content.cid import CID

T = TypeVar("T")


class Readable(Protocol):
    """All that a walk needs of a store."""

    def get(self, cid: CID) -> Block | None:
        """The block, verified, or None."""


class Absent(Exception):
    """A walk needs a block that is not here (or that the disk no longer gives whole)."""

    def __init__(self, cid: CID) -> None:
        super().__init__(f"block {cid} is not in the store")
        self.cid = cid


def source(store: Readable) -> Callable[[CID], Block]:
    """Blocks for `drive`. Raises Absent. The empty tree is known without being stored."""

    def get(cid: CID) -> Block:
        block = store.get(cid)
        if block is None:
            if cid == tree.EMPTY.cid:
                return tree.EMPTY
            raise Absent(cid)
        return block

    return get


def read(store: Readable, walk: Walk[T]) -> T:
    """Run a walk over the store. Raises Absent."""
    return drive(walk, source(store))
