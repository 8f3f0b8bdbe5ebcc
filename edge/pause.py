"""Pause: when this process stood still, it may not know what was purged meanwhile.

Here lives the finding out, and the holding of public answers until the Head is confirmed or a second has passed. Not
here: confirming (edge/control/head), answering (edge/app, edge/http/protocol).

A process that was stopped (SIGSTOP, a paused container or machine) goes on as if nothing had been, with requests of the
meantime in its sockets' buffers. Its loop sees the clock jump. Availability comes first all the same: without an origin
it serves on after a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

JUMP = 1.0  # s between two looks that mean a pause
HOLD = 1.0  # s that answers are held at most
AGAIN = 0.05  # s before an origin that could not be asked is asked again
STEP = 0.1  # s between two looks of its own


class Pause:
    """Looks at the clock. Not at the loop's own: that stands still within one turn, whatever happens meanwhile."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.confirm: Callable[[], Awaitable[bool]] | None = None  # whether the Head is the newest; by edge/assembly
        self.seen = 0  # pauses so far
        self.is_held = False
        self._last = self.clock()
        self._asleep = _asleep()
        self._open = asyncio.Event()
        self._open.set()
        self._task: asyncio.Task[None] | None = None

    def look(self) -> bool:
        """Whether answers are held now. Asked before anything that was read from a socket is answered."""
        now = self.clock()
        if now - self._last > JUMP:
            self._begin()
        self._last = now
        return self.is_held

    async def over(self) -> None:
        """Wait until answers may be given."""
        self.look()
        await self._open.wait()

    async def run(self) -> None:
        """Look by itself too; also at the clock that goes on while the machine sleeps, which the loop's does not."""
        while True:
            await asyncio.sleep(STEP)
            self.look()
            asleep, self._asleep = self._asleep, _asleep()
            if self._asleep - asleep > JUMP:
                self._begin()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self) -> None:
        self.seen += 1
        self.is_held = True
        self._open.clear()
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.ensure_future(self._hold())

    async def _hold(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD):
                while self.confirm is not None and not await self.confirm():  # noqa: ASYNC110 - no event tells of it
                    await asyncio.sleep(AGAIN)
        self.is_held = False
        self._open.set()

    def __repr__(self) -> str:
        return f"<Pause {self.seen} seen{', holding' if self.is_held else ''}>"


def _asleep() -> float:
    """Seconds that this machine has slept since it was started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
