"""Flight: permits, not locks. One fill per key, however many ask.

Here lives single flight: who may fill, who waits, and what becomes of the permit when the filler dies.
Not here: what a fill does (edge/cache/loader).

The fill is a task of its own, so no caller owns it: a visitor who leaves takes nobody along, and when all have left the
fill still goes on and warms the cache. (nginx 880: a worker dies and its key stays "updating" for ever; groupcache: a
leader that panics leaves its waiters hanging. Here the permit of a dead filler passes to a follower.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

PASSES = 2  # times a caller takes over after a dead filler; past it the fault is no accident and is his to see


class Verdict(Exception):
    """Base of failures that *are* an answer: every follower shares it, nobody tries again."""


class Flight(Generic[K, V]):
    """Fills under way, by key."""

    def __init__(self) -> None:
        self._fills: dict[K, asyncio.Task[V]] = {}
        self.started = 0
        self.shared = 0  # callers who found the fill under way
        self.passed_on = 0  # permits taken over from a dead filler

    async def run(self, key: K, fill: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The value of the one fill of this key: joined if under way, else started here."""
        passes = 0
        while True:
            follower = key in self._fills
            task = self._fills.get(key) or self._start(key, fill)
            self.shared += follower
            # Not `await task` (our cancellation would be the fill's) and not `shield` (newer Pythons report an
            # exception that nobody waits for any more): wait() leaves the task alone and tells whose end it was.
            await asyncio.wait((task,))
            if not (follower and passes < PASSES and _died(task)):
                break
            passes += 1
            self.passed_on += 1
        if task.cancelled():
            raise FillerDied(f"the fill of {key!r} was cancelled")
        return task.result()

    def _start(self, key: K, fill: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        task = asyncio.get_running_loop().create_task(fill())
        self._fills[key] = task
        self.started += 1

        def land(done: asyncio.Task[V]) -> None:
            if self._fills.get(key) is done:
                del self._fills[key]
            if not done.cancelled():
                done.exception()  # seen here, or asyncio would report it when every caller had left

        task.add_done_callback(land)
        return task

    async def close(self) -> None:
        """End every fill; their callers get FillerDied."""
        tasks = list(self._fills.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def __len__(self) -> int:
        return len(self._fills)


class FillerDied(Exception):
    """The fill was cancelled from outside (the node is stopping) and nobody could take its place."""


def _died(task: asyncio.Task[V]) -> bool:
    """Whether a finished fill left no answer: cancelled, or ended by something that is not a Verdict."""
    return task.cancelled() or (task.exception() is not None and not isinstance(task.exception(), Verdict))
