"""The connection's one timer, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.http.deadline import Deadline


class Clock:
    """As much of an event loop as a Deadline sees: time, and one list of timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None], Any]] = []
        self.made = 0

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], None]) -> Any:
        self.made += 1
        handle = type("Handle", (), {"cancel": lambda mine: self._drop(mine)})()
        self.timers.append((at, call, handle))
        return handle

    def _drop(self, handle: Any) -> None:
        self.timers = [timer for timer in self.timers if timer[2] is not handle]

    def advance(self, to: float) -> None:
        while due := sorted(timer[:1] for timer in self.timers if timer[0] <= to):
            timer = next(timer for timer in self.timers if timer[0] == due[0][0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = to


def deadline() -> tuple[Clock, Deadline, list[float]]:
    clock, fired = Clock(), list[float]()
    loop: Any = clock
    return clock, Deadline(loop, lambda: fired.append(clock.now)), fired


def test_it_fires_once_at_its_moment() -> None:
    """Not before, not twice."""
    clock, timer, fired = deadline()
    timer.set(10)
    clock.advance(9.9)
    assert fired == []
    clock.advance(30)
    assert fired == [10]


def test_moving_it_away_makes_no_timer() -> None:
    """A thousand requests move it a thousand times: one handle stands, and it fires at the last moment set."""
    clock, timer, fired = deadline()
    for second in range(1000):
        clock.advance(second / 100)
        timer.set(75)
    assert clock.made == 1
    clock.advance(200)
    assert fired == [999 / 100 + 75]
    assert clock.made == 2


def test_a_nearer_moment_counts() -> None:
    """Set nearer, it fires nearer; cleared, not at all; set again, again."""
    clock, timer, fired = deadline()
    timer.set(75)
    timer.set(10)
    clock.advance(11)
    assert fired == [10]
    timer.set(5)
    timer.clear()
    clock.advance(100)
    assert fired == [10]
    timer.set(5)
    clock.advance(105)
    assert fired == [10, 105]


def test_cancelled_it_holds_nothing() -> None:
    """After the end no handle stands, and setting it sets nothing."""
    clock, timer, fired = deadline()
    timer.set(5)
    timer.cancel()
    timer.set(5)
    assert clock.timers == []
    clock.advance(100)
    assert fired == []
