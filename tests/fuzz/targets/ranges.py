"""Range: the reader against a plain one of the same sections (RFC 9110 §14.1, §14.2), and what it promises of spans."""

from __future__ import annotations

from collections.abc import Iterator

from edge.http import ranges
from edge.http.ranges import FIELD, RANGES, UNSATISFIABLE, Span, Unsatisfiable
from tests.fuzz.taking import Taking

STEPS = (700, 40)
_SIZES = (0, 1, 2, 10, 1_000, 65_536, (5 << 30) + 1, (1 << 63) - 1)
_DIGITS = b"0123456789"


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    choice = taking.byte()
    size = _SIZES[choice % 8] if choice < 0x80 else taking.number(2)
    value = taking.rest()
    if choice & 0x40:  # the digits and signs alone, so that every mutation is near a range
        value = b"bytes=" + bytes(b"0123456789-,, \t9"[byte % 16] for byte in value)
    found = ranges.parse(value, size)
    assert found == _plain(value, size)
    if isinstance(found, tuple):
        assert 0 < len(found) <= RANGES
        for span in found:
            assert 0 <= span.start < span.stop <= size
            assert span.content_range(size) == f"bytes {span.start}-{span.stop - 1}/{size}".encode()
        above = sorted(found)
        assert all(above[n].stop < above[n + 1].start for n in range(len(above) - 1)), "spans that touch"
        if len(found) == 1 and thorough:  # one range is read by a way of its own: it must say what the other says
            assert ranges._several(value.partition(b"=")[2].split(b","), size) == found
    if thorough and size:
        _same_bytes(value, min(size, 64))


def _same_bytes(value: bytes, size: int) -> None:
    """Taken apart by hand, the ranges ask for the bytes that the spans hold, each once."""
    found = ranges.parse(value, size)
    if not isinstance(found, tuple):
        return
    held = [at for span in found for at in range(span.start, span.stop)]
    asked = {at for first, last in _specs(value) or () for at in _bytes(first, last, size)}
    assert len(held) == len(set(held))
    assert set(held) == asked


def _plain(value: bytes, size: int) -> tuple[Span, ...] | Unsatisfiable | None:
    """The same by the letter of the RFC, without regular expressions or short cuts."""
    specs = _specs(value)
    if specs is None or not 0 < len(specs) <= RANGES:
        return None
    spans: list[Span] = []
    for first, last in specs:
        if first is not None and last is not None and last < first:
            return None
        if first is None and size == 0 and last:  # a suffix of an empty whole has no 206 form
            return None
        asked = _bounds(first, last, size)
        if asked[0] < asked[1]:
            spans.append(Span(*asked))
    return _merged(spans) if spans else UNSATISFIABLE


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """Join two that overlap or touch, until none do; the joined stands where the first of both was asked for."""
    done = list(spans)
    n = 0
    while n < len(done):
        other = next((m for m in range(n + 1, len(done)) if _touch(done[n], done[m])), None)
        if other is None:
            n += 1
            continue
        joined = done.pop(other)
        done[n] = Span(min(done[n].start, joined.start), max(done[n].stop, joined.stop))
        n = 0
    return tuple(done)


def _touch(a: Span, b: Span) -> bool:
    return a.start <= b.stop and b.start <= a.stop


def _bounds(first: int | None, last: int | None, size: int) -> tuple[int, int]:
    if first is None:
        assert last is not None
        return max(0, size - last), size
    return first, size if last is None else min(last + 1, size)


def _bytes(first: int | None, last: int | None, size: int) -> range:
    return range(*_bounds(first, last, size))


def _specs(value: bytes) -> list[tuple[int | None, int | None]] | None:
    """(first, last) of every range that is named, None for what is left out; None: not a field we read."""
    if len(value) > FIELD:
        return None
    unit, mark, rest = value.partition(b"=")
    if not mark or unit.lstrip(b" \t").lower() != b"bytes":
        return None
    specs = []
    for element in rest.split(b","):
        text = element.strip(b" \t")
        if not text:
            continue
        first, dash, last = text.partition(b"-")
        if not dash or not (first or last) or any(byte not in _DIGITS for byte in first + last):
            return None
        specs.append((int(first) if first else None, int(last) if last else None))
    return specs


def seeds() -> Iterator[bytes]:
    fields = (
        b"bytes=0-0", b"bytes=-1", b"bytes=5-", b"bytes=9-3", b"bytes=0-0,-1", b" Bytes=\t0-4 , 6-8,, 3-7", b"bytes=-",
        b"bytes=0-99999999999999999999", b"bytes=-0", b"lines=1-2", b"bytes=" + b"0-1," * 17, b"bytes=1-2,1-2,4-",
        b"bytes=0-1,3-4,5-9,2-2", b"bytes= 1-2", b"bytes=+1-2", b"bytes=1-2;", b"bytes=",
    )  # fmt: skip
    for n, value in enumerate(fields):
        yield bytes((n % 8,)) + value
    yield bytes((0x43,)) + b"\x00\x0a\x09\x0b\x02\x0a\x0c"
    yield bytes((0xC0, 3, 0)) + b"\x00\x0a\x01\x0b\x02\x0a\x03\x0b\x0a\x05"
