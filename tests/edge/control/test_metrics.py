"""Numbers: each has a row, each row a number, and the text is Prometheus' own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.control.metrics import METRICS, render
from edge.control.watchdog import STALL, Watchdog
from tests.edge.sites import World
from tests.edge.wire import edge


def test_every_row_has_a_number_and_help(tmp_path: Path) -> None:
    """A node tells each metric of the table, and none that is not in it."""

    async def run() -> None:
        async with edge(tmp_path, World()) as (node, _):
            assert set(node.numbers.values()) == {row.name for row in METRICS}

    asyncio.run(run())
    assert all(row.help.endswith(".") and len(row.help) >= 12 for row in METRICS)
    assert len({row.name for row in METRICS}) == len(METRICS)


def test_the_text_is_read_by_prometheus() -> None:
    """Counters, gauges and labels come back as they went in."""
    text = render({"rim_requests_total": {"hit": 3, 'odd"\n': 1}, "rim_memory_bytes": 7}).decode()
    samples = {
        (s.name, tuple(s.labels.values())): s.value for f in text_string_to_metric_families(text) for s in f.samples
    }
    assert samples == {
        ("rim_requests_total", ("hit",)): 3,
        ("rim_requests_total", ('odd"\n',)): 1,
        ("rim_memory_bytes", ()): 7,
    }


def test_a_number_without_a_row_is_a_mistake() -> None:
    """Nothing is told that the table does not name."""
    with pytest.raises(KeyError):
        render({"rim_nonsense": 1})


def test_the_watchdog_sees_a_stall() -> None:
    """Something blocks the loop: the next look says for how long."""
    import time

    async def run() -> None:
        dog = Watchdog()
        watching = asyncio.create_task(dog.run())
        await asyncio.sleep(0.01)
        time.sleep(0.3)
        while not dog.stalls:
            await asyncio.sleep(0.01)
        assert dog.worst > STALL
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(run())
