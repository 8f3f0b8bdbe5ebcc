"""Silence: what is thought of a node that does not answer, while it does not.

Here lives the watch over one question until its answer's head has come: after a while the asked is asked for its health
on another connection; while it answers that, it is alive and only waits for somebody itself, and is waited for; when it
does not, it is doubted, and then given up. Not here: the asking (edge/peers/client), or who else is asked when one is
doubted (edge/peers/hedge).

Without the difference a slow origin looks like a ring of dead owners: every edge would give up on them at once, eject
them, and go to that origin itself.

A timer that fires late says that our own loop stood still, not that the other did: what it would have said may lie in
our own socket, and a machine that is short of time often has others of the ring on it. Each step then waits longer, by
several times what it was late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from edge.peers.budget import Budgets

BEAT = 0.5  # s between two questions for the health of one that is waited for
LATE = 0.02  # s past its time at which a timer says that our own loop stood still
MOMENT = 0.05  # s that is waited then, at least; at most a second, and three times at one step
GRACES = 3


def grace(late: float) -> float:
    """How much longer to wait when our own loop was so late."""
    return min(1.0, max(MOMENT, 4 * late))


async def passes(seconds: float) -> None:
    """Sleep; a moment longer when our own loop was what kept us."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    await asyncio.sleep(seconds)
    if (late := loop.time() - due) > LATE:
        await asyncio.sleep(grace(late))


class Watch:
    """Over one question: `async with` it, and say when the answer's head was heard. Raises TimeoutError."""

    def __init__(
        self,
        budgets: Budgets,
        pulse: Callable[[], Awaitable[bool]],
        on_doubt: Callable[[], None] | None = None,
        strain: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`pulse` asks for the health of the asked; `on_doubt` is called once, when that is not answered in time.
        `strain`: as edge/peers/strain; what it is at the start is in the budgets already."""
        self._budgets = budgets
        self._pulse = pulse
        self._on_doubt = on_doubt
        self._strain = strain
        self._strained = strain()
        self._given = 0.0  # s that the end was put off for what came since
        self._timeout = asyncio.timeout(None)
        self._timers: list[asyncio.TimerHandle] = []
        self._asking: asyncio.Task[None] | None = None
        self._graces = 0
        self.waited: float | None = None  # s until the head came

    async def __aenter__(self) -> Watch:
        budgets, loop = self._budgets, asyncio.get_running_loop()
        await self._timeout.__aenter__()
        self._asked_at = loop.time()
        self._end_at(self._asked_at + budgets.headers)
        if budgets.patience:
            self._timers.append(loop.call_later(self._silence, self._ask))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        await self._timeout.__aexit__(kind, value, trace)

    def heard(self) -> None:
        """The head has come: it is silent no more."""
        self.waited = asyncio.get_running_loop().time() - self._asked_at
        self._stop()

    @property
    def _silence(self) -> float:
        return min(self._budgets.silence, self._budgets.headers / 2)

    @property
    def _more(self) -> float:
        """Seconds that the doubt and the end are to come later for our own strain since the question left."""
        return 3 * max(0.0, self._strain() - self._strained)

    def _stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _end_at(self, when: float) -> None:
        """Give the question up then."""
        for timer in self._timers:
            timer.cancel()
        self._timers = [asyncio.get_running_loop().call_at(when, self._end, when)]

    def _end(self, when: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - when > LATE and self._graces < GRACES:
            self._graces += 1
            self._end_at(now + grace(now - when))
        elif (more := self._more - self._given) > 0:
            self._given += more
            self._end_at(now + more)
        elif self.waited is None and not self._timeout.expired():  # another timer may have struck in this very turn
            self._timeout.reschedule(now)

    def _ask(self) -> None:
        self._asking = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        """Ask for its health until it is heard, or until it is silent there too."""
        budgets, loop = self._budgets, asyncio.get_running_loop()
        for_doubt = max(0.0, min(budgets.doubt, budgets.headers) - self._silence)
        await passes(0)
        while True:
            pulse = asyncio.ensure_future(self._pulse())
            try:
                await _ends(pulse, for_doubt)
                while not pulse.done() and (left := self._asked_at + budgets.doubt + self._more - loop.time()) > 0:
                    await asyncio.wait((pulse,), timeout=left)
                if not pulse.done() or not pulse.result():
                    self._doubt()
                if not await pulse:
                    break
            finally:
                pulse.cancel()
            self._end_at(self._asked_at + budgets.patience)
            await passes(BEAT)
        # As if it had been silent all the time: a dead one is not waited for to the end of our patience.
        self._end_at(max(loop.time(), self._asked_at + budgets.headers))

    def _doubt(self) -> None:
        if self._on_doubt is not None and self.waited is None:
            self._on_doubt()
            self._on_doubt = None


async def _ends(task: asyncio.Future[bool], seconds: float) -> None:
    """Wait for a task's end, so long; longer when our own loop stood still."""
    loop = asyncio.get_running_loop()
    for _ in range(1 + GRACES):
        due = loop.time() + seconds
        await asyncio.wait((task,), timeout=seconds)
        late = loop.time() - due
        if task.done() or late <= LATE:
            return
        seconds = grace(late)
