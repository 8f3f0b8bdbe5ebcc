"""Range fields against sizes: the cases of RFC 9110 §14, and those that attackers send."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.ranges import FIELD, RANGES, UNSATISFIABLE, Span, Unsatisfiable, parse


def _singles(count: int) -> bytes:
    """Every second byte, `count` of them."""
    return b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(0, 2 * count, 2))


ONE: list[tuple[str, bytes, int, Span | Unsatisfiable | None]] = [
    ("14.1.2 first 500 bytes", b"bytes=0-499", 10000, Span(0, 500)),
    ("14.1.2 second 500 bytes", b"bytes=500-999", 10000, Span(500, 1000)),
    ("14.1.2 final 500 bytes, suffix", b"bytes=-500", 10000, Span(9500, 10000)),
    ("14.1.2 final 500 bytes, open", b"bytes=9500-", 10000, Span(9500, 10000)),
    ("14.1.2 one byte", b"bytes=0-0", 10000, Span(0, 1)),
    ("14.1.2 last byte", b"bytes=-1", 10000, Span(9999, 10000)),
    ("14.1.2 last-pos past the end", b"bytes=9999-20000", 10000, Span(9999, 10000)),
    ("14.1.2 all of it", b"bytes=0-", 10000, Span(0, 10000)),
    ("14.1.2 suffix longer than the whole", b"bytes=-20000", 10000, Span(0, 10000)),
    ("14.1.2 starts past the end", b"bytes=10000-", 10000, UNSATISFIABLE),
    ("14.1.2 suffix of nothing", b"bytes=-0", 10000, UNSATISFIABLE),
    ("14.1.2 of an empty file", b"bytes=0-", 0, UNSATISFIABLE),
    ("14.1.2 suffix of an empty file", b"bytes=-5", 0, None),
    ("14.1.1 last before first is invalid", b"bytes=5-4", 10, None),
    ("14.1.1 last before first is invalid, past the end too", b"bytes=15-14", 10, None),
    ("14.1 unit in capitals", b"BYTES=0-1", 10, Span(0, 2)),
    ("14.1 another unit", b"seconds=0-1", 10, None),
    ("14.1.1 no spec", b"bytes=", 10, None),
    ("14.1.1 lone dash", b"bytes=-", 10, None),
    ("14.1.1 two dashes", b"bytes=1-2-3", 10, None),
    ("14.1.1 sign", b"bytes=+1-2", 10, None),
    ("14.1.1 not digits", b"bytes=a-b", 10, None),
    ("14.1.1 other scripts' digits", "bytes=١-٢".encode(), 10, None),
    ("14.1.1 space inside", b"bytes=0 - 1", 10, None),
    ("14.1.1 space before the equals sign", b"bytes =0-1", 10, None),
    ("14.1.1 a line break", b"bytes=0-1\n", 10, None),
    ("5.6.1 empty list elements", b"bytes=, 0-1 ,", 10, Span(0, 2)),
    ("14.2 CVE-2017-7529, below zero", b"bytes=-9223372036854775808", 10, Span(0, 10)),
    ("14.2 beyond 64 bits", b"bytes=0-99999999999999999999999", 10, Span(0, 10)),
    ("14.2 first beyond 64 bits", b"bytes=99999999999999999999999-", 10, UNSATISFIABLE),
    ("14.2 leading zeros", b"bytes=00000000000000000000000001-2", 10, Span(1, 3)),
    ("14.2 no field", b"", 10, None),
]
SEVERAL: list[tuple[str, bytes, int, list[tuple[int, int]] | Unsatisfiable | None]] = [
    ("14.1.2 first, middle, last 10", b"bytes= 0-9, 450-459, -10", 1000, [(0, 10), (450, 460), (990, 1000)]),
    ("14.1.2 first and last byte only", b"bytes=0-0,-1", 10000, [(0, 1), (9999, 10000)]),
    ("14.1.2 the second 500 bytes, canonical in no way: adjacent", b"bytes=500-600,601-999", 10000, [(500, 1000)]),
    ("14.1.2 the second 500 bytes, canonical in no way: overlapping", b"bytes=500-700,601-999", 10000, [(500, 1000)]),
    ("14.1.2 one of them satisfiable", b"bytes=20000-,0-0", 10000, [(0, 1)]),
    ("14.1.2 none of them satisfiable", b"bytes=20000-30000,10000-,-0", 10000, UNSATISFIABLE),
    ("14.1.2 of an empty file, none", b"bytes=0-0,1-1", 0, UNSATISFIABLE),
    ("14.1.2 of an empty file, a suffix among them", b"bytes=0-0,-1", 0, None),
    ("14.1.1 one of them invalid", b"bytes=0-0,5-4", 10, None),
    ("14.1.1 the unit said twice", b"bytes=0-0, bytes=2-2", 10, None),
    ("15.3.7.2 the order asked for", b"bytes=8-8,4-4,0-0", 10, [(8, 9), (4, 5), (0, 1)]),
    ("15.3.7.2 what is coalesced stands where its first part stood", b"bytes=6-7,0-0,4-5", 10, [(4, 8), (0, 1)]),
    ("15.3.7.2 a later range joins two", b"bytes=0-1,4-5,2-3", 10, [(0, 6)]),
    ("15.3.7.2 one within another", b"bytes=0-8,2-3", 10, [(0, 9)]),
    ("15.3.7.2 twice the same", b"bytes=2-3,2-3", 10, [(2, 4)]),
    ("15.3.7.2 together the whole", b"bytes=5-,-7,0-4", 10, [(0, 10)]),
    ("15.3.7.2 a gap of one byte stays", b"bytes=0-1,3-4", 10, [(0, 2), (3, 5)]),
    ("5.6.1 empty list elements", b"bytes=,0-0,, 2-2 ,", 10, [(0, 1), (2, 3)]),
    ("14.2 CVE-2011-3192, a whole and its parts", b"bytes=0-,5-0,5-1,5-2", 10, None),
    ("14.2 CVE-2011-3192, overlapping", b"bytes=0-,1-,2-,3-,4-", 10, [(0, 10)]),
    ("as many as are sent", _singles(RANGES), 99, [(n, n + 1) for n in range(0, 2 * RANGES, 2)]),
    ("one more", _singles(RANGES + 1), 99, None),
    ("a field as long as is read", b"bytes=0-0," + b" " * (FIELD - 13) + b"2-2", 10, [(0, 1), (2, 3)]),
    ("a field one byte longer", b"bytes=0-0," + b" " * (FIELD - 12) + b"2-2", 10, None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "size", "expected"), [case[1:] for case in ONE], ids=[case[0] for case in ONE])
def test_one_range(value: bytes, size: int, expected: Span | Unsatisfiable | None) -> None:
    """A Range field means what RFC 9110 says it means."""
    assert parse(value, size) == ((expected,) if isinstance(expected, Span) else expected)


@pytest.mark.parametrize(
    ("value", "size", "expected"), [case[1:] for case in SEVERAL], ids=[case[0] for case in SEVERAL]
)
def test_several_ranges(value: bytes, size: int, expected: list[tuple[int, int]] | Unsatisfiable | None) -> None:
    """Several ranges come in the order asked for, those that overlap or touch as one; too many are none."""
    spans = parse(value, size)
    assert (list(spans) if isinstance(spans, tuple) else spans) == expected


@pytest.mark.parametrize(
    ("span", "size", "written"),
    [
        (Span(0, 500), 1234, b"bytes 0-499/1234"),
        (Span(500, 1000), 1234, b"bytes 500-999/1234"),
        (Span(734, 1234), 1234, b"bytes 734-1233/1234"),
        (Span(21010, 47022), 47022, b"bytes 21010-47021/47022"),
        (Span(7000, 8000), 8000, b"bytes 7000-7999/8000"),
    ],
)
def test_content_range(span: Span, size: int, written: bytes) -> None:
    """The examples of §14.4 and §15.3.7."""
    assert span.content_range(size) == written


_POSITIONS = st.integers(0, 40)
_SPECS = st.one_of(
    st.builds(lambda first, more: (first, first + more), _POSITIONS, _POSITIONS),
    st.builds(lambda first: (first, None), _POSITIONS),
    st.builds(lambda length: (None, length), _POSITIONS),
)


def _said(first: int | None, last: int | None) -> str:
    return f"{'' if first is None else first}-{'' if last is None else last}"


def _bytes_of(first: int | None, last: int | None, size: int) -> set[int]:
    """The bytes that one range names, by §14.1.2 read word for word."""
    if first is None:
        return set(range(size)[max(0, size - (last or 0)) :])
    return {at for at in range(size) if first <= at and (last is None or at <= last)}


@given(specs=st.lists(_SPECS, min_size=1, max_size=RANGES), size=st.integers(1, 40))
def test_the_spans_are_the_bytes_named(specs: list[tuple[int | None, int | None]], size: int) -> None:
    """Whatever is asked, every byte named is in one span, no other is in any, and no two spans touch."""
    named = set().union(*(_bytes_of(first, last, size) for first, last in specs))
    spans = parse(b"bytes=" + ",".join(_said(*spec) for spec in specs).encode(), size)
    if not named:
        assert spans is UNSATISFIABLE
        return
    assert isinstance(spans, tuple)
    assert sorted(at for span in spans for at in range(span.start, span.stop)) == sorted(named)
    ordered = sorted(spans)
    assert all(before.stop < after.start for before, after in itertools.pairwise(ordered))


@given(value=st.binary(max_size=60) | st.text("0123456789-, =byte\t", max_size=60).map(str.encode))
def test_no_field_is_a_fault(value: bytes) -> None:
    """Bytes of any kind are a span, a refusal or nothing; never an error."""
    spans = parse(b"bytes=" + value, 10)
    assert spans is None or spans is UNSATISFIABLE or isinstance(spans, tuple)


@pytest.mark.parametrize("element", [b",", b"0-,", b" ", b"9", b"-", b"0-0,\t,"])
def test_a_field_of_64_kib_costs_nothing(element: bytes) -> None:
    """What a field costs is bounded by what is looked at: beyond FIELD bytes, nothing at all (CVE-2025-62727)."""
    calls: list[str] = []
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        spans = parse((b"bytes=" + element * 65_536)[:65_536], 10)
    finally:
        sys.setprofile(None)
    assert spans is None
    assert len(calls) < 10
