"""Health: who is out, for how long, and how one comes back. The clock is a number."""

from __future__ import annotations

import random
from dataclasses import dataclass

from edge.peers.members import FORGIVEN_AFTER, LAST_BACKOFF, LIE, PROBE_PATIENCE, STRIKES, Members
from edge.peers.ring import Member


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def book(seed: int = 1) -> tuple[Members, Clock]:
    clock = Clock()
    return Members(clock, random.Random(seed)), clock


def eject(members: Members, name: str) -> None:
    assert any(members.failure(name) for _ in range(STRIKES))


def test_faults_in_a_row_eject_and_a_success_between_does_not() -> None:
    """STRIKES failures in a row put a member out; one good answer starts the count anew."""
    members, _ = book()
    for _ in range(10):
        for _ in range(STRIKES - 1):
            assert not members.failure("a")
        members.success("a")
    assert members.is_well("a")
    eject(members, "a")
    assert not members.is_well("a")
    assert members.ejected() == ("a",)


def test_one_lie_is_enough() -> None:
    """Wrong bytes eject at once, even amid successes."""
    members, _ = book()
    members.success("a")
    assert members.failure("a", LIE)
    assert not members.admit("a")


def test_the_ejected_are_skipped_in_the_same_order() -> None:
    """The next in the order takes the place of one that is out."""
    members, _ = book()
    order = [Member(name, "http://h:1") for name in "abc"]
    eject(members, "a")
    assert [member.name for member in members.healthy(order)] == ["b", "c"]


def test_back_off_doubles_up_to_its_end_and_is_spread() -> None:
    """Each ejection in a row keeps out longer, at least half and at most all of 1, 2, 4 … 60 s."""
    members, clock = book()
    eject(members, "a")
    for round_number in range(10):
        planned = min(LAST_BACKOFF, 2.0**round_number)
        clock.now += planned * 0.5 - 0.001
        assert not members.is_well("a")
        clock.now += planned * 0.5 + 0.001
        assert members.admit("a")
        members.failure("a")
        assert not members.is_well("a")
    waits = set()
    for seed in range(20):
        members, clock = book(seed)
        eject(members, "a")
        start = clock.now
        while not members.is_well("a"):
            clock.now += 0.01
        waits.add(round(clock.now - start, 2))
    assert len(waits) > 5


def test_half_open_lets_one_probe_through() -> None:
    """When the time is over exactly one may ask; its success opens the door for all."""
    members, clock = book()
    eject(members, "a")
    clock.now += LAST_BACKOFF
    assert members.is_well("a")
    assert members.admit("a")
    assert not members.admit("a")
    assert not members.is_well("a")
    members.success("a")
    assert members.admit("a")
    assert members.admit("a")


def test_a_probe_that_never_reports_back_is_given_up() -> None:
    """A probe whose asker vanished does not keep a member out for ever."""
    members, clock = book()
    eject(members, "a")
    clock.now += LAST_BACKOFF
    assert members.admit("a")
    clock.now += PROBE_PATIENCE
    assert members.admit("a")


def test_late_failures_of_old_questions_do_not_lengthen_an_ejection() -> None:
    """A hundred questions that were under way when a member fell count as one fall."""
    members, clock = book()
    eject(members, "a")
    for _ in range(100):
        assert not members.failure("a")
    assert members.ejections == 1
    clock.now += 1.0
    assert members.admit("a")


def test_a_long_good_time_forgives() -> None:
    """After FORGIVEN_AFTER the next ejection is a short one again, and the book stays small."""
    members, clock = book()
    eject(members, "a")
    for _ in range(6):  # every probe fails, the back-off grows
        clock.now += LAST_BACKOFF
        assert members.admit("a")
        members.failure("a")
    clock.now += LAST_BACKOFF
    members.success("a")
    clock.now += FORGIVEN_AFTER + LAST_BACKOFF
    members.success("a")
    eject(members, "a")
    clock.now += 1.0
    assert members.admit("a")


def test_a_shorter_longest_back_off_may_be_given() -> None:
    """The origin is never left alone for a minute."""
    members, clock = book()
    for _ in range(8):
        for _ in range(STRIKES):
            members.failure("o", longest=5.0)
        clock.now += 5.0
        assert members.admit("o")


def test_clock_jumps_do_no_harm() -> None:
    """A clock that stands still or leaps neither raises nor keeps a member out for ever."""
    members, clock = book()
    eject(members, "a")
    clock.now += 10 * 365 * 86400.0
    assert members.admit("a")
    members.success("a")
    assert members.is_well("a")
