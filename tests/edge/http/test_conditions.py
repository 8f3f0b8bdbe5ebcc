"""Entity tags compared: RFC 9110 §8.8.3 and §13.1."""

from __future__ import annotations

import pytest

from edge.http.conditions import match, none_match, range_holds

TAG = b'"bafy"'
NONE_MATCH = [
    ("13.1.2 the tag", b'"bafy"', True),
    ("13.1.2 another tag", b'"xyzzy"', False),
    ("13.1.2 any", b"*", True),
    ("13.1.2 any, spaced", b" * ", True),
    ("13.1.2 weak compare", b'W/"bafy"', True),
    ("13.1.2 list", b'"xyzzy", "bafy", "r2d2xxxx"', True),
    ("13.1.2 weak list", b'W/"xyzzy",W/"bafy"', True),
    ("5.6.1 empty elements", b', ,"bafy"', True),
    ("8.8.3 a comma inside a tag", b'"a,b","bafy"', True),
    ("8.8.3 a tag inside a tag's text", b'"x bafy"', False),
    ("8.8.3 unquoted", b"bafy", False),
    ("8.8.3 lower-case w/", b'w/"bafy"', False),
    ("8.8.3 after garbage", b'garbage, "bafy"', False),
    ("8.8.3 two without a comma", b'"x" "bafy"', False),
    ("8.8.3 unclosed", b'"bafy', False),
    ("8.8.3 empty", b"", False),
]
MATCH = [
    ("13.1.1 the tag", b'"bafy"', True),
    ("13.1.1 weak never matches", b'W/"bafy"', False),
    ("13.1.1 any", b"*", True),
    ("13.1.1 list", b'W/"bafy", "bafy"', True),
    ("13.1.1 another", b'"xyzzy"', False),
]
RANGE = [
    ("13.1.5 the tag", b'"bafy"', True),
    ("13.1.5 weak never", b'W/"bafy"', False),
    ("13.1.5 a date never", b"Wed, 21 Oct 2015 07:28:00 GMT", False),
    ("13.1.5 no list", b'"bafy", "x"', False),
]


@pytest.mark.parametrize(("value", "holds"), [c[1:] for c in NONE_MATCH], ids=[c[0] for c in NONE_MATCH])
def test_if_none_match(value: bytes, holds: bool) -> None:
    """If-None-Match compares weakly, over lists and `*`."""
    assert none_match(value, TAG) is holds


@pytest.mark.parametrize(("value", "holds"), [c[1:] for c in MATCH], ids=[c[0] for c in MATCH])
def test_if_match(value: bytes, holds: bool) -> None:
    """If-Match compares strongly."""
    assert match(value, TAG) is holds


@pytest.mark.parametrize(("value", "holds"), [c[1:] for c in RANGE], ids=[c[0] for c in RANGE])
def test_if_range(value: bytes, holds: bool) -> None:
    """If-Range takes one strong tag."""
    assert range_holds(value, TAG) is holds
