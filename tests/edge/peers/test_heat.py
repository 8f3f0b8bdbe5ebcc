"""Heat: decayed rates that are right, the hottest, and a bound on memory."""

from __future__ import annotations

import random

import pytest

from edge.peers.heat import FADE, Heat


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_steady_rate_is_found_and_fades_when_it_ends() -> None:
    """20 questions a second are seen as such after some fadings, and a tenth of them is left 2.3 fadings later."""
    clock = Clock()
    heat = Heat(clock)
    for _ in range(int(20 * FADE * 6)):
        clock.now += 1 / 20
        heat.hit(b"hot")
    assert heat.rate(b"hot") == pytest.approx(20, rel=0.01)
    assert heat.total == pytest.approx(20, rel=0.01)
    clock.now += 2.303 * FADE
    assert heat.rate(b"hot") == pytest.approx(2, rel=0.02)
    assert heat.rate(b"never heard of") == 0


def test_weights_count_for_the_key_and_once_for_the_node() -> None:
    """A question that stands for eight makes its key hotter, not this node busier."""
    heat = Heat(Clock())
    heat.hit(b"a", 8)
    heat.hit(b"b")
    assert heat.rate(b"a") == pytest.approx(8 * heat.rate(b"b"))
    assert heat.total == pytest.approx(2 / FADE)


def test_the_hottest_come_first() -> None:
    """By rate, not by when they were last asked for."""
    clock = Clock()
    heat = Heat(clock)
    for number in range(1, 6):
        for _ in range(10 * number):
            heat.hit(b"%d" % number)
            clock.now += 0.001
    heat.hit(b"last")
    assert [key for key, _ in heat.hottest(3)] == [b"5", b"4", b"3"]
    assert heat.hottest(1)[0][1] == pytest.approx(heat.rate(b"5"))
    assert len(heat.hottest(100)) == 6


def test_memory_is_bounded_and_a_scan_does_not_push_out_what_is_hot() -> None:
    """Ten times as many cold keys as there is room for go by, and the hot one is still known."""
    clock, chance = Clock(), random.Random(8)
    heat = Heat(clock, keys=1_000)
    for number in range(10_000):
        clock.now += 0.001
        heat.hit(b"cold %d" % number)
        if chance.random() < 0.05:
            heat.hit(b"hot")
    assert len(heat) == 1_000
    assert heat.hottest(1)[0][0] == b"hot"
    assert heat.rate(b"cold 0") == 0


def test_a_long_quiet_time_and_a_long_busy_one_are_both_just_numbers() -> None:
    """Years pass; nothing overflows."""
    clock = Clock()
    heat = Heat(clock)
    heat.hit(b"a")
    clock.now += 1e9
    assert heat.rate(b"a") == 0
    heat.hit(b"a")
    assert heat.rate(b"a") == pytest.approx(1 / FADE)
    for _ in range(10_000):
        heat.hit(b"a", 64)
    assert heat.rate(b"a") == pytest.approx(640_001 / FADE, rel=1e-6)
