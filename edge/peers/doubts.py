"""Doubts: what becomes of a node that was silent, or slower than another.

Here lives the inquiry: it is skipped at once, and its health question decides whether it is dead, slow, or well. Not
here: the book that is kept of it (edge/peers/members), or the silence itself (edge/peers/silence).

The inquiry belongs to nobody's question: a visitor who has left, or was answered by another, leaves none hanging in
suspicion.
"""

from __future__ import annotations

import asyncio
import math

from edge.peers.members import STRIKES, Members
from edge.peers.pulse import WELL, Pulses

APART = 0.5  # s between two inquiries into one node for being late
NAMES = 8_192  # of which that is remembered


class Doubts:
    """One node's doubts about the others, by the name they have in the book."""

    def __init__(self, members: Members, pulses: Pulses) -> None:
        self._members = members
        self._pulses = pulses
        self._inquiries: dict[str, asyncio.Task[None]] = {}
        self._looked: dict[str, float] = {}  # when an inquiry for being late began

    def silent(self, name: str, url: str, trip: float = 0.0) -> None:
        """It answers neither a question nor for its health: nobody asks it until that is cleared up."""
        self._members.suspect(name)
        self._members.slow(name)
        self._inquire(name, url, trip, was_silent=True)

    def late(self, name: str, url: str, trip: float = 0.0) -> None:
        """It has not answered by when nearly all do. It may be slow, or wait for somebody itself, which is no fault of
        its own: then it answers for its health at once. One question in twenty is late by definition: not each of them
        is worth a connection."""
        now = asyncio.get_running_loop().time()
        if now - self._looked.get(name, -math.inf) < APART:
            return
        if len(self._looked) >= NAMES:
            self._looked.clear()
        self._looked[name] = now
        self._inquire(name, url, trip, was_silent=False)

    def are_open(self, name: str) -> bool:
        """Whether an inquiry is under way: until it ends, no answer says that all is well."""
        return name in self._inquiries

    def _inquire(self, name: str, url: str, trip: float, *, was_silent: bool) -> None:
        if name not in self._inquiries:
            task = asyncio.get_running_loop().create_task(self._look(name, url, trip, was_silent))
            self._inquiries[name] = task
            task.add_done_callback(lambda _: self._inquiries.pop(name, None))

    async def _look(self, name: str, url: str, trip: float, was_silent: bool) -> None:
        """Each slow answer is a strike, and it is asked again at once, so that no visitor pays for the next one."""
        if was_silent:  # the answer that comes now is late by as much as nobody doubts without
            if not await self._pulses.of(url, trip):
                self._members.failure(name, STRIKES)
                return
            self._members.slow(name)
        for _ in range(STRIKES):
            seconds = await self._pulses.takes(url, trip)
            if seconds is None:
                self._members.failure(name, STRIKES)
                return
            if seconds <= WELL + 2 * trip or self._members.slow(name):
                break
        self._members.cleared(name)

    async def close(self) -> None:
        """Inquire no more."""
        tasks = list(self._inquiries.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
