"""Deadline: one timer for the whole life of a connection.

Here lives a timer whose moment may be moved at no cost. A request moves it many times and it nearly never fires: so
moving it away is one float, and only a nearer moment touches the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `expired` when the moment has come. `cancel` ends it for good."""

    __slots__ = ("_expired", "_loop", "_timer", "_timer_at", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired: Callable[[], None] | None = expired
        self.at: float | None = None  # of the loop's clock; may be moved later by assignment
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, seconds: float) -> None:
        """Expire so many seconds from now, whatever was set before."""
        if self._expired is None:
            return
        self.at = at = self._loop.time() + seconds
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = self._loop.call_at(at, self._fire), at

    def clear(self) -> None:
        """Nothing is awaited now."""
        self.at = None

    def cancel(self) -> None:
        """The connection is gone: hold on to nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._expired = self.at = None

    def _fire(self) -> None:
        self._timer = None
        if self.at is None or self._expired is None:
            return
        left = self.at - self._loop.time()
        if left > 0:
            self.set(left)
        else:
            self._expired()
