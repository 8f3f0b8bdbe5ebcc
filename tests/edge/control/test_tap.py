"""The tap: rows for those who look, filtered and bounded, and nothing at all while nobody does."""

from __future__ import annotations

from typing import Any

import pytest

from edge.cache.memory import Memory
from edge.control.asks import BATCH_BYTES, _fitting
from edge.control.tap import ROWS_MAX, Filter, Tap
from edge.counting import Told
from edge.http.outcome import Outcome
from edge.ready import Ready
from edge.site.router import Router


def ready() -> Ready:
    return Ready("edge-1", Router(), Memory(1 << 20), 1 << 20)


def test_the_hook_is_there_only_while_somebody_looks() -> None:
    """Two look, one goes, the other goes; the access log below goes on all the time."""
    answers, seen = ready(), list[str]()
    answers.log = below = lambda told: seen.append((told.host + told.target).decode())
    tap = Tap(answers, lambda: 7.0)
    with tap.look(Filter()) as first:
        with tap.look(Filter()) as second:
            answers.count(Told("192.0.2.7", "", "GET", b"a.test", b"/x?y=1", 200, 5, Outcome.HIT, ()))
        assert answers.log is not below
        answers.count(Told("", "", "GET", b"a.test", b"", 404, 0, Outcome.NEGATIVE, ()))
    assert answers.log is below
    answers.count(Told("", "", "GET", b"a.test", b"/z", 200, 5, Outcome.HIT, ()))
    assert seen == ["a.test/x?y=1", "a.test", "a.test/z"]
    row = {"time": 7.0, "client": "192.0.2.7", "site": None, "method": "GET", "host": "a.test"}
    row |= {"path": "/x?y=1", "status": 200, "bytes": 5}
    assert second.take(9) == ([{**row, "outcome": "hit"}], 0)
    assert [row["status"] for row in first.take(9)[0]] == [200, 404]
    answers.log = None
    with tap.look(Filter()):
        answers.count(Told("", "", "GET", b"a.test", b"/x", 200, 5, Outcome.HIT, ()))
    assert answers.log is None


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, True),
        ({"status": "404"}, True),
        ({"status": "4xx"}, True),
        ({"status": "4XX"}, True),
        ({"status": "5xx"}, False),
        ({"status": "40"}, False),
        ({"outcome": "NEGATIVE"}, True),
        ({"outcome": "hit"}, False),
        ({"method": "get"}, True),
        ({"method": "HEAD"}, False),
        ({"path": "/do"}, True),
        ({"path": "/x"}, False),
        ({"site": "other"}, False),
    ],
)
def test_filters(asked: dict[str, Any], wanted: bool) -> None:
    """Each row is all that is asked for."""
    answers = ready()
    with Tap(answers).look(Filter.of(asked)) as looker:
        answers.count(Told("", "", "GET", b"a.test", b"/docs", 404, 0, Outcome.NEGATIVE, ()))
    assert bool(looker.take(1)[0]) is wanted


def test_who_looks_slowly_loses_the_oldest_and_is_told() -> None:
    """The buffer is bounded; the count is told once."""
    answers, tap = (made := ready()), Tap(made)
    with tap.look(Filter()) as looker:
        for number in range(ROWS_MAX + 5):
            answers.count(Told("", "", "GET", b"a.test", b"/%d" % number, 200, 0, Outcome.HIT, ()))
        rows, lost = looker.take(1)
        assert (rows[0]["path"], lost) == ("/5", 5)
        assert looker.take(1)[1] == 0


def test_events() -> None:
    """For those who want them, and of their site only."""
    tap = Tap(ready())
    with (
        tap.look(Filter(events=True)) as every,
        tap.look(Filter(site="one", events=True)) as one,
        tap.look(Filter(events=False)) as none,
    ):
        tap.event("purged", "one", generation=3)
        tap.event("head", sequence=9)
    assert [row["event"] for row in every.take(9)[0]] == ["purged", "head"]
    assert [row["generation"] for row in one.take(9)[0]] == [3]
    assert none.take(9)[0] == []


def test_a_batch_fits_into_a_body() -> None:
    """As many rows as there is room for, and one in any case."""
    rows = [{"x": "y" * 2000}] * 1000
    assert 1 < len(_fitting(rows)) * 2000 <= BATCH_BYTES
    assert len(_fitting([{"x": "y" * BATCH_BYTES}] * 2)) == 1
    assert _fitting([]) == []
