"""The ring's promises: fair shares, little movement, the same answer for everybody."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.peers.ring import Member, Ring, parse_members

KEYS = [b"b\x12\x20" + sha256(str(number).encode()).digest() for number in range(20_000)]
FEW = KEYS[:300]
EU_OWNERS = ["eu-3", "eu-4", "eu-2", "eu-3", "eu-4", "eu-0", "eu-3", "eu-4"]
HOMES = ["eu", "us", "us", "us", "eu", "eu", "eu", "eu"]


def members(count: int, region: str = "eu", weight: float = 1.0) -> list[Member]:
    return [
        Member(f"{region}-{number}", f"http://127.0.0.1:{7000 + number}", region, weight) for number in range(count)
    ]


names = st.lists(st.sampled_from([f"n{number}" for number in range(40)]), min_size=1, max_size=12, unique=True)
rings = names.flatmap(
    lambda chosen: st.tuples(
        *(
            st.builds(
                Member,
                st.just(name),
                st.just("http://127.0.0.1:1"),
                st.sampled_from(["eu", "us", "ap"]),
                st.sampled_from([0.25, 1.0, 3.0]),
            )
            for name in chosen
        )
    )
)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 20])
def test_a_join_moves_only_the_newcomers_share(count: int) -> None:
    """Of 20,000 keys a join moves at most 1.2/(n+1) and a little slack, and only to the newcomer."""
    old, new = Ring(members(count)), Ring(members(count + 1))
    moved = [key for key in KEYS if old.order(key, "eu")[0] != new.order(key, "eu")[0]]
    assert len(moved) <= len(KEYS) * 1.2 / (count + 1) + 50
    assert {new.order(key, "eu")[0].name for key in moved} == {f"eu-{count}"}


def test_owners_share_the_keys_evenly() -> None:
    """With 16 equal members nobody owns more than 1.15 or less than 0.85 of a fair share."""
    ring = Ring(members(16))
    shares = Counter(ring.order(key, "eu")[0].name for key in KEYS)
    assert len(shares) == 16
    fair = len(KEYS) / 16
    assert max(shares.values()) <= 1.15 * fair
    assert min(shares.values()) >= 0.85 * fair


def test_shares_follow_weights() -> None:
    """A member of weight 3 among three of weight 1 owns half of the keys."""
    ring = Ring([*members(3), Member("big", "http://127.0.0.1:1", "eu", 3.0)])
    owned = sum(ring.order(key, "eu")[0].name == "big" for key in KEYS)
    assert 0.47 <= owned / len(KEYS) <= 0.53


def test_home_regions_follow_the_weight_of_their_members() -> None:
    """A region of six members is the home of twice the keys of a region of three."""
    ring = Ring([*members(6, "eu"), *members(3, "us")])
    homes = Counter(ring.home_region(key) for key in KEYS)
    assert 0.64 <= homes["eu"] / len(KEYS) <= 0.70


@settings(max_examples=60, deadline=None)
@given(rings, st.randoms(use_true_random=False))
def test_the_order_members_are_listed_in_does_not_matter(listed: tuple[Member, ...], chance: random.Random) -> None:
    """Two nodes with the same members in another order agree on every owner."""
    shuffled = list(listed)
    chance.shuffle(shuffled)
    one, other = Ring(listed), Ring(shuffled)
    for key in FEW[:40]:
        assert one.home_region(key) == other.home_region(key)
        assert [one.order(key, region) for region in one.regions] == [
            other.order(key, region) for region in other.regions
        ]


@settings(max_examples=60, deadline=None)
@given(rings)
def test_an_order_names_every_member_of_its_region_once(listed: tuple[Member, ...]) -> None:
    """Skipping the sick in an order reaches everybody, and nobody of another region."""
    ring = Ring(listed)
    for key in FEW[:20]:
        for region in ring.regions:
            order = ring.order(key, region)
            assert sorted(member.name for member in order) == sorted(m.name for m in listed if m.region == region)


@settings(max_examples=40, deadline=None)
@given(rings.filter(lambda listed: len(listed) > 1), st.data())
def test_who_leaves_takes_only_his_keys_along(listed: tuple[Member, ...], data: st.DataObject) -> None:
    """Without one member the order of the others stays what it was."""
    gone = data.draw(st.sampled_from(listed))
    ring, rest = Ring(listed), Ring(member for member in listed if member != gone)
    for key in FEW[:40]:
        assert rest.order(key, gone.region) == tuple(m for m in ring.order(key, gone.region) if m != gone)


def test_an_empty_ring_has_no_owner_and_no_home() -> None:
    """One node alone needs no special case above."""
    ring = Ring()
    assert ring.order(KEYS[0], "eu") == ()
    assert ring.home_region(KEYS[0]) is None
    assert Ring(members(2)).order(KEYS[0], "nowhere") == ()


def test_placement_is_a_format() -> None:
    """Nodes of two versions must agree: these owners may never change without a plan for it."""
    ring = Ring([*members(5, "eu"), *members(3, "us", weight=2.0)])
    assert [ring.order(key, "eu")[0].name for key in KEYS[:8]] == EU_OWNERS
    assert [ring.home_region(key) for key in KEYS[:8]] == HOMES


def test_members_are_read_from_text_and_written_back() -> None:
    """The form of the command line: name=url;region=R;weight=W, commas between."""
    text = "a=http://127.0.0.1:7001;region=eu;weight=0.5,b=https://edge.example:8443;region=us;weight=1"
    read = parse_members(text)
    assert read == (
        Member("a", "http://127.0.0.1:7001", "eu", 0.5),
        Member("b", "https://edge.example:8443", "us", 1.0),
    )
    assert ",".join(map(str, read)) == text
    assert parse_members("a=http://h:1/") == (Member("a", "http://h:1", "local", 1.0),)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "=http://h:1",
        "a=ftp://h:1",
        "a=http://",
        "a=http://h:1;weight=0",
        "a=http://h:1;weight=nan",
        "a=http://h:1;weight=x",
        "a=http://h:1;colour=red",
        "a=http://h:1;region=",
        'a"b=http://h:1',
        "a=http://h:1,a=http://h:2",
    ],
)
def test_a_member_that_makes_no_sense_is_refused(text: str) -> None:
    """A bad member list stops the node at its start, saying which member."""
    with pytest.raises(ValueError, match=r".+"):
        parse_members(text)
