"""Waiting: requests that answer when something happens.

Here lives the one signal they wait on. Road not taken: asyncio.Condition, whose lock each of a thousand waiters takes
in turn before it may look.
"""

from __future__ import annotations

import asyncio


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
            _ring(waiter)

    def wait(self, seconds: float) -> asyncio.Future[None]:
        """Done at the next `notify`, or after so many seconds.

        Whoever calls waits from this moment on, not from the first await: a thing that happens right after the caller
        looked, and before the loop came to it, is not missed.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, _ring, waiter)

        def leave(_: asyncio.Future[None]) -> None:
            timer.cancel()
            self._waiters.discard(waiter)

        self._waiters.add(waiter)
        waiter.add_done_callback(leave)
        return waiter


def _ring(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
