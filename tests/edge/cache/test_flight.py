"""Single flight: one fill however many ask, and no death of one hurts another. Barriers, no clocks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge.cache.flight import PASSES, FillerDied, Flight, Verdict


class Fill:
    """A fill that waits at a gate, then does as told; counts how often it ran."""

    def __init__(self, *ends: object) -> None:
        self.ends = list(ends)
        self.runs = 0
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.tasks: list[asyncio.Task[Any]] = []

    async def __call__(self) -> object:
        end = self.ends[min(self.runs, len(self.ends) - 1)]
        self.runs += 1
        task = asyncio.current_task()
        assert task
        self.tasks.append(task)
        self.started.set()
        await self.gate.wait()
        if isinstance(end, BaseException):
            raise end
        return end


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scene; anything asyncio complains about fails the play."""
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await scene()
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(run())
    gc.collect()
    assert not complaints


async def crowd(flight: Flight[str, object], fill: Fill, count: int) -> list[asyncio.Task[object]]:
    tasks = [asyncio.create_task(flight.run("k", fill)) for _ in range(count)]
    await fill.started.wait()
    while flight.shared < count - 1:
        await asyncio.sleep(0)
    return tasks


def test_a_thousand_callers_share_one_fill() -> None:
    """One fill runs, all get its value, and the key is free afterwards."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill("value")
        tasks = await crowd(flight, fill, 1000)
        fill.gate.set()
        assert set(await asyncio.gather(*tasks)) == {"value"}
        assert fill.runs == flight.started == 1
        assert flight.shared == 999
        assert len(flight) == 0
        assert await flight.run("k", fill) == "value"
        assert fill.runs == 2

    play(scene)


@pytest.mark.parametrize("who", [0, 1, 499])
def test_a_caller_who_leaves_takes_nobody_along(who: int) -> None:
    """The first caller is not special: his cancellation is his alone."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill("value")
        tasks = await crowd(flight, fill, 500)
        tasks[who].cancel()
        await asyncio.wait((tasks[who],))
        assert tasks[who].cancelled()
        fill.gate.set()
        others = [task for number, task in enumerate(tasks) if number != who]
        assert set(await asyncio.gather(*others)) == {"value"}
        assert fill.runs == 1

    play(scene)


@pytest.mark.parametrize("end", ["value", Verdict("no"), RuntimeError("late")], ids=["value", "verdict", "crash"])
def test_when_all_have_left_the_fill_goes_on_alone(end: object) -> None:
    """It warms the cache, and a late failure is nobody's unhandled exception."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill(end)
        tasks = await crowd(flight, fill, 3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert len(flight) == 1
        fill.gate.set()
        await asyncio.wait(fill.tasks)
        await asyncio.sleep(0)
        assert len(flight) == 0

    play(scene)


def test_a_filler_that_is_killed_passes_its_permit_on() -> None:
    """Cancelled from outside, one follower fills anew and all the others follow him."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill("value")
        tasks = await crowd(flight, fill, 100)
        fill.tasks[0].cancel()
        fill.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], FillerDied)
        assert set(results[1:]) == {"value"}
        assert fill.runs == 2

    play(scene)


def test_a_filler_that_crashes_passes_its_permit_on() -> None:
    """Its own caller sees the crash, the followers see the value of the next."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill(RuntimeError("boom"), "value")
        tasks = await crowd(flight, fill, 100)
        fill.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], RuntimeError)
        assert set(results[1:]) == {"value"}
        assert fill.runs == 2

    play(scene)


def test_a_fill_that_always_crashes_ends_for_everybody() -> None:
    """A hundred followers do not make a hundred attempts."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill(RuntimeError("always"))
        tasks = await crowd(flight, fill, 100)
        fill.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, RuntimeError) for result in results)
        assert fill.runs <= 1 + PASSES

    play(scene)


def test_a_verdict_is_shared_and_not_tried_again() -> None:
    """ "Nobody has it" is an answer: one fill, a hundred refusals."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill(Verdict("nobody has it"))
        tasks = await crowd(flight, fill, 100)
        fill.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, Verdict) for result in results)
        assert fill.runs == 1

    play(scene)


def test_close_ends_every_fill() -> None:
    """At the end of the node nothing is left under way."""

    async def scene() -> None:
        flight: Flight[str, object] = Flight()
        fill = Fill("never")
        tasks = await crowd(flight, fill, 1)
        await flight.close()
        assert isinstance((await asyncio.gather(*tasks, return_exceptions=True))[0], FillerDied)
        assert len(flight) == 0

    play(scene)
