"""One run: start the ring, let the storm go over it, and judge what is left.

Here lives the order of things, and the end of all processes whatever happens. Not here: the parts.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.chaos.audit import HEALED, Audit
from tests.faults.chaos.checker import Checker
from tests.faults.chaos.faults import Faults
from tests.faults.chaos.history import History
from tests.faults.chaos.leaks import weigh
from tests.faults.chaos.publishers import Publisher
from tests.faults.chaos.ring import Ring
from tests.faults.chaos.schedule import SITES, Event, Plan
from tests.faults.chaos.visitors import Visitor

VISITORS = 8
_STARTS = 3  # tries to start a ring
_GRACE = 90.0  # s for faults under way to end: each brings back what it took


class NotStarted(RuntimeError):
    """Not even the beginning came about: this says nothing of Rim."""


@dataclass
class Result:
    """What a run came to."""

    plan: Plan
    violations: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)  # history, to read when something is wrong
    counts: Counter[str] = field(default_factory=Counter)  # of the checker
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)  # requests that got no answer, by why
    errors: Counter[str] = field(default_factory=Counter)  # answers by class, and stale and broken ones
    acknowledged: int = 0
    unknown: int = 0
    healed: float = 0.0
    seconds: float = 0.0


@dataclass
class Run:
    """The parts of a run. A test may reach between them: `planted` is called when the storm begins."""

    plan: Plan
    folder: Path
    planted: Callable[[Run], None] | None = None
    patience: float = HEALED  # s in which the ring must be whole again
    result: Result = field(init=False)
    visitors: list[Visitor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.result = Result(self.plan)
        self.history = History()
        self.checker = Checker(self.history)
        self.ring = Ring(self.plan, self.folder)
        self.faults = Faults(self.ring, self.history)
        self.publishers = {site: Publisher(site, self.ring, self.history, self.faults) for site in SITES}

    async def play(self) -> Result:
        """From the first process to the last; all are gone when this returns or raises."""
        begun = time.monotonic()
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # sick wires and liars give it much to complain of
        try:
            await self._begin()
            await self._first()
            audit = Audit(self.ring, self.history, self.checker, self.publishers, {}, self.patience)
            for node in self.ring.edges:
                numbers = await self.ring.metrics(node.name)
                audit.before[node.name] = node.life, weigh(node.pid, self.ring.public(node.name), numbers)
            await self._storm(audit)
            await audit.quiet()
            self.faults.kills["at the end"] += await audit.alone(self.faults.rotten)
            await audit.last()
            self.faults.kills["origin"] += 1
            self.result.healed = audit.healed
        except NotStarted:
            raise
        except RuntimeError as error:  # a node that does not start or end
            self.checker.fail(str(error))
        finally:
            self._tell()
            self.result.seconds = time.monotonic() - begun
            self._keep()
            with _undisturbed():
                self.ring.close()
        return self.result

    async def _begin(self) -> None:
        try:
            await self.ring.start()
        except RuntimeError as error:
            raise NotStarted(str(error)) from error

    async def _first(self) -> None:
        """Every site has a release before anything befalls it."""
        done = await asyncio.gather(*(publisher.publish(doomed=False) for publisher in self.publishers.values()))
        if not all(done):
            raise RuntimeError("the first publish of a site failed, with nothing wrong yet")

    async def _storm(self, audit: Audit) -> None:
        begin = time.monotonic()
        end = begin + self.plan.seconds
        self.visitors = [Visitor(n, self.ring, self.history, self.checker) for n in range(VISITORS)]
        if self.planted is not None:
            self.planted(self)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(audit))
            faults = [group.create_task(self._at(begin + e.at, e)) for e in self.plan.events]
            crowd = [group.create_task(visitor.visit(end)) for visitor in self.visitors]
            deeds = [
                group.create_task(publisher.act([d for d in self.plan.deeds if d.site == site], begin, end))
                for site, publisher in self.publishers.items()
            ]
            await asyncio.sleep(max(0.0, end - time.monotonic()))
            self.history.note("the storm is over")
            await self._over("faults", faults)
            self.ring.heal()
            await self._over("visitors and publishers", [*crowd, *deeds])
            watching.cancel()

    async def _at(self, moment: float, event: Event) -> None:
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        try:
            await self.faults.befall(event)
        except NotStarted:
            raise
        except RuntimeError as error:  # a node that does not end at SIGTERM, or does not start any more
            self.checker.fail(f"{event.kind}: {error}")

    async def _over(self, what: str, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for their end; what does not end is a violation, and is ended."""
        _, left = await asyncio.wait(tasks, timeout=_GRACE) if tasks else (set(), set[asyncio.Task[None]]())
        for task in left:
            self.checker.fail(f"{what} not over within {_GRACE} s: {task.get_coro()}")
            task.cancel()

    async def _watch(self, audit: Audit) -> None:
        """Receipts, as the origin lists them."""
        with suppress(asyncio.CancelledError):
            while True:
                await audit.receipts()
                await asyncio.sleep(0.1)

    def _tell(self) -> None:
        result, checker = self.result, self.checker
        result.violations, result.told, result.counts = checker.violations, self.history.told, checker.counts
        result.faults, result.kills = self.faults.counts, self.faults.kills
        result.acknowledged, result.unknown = self.history.acknowledged, self.history.failed
        for visitor in self.visitors:
            result.lost.update(visitor.lost)
        for book in checker.books.values():
            result.errors.update(book)

    def _keep(self) -> None:
        """Of a run that went wrong, what the nodes wrote."""
        if self.result.violations:
            for node in self.ring.nodes.values():
                if node.errors.exists():
                    self.result.told += [
                        f"--- {node.name}",
                        *node.errors.read_text(errors="replace").splitlines()[-60:],
                    ]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not end the cleaning up after the first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def play(
    plan: Plan,
    planted: Callable[[Run], None] | None = None,
    patience: float = HEALED,
    listener: Callable[[str], None] = lambda line: None,
) -> Result:
    """Run a plan in a new folder, which is gone afterwards."""
    for _ in range(_STARTS):
        folder = Path(tempfile.mkdtemp(prefix="rim-chaos-"))
        try:
            run = Run(plan, folder, planted, patience)
            run.history.listener = listener
            return await run.play()
        except NotStarted as error:  # most likely a port that another program has taken meanwhile
            listener(str(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    raise NotStarted(f"the ring of seed {plan.seed} did not start")
