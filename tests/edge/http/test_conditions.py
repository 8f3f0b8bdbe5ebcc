"""Entity tags compared: RFC 9110 §8.8.3 and §13.1."""

from __future__ import annotations

import pytest

from edge.http.conditions import match, none_match, range_holds

TAG = b'"bafy"'
# §8.8.3.2, Table 3; the second tag is ours, and ours are strong. (theirs, ours, strong comparison, weak comparison)
COMPARED = [
    (b'W/"1"', b'"1"', False, True),
    (b'W/"1"', b'"2"', False, False),
    (b'"1"', b'"1"', True, True),
    (b'"1"', b'"2"', False, False),
]
# The examples of §13.1.1 and §13.1.2 under a page that has this tag, and under one that has another.
EXAMPLES = [b'"xyzzy"', b'"xyzzy", "r2d2xxxx", "c3piozzzz"', b"*"]
WEAK_EXAMPLES = [b'W/"xyzzy"', b'W/"xyzzy", W/"r2d2xxxx", W/"c3piozzzz"']
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
    ("8.8.3.1 the empty tag", b'""', False),
    ("8.8.3 obs-text in a tag", b'"\xe9", "bafy"', True),
    ("8.8.3 a blank in a tag", b'"a b", "bafy"', False),
    ("8.8.3 a quote escaped, which tags have not", rb'"a\"", "bafy"', False),
    ("13.1.2 any among tags is none", b'"xyzzy", *', False),
    ("13.1.2 a date", b"Sat, 29 Oct 1994 19:43:31 GMT", False),
]
MATCH = [
    ("13.1.1 the tag", b'"bafy"', True),
    ("13.1.1 weak never matches", b'W/"bafy"', False),
    ("13.1.1 any", b"*", True),
    ("13.1.1 list", b'W/"bafy", "bafy"', True),
    ("13.1.1 another", b'"xyzzy"', False),
    ("13.1.1 empty", b"", False),
]
RANGE = [
    ("13.1.5 the tag", b'"bafy"', True),
    ("13.1.5 weak never", b'W/"bafy"', False),
    ("13.1.5 a date never", b"Wed, 21 Oct 2015 07:28:00 GMT", False),
    ("13.1.5 no list", b'"bafy", "x"', False),
    ("13.1.5 no star", b"*", False),
    ("13.1.5 spaced", b' "bafy" ', True),
    ("13.1.5 empty", b"", False),
]


@pytest.mark.parametrize(("theirs", "ours", "strong", "weak"), COMPARED)
def test_comparison(theirs: bytes, ours: bytes, strong: bool, weak: bool) -> None:
    """Strong and weak comparison are those of §8.8.3.2."""
    assert (match(theirs, ours), none_match(theirs, ours), range_holds(theirs, ours)) == (strong, weak, strong)


@pytest.mark.parametrize("value", EXAMPLES + WEAK_EXAMPLES)
def test_examples(value: bytes) -> None:
    """The RFC's own fields, read as it reads them."""
    assert none_match(value, b'"xyzzy"')
    assert none_match(value, b'"abc"') is (value == b"*")
    assert match(value, b'"xyzzy"') is (value in EXAMPLES)
    assert match(value, b'"abc"') is (value == b"*")


@pytest.mark.parametrize("value", [b", " * 32_768, b" " * 65_536, b'"x",' * 16_384, b'"' * 65_536, b'W/"' * 20_000])
def test_a_long_field_is_read_once(value: bytes) -> None:
    """64 KiB of what is almost a list match nothing; a reading that starts over at each byte would take minutes."""
    assert not none_match(value, TAG)
    assert not match(value, TAG)


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
