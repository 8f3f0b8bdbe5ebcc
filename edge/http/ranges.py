"""Range requests (RFC 9110 §14): which bytes of a whole are asked for.

Here lives the reading of a Range field against a size; pure. Not here: If-Range (edge/http/conditions), nor the form in
which several parts are sent (edge/http/parts).

What a field costs is bounded before it is read: one longer than FIELD is not looked at, one of more than RANGES ranges
not followed, and the whole is sent, as §14.2 allows. Ranges that overlap or touch become one,
so no byte is sent twice (CVE-2011-3192).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

RANGES: Final = 16  # ranges in one field; nobody's reader asks for more at once, and each costs a part's head
FIELD: Final = 1_024  # bytes of the field: RANGES ranges of a file of any size, with room for white space
_ONE = re.compile(rb"[ \t]*bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*\Z", re.IGNORECASE)  # §14.1: units have no case
_SEVERAL = re.compile(rb"[ \t]*bytes=([0-9, \t-]*)\Z", re.IGNORECASE)
_SPEC = re.compile(rb"([0-9]*)-([0-9]*)\Z")


class Span(NamedTuple):  # one is made for each request, and a tuple is made fastest
    """Bytes [start, stop) of the whole."""

    start: int
    stop: int

    def content_range(self, size: int) -> bytes:
        """The value of Content-Range (§14.4)."""
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, size)


class Unsatisfiable:
    """The field is well formed but none of its ranges has a byte: 416."""

    def __repr__(self) -> str:
        return "UNSATISFIABLE"


UNSATISFIABLE: Final = Unsatisfiable()


def parse(value: bytes, size: int) -> tuple[Span, ...] | Unsatisfiable | None:
    """The spans that this Range field asks of a whole of `size` bytes, disjoint, in the order asked for (§15.3.7.2);
    None: ignore the field and send the whole. One invalid range makes the field invalid (§14.1.1)."""
    if len(value) > FIELD:
        return None
    if (one := _ONE.match(value)) is not None:
        span = _span(one[1], one[2], size)
        return (span,) if isinstance(span, Span) else span
    several = _SEVERAL.match(value)
    return None if several is None else _several(several[1].split(b","), size)


def _several(elements: Sequence[bytes], size: int) -> tuple[Span, ...] | Unsatisfiable | None:
    specs = [spec for element in elements if (spec := element.strip(b" \t"))]  # §5.6.1: empty elements are skipped
    if not 0 < len(specs) <= RANGES:
        return None
    spans: list[Span] = []
    for spec in specs:
        numbers = _SPEC.match(spec)
        span = None if numbers is None else _span(numbers[1], numbers[2], size)
        if span is None:
            return None
        if isinstance(span, Span):
            spans.append(span)
    return _coalesced(spans) if spans else UNSATISFIABLE


def _span(first: bytes, last: bytes, size: int) -> Span | Unsatisfiable | None:
    if not first:
        return _suffix(last, size)
    start = int(first)
    stop = int(last) + 1 if last else size
    if last and stop <= start:
        return None  # invalid, not unsatisfiable (§14.1.1)
    if start >= size:
        return UNSATISFIABLE
    return Span(start, stop if stop < size else size)


def _suffix(last: bytes, size: int) -> Span | Unsatisfiable | None:
    """The last n bytes. A suffix longer than the whole is the whole; of an empty file it has no 206 form: send it."""
    if not last or size == 0:
        return None if not last or int(last) else UNSATISFIABLE
    length = int(last)
    return Span(max(0, size - length), size) if length else UNSATISFIABLE


def _coalesced(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Those that overlap or touch as one, which stands where the first of them was asked for.

    A gap is never closed, though §15.3.7.2 allows it: a client gets what it named and nothing else, and at most RANGES
    part heads are lost by it.
    """
    merged: list[tuple[int, Span]] = []
    for place, span in sorted(enumerate(spans), key=lambda pair: pair[1].start):
        if merged and span.start <= merged[-1][1].stop:
            before, above = merged.pop()
            merged.append((min(before, place), Span(above.start, max(above.stop, span.stop))))
        else:
            merged.append((place, span))
    return tuple(span for _, span in sorted(merged, key=lambda pair: pair[0]))
