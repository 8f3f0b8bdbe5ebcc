"""The simulation of bench/ring: the same seed tells the same story, on a clock that costs no time."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench"
SMALL = ("zipf", "flap", "--edges", "8", "--requests", "200", "--keys", "100")


def virtual() -> ModuleType:
    spec = importlib.util.spec_from_file_location("virtual", BENCH / "kit" / "virtual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_seed_prints_the_same_table() -> None:
    """In two processes that order their sets differently."""

    def begin(hashes: str) -> subprocess.Popen[str]:
        command = (sys.executable, str(BENCH / "ring.py"), *SMALL)
        return subprocess.Popen(
            command,
            env=os.environ | {"PYTHONHASHSEED": hashes},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    running = [begin("1"), begin("2")]
    said = [each.communicate(timeout=300) for each in running]
    assert not any(errors for _, errors in said)
    one, two = (table for table, _ in said)
    assert one == two
    assert "one flaps" in one
    assert "origin fetches 1.000× distinct blocks" in one


def test_an_hour_of_virtual_time_costs_none() -> None:
    """Sleeps and deadlines end in their order, on the loop's clock alone."""
    kit = virtual()

    async def hours() -> list[str]:
        loop, seen = asyncio.get_running_loop(), []

        async def note(after: float, word: str) -> None:
            await asyncio.sleep(after)
            seen.append(f"{word} {loop.time():g}")

        async with asyncio.TaskGroup() as group:
            group.create_task(note(3600, "hour"))
            group.create_task(note(1, "second"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return [*seen, f"end {loop.time():g}"]

    begun = time.monotonic()
    assert kit.run(hours) == ["second 1", "hour 3600", "end 3660"]
    assert time.monotonic() - begun < 60


def test_a_wait_that_nothing_ends_is_told() -> None:
    """Where a real loop would hang for ever."""
    kit = virtual()

    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(kit.Standstill):
        kit.run(forever)
