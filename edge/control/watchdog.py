"""Watchdog: how long the event loop was kept from turning.

Here lives the measuring. Whatever blocks the loop blocks every visitor, so a stall is a fault even where nothing fails.
"""

from __future__ import annotations

import asyncio
from collections import deque

STEP = 0.1  # s between two looks
WINDOW = 100  # looks remembered: ten seconds
STALL = 0.05  # s beyond which a delay counts as a stall


class Watchdog:
    """Measures while `run` runs."""

    def __init__(self) -> None:
        self.stalls = 0
        self._lags: deque[float] = deque(maxlen=WINDOW)

    @property
    def worst(self) -> float:
        """The longest stall of the last ten seconds, in seconds."""
        return max(self._lags, default=0.0)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asleep = loop.time()
            await asyncio.sleep(STEP)
            lag = max(0.0, loop.time() - asleep - STEP)
            self._lags.append(lag)
            self.stalls += lag > STALL
