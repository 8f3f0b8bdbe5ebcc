"""What nodes say to each other in header fields: read as far as it can be, and no further."""

from __future__ import annotations

import pytest

from edge.peers import words


@pytest.mark.parametrize("nodes", [(), ("a",), ("a", "b", "edge-1.eu#0"), ("Zürich 1", 'a"b\\c', "100%25")])
def test_a_chain_is_read_as_it_was_written(nodes: tuple[str, ...]) -> None:
    """CDN-Loop there and back, and nothing but ASCII on the way."""
    field = words.chain(nodes)
    assert field.isascii()
    assert words.chain_of(field) == nodes


@pytest.mark.parametrize(
    ("field", "nodes"),
    [
        ("", ()),
        ("fastly, cloudflare; subreqs=1", ()),
        ('fastly, rim; node="a" , rim;node="b"', ("a", "b")),
        ('rim; node="a', ()),
        ('rim; node=""', ()),
    ],
)
def test_other_cdns_and_nonsense_are_passed_over(field: str, nodes: tuple[str, ...]) -> None:
    """Only nodes of ours count as hops."""
    assert words.chain_of(field) == nodes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("86400", words.REST_MAX),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("9" * 5000, None),
    ],
)
def test_a_rest_is_so_many_seconds_and_never_a_date(text: str, seconds: float | None) -> None:
    """A member's clock is not trusted, and nobody is put away for a day by one answer."""
    assert words.rest_of({"Retry-After": text}) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("", 1), ("0", 1), ("3", 3), ("x", 1), ("999999999", words.MIRRORS_MAX), ("9" * 5000, 1)]
)
def test_the_number_of_mirrors_is_a_number(text: str, count: int) -> None:
    """At least the owner, and never more than could be."""
    assert words.mirrors_of({"Rim-Mirrors": text}) == count


@pytest.mark.parametrize(("text", "version"), [("", 0), ("1", 1), ("2", 2), ("two", 0)])
def test_the_version_of_the_language_is_a_number(text: str, version: int) -> None:
    """Who does not say it speaks what was spoken before there was one."""
    assert words.wire_of({"Rim-Wire": text}) == version
