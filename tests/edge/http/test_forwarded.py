"""Who a request is from: what trusted proxies wrote, read from the right."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.address import Trusted, key_of, spelled
from edge.http.forwarded import client_of

PROXY = "10.0.0.1"  # the peer of every row
TRUSTED = Trusted.read("10.0.0.0/8, 2001:db8:ffff::/48")
ROWS: list[tuple[list[str], list[str], str]] = [
    # X-Forwarded-For, Forwarded, the client
    ([], [], PROXY),
    (["192.0.2.7"], [], "192.0.2.7"),
    (["192.0.2.7:8080"], [], "192.0.2.7"),
    (["2001:db8::7"], [], "2001:db8::7"),
    (["[2001:DB8::7]:8080"], [], "2001:db8::7"),
    (["[2001:db8::7]"], [], "2001:db8::7"),
    (["::ffff:192.0.2.7"], [], "192.0.2.7"),
    (["198.51.100.9, 192.0.2.7"], [], "192.0.2.7"),  # the client wrote the first one itself
    (["198.51.100.9", "192.0.2.7"], [], "192.0.2.7"),
    (["192.0.2.7, 10.0.0.9"], [], "192.0.2.7"),  # two proxies of ours
    (["192.0.2.7,10.0.0.9\t,\t2001:db8:ffff::1"], [], "192.0.2.7"),
    (["10.0.0.8, 10.0.0.9"], [], "10.0.0.8"),  # all of them ours: the farthest
    (["192.0.2.7, unknown, 10.0.0.9"], [], "10.0.0.9"),
    (["192.0.2.7, nonsense"], [], PROXY),
    (["192.0.2.7, 192.0.2.07"], [], PROXY),
    (["192.0.2.7, fe80::1%eth0"], [], PROXY),
    (["192.0.2.7 198.51.100.9"], [], PROXY),
    (["192.0.2.7,"], [], "192.0.2.7"),
    ([", 192.0.2.7, ,"], [], "192.0.2.7"),
    ([""], [], PROXY),
    (['"192.0.2.7"'], [], PROXY),
    (["192.0.2.7:port"], [], PROXY),
    ([], ["for=192.0.2.7"], "192.0.2.7"),
    ([], ["For=192.0.2.7"], "192.0.2.7"),
    ([], ['for="192.0.2.7:8080"'], "192.0.2.7"),
    ([], ['for="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),  # §4
    ([], ["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),  # §4
    ([], ["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17"),  # §4
    ([], ["for=192.0.2.43", "for=198.51.100.17"], "198.51.100.17"),
    ([], ["for=192.0.2.43, for=10.0.0.9;by=10.0.0.1"], "192.0.2.43"),
    ([], ['proto=https;for="192.0.2.7"; host=a.test'], "192.0.2.7"),
    ([], ['for="\\1\\92.0.2.7"'], "192.0.2.7"),
    ([], ["for=192.0.2.43, for=unknown"], PROXY),
    ([], ["for=192.0.2.43, for=_secret, for=10.0.0.9"], "10.0.0.9"),
    ([], ["for=192.0.2.43, proto=https"], PROXY),
    ([], ["for=192.0.2.43, for=192.0.2.7;for=192.0.2.8"], PROXY),
    ([], ["for=[2001:db8::1]"], PROXY),  # §6: an IPv6 address is quoted
    ([], ['for="2001:db8::1"'], PROXY),  # and in brackets
    ([], ['for="192.0.2.7'], PROXY),
    ([], ["192.0.2.7"], PROXY),
    ([], ["for = 192.0.2.7"], PROXY),
    ([], [""], PROXY),
    ([], ["for=192.0.2.7,"], "192.0.2.7"),
    ([], ['for="evil, for=192.0.2.7'], "192.0.2.7"),  # what a client wrote takes nothing from what the proxy wrote
    ([], ['for=192.0.2.7;host="x, for=198.51.100.9"'], "192.0.2.7"),  # nor is a text in quotes an element
    ([], ['for=192.0.2.7;host="x,for=198.51.100.9;a=\\"b"'], "192.0.2.7"),
    ([], ['for=192.0.2.7;host="x;for=198.51.100.9"'], "192.0.2.7"),
    (["192.0.2.7"], ["for=192.0.2.7"], "192.0.2.7"),  # both, and they agree
    (["192.0.2.7"], ["for=198.51.100.9"], PROXY),  # both, and they do not: one of them is an invention
    (["nonsense"], ["for=198.51.100.9"], PROXY),
    (["192.0.2.7"], [""], PROXY),
]


@pytest.mark.parametrize(("also", "told", "client"), ROWS)
def test_the_client_of_a_trusted_peer(also: list[str], told: list[str], client: str) -> None:
    """From the right, hop by hop, as far as each is trusted and told well."""
    fields = [(b"x-forwarded-for", value.encode("latin-1")) for value in also]
    fields += [(b"forwarded", value.encode("latin-1")) for value in told]
    assert client_of(PROXY, fields, TRUSTED) == client


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "2001:db8::1", ""])
def test_nobody_else_is_believed(peer: str) -> None:
    """Whatever a client says of itself, its address is the connection's."""
    fields = [(b"x-forwarded-for", b"198.51.100.9"), (b"forwarded", b"for=198.51.100.9")]
    assert client_of(peer, fields, TRUSTED) == peer
    assert client_of(PROXY, fields, Trusted()) == PROXY


