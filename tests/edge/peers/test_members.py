"""Health: who is out, for how long, and how one comes back. The clock is a number."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from edge.peers.members import (
    APART,
    BOOK_MAX,
    FIRST_SHARE,
    FORGIVEN_AFTER,
    LAST_BACKOFF,
    LIE,
    PROBE_PATIENCE,
    REST_MAX,
    SLOW_START,
    STRIKES,
    SUSPECT_FOR,
    Members,
)
from edge.peers.ring import Member
from edge.peers.states import State


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


def test_a_suspect_is_skipped_at_once_and_let_back_by_a_word() -> None:
    """A suspicion costs no ejection; it ends when it is cleared, by an answer, or by itself."""
    for end in ("cleared", "success", "time"):
        members, clock = book()
        members.suspect("a")
        assert not members.admit("a")
        assert members.ejected() == ()
        assert members.word("a") == "suspect"
        if end == "time":
            clock.now += SUSPECT_FOR
        else:
            getattr(members, end)("a")
        assert members.admit("a")
        assert members.word("a") == ""


def test_a_suspect_that_fails_is_out_at_once() -> None:
    """Silent on two connections, and then no answer: it costs nobody a second time."""
    members, _ = book()
    members.suspect("a")
    assert members.failure("a")
    assert members.word("a") == "ejected"


def test_slowness_ejects_after_three_in_a_row() -> None:
    """Lost hedges are strikes of their own; one answer in time between them starts the count anew."""
    members, clock = book()
    for _ in range(10):
        for _ in range(STRIKES - 1):
            clock.now += APART
            assert not members.slow("a")
        members.success("a")
    ejected = []
    for _ in range(STRIKES):
        clock.now += APART
        ejected.append(members.slow("a"))
    assert ejected == [False] * (STRIKES - 1) + [True]


def test_one_hiccup_is_one_strike_for_slowness() -> None:
    """A hundred questions that were under way when a member paused do not eject it."""
    members, _ = book()
    assert not any(members.slow("a") for _ in range(100))
    assert members.is_well("a")


def test_who_comes_back_as_slow_as_it_went_stays_away_longer() -> None:
    """Slowness after the back-off is a failed probe; before it, it says nothing new."""
    members, clock = book()
    members.failure("a", LIE)
    members.slow("a")
    assert members.ejections == 1
    clock.now += 1.0
    members.slow("a")
    assert members.ejections == 2
    clock.now += 0.99
    assert not members.admit("a")


def test_rest_is_no_strike_and_ends_by_itself() -> None:
    """Retry-After is kept to, a little longer at random, and never beyond a bound."""
    waits = set()
    for seed in range(20):
        members, clock = book(seed)
        members.rest("a", 4.0)
        left = members.resting("a")
        assert 4.0 <= left <= 6.0
        assert not members.admit("a")
        assert members.ejected() == ()
        members.success("a")  # an answer that was under way takes nothing back
        assert not members.is_well("a")
        clock.now += left
        assert members.admit("a")
        assert members.resting("a") == 0.0
        waits.add(round(left, 3))
    assert len(waits) > 10
    members, _ = book()
    members.rest("a", 1e9)
    assert members.resting("a") <= 1.5 * REST_MAX


def test_a_newcomer_gets_its_keys_little_by_little() -> None:
    """As first in the order it is admitted for a growing share of the keys; as a second choice always."""
    members, clock = book()
    keys = [bytes(28) + number.to_bytes(4, "big") for number in range(0, 1 << 32, 1 << 22)]
    members.came("a")
    before: set[bytes] = set()
    for second in range(int(SLOW_START) + 1):
        share = members.share("a")
        assert share == pytest.approx(FIRST_SHARE + (1 - FIRST_SHARE) * second / SLOW_START)
        admitted = {key for key in keys if members.admit("a", key)}
        assert len(admitted) / len(keys) == pytest.approx(share, abs=0.01)
        assert before <= admitted, "who was asked for a key goes on to be asked for it"
        assert members.admit("a")
        before, clock.now = admitted, clock.now + 1.0
    assert len(before) == len(keys)
    assert members.share("unheard of") == 1.0


def test_who_comes_back_starts_slowly_too() -> None:
    """After an ejection not all of its keys fall on it at once."""
    members, clock = book()
    eject(members, "a")
    clock.now += LAST_BACKOFF
    assert members.admit("a")
    members.success("a")
    assert members.share("a") == FIRST_SHARE
    clock.now += SLOW_START
    assert members.share("a") == 1.0


def test_an_old_answer_does_not_let_the_ejected_back() -> None:
    """What was asked before the ejection says nothing new, good or bad."""
    members, _ = book()
    eject(members, "a")
    members.success("a")
    assert not members.is_well("a")


def test_the_watched_cost_no_visitor_a_probe() -> None:
    """Who has somebody that probes it is due when its back-off ends, once, and closed to visitors until it answers."""
    members, clock = book()
    members.watched = frozenset({"a"})
    eject(members, "a")
    eject(members, "gateway")
    assert members.due() == ()
    clock.now += 1.0
    assert members.due() == ("a",)
    assert not members.admit("a")
    members.probed("a")
    assert members.due() == ()
    members.failure("a")
    assert members.due() == ()
    clock.now += 2.0
    members.probed("a")
    members.success("a")
    assert members.admit("a")


def test_without_a_prober_the_watched_are_not_lost() -> None:
    """A prober that died leaves the way that others have: one visitor's question."""
    members, clock = book()
    members.watched = frozenset({"a"})
    eject(members, "a")
    clock.now += 1.0 + PROBE_PATIENCE
    assert members.admit("a")
    assert not members.admit("a")


def test_slowness_is_remembered_until_it_is_over() -> None:
    """Who was ejected for it has to be quick to come back; for another fault, to be alive."""
    members, clock = book()
    for _ in range(STRIKES):
        clock.now += APART
        members.slow("a")
    assert members.was_slow("a")
    clock.now += 1.0
    members.success("a")
    assert not members.was_slow("a")
    members.failure("a", LIE)
    assert not members.was_slow("a")


def test_leaving_and_coming_back_clears_nobody() -> None:
    """A member that goes and comes within its ejection is still out; one that was well leaves no trace."""
    members, _ = book()
    eject(members, "a")
    members.went("a")
    members.came("a")
    assert members.ejected() == ("a",)
    members.came("b")
    members.went("b")
    assert members.share("b") == 1.0


def test_the_book_is_bounded() -> None:
    """Names that come and go for ever take no more than BOOK_MAX places."""
    members, _ = book()
    for number in range(BOOK_MAX + 10):
        members.failure(f"n{number}", LIE)
    assert len(members.ejected()) == BOOK_MAX


def test_states_are_read_with_care() -> None:
    """No word is ready; what a newer version says is no reason to have it fill for others."""
    assert State.read(None) is State.read("") is State.READY
    assert State.read("Draining ") is State.DRAINING
    assert State.read("hibernating") is State.JOINING
    assert not State.GONE.is_here
