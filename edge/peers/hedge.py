"""Hedge: the owners of a block are asked in turn, and the second a little before the first has failed.

Here lives one rung's race: who is asked first, who in his place, who beside him; the first verified answer wins. Not
here: one question (edge/peers/asker), or which rungs there are (edge/cache/loader).

Any node's bytes verify, so the first answer is safe. What is not free is a second *fill*: it would have a block leave
the origin twice. So a hedge, sent at the measured p95, asks for what the second choice holds. Only an owner that
failed, or is silent on a second connection too (edge/peers/silence), is replaced: the next in order is asked to fill.
(Hedges that fill were tried on paper: a slow origin makes all owners late, each of them is hedged, and the origin gets
twice the work.)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from edge.peers.client import Answer
from edge.peers.faults import TRUE_ANSWERS, Fault, PeerError
from edge.peers.ring import Member
from edge.peers.silence import grace

OWNERS_TRIED = 2  # per rung: the owner, and the next in order should the owner fail
SOONEST = 0.01  # s before which no hedge is sent, however quick the others are

# Asks a member, for what it holds where the second says so; the third is called when it is doubted
Ask = Callable[[Member, bool, Callable[[], None]], Coroutine[Any, Any, Answer | PeerError]]


@dataclass(slots=True, eq=False)
class _Asked:
    member: Member
    held: bool
    is_hedge: bool
    since: float
    task: asyncio.Task[Answer | PeerError]
    doubted: bool = False


class Race:
    """One rung of one fill. `run` once."""

    def __init__(
        self,
        ask: Ask,
        owners: Iterator[Member],
        *,
        hedge_after: float | None,
        may_hedge: Callable[[], bool],
        counts: Counter[str],
        on_time: Callable[[float], None],
        on_late: Callable[[Member], None],
    ) -> None:
        """`owners`: those that may be asked to fill, in order. `hedge_after`: seconds; None: no hedge. `counts`: hedges
        by whether they won. `on_time` is told how long a question to an owner took, or at least; `on_late` who
        had not answered when it was time for a hedge."""
        self._ask = ask
        self._owners = owners
        self._hedge_after = hedge_after
        self._may_hedge = may_hedge
        self._counts = counts
        self._on_time = on_time
        self._on_late = on_late
        self._running: list[_Asked] = []
        self._ahead: list[Member] = []  # taken from the owners and not asked to fill yet
        self._tried = 0
        self._last: PeerError | None = None
        self._hedged = self._won = False
        self._loop = asyncio.get_running_loop()
        self._nudge = self._loop.create_future()

    async def run(self, mirror: Member | None = None) -> Answer | PeerError | None:
        """The first answer; else the last error that counts; None where nobody could be asked, or nobody was left whom
        it was worth waiting for. A mirror is read first, its owner in its place."""
        try:
            if mirror is not None:
                self._begin(mirror, held=True)
            elif not self._replace():
                return None
            first = self._running[0]
            hedge_at = None if self._hedge_after is None else first.since + max(self._hedge_after, SOONEST)
            while self._running:
                hedge_at = await self._wait(first, hedge_at)
                for asked in [asked for asked in self._running if asked.task.done()]:
                    self._running.remove(asked)
                    if (end := self._ended(asked)) is not None:
                        return end
                if not self._tend():
                    return self._last
            return self._last
        finally:
            self._leave()

    async def _wait(self, first: _Asked, hedge_at: float | None) -> float | None:
        """Until something ends, is doubted, or it is time for a hedge. Returns when that is, None for never."""
        timeout = None if hedge_at is None else max(0.0, hedge_at - self._loop.time())
        tasks = [asked.task for asked in self._running]
        done, _ = await asyncio.wait((*tasks, self._nudge), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if done or hedge_at is None:
            return hedge_at
        now = self._loop.time()
        if now - hedge_at > max(self._hedge_after or 0.0, SOONEST):
            return now + grace(now - hedge_at)  # our own loop was the late one: the answer may lie in our socket
        if first in self._running and not first.doubted:
            self._hedge(first)
        return None

    def _ended(self, asked: _Asked) -> Answer | PeerError | None:
        """What a question that ended means for the race; None: it goes on."""
        end = asked.task.result()
        if isinstance(end, Answer):
            if not asked.held:
                self._on_time(self._loop.time() - asked.since)
            self._won = asked.is_hedge
            return end
        if asked.held:
            if not any(not other.held for other in self._running) and not self._replace():
                return self._last or end
            return None
        self._last = end
        is_true = end.fault in TRUE_ANSWERS and not (end.fault is Fault.NOT_HELD and end.state)
        if is_true or end.origin_busy:
            return end
        self._replace()
        return None

    def _tend(self) -> bool:
        """After a doubt: have the doubted one replaced. False when nobody is left whom it is worth waiting for."""
        if self._nudge.done():
            self._nudge = self._loop.create_future()
            if all(asked.doubted or asked.held for asked in self._running):
                return self._replace()
        return True

    def _replace(self) -> bool:
        """Have the next owner asked to fill; False where there is none."""
        if self._tried == OWNERS_TRIED or (owner := self._next()) is None:
            return False
        self._tried += 1
        self._begin(owner, held=False)
        return True

    def _next(self) -> Member | None:
        return self._ahead.pop() if self._ahead else next(self._owners, None)

    def _hedge(self, first: _Asked) -> None:
        """Ask the second choice for what it holds; of a mirror that is late, its owner."""
        self._on_late(first.member)
        if (second := self._next()) is None:
            return
        self._ahead.append(second)
        if self._may_hedge():
            self._hedged = True
            if first.held:
                self._ahead.pop()
                self._tried += 1
            self._begin(second, held=not first.held, is_hedge=True)

    def _begin(self, member: Member, *, held: bool, is_hedge: bool = False) -> None:
        asked: _Asked

        def doubt() -> None:
            asked.doubted = True
            if not self._nudge.done():
                self._nudge.set_result(None)

        task = self._loop.create_task(self._ask(member, held, doubt))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, should it be lost
        asked = _Asked(member, held, is_hedge, self._loop.time(), task)
        self._running.append(asked)

    def _leave(self) -> None:
        """The race is over: who still runs is told so."""
        for asked in self._running:
            asked.task.cancel()
            if not asked.held and self._won:
                self._on_time(self._loop.time() - asked.since)
        if self._hedged:
            self._counts["yes" if self._won else "no"] += 1