def test_no_other_field_is_read() -> None:
    """Names that other tools believe mean nothing here."""
    names = (b"x-real-ip", b"true-client-ip", b"cf-connecting-ip", b"x-client-ip", b"x-forwarded", b"forwarded-for")
    assert client_of(PROXY, [(name, b"198.51.100.9") for name in names], TRUSTED) == PROXY


@given(st.lists(st.text('for=192.0",; \\\t[]:_a\xff', max_size=40), max_size=3), st.booleans())
def test_what_a_client_wrote_never_matters(garbage: list[str], in_one: bool) -> None:
    """Whatever stands to the left of what the proxy wrote, the proxy's word is taken."""
    lines = [text.encode("latin-1") for text in garbage]
    for name, good in ((b"forwarded", b'for="192.0.2.7:1"'), (b"x-forwarded-for", b"192.0.2.7")):
        values = [b", ".join([*lines, good])] if in_one else [*lines, good]
        assert client_of(PROXY, [(name, value) for value in values], TRUSTED) == "192.0.2.7"


def test_a_hostile_field_is_cheap() -> None:
    """16 KiB of whatever is slow to read elsewhere: read in time that grows with its length alone."""
    shapes = (",", 'a="', ',a="', "a=1;", "a=1,", " ", "\t;", '"\\', "10.0.0.1,", "for=10.0.0.1,", ":", "a")
    for shape in shapes:
        for end in ("", '"', "x", '"x'):
            seconds = []
            for size in (4096, 16384):
                value = ((shape * size)[:size] + end).encode()
                started = time.process_time()
                client_of(PROXY, [(b"forwarded", value)], TRUSTED)
                client_of(PROXY, [(b"x-forwarded-for", value)], TRUSTED)
                seconds.append(time.process_time() - started)
            assert seconds[1] < 5, (shape, end, seconds)  # a square would take minutes


SPELLINGS = [
    ("192.0.2.7", "192.0.2.7"),
    ("::FFFF:192.0.2.7", "192.0.2.7"),
    ("2001:0DB8:0::7", "2001:db8::7"),
    ("192.0.2.07", None),
    ("192.0.2", None),
    ("fe80::1%eth0", None),
    ("", None),
    ("3221225991", None),
    (" 192.0.2.7", None),
]


@pytest.mark.parametrize(("text", "address"), SPELLINGS)
def test_one_spelling(text: str, address: str | None) -> None:
    """The same address is the same text, whoever said it."""
    assert spelled(text) == address


def test_whom_an_address_stands_for() -> None:
    """IPv4: itself. IPv6: its /64."""
    assert key_of("192.0.2.7") == "192.0.2.7"
    assert key_of("2001:db8:0:1:aaaa::1") == key_of("2001:db8:0:1::2") == "2001:db8:0:1::"
    assert key_of("2001:db8:0:2::1") != key_of("2001:db8:0:1::1")


def test_networks() -> None:
    """Networks and addresses, comma separated; what is none is refused with a word of help."""
    trusted = Trusted.read("10.0.0.0/8,192.0.2.1 , 2001:db8::/32")
    assert trusted == Trusted.read("10.0.0.0/8,192.0.2.1/32,2001:db8::/32")
    assert [trusted.trusts(address) for address in ("10.255.0.1", "192.0.2.1", "2001:db8::1")] == [True] * 3
    assert not any(trusted.trusts(address) for address in ("11.0.0.1", "192.0.2.2", "2001:db9::1", "", "x"))
    assert trusted
    assert not Trusted.read(" ")
    for text in ("10.0.0.1/8", "nonsense", "10.0.0.0/33", "10.0.0.0-10.0.0.9"):
        with pytest.raises(ValueError, match="no network such as"):
            Trusted.read(text)
