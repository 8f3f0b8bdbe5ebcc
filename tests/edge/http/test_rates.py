"""Rates and counts, on a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.address import Trusted
from edge.http.door import Door, Terms, room_for_connections
from edge.http.rates import Buckets, Held, Rate

TEXTS = [
    ("50/s", Rate(50, 50)),
    ("50/s:200", Rate(50, 200)),
    (" 50 / s : 200 ", Rate(50, 200)),
    ("0.5/s", Rate(0.5, 1)),
    ("2.5/s", Rate(2.5, 2)),
    ("1/s:1", Rate(1, 1)),
]


@pytest.mark.parametrize(("text", "rate"), TEXTS)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    """Requests a second, and how many at once; without that, a second's worth."""
    assert Rate.read(text) == rate


@pytest.mark.parametrize("text", ["", "50", "50/m", "0/s", "-1/s", "50/s:0", "50/s:", "50/s:1.5", "x/s", "50/s:200:1"])
def test_what_is_no_rate(text: str) -> None:
    """Refused with an example of one."""
    with pytest.raises(ValueError, match="no rate such as"):
        Rate.read(text)


def test_a_bucket() -> None:
    """Three at once, then one each half second; a refusal costs nothing; silence fills it up, and no further."""
    buckets = Buckets[str](Rate(2, 3))
    assert [buckets.take("a", 100.0) for _ in range(5)] == [None, None, None, 0.5, 0.5]
    assert buckets.take("b", 100.0) is None, "another key has a bucket of its own"
    assert buckets.take("a", 100.25) == 0.25
    assert [buckets.take("a", 100.5) for _ in range(2)] == [None, 0.5]
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [None, None, None, 0.5]


@given(st.integers(1, 20), st.integers(1, 20), st.lists(st.floats(0, 3), max_size=200))
def test_no_more_than_the_rate(per_second: int, burst: int, gaps: list[float]) -> None:
    """Over any stretch of time at most rate × length + burst are allowed, and who waits as told is."""
    buckets, now, allowed = Buckets[str](Rate(per_second, burst)), 0.0, list[float]()
    for gap in gaps:
        now += gap
        wait = buckets.take("a", now)
        if wait is None:
            allowed.append(now)
        else:
            assert 0 < wait <= 1 / per_second + 1e-6
    for first, begin in enumerate(allowed):
        for last in range(first, len(allowed)):
            assert last - first + 1 <= (allowed[last] - begin) * per_second + burst + 1e-6


def test_a_bounded_memory() -> None:
    """Of more keys than are remembered, the one longest silent is forgotten."""
    buckets = Buckets[int](Rate(1, 1), keys=3)
    for key in (1, 2, 3):
        assert buckets.take(key, 0.0) is None
    assert buckets.take(1, 1.0) is None, "used again"
    assert buckets.take(4, 1.0) is None
    assert len(buckets) == 3
    assert buckets.take(1, 1.0) == 1.0, "remembered"
    assert buckets.take(2, 1.0) is None, "2 was the oldest"


def test_held() -> None:
    """Up to the limit, and again when one is given back; nothing stays of who holds none."""
    held = Held[str](2)
    assert [held.take("a") for _ in range(3)] == [True, True, False]
    assert held.take("b")
    held.give("a")
    assert held.take("a")
    for key in ("a", "a", "b"):
        held.give(key)
    assert len(held) == 0


def door(now: float = 0.0, **terms: object) -> Door:
    return Door(Terms(**terms), lambda: now)  # type: ignore[arg-type]


def test_a_door_without_terms_lets_everybody_in() -> None:
    """Off unless set: no header expected, no field read, no rate; only the connections in all are bounded."""
    plain = door()
    assert (plain.has_rates, plain.reads_fields, plain.expects_header("10.0.0.1")) == (False, False, False)
    assert plain.client("10.0.0.1", [(b"x-forwarded-for", b"192.0.2.7")]) == "10.0.0.1"
    assert [plain.enter("192.0.2.7") for _ in range(1000)] == [True] * 1000
    assert plain.wait("192.0.2.7", "demo") is None
    assert plain.connections == room_for_connections() > 0
    assert plain.has_room(plain.connections, lambda: False)
    assert not plain.has_room(plain.connections + 1, lambda: False)
    assert plain.has_room(plain.connections + 1, lambda: True)
    assert plain.refused == {"connections": 1, "idle connections": 1}


def test_the_header_is_expected_of_trusted_proxies_only() -> None:
    """Everyone else speaks HTTP: nothing is guessed from what comes."""
    behind = door(trusted=Trusted.read("10.0.0.0/8"), proxy_protocol=True)
    assert behind.expects_header("10.0.0.1")
    assert not behind.expects_header("192.0.2.7")
    assert not door(trusted=Trusted.read("10.0.0.0/8")).expects_header("10.0.0.1")


def test_connections_per_client() -> None:
    """Counted by whom an address stands for; a trusted proxy is no client."""
    few = door(trusted=Trusted.read("10.0.0.1"), connections_per_client=2)
    assert [few.enter(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3")] == [True, True, False]
    assert [few.enter("10.0.0.1") for _ in range(3)] == [True] * 3
    few.leave("2001:db8::1")
    assert few.enter("2001:db8::3")
    assert few.refused == {"client connections": 1}
    few.leave("10.0.0.1")


def test_rates_per_client_and_site() -> None:
    """What the one refuses costs the other nothing; a request of no site has no site's rate."""
    both = door(rate_per_client=Rate(1, 2), rate_per_site=Rate(1, 3))
    assert [both.wait("192.0.2.1", "demo") for _ in range(3)] == [None, None, 1.0]
    assert [both.wait("192.0.2.2", "demo") for _ in range(2)] == [None, 1.0], "the third of the site, and the fourth"
    assert both.wait("192.0.2.3", "other") is None
    assert both.wait("192.0.2.3", "") is None
    assert both.refused == {"client rate": 1, "site rate": 1}
    assert [both.allows(client, "other") for client in ("192.0.2.3", "192.0.2.4")] == [False, True]
    assert both.refused == {"client rate": 1, "site rate": 1}, "counted by who tells the client"
