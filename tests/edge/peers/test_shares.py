"""Placement below the machine: evenly, steadily, the same in every process."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

from edge.peers.shares import Shares, share_of

KEYS = [b"b\x12\x20" + sha256(b"%d" % number).digest() for number in range(9_000)]


def test_every_block_has_one_owner_and_all_have_their_share() -> None:
    """Of 9,000 blocks each of three processes has a third, within 5 %; and all of them agree on whose each one is."""
    urls = tuple(f"http://127.0.0.1:{port}" for port in (1, 2, 3))
    processes = [Shares(index, urls) for index in range(3)]
    owners = [[one.index for one in processes if one.is_mine(key)] for key in KEYS]
    assert {len(found) for found in owners} == {1}
    counts = Counter(found[0] for found in owners)
    assert all(abs(count - 3_000) < 150 for count in counts.values()), counts
    assert processes[1].others == (0, 2)


def test_one_process_more_takes_its_share_and_moves_nothing_else() -> None:
    """From three to four: a block that moves goes to the new one, and about a quarter does."""
    moved = [(share_of(key, 3), share_of(key, 4)) for key in KEYS if share_of(key, 3) != share_of(key, 4)]
    assert {after for _, after in moved} == {3}
    assert abs(len(moved) - len(KEYS) / 4) < len(KEYS) / 50


def test_alone_everything_is_ours() -> None:
    """One process alone owns whatever the ring says is its machine's; one that gave up its place, nothing."""
    assert all(Shares().is_mine(key) for key in KEYS[:100])
    assert not any(Shares(-1, ("", "", "")).is_mine(key) for key in KEYS[:100])
