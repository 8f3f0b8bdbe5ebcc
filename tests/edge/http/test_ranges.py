"""Range fields against sizes: the cases of RFC 9110 §14, and those that attackers send."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.ranges import UNSATISFIABLE, Span, Unsatisfiable, parse

CASES: list[tuple[str, bytes, int, Span | Unsatisfiable | None]] = [
    ("14.1.2 first 500 bytes", b"bytes=0-499", 10000, Span(0, 500)),
    ("14.1.2 second 500 bytes", b"bytes=500-999", 10000, Span(500, 1000)),
    ("14.1.2 final 500 bytes, suffix", b"bytes=-500", 10000, Span(9500, 10000)),
    ("14.1.2 final 500 bytes, open", b"bytes=9500-", 10000, Span(9500, 10000)),
    ("14.1.2 one byte", b"bytes=0-0", 10000, Span(0, 1)),
    ("14.1.2 last byte", b"bytes=-1", 10000, Span(9999, 10000)),
    ("14.1.2 last-pos past the end", b"bytes=9999-20000", 10000, Span(9999, 10000)),
    ("14.1.2 suffix longer than the whole", b"bytes=-20000", 10000, Span(0, 10000)),
    ("14.1.2 starts past the end", b"bytes=10000-", 10000, UNSATISFIABLE),
    ("14.1.2 suffix of nothing", b"bytes=-0", 10000, UNSATISFIABLE),
    ("14.1.2 of an empty file", b"bytes=0-", 0, UNSATISFIABLE),
    ("14.1.2 suffix of an empty file", b"bytes=-5", 0, None),
    ("14.1.2 last before first is invalid", b"bytes=5-4", 10, None),
    ("14.1 unit in capitals", b"BYTES=0-1", 10, Span(0, 2)),
    ("14.1 another unit", b"seconds=0-1", 10, None),
    ("14.1.1 no spec", b"bytes=", 10, None),
    ("14.1.1 lone dash", b"bytes=-", 10, None),
    ("14.1.1 sign", b"bytes=+1-2", 10, None),
    ("14.1.1 not digits", b"bytes=a-b", 10, None),
    ("14.1.1 other scripts' digits", "bytes=١-٢".encode(), 10, None),
    ("14.1.1 space inside", b"bytes=0 - 1", 10, None),
    ("5.6.1 empty list elements", b"bytes=, 0-1 ,", 10, Span(0, 2)),
    ("14.2 two ranges: the whole", b"bytes=0-1,3-4", 10, None),
    ("14.2 CVE-2017-7529, below zero", b"bytes=-9223372036854775808", 10, Span(0, 10)),
    ("14.2 beyond 64 bits", b"bytes=0-99999999999999999999999", 10, Span(0, 10)),
    ("14.2 first beyond 64 bits", b"bytes=99999999999999999999999-", 10, UNSATISFIABLE),
    ("14.2 leading zeros", b"bytes=00000000000000000000000001-2", 10, Span(1, 3)),
    ("14.2 no field", b"", 10, None),
]


@pytest.mark.parametrize(("value", "size", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(value: bytes, size: int, expected: Span | Unsatisfiable | None) -> None:
    """A Range field means what RFC 9110 says it means."""
    assert parse(value, size) == expected


@given(first=st.integers(0, 30), last=st.integers(0, 30), size=st.integers(0, 20))
def test_a_span_is_a_slice(first: int, last: int, size: int) -> None:
    """Whatever is asked, the span is the slice that Python would take."""
    whole = bytes(range(size))
    span = parse(b"bytes=%d-%d" % (first, last), size)
    if last < first:
        assert span is None
    elif first >= size:
        assert span is UNSATISFIABLE
    else:
        assert isinstance(span, Span)
        assert whole[span.start : span.stop] == whole[first : last + 1]


def test_a_field_full_of_ranges_costs_no_time() -> None:
    """16 KiB of ranges, or of digits, are read in far less than the time a test would notice (CVE-2025-62727)."""
    start = time.process_time()
    assert parse(b"bytes=" + b",".join(b"0-" for _ in range(5000)), 10) is None
    assert parse(b"bytes=0-" + b"9" * 16_000, 10) == Span(0, 10)
    assert time.process_time() - start < 0.5
