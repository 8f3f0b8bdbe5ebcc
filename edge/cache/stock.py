"""Stock: what lies on disk, what the index says and what the book knows, brought in line.

Here live the taking of stock at a start (the index's rows, then a walk over names and sizes), the winning back of an
index that was lost, and the writing down of uses. Not here: rows and files themselves (shelf), the book (inventory), or
when (disk). All of it in short breaths, for visitors are served meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeVar

from edge.cache.inventory import Inventory
from edge.cache.shelf import PREFIXES, Shelf

T = TypeVar("T")

BREATH = 128  # rows taken up between two breaths of the event loop


class Writer(Protocol):
    """Runs a call on the writing thread; None when disk or index failed, which it has counted."""

    async def __call__(self, call: Callable[..., T], *arguments: object) -> T | None: ...


class Stock:
    """`owns` says which keys are ours; `coming` are those on their way to the disk."""

    def __init__(
        self,
        shelf: Shelf,
        held: Inventory,
        write: Writer,
        owns: Callable[[bytes], bool],
        coming: Collection[bytes],
    ) -> None:
        self.rebuilds = 0
        self._shelf = shelf
        self._held = held
        self._write = write
        self._owns = owns
        self._coming = coming
        self._left: set[bytes] | None = None  # what goes while a folder is looked at

    def left(self, keys: Iterable[bytes]) -> None:
        """These are being removed: who looked at their folder before must not take them up."""
        if self._left is not None:
            self._left.update(keys)

    async def take(self, is_over: Callable[[], bool]) -> None:
        """Open the index, or make a new one, and enter all that lies there, unless it is over before."""
        await self._walk(await self._read_rows(is_over) if await self._open_index() else {}, is_over)

    async def write_uses(self) -> None:
        """Write down what was used; where there is no index, try to win it back."""
        if not self._shelf.has_index and await self._open_index():
            await self._level_rows()
        if self._shelf.has_index:
            for page in _pages(self._held.take_touched()):
                await self._write(self._shelf.touch, page)

    async def _open_index(self) -> bool:
        """Whether there is an index now."""
        found = await self._write(self._shelf.open_index)
        self.rebuilds += found == "rebuilt"
        return found is not None

    async def _read_rows(self, is_over: Callable[[], bool]) -> dict[int, set[bytes]]:
        """Take up what the index says, last used first. The keys by folder, for the walk to check."""
        known: defaultdict[int, set[bytes]] = defaultdict(set)
        rows = self._shelf.rows(BREATH)
        while not is_over() and (page := await self._write(lambda: next(rows, []))):
            for key, size, uses in page:
                known[_folder(key)].add(key)
                if key not in self._held and self._owns(key):
                    self._held.enter(key, size, oldest=True, uses=uses)
        return known

    async def _walk(self, known: dict[int, set[bytes]], is_over: Callable[[], bool]) -> None:
        """Hold the names and sizes on disk against what is known, one folder at a time."""
        for number, prefix in enumerate(PREFIXES):
            if is_over():
                return
            rowed = frozenset(known.pop(number, ()))
            self._left = set()
            found, gone = await self._write(self._shelf.walk, prefix, rowed, self._owns) or ([], [])
            for page in _pages(found):
                await self._take_up(page, rowed)
            self._left = None
            for keys in _pages(gone):
                for key in keys:
                    self._held.leave(key)
                await self._write(self._shelf.drop_rows, keys)

    async def _take_up(self, found: list[tuple[bytes, int]], rowed: frozenset[bytes]) -> None:
        """Enter what lies there and is not known, and give it rows."""
        passing = self._left or ()  # out since the folder was looked at
        new = [
            (key, size)
            for key, size in found
            if key not in passing and key not in self._coming and (key not in rowed or self._held.size(key) != size)
        ]
        for key, size in new:
            if self._held.size(key) != size:
                self._held.enter(key, size, oldest=True)
        await (self._write(self._shelf.add_rows, new) if new else asyncio.sleep(0))

    async def _level_rows(self) -> None:
        """Make the rows of an index won back say what is held."""
        rowed: set[bytes] = set()
        rows = self._shelf.rows(BREATH)
        while page := await self._write(lambda: next(rows, [])):
            rowed.update(key for key, _, _ in page)
        for keys in _pages(self._held.keys()):
            lacking = [(key, self._held.size(key)) for key in keys if key not in rowed and key in self._held]
            await (self._write(self._shelf.add_rows, lacking) if lacking else asyncio.sleep(0))
        for keys in _pages(list(rowed)):
            surplus = [key for key in keys if key not in self._held]
            await (self._write(self._shelf.drop_rows, surplus) if surplus else asyncio.sleep(0))


def _pages(rows: list[T]) -> Iterable[list[T]]:
    return (rows[start : start + BREATH] for start in range(0, len(rows), BREATH))


def _folder(key: bytes) -> int:
    return key[3]  # room, two bytes of multihash head, then the digest
