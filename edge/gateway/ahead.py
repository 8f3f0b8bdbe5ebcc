"""Ahead: blocks of an archive, loaded while those before them are sent.

Here lives a guess at what a depth-first walk asks for next: the links of the block that it just got, in order. A wrong
guess costs a block that somebody else may want; what is asked for is what the walk says. Not here: the walks
(content/carwalk, content/tar), and files, which know their leaves (edge/cache/loader.read).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from content.block import Block
from content.cid import CID, RAW
from content.errors import ContentError
from content.limits import KiB
from content.walk import links
from edge.cache.loader import WINDOW
from edge.gateway.reader import Reader

_LARGE = 256 * KiB  # a node above this is a folder of thousands: reading it once more costs more than a guess saves
_GUESSES = 2_048  # links that wait for their turn


class Ahead:
    """One archive's. `top`: from this block on all that it links to is wanted; None: nothing is guessed. Close it."""

    def __init__(self, reader: Reader, top: CID | None) -> None:
        self._reader = reader
        self._top = top
        self._has_begun = False
        self._guesses: deque[CID] = deque()
        self._begun: dict[CID, asyncio.Task[Block]] = {}  # in the order that they are expected in

    async def block(self, cid: CID) -> Block:
        """The block. Raises as Reader.block does."""
        if cid in self._begun:
            while (first := next(iter(self._begun))) != cid:  # passed over: it was sent before, or is not wanted
                self._begun.pop(first).cancel()
            block = await self._begun.pop(cid)
        else:
            block = await self._reader.block(cid)
        self._has_begun = self._has_begun or cid == self._top
        if self._has_begun:
            self._guess(cid, block)
        return block

    def close(self) -> None:
        """End what is under way: the waiting, not the fills, which warm the cache."""
        for task in self._begun.values():
            task.cancel()
        self._begun.clear()

    def _guess(self, cid: CID, block: Block) -> None:
        if cid.codec != RAW and len(block.data) <= _LARGE:
            try:
                below = links(block if block.cid == cid else Block(cid, block.data))
            except ContentError:
                below = []  # the walk will say so
            self._guesses.extendleft(reversed(below[:_GUESSES]))
            while len(self._guesses) > _GUESSES:
                self._guesses.pop()
        while self._guesses and len(self._begun) < WINDOW:
            guess = self._guesses.popleft()
            if guess not in self._begun:
                self._begun[guess] = _begin(self._reader.block(guess))


def _begin(waiting: Coroutine[Any, Any, Block]) -> asyncio.Task[Block]:
    """In a task of its own, whose failure may go unseen."""
    task = asyncio.ensure_future(waiting)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
