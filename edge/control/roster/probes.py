"""Probes: whether one that is out, or under suspicion, is well again, asked off the visitors' path.

Here lives the loop. When a member's back-off is over, its health is asked for (GET /healthz, on a connection of its
own), so that no visitor's question is the one that finds out. Not here: what the answer means (edge/peers/members).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from edge.peers.members import Members

TICK = 0.25  # s between two looks at who is due


class Probes:
    """Asks who is due. `url` gives a member's address, None for one that is in the ring no more."""

    def __init__(
        self, members: Members, url: Callable[[str], str | None], alive: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._members = members
        self._url = url
        self._alive = alive
        self._asking: set[asyncio.Task[None]] = set()
        self.sent = 0

    async def run(self) -> None:
        """Probe, until cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(TICK * random.uniform(0.5, 1.0))  # noqa: S311 (spreads, guards nothing)
        finally:
            for task in self._asking:
                task.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)

    def look(self) -> None:
        """Send a probe to each that is due."""
        for name in self._members.due():
            if (url := self._url(name)) is None:
                continue
            self._members.probed(name)
            self.sent += 1
            task = asyncio.create_task(self._probe(name, url))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _probe(self, name: str, url: str) -> None:
        if await self._alive(url):
            self._members.success(name)
        else:
            self._members.failure(name)
