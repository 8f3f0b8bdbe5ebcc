"""The numbers of several processes as one edge's: what is added, what is the least, and what is left of ended ones."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from edge.control.metrics import Value, render
from edge.peers.shares import Shares
from edge.processes import board
from edge.processes.board import Board
from edge.processes.totals import Totals

STATUS = {"sequence": 5, "stored": 5, "stale": False, "ready": True, "ejected": [], "memory": {"bytes": 1}, "disk": {}}


class Others:
    """What the other process of two answers; None: nothing."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        self.shares = Shares(0, ("http://127.0.0.1:1", "http://127.0.0.1:2"))
        self.answer = answer

    async def numbers(self) -> dict[int, dict[str, Any] | None]:
        return {1: self.answer}


def totals(state: Path, index: int, values: dict[str, Value], answer: dict[str, Any] | None = None) -> Totals:
    descriptor, bells = board.make(2)
    others: Any = Others(answer)
    others.shares = Shares(index, others.shares.urls)
    return Totals(state, others, Board(descriptor, bells, 0), lambda: values, lambda: {**STATUS, "outcomes": {}})


def test_counters_are_added_and_gauges_by_their_meaning(tmp_path: Path) -> None:
    """Also those with labels; and all of it renders."""
    here: dict[str, Value] = {
        "rim_requests_total": {"hit": 3.0, "disk": 1.0},
        "rim_head_sequence": 7,
        "rim_head_contact_seconds": 0.5,
        "rim_connections": 2,
        "rim_processes": 1,
    }
    there = asyncio.run(
        totals(
            tmp_path,
            1,
            {**here, "rim_requests_total": {"hit": 4.0, "fill": 1.0}, "rim_head_sequence": 6, "rim_connections": 5},
        ).own()
    )
    got = asyncio.run(totals(tmp_path, 0, here, there).values())
    assert got["rim_requests_total"] == {("hit",): 7.0, ("disk",): 1.0, ("fill",): 1.0}
    assert (got["rim_head_sequence"], got["rim_head_contact_seconds"], got["rim_connections"]) == (6, 0.5, 7)
    assert got["rim_processes"] == 2
    assert b'rim_requests_total{outcome="hit"} 7.0' in render(got)


def test_a_count_that_was_told_is_never_lost(tmp_path: Path) -> None:
    """The process ends, nobody answers, its successor begins at nothing: the sum stays, and goes on from there."""
    counts: dict[str, Value] = {"rim_warm_errors_total": 2, "rim_connections": 4}
    asyncio.run(totals(tmp_path, 1, counts).own())
    here: dict[str, Value] = {"rim_warm_errors_total": 1, "rim_connections": 1}
    alone = asyncio.run(totals(tmp_path, 0, here, None).values())
    assert (alone["rim_warm_errors_total"], alone["rim_connections"]) == (3, 1)
    again = asyncio.run(totals(tmp_path, 1, {"rim_warm_errors_total": 5, "rim_connections": 0}).own())
    both = asyncio.run(totals(tmp_path / "other", 0, here, again).values())
    assert (both["rim_warm_errors_total"], both["rim_connections"]) == (8, 1)


def test_the_status_is_of_the_edge_and_tells_of_each_process(tmp_path: Path) -> None:
    """The least Head, and who does not answer."""
    one = asyncio.run(totals(tmp_path, 0, {}, None).status())
    assert [row["answers"] for row in one["processes"]] == [True, False]
    assert (one["sequence"], one["stored"]) == (5, 0)
