"""Keeping: the Head that is served, on this edge's disk, and how far that has come.

Here lives the writing, one at a time and each to its end, and what is known of it: which Head a restart would begin
with, and which the origin may be told of. Not here: which Head that is (edge/control/head), the purges that it owes
(owed), the files (stored).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from content.errors import ContentError
from edge.control.owed import Owed
from edge.control.stored import HeadStore, StoredHead
from edge.control.trust import Handover
from edge.control.views import Head

logger = logging.getLogger("rim.edge")


class Keeping:
    """What is on the disk, where `shown` is served. `kept`: the sequence that a restart would begin with. `stored`: the
    one that is there with no purge owed, which the origin is told. `unstored`: how often the disk took none, ever."""

    def __init__(self, store: HeadStore, owed: Owed, shown: Callable[[], Head | None]) -> None:
        self.store = store
        self._shown = shown
        self.kept = self.stored = self.unstored = 0
        self._owed = owed
        self._writing = asyncio.Lock()  # beside a Head's being taken: who stops waits for no Index

    def recall(self, sequence: int) -> None:
        """A Head of this sequence was found there, with what is owed now."""
        self.kept = sequence
        self.stored = 0 if self._owed.sites else sequence

    def renewed(self) -> None:
        """What lies there ends sooner than what is served."""
        self.kept = 0

    async def save(self, head: Head) -> None:
        """Write it down, with what it owes. On a full disk the edge goes on with it all the same, but gives no receipt:
        the origin is told of what is stored, and done."""
        async with self._writing:
            await self._save(head)

    async def once_more(self) -> None:
        """Write down what is shown, if that could not be done before. Who stops may start without the origin."""
        async with self._writing:
            await self._once_more()

    async def move(self, store: HeadStore) -> None:
        """Write there from now on. On return nothing is on its way to where it was written, and what found no room
        there has been tried once more: whoever goes on from there must not go back behind what is shown here."""
        async with self._writing:
            await self._once_more()
            self.store = store

    async def trust(self, handovers: tuple[Handover, ...]) -> None:
        """Write down the keys that are believed. Raises OSError."""
        async with self._writing:
            await _to_its_end(partial(self.store.trust, handovers))

    async def _once_more(self) -> None:
        head = self._shown()
        if head is not None and self.kept < head.sequence:
            await self._save(head)

    async def _save(self, head: Head) -> None:
        owed = self._owed.blocks
        stored = StoredHead(head.raw, head.catalog, tuple(head.world.blocks.values()), owed)
        try:
            await _to_its_end(partial(self.store.save, stored))
        except (OSError, ContentError) as error:  # no room on the disk, or in a block for all the sites that owe
            self.unstored += 1
            logger.error("the Head cannot be stored: %s", error)
            return
        self.kept = head.sequence
        if not owed:
            self.stored = self.kept

    def __repr__(self) -> str:
        return f"<Keeping: {self.kept} kept, {self.stored} stored>"


async def _to_its_end(write: Callable[[], None]) -> None:
    """Write in a thread, and do not leave before it has ended, even when cancelled: no thread can be called back, and
    one that wrote on while the next Head is stored could put the older one in its place."""
    writing = asyncio.ensure_future(asyncio.to_thread(write))
    given_up: asyncio.CancelledError | None = None
    while not writing.done():
        try:
            await asyncio.wait({writing})
        except asyncio.CancelledError as error:  # more than once, where a pause ends and another begins
            given_up = error
    if given_up is not None:
        writing.exception()  # nobody is left to hear of it
        raise given_up
    writing.result()
