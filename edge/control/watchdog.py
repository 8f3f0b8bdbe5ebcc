"""Watchdog: how long the event loop was kept from turning.

Here lives the measuring. Whatever blocks the loop blocks every visitor, so a stall is a fault even where nothing fails.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from itertools import islice

STEP = 0.1  # s between two looks
WINDOW = 100  # looks remembered: ten seconds
LATELY = 20  # of them are of the last two seconds
OWN = 0.5  # of the time between two looks: a process that ran for so much of it is late by its own work
STALL = 0.05  # s beyond which a delay counts as a stall


class Watchdog:
    """Measures while `run` runs."""

    def __init__(self) -> None:
        self.stalls = 0
        self.own = 0.0  # s that the last look came late by this process's own work
        self._lags: deque[float] = deque(maxlen=WINDOW)

    @property
    def worst(self) -> float:
        """The longest stall of the last ten seconds, in seconds."""
        return max(self._lags, default=0.0)

    @property
    def lately(self) -> float:
        """The longest stall of the last two seconds, in seconds, whoever was at fault."""
        return max(islice(reversed(self._lags), LATELY), default=0.0)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asleep, worked = loop.time(), time.process_time()
            await asyncio.sleep(STEP)
            took = loop.time() - asleep
            lag = max(0.0, took - STEP)
            is_own = time.process_time() - worked > took * OWN  # else others have the machine, or we were stopped
            self.own = lag if is_own else 0.0
            self._lags.append(lag)
            self.stalls += lag > STALL
