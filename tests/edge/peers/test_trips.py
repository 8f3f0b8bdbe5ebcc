"""How far away a node is: the shortest wait seen, forgotten slowly, and added to what it may take."""

from __future__ import annotations

import pytest

from edge.peers.budget import ORIGIN, PEER
from edge.peers.trips import FAR, KNOWN, MOST, Trips


def test_the_shortest_wait_is_the_distance() -> None:
    """Slow answers say nothing of the way; of whom nothing was heard, the far side of the world is assumed."""
    trips = Trips()
    assert trips.of("b") == FAR
    for seconds in (0.4, 0.08, 0.3):
        trips.heard("b", seconds)
    assert trips.of("b") == pytest.approx(0.08, rel=0.1)


def test_a_way_that_has_become_longer_is_believed_in_time() -> None:
    """A hundred answers later the old distance is forgotten; a minute's wait is no distance."""
    trips = Trips()
    trips.heard("b", 0.01)
    for _ in range(200):
        trips.heard("b", 0.2)
    assert trips.of("b") == 0.2
    for _ in range(200):
        trips.heard("b", 60.0)
    assert trips.of("b") == MOST


def test_no_more_than_so_many_nodes_are_remembered() -> None:
    """Addresses come and go; the table does not grow with them."""
    trips = Trips()
    for number in range(KNOWN + 10):
        trips.heard(str(number), 0.1)
    assert trips.of("0") == FAR
    assert trips.of(str(KNOWN)) == 0.1


def test_budgets_grow_with_the_way() -> None:
    """One trip to connect, one until silence means anything, three for question and health; near ones stay."""
    far = PEER.over(0.3)
    assert far.connect == pytest.approx(0.6)
    assert far.silence == pytest.approx(0.5)
    assert far.doubt - far.silence >= 2 * 0.3
    assert far.doubt < far.headers < far.patience
    assert PEER.over(0.0) is PEER
    assert ORIGIN.over(0.3).patience == 0
