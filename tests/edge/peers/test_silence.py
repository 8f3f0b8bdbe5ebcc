"""The watch over a silent node, with a health that is the play's own: who is alive is waited for, who is not is doubted
and given up, and our own standing still is held against nobody."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from edge.peers.budget import Budgets
from edge.peers.silence import LATE, MOMENT, Watch, grace

DEAD = 0.1  # s after which a question for the health of a dead one ends
QUICK = Budgets(silence=0.01, doubt=0.05, headers=0.2, patience=60)


async def watched(budgets: Budgets, *answers: float | None, stands_still: float = 0.0) -> tuple[str, int]:
    """Watch over a question that is never answered, with a health that answers after so many seconds each; None: it is
    dead. How it ended, and how often it was doubted."""
    doubts: list[None] = []
    beats = list(answers)
    over = asyncio.Event()

    async def pulse() -> bool:
        if not beats:
            over.set()
            await asyncio.sleep(3600)
        seconds = beats.pop(0)
        await asyncio.sleep(DEAD if seconds is None else seconds)  # a question for its health has an end of its own
        return seconds is not None

    async def question() -> None:
        async with Watch(budgets, pulse, lambda: doubts.append(None)):
            if stands_still:
                time.sleep(stands_still)
            await over.wait()

    begun = time.monotonic()
    try:
        await question()
    except TimeoutError:
        is_late = budgets.patience and time.monotonic() - begun > budgets.patience / 2
        return "given up late" if is_late else "given up", len(doubts)
    return "waited for", len(doubts)


def test_one_that_is_alive_is_waited_for_and_asked_again() -> None:
    """Each answer for its health renews the patience; nobody doubts it."""
    assert asyncio.run(watched(QUICK, 0.0, 0.0)) == ("waited for", 0)


def test_one_that_is_dead_is_doubted_once_and_given_up() -> None:
    """Its health is silent too."""
    assert asyncio.run(watched(QUICK, None)) == ("given up", 1)


def test_one_that_dies_later_is_given_up_before_the_patience_ends() -> None:
    """Alive at first, then silent: it is not waited for to the end."""
    assert asyncio.run(watched(QUICK, 0.0, None)) == ("given up", 1)


def test_a_source_without_patience_is_given_up_in_its_time() -> None:
    """The origin and outside gateways are not asked for their health."""
    assert asyncio.run(watched(Budgets(headers=0.05))) == ("given up", 0)


def test_our_own_standing_still_is_no_doubt() -> None:
    """The loop stood for longer than all budgets: what follows is looked at first."""
    assert asyncio.run(watched(QUICK, 0.0, 0.0, stands_still=0.3)) == ("waited for", 0)


@pytest.mark.parametrize(("late", "longer"), [(LATE, max(MOMENT, 4 * LATE)), (0.2, 0.8), (30.0, 1.0)])
def test_what_was_late_is_waited_for_longer_within_bounds(late: float, longer: float) -> None:
    """By several times the delay, at most a second."""
    assert grace(late) == pytest.approx(longer)


def test_a_question_that_two_timers_give_up_ends_once() -> None:
    """Found by the chaos run, seed 1012: the second one, in the same turn of the loop, met a timeout that had just
    struck, and was a traceback in the log."""
    said: list[dict[str, Any]] = []

    async def well() -> bool:
        return True

    async def question() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: said.append(context))
        async with Watch(Budgets(), well) as watch:
            watch._end(loop.time())
            loop.call_soon(watch._end, loop.time())
            await asyncio.sleep(30)

    with pytest.raises(TimeoutError):
        asyncio.run(question())
    assert not said, said
