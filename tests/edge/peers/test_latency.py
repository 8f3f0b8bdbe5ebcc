"""From when on an answer is late: a measure of what has been seen, never of what is wished."""

from __future__ import annotations

import pytest

from edge.peers.latency import LEAST, WINDOW, Latencies


def test_a_few_times_are_no_measure() -> None:
    """Nothing is said before the twentieth."""
    latencies = Latencies()
    for _ in range(LEAST - 1):
        latencies.add(1.0)
    assert latencies.p95() is None
    latencies.add(1.0)
    assert latencies.p95() == 1.0


def test_nineteen_of_twenty_came_within_it() -> None:
    """The slowest twentieth lies beyond."""
    latencies = Latencies()
    for hundredth in range(100):
        latencies.add(hundredth / 100)
    assert latencies.p95() == pytest.approx(0.95)


def test_old_times_are_forgotten() -> None:
    """The window is bounded, and what is measured follows it."""
    latencies = Latencies()
    for _ in range(WINDOW):
        latencies.add(9.0)
    assert latencies.p95() == 9.0
    for _ in range(WINDOW):
        latencies.add(0.001)
    assert len(latencies) == WINDOW
    assert latencies.p95() == 0.001
