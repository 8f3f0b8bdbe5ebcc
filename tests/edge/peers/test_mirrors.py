"""Mirrors: how far reads are spread, where they go, and that an owner knows the rate of what it no longer sees."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from edge.peers import mirrors
from edge.peers.heat import FADE, Heat
from edge.peers.mirrors import ADVICE_FOR, FLOOR, SHARE, Mirrors
from edge.peers.ring import Member
from tests.edge.peers.test_heat import Clock

KEY = b"b\x12\x20" + bytes(32)
ORDER = [Member(f"m{number}", f"http://127.0.0.1:{7000 + number}") for number in range(64)]


def node(clock: Clock, name: str = "asker", seed: int = 8) -> Mirrors:
    return Mirrors(Heat(clock), clock, random.Random(seed), name)


def warm(owner: Mirrors, clock: Clock, key: bytes, rate: float, seconds: float = 5 * FADE) -> None:
    """So many questions a second for a key, for so long."""
    for _ in range(int(seconds * rate)):
        clock.now += 1 / rate
        owner.heat.hit(key)


def test_a_quiet_key_is_nobody_elses_business() -> None:
    """Up to the floor, the owner answers alone, however little else it does."""
    clock = Clock()
    owner = node(clock, "m0")
    warm(owner, clock, KEY, 0.9 * FLOOR)
    assert owner.advised(KEY, 64) == 1
    assert owner.advised(b"never heard of", 64) == 1


def test_a_key_that_is_most_of_what_a_member_answers_is_spread_over_its_share() -> None:
    """One key, 300 questions a second and nothing else: 1/SHARE members; in a smaller region, all of them."""
    clock = Clock()
    owner = node(clock, "m0")
    warm(owner, clock, KEY, 300)
    assert owner.advised(KEY, 1_000) == pytest.approx(1 / SHARE, abs=1)
    assert owner.advised(KEY, 8) == 8
    assert owner.advised(KEY, 1) == 1


def test_advice_shrinks_slowly() -> None:
    """When the questions end K goes down by a fifth per ADVICE_FOR, then is no more."""
    clock = Clock()
    owner = node(clock, "m0")
    warm(owner, clock, KEY, 300)
    before = owner.advised(KEY, 40)
    clock.now += ADVICE_FOR - 0.1
    assert owner.advised(KEY, 40) == before == 40
    clock.now += 100 * FADE
    seen = []
    while (k := owner.advised(KEY, 40)) > 1:
        seen.append(k)
        clock.now += ADVICE_FOR
    assert seen[:3] == [32, 25, 20]
    assert owner.advised(KEY, 40) == 1


def test_an_asker_reads_from_all_who_were_named_and_from_the_owner_one_time_in_k() -> None:
    """8 of 64 are named: nobody else is read from, and each of the 8 about as often."""
    asker = node(Clock())
    asker.learned(KEY, 8)
    assert asker.weight(KEY, ORDER) == 8
    reads = Counter((asker.choose(KEY, ORDER) or ORDER[0]).name for _ in range(8_000))
    assert set(reads) == {f"m{number}" for number in range(8)}
    assert all(900 <= count <= 1_100 for count in reads.values())


def test_without_advice_the_owner_is_asked_and_advice_ends() -> None:
    """Before the first answer, after ADVICE_FOR, and once the owner says no more of it."""
    clock = Clock()
    asker = node(clock)
    assert {asker.choose(KEY, ORDER) for _ in range(100)} == {None}
    asker.learned(KEY, 64)
    assert any(asker.choose(KEY, ORDER) for _ in range(100))
    clock.now += ADVICE_FOR
    assert {asker.choose(KEY, ORDER) for _ in range(100)} == {None}
    asker.learned(KEY, 64)
    asker.learned(KEY, 1)
    assert {asker.choose(KEY, ORDER) for _ in range(100)} == {None}
    assert asker.choose(KEY, []) is None
    assert asker.weight(KEY, []) == 1


def test_a_mirror_asks_the_owner_alone_and_speaks_for_itself_alone() -> None:
    """Who is named keeps a copy; its question must not count K times, or K would feed itself."""
    asker = node(Clock(), "m3")
    asker.learned(KEY, 8)
    assert {asker.choose(KEY, ORDER) for _ in range(100)} == {None}
    assert asker.weight(KEY, ORDER) == 1
    assert asker.is_mirror(KEY, ORDER)
    assert not node(Clock(), "m9").is_mirror(KEY, ORDER)


def test_hot_reads_go_where_cold_keys_left_room() -> None:
    """m1 is asked a lot for cold keys: reads of a hot key pass it by, and all four end up level."""
    clock = Clock()
    asker = node(clock)
    asker.learned(KEY, 4)
    asked = Counter[str]()
    for number in range(4_000):
        clock.now += 0.001
        if number % 5 == 0:  # m1 owns a lot that is cold
            asker.choose(b"cold %d" % number, [ORDER[1], *ORDER[2:]])
            asked["m1"] += 1
        else:
            asked[(asker.choose(KEY, ORDER) or ORDER[0]).name] += 1
    assert asked["m2"] == pytest.approx(asked["m3"], rel=0.1)
    assert asked["m1"] == pytest.approx(asked["m2"], rel=0.15)


def test_heavier_members_read_more() -> None:
    """A mirror of weight 3 is burdened by three times the questions as much as one of weight 1."""
    asker = node(Clock())
    heavy = Member("heavy", "http://127.0.0.1:1", weight=3.0)
    asker.learned(KEY, 5)
    reads = Counter((asker.choose(KEY, [*ORDER[:4], heavy]) or ORDER[0]).name for _ in range(8_000))
    assert reads["heavy"] > 1.5 * max(reads[f"m{number}"] for number in (1, 2, 3))


def test_an_owner_knows_the_rate_of_what_it_no_longer_sees() -> None:
    """16 askers, some with advice and some without: the owner's estimate is the true rate of all their reads."""
    clock = Clock()
    owner = node(clock, "m0")
    askers = [node(clock, f"a{number}", number) for number in range(16)]
    for turn in range(40_000):
        clock.now += 1 / 300
        asker = askers[turn % 16]
        if turn % 1_000 < 500:
            asker.learned(KEY, (turn % 4) * 8)
        if asker.choose(KEY, ORDER) is None:
            owner.heat.hit(KEY, asker.weight(KEY, ORDER))
    assert owner.heat.rate(KEY) == pytest.approx(300, rel=0.25)
    assert owner.heat.total < 225


def test_memory_is_bounded_on_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever new hot keys push out old ones."""
    monkeypatch.setattr(mirrors, "HOT_KEYS", 100)
    clock = Clock()
    both = node(clock, "m0")
    for number in range(150):
        key = b"%d" % number
        both.learned(key, 8)
        both.heat.hit(key, 10_000)
        both.advised(key, 64)
    assert len(both._told) == 100
    assert len(both._given) == 100
