"""The purse of second questions: a tenth of the traffic, and a small reserve for a burst."""

from __future__ import annotations

from edge.peers.budget import PEER, RESERVE, Retries


def test_no_more_than_a_tenth_is_asked_twice() -> None:
    """A thousand questions that all would like a second: one in ten gets it, beside the reserve."""
    retries = Retries()
    granted = 0
    for _ in range(1000):
        retries.earned()
        granted += retries.spend()
    assert 100 <= granted <= 100 + RESERVE
    assert retries.denied == 1000 - granted


def test_quiet_times_save_up_no_more_than_the_reserve() -> None:
    """A day without trouble does not pay for a storm."""
    retries = Retries()
    for _ in range(100_000):
        retries.earned()
    assert sum(retries.spend() for _ in range(1000)) == RESERVE


def test_the_phases_of_a_question_to_a_peer_follow_each_other() -> None:
    """Asked for its health, doubted, given up, in this order; within what a visitor may be kept waiting."""
    assert 0 < PEER.silence < PEER.doubt <= 0.5 < PEER.headers < PEER.patience < PEER.total
