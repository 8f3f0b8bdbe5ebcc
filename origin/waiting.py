"""Waiting: requests that answer when something happens.

Here lives the one signal they wait on. Road not taken: asyncio.Condition, whose lock each of a thousand waiters takes
in turn before it may look.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Signal:
    """Something that happens again and again. Every waiter of a moment is woken by one `notify`."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"<Signal {len(self._waiters)} waiting>"

    def notify(self) -> None:
        """Wake all. Only from the event loop's own thread."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Until the next `notify`, or so many seconds."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        finally:
            self._waiters.discard(waiter)
