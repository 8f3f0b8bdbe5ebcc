"""Doubts: what becomes of a node that was silent, or slower than another.

Here lives the inquiry: it is skipped at once, and its health question decides whether it is dead, slow, or well. Not
here: the book that is kept of it (edge/peers/members), or the silence itself (edge/peers/silence).

The inquiry belongs to nobody's question: a visitor who has left, or was answered by another, leaves none hanging in
suspicion.
"""

from __future__ import annotations

import asyncio

from edge.peers.members import STRIKES, Members
from edge.peers.pulse import Pulses

WELL = 0.05  # s within which a healthy node answers for its health, whatever else it waits for


class Doubts:
    """One node's doubts about the others, by the name they have in the book."""

    def __init__(self, members: Members, pulses: Pulses) -> None:
        self._members = members
        self._pulses = pulses
        self._inquiries: dict[str, asyncio.Task[None]] = {}

    def silent(self, name: str, url: str) -> None:
        """It answers neither a question nor for its health: nobody asks it until that is cleared up."""
        self._members.suspect(name)
        self._members.slow(name)
        self._inquire(name, url, 0.0)

    def outrun(self, name: str, url: str, seconds: float) -> None:
        """Another answered before it, this long after it was asked. It may be slow, or wait for somebody itself, which
        is no fault of its own: then it answers for its health at once."""
        self._inquire(name, url, max(seconds, WELL))

    def _inquire(self, name: str, url: str, within: float) -> None:
        if name not in self._inquiries:
            task = asyncio.get_running_loop().create_task(self._look(name, url, within))
            self._inquiries[name] = task
            task.add_done_callback(lambda _: self._inquiries.pop(name, None))

    async def _look(self, name: str, url: str, within: float) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        if not await self._pulses.of(url):
            self._members.failure(name, STRIKES)
            return
        if loop.time() - since > within:
            self._members.slow(name)
        self._members.cleared(name)

    async def close(self) -> None:
        """Inquire no more."""
        tasks = list(self._inquiries.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
