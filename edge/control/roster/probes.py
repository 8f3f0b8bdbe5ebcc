"""Probes: whether one that is out is well again, asked off the visitors' path.

Here lives the loop. When a member's back-off is over, its health is asked for (GET /healthz, on a connection of its
own), so that no visitor's question is the one that finds out. Who was ejected for slowness must answer in time, too.
Not here: what the answer means (edge/peers/members), suspicions (edge/peers/doubts).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from edge.peers.members import Members
from edge.peers.ring import Member

TICK = 0.25  # s between two looks at who is due
IN_TIME = 0.25  # s for a connection and an answer within the region: one that stalls for half a second is not well ...
FAR_IN_TIME = 0.75  # ... and two trips more from another one, up to this: they may be around the world


class Probes:
    """Asks who is due. `member` gives who has this name, None for one that is in the ring no more; `region` is ours;
    `trip`: s there and back to an address in another."""

    def __init__(
        self,
        members: Members,
        member: Callable[[str], Member | None],
        region: str,
        alive: Callable[[str], Awaitable[bool]],
        trip: Callable[[str], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members = members
        self._member = member
        self._region = region
        self._alive = alive
        self._trip = trip
        self._clock = clock
        # Of its own: what draws four times a second from the one that all share is no part of another's sequence.
        self._jitter = random.Random()  # noqa: S311 (spreads, guards nothing)
        self._asking: set[asyncio.Task[None]] = set()
        self.sent = 0

    async def run(self) -> None:
        """Probe, until cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(TICK * self._jitter.uniform(0.5, 1.0))
        finally:
            for task in self._asking:
                task.cancel()
            await asyncio.gather(*self._asking, return_exceptions=True)

    def look(self) -> None:
        """Send a probe to each that is due."""
        for name in self._members.due():
            if (member := self._member(name)) is None:
                continue
            self._members.probed(name)
            self.sent += 1
            task = asyncio.create_task(self._probe(member))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _probe(self, member: Member) -> None:
        name, since = member.name, self._clock()
        if not await self._alive(member.url):
            self._members.failure(name)
        elif self._members.was_slow(name) and self._clock() - since > self._in_time(member):
            self._members.slow(name)
        else:
            self._members.success(name)

    def _in_time(self, member: Member) -> float:
        """One that is near, though of another region, has no ocean to be late by."""
        return IN_TIME if member.region == self._region else min(FAR_IN_TIME, IN_TIME + 2 * self._trip(member.url))
