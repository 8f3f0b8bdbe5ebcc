"""Loader: blocks as others ask for them, one by one, along a walk, or as the bytes of a file.

Here live the driver of walks and the read-ahead of files. Not here: where a block comes from (edge/cache/ladder), or
how it is taken away (edge/cache/dropping).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Hashable, Iterable
from itertools import starmap
from typing import Any, TypeVar

from content.limits import BLOCKS_BEFORE_FIRST_BYTE, KiB, MiB, check
from content.walk import Leaf, Walk
from edge.cache.dropping import SLICE, Dropping
from edge.cache.loaded import LoadCounts, Loaded, Source, Unavailable

__all__ = ["LoadCounts", "Loaded", "Loader", "Source", "Unavailable"]

T = TypeVar("T")

WINDOW = 8  # blocks of a file read ahead: 8 MiB, about what 100 Mbit/s carries while the farthest source answers
BREATH = 64 * KiB  # bytes of a walk between two breaths of the event loop: so many are 1,000 links or more, 10 ms


class Loader(Dropping):
    """All tiers and all sources, for everybody in this node."""

    async def run(
        self,
        walk: Walk[T],
        *,
        tier: int = 0,
        seen: set[Source] | None = None,
        limit: int | None = BLOCKS_BEFORE_FIRST_BYTE,
    ) -> T:
        """Drive a walk to its end over `get`. `seen` collects where its blocks came from. Raises Unavailable."""
        asked = read = 0
        try:
            cid = next(walk)
            while True:
                asked += 1
                if limit is not None:
                    check("blocks looked at before the first byte", asked, limit)
                if asked % SLICE == 0 or read >= BREATH:
                    read = 0
                    await asyncio.sleep(0)  # a walk through memory alone would never let anybody else run
                loaded = await self.get(cid, tier)
                read += len(loaded.block.data)
                if seen is not None:
                    seen.add(loaded.source)
                cid = walk.send(loaded.block)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            walk.close()

    async def read(
        self, leaves: Iterable[Leaf], *, seen: set[Source] | None = None, window: int = WINDOW
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of these leaves in order, up to `window` blocks read ahead. Raises Unavailable, BadNode.

        The window opens as the reader goes on (1, 2, 4, 8): who reads one block of a long file costs one block. It
        stays shut while much waits for readers already: 30 that take a byte now and then would have all misses refused.
        Close it when leaving early (contextlib.aclosing).
        """
        rest = iter(leaves)
        ahead: deque[tuple[Leaf, Loaded | asyncio.Task[Loaded]]] = deque()
        width = 1
        try:
            while True:
                while len(ahead) < width and (leaf := next(rest, None)) is not None:
                    ahead.append((leaf, self._at_hand(leaf.cid) or _begin(self.get(leaf.cid))))
                if not ahead:
                    return
                leaf, begun = ahead.popleft()
                loaded = begun if isinstance(begun, Loaded) else await begun
                if seen is not None:
                    seen.add(loaded.source)
                width = min(width * 2, window) if self.pressure.may_read_ahead else 1
                piece = leaf.cut(loaded.block)
                del loaded, begun
                waits = {id(piece): len(piece), **dict(starmap(_waits, ahead))}
                self.pressure.wait(waits)
                try:
                    yield piece
                finally:
                    self.pressure.taken(waits)
        finally:
            for _, begun in ahead:
                if isinstance(begun, asyncio.Task):
                    begun.cancel()  # the wait, not the fill: that goes on and warms the cache


def _waits(leaf: Leaf, begun: Loaded | asyncio.Task[Loaded]) -> tuple[Hashable, int]:
    """What waits there for a reader, and its bytes. Many may wait with the same ones: those of a block that lies in
    memory, or of one that comes (a fill has one end for all who wait for it)."""
    if isinstance(begun, asyncio.Task):
        if not begun.done() or begun.cancelled() or begun.exception():
            return leaf.cid, leaf.size or MiB
        begun = begun.result()
    return id(begun.block.data), len(begun.block.data)


def _begin(waiting: Coroutine[Any, Any, Loaded]) -> asyncio.Task[Loaded]:
    """Wait for a block in a task of its own, whose failure may go unseen when its reader leaves."""
    task = asyncio.ensure_future(waiting)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
