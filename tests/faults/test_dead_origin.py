"""The origin is dead for an hour, and then for days: what edges hold they serve, all of it.

Actors: two edges as processes whose clocks, wall and monotonic, are put forward by libfaketime; an origin that is
killed; a visitor who asks each edge for everything at each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.faketime import Clock
from tests.kit.nodes import Cluster, Edge, Origin, until

pytestmark = pytest.mark.needs("faketime")
FILES = {f"/page-{n}.html": b"page %d" % n * 300 for n in range(12)} | {"/long.bin": bytes(range(256)) * 12_000}
STEPS, STEP = 12, 300  # of five minutes: an hour
MINUTE = 60


@dataclass
class Stage:
    """A ring, and the clock that all its edges go by."""

    cluster: Cluster
    clock: Clock


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    origin = Origin(tmp_path / "origin")
    origin.start()
    edges = [Edge(f"edge-{n}", tmp_path / f"edge-{n}") for n in (1, 2)]
    cluster = Cluster(origin, edges, origin.node_token())
    clock = Clock(tmp_path / "clock")
    all_of_it = {**clock.env, "FAKETIME_DONT_FAKE_MONOTONIC": "0", "DONT_FAKE_MONOTONIC": "0"}
    try:
        for edge in edges:
            edge.join(origin.url, origin.catalog, cluster.token, edges)
            edge.env = {**edge.env, **all_of_it}
            edge.start(120)
        (tmp_path / "site").mkdir()
        for path, body in FILES.items():
            (tmp_path / "site" / path[1:]).write_bytes(body)
        cluster.publish(tmp_path / "site", "demo", "--encode", "none")
        yield Stage(cluster, clock)
    finally:
        cluster.stop()


def ask_for_all(stage: Stage, detail: str = "") -> int:
    """Everything of every edge, right and whole; how many answers that is."""
    for edge in stage.cluster.edges:
        for path, body in FILES.items():
            got = edge.get("demo", path)
            assert (got.status, got.body == body) == (200, True), f"{edge.name}{path}: {got.status} {got.body[:200]!r}"
            assert detail in got.cache_status
    return len(FILES) * len(stage.cluster.edges)


def put_forward(stage: Stage, seconds: int) -> None:
    """The edges' clocks, and wait until each has seen it: they go on counting how long the origin is away."""
    stage.clock.off(f"+{seconds}s")
    for edge in stage.cluster.edges:
        until(
            f"{edge.name} is {seconds} s on",
            lambda edge=edge: edge.metric("rim_head_contact_seconds") > seconds - MINUTE,
        )


def test_a_dead_origin_costs_no_warm_answer(stage: Stage) -> None:
    """An hour without it: every warm answer, at every step. Past the Head's end, after 50 hours: the same, marked and
    counted as stale. An edge that is started anew then serves from its disk."""
    ask_for_all(stage)
    stage.cluster.origin.kill()
    answers = 0
    for step in range(1, STEPS + 1):
        put_forward(stage, step * STEP)
        answers += ask_for_all(stage)
    assert answers == STEPS * len(FILES) * 2
    for edge in stage.cluster.edges:
        assert edge.metric("rim_head_stale") == 0
    put_forward(stage, 50 * 3600)
    for edge in stage.cluster.edges:
        until("it knows that its Head has ended", lambda edge=edge: edge.metric("rim_head_stale") == 1)
    ask_for_all(stage, "detail=stale")
    for edge in stage.cluster.edges:
        assert edge.metric('rim_requests_total{outcome="stale"}') >= len(FILES)
        assert sum(edge.metric(f'rim_responses_total{{status="{status}"}}') for status in (502, 503, 504)) == 0
    again = stage.cluster.edges[0]
    again.stop()
    again.start(120)
    ask_for_all(stage, "detail=stale")
