"""Who is doubted is skipped, and the inquiry says whether it is dead, slow or well. Pulses are the play's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from edge.peers import doubts as inquiries
from edge.peers.doubts import Doubts
from edge.peers.members import Members
from edge.peers.pulse import TIMEOUT, WELL, Pulses
from tests.kit.evilpeer import EvilPeer


class Hearts(Pulses):
    """Beats after so many seconds each, the last one for ever; None: never."""

    def __init__(self, *seconds: float | None) -> None:
        super().__init__()
        self.seconds = list(seconds)
        self.beats = 0

    async def beat(self, url: str) -> bool:
        self.beats += 1
        seconds = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        await asyncio.sleep(3600 if seconds is None else seconds)
        return True


def play(hearts: Hearts, act: Callable[[Doubts], None]) -> Members:
    """Doubt, and wait for the inquiry's end."""
    members = Members(jitter=random.Random(1))

    async def run() -> None:
        doubts = Doubts(members, hearts)
        act(doubts)
        assert doubts.are_open("b")
        while doubts.are_open("b"):
            await asyncio.sleep(0.005)
        await doubts.close()
        await hearts.close()

    asyncio.run(run())
    return members


def silent(doubts: Doubts) -> None:
    doubts.silent("b", "http://b")
    doubts.silent("b", "http://b")  # however many say so, one inquiry


def late(doubts: Doubts) -> None:
    doubts.late("b", "http://b")


def test_one_that_is_dead_is_out_at_the_end_of_one_question_for_its_health() -> None:
    """No visitor is needed to find that out again."""
    hearts = Hearts(None)
    assert play(hearts, silent).ejected() == ("b",)
    assert hearts.beats == 1
    assert TIMEOUT < 1.0


def test_one_that_is_always_slow_is_out_after_three_slow_answers() -> None:
    """They are asked for one after the other: no visitor pays for the second and the third."""
    hearts = Hearts(WELL * 1.5)
    assert play(hearts, silent).ejected() == ("b",)
    assert hearts.beats <= 3
    assert play(Hearts(WELL * 1.5), late).ejected() == ("b",)


def test_one_that_stood_still_for_a_moment_is_let_back_in() -> None:
    """Silent, slow once, then prompt: the suspicion is over."""
    members = play(Hearts(WELL * 1.5, 0.0), silent)
    assert members.ejected() == ()
    assert members.is_well("b")


def test_one_that_only_waits_for_somebody_itself_has_no_strike() -> None:
    """Late with a block and prompt with its health, again and again."""
    hearts = Hearts(0.0)
    for _ in range(5):
        assert play(hearts, late).word("b") == ""
    assert hearts.beats == 5


def test_not_each_late_answer_is_worth_an_inquiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred late questions of one moment are one question for its health."""
    monkeypatch.setattr(inquiries, "APART", 3600.0)
    hearts = Hearts(0.0)

    async def run() -> None:
        doubts = Doubts(Members(), hearts)
        for _ in range(100):
            late(doubts)
            await asyncio.sleep(0)
        while doubts.are_open("b"):
            await asyncio.sleep(0.001)
        late(doubts)
        assert not doubts.are_open("b")
        assert hearts.beats == 1
        await doubts.close()
        await hearts.close()

    asyncio.run(run())


def test_far_away_is_not_slow() -> None:
    """Two trips belong to each answer from there."""
    members = play(Hearts(WELL * 1.5), lambda doubts: doubts.late("b", "http://b", WELL))
    assert members.word("b") == ""


def test_many_who_want_to_know_are_one_question_and_it_is_asked_anew() -> None:
    """One request per node at a time, each on a connection of its own."""

    async def run() -> None:
        pulses = Pulses()
        async with EvilPeer() as peer:
            assert all(await asyncio.gather(*(pulses.of(peer.url) for _ in range(100))))
            assert len(peer.asked) == 1
            assert await pulses.takes(peer.url) is not None
            assert [asked.path for asked in peer.asked] == ["/healthz"] * 2
        assert not await pulses.of(peer.url)
        assert await pulses.takes(peer.url) is None
        await pulses.close()

    asyncio.run(run())
