"""Range requests (RFC 9110 §14): which bytes of a whole are asked for.

Here lives the reading of a Range field against a size; pure, and linear in the field's length. Not here: If-Range
(edge/http/conditions), nor the parts of a 206 (edge/http/answer).

One range is answered with 206. More than one is answered with the whole, which §14.2 allows and which costs an
attacker who asks for a thousand overlapping ones (CVE-2011-3192) nothing but his own time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_BYTES = re.compile(rb"[ \t]*bytes=(.*)\Z", re.IGNORECASE | re.DOTALL)  # §14.1: unit names are case-insensitive
_SPEC = re.compile(rb"(?a:(\d*)-(\d*))\Z")
_DIGITS = 18  # more digits than any size has; int() of thousands of them would cost


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [start, stop) of the whole."""

    start: int
    stop: int

    def content_range(self, size: int) -> bytes:
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, size)


class Unsatisfiable:
    """The range is well formed but no byte of it exists: 416."""

    def __repr__(self) -> str:
        return "UNSATISFIABLE"


UNSATISFIABLE: Final = Unsatisfiable()


def parse(value: bytes, size: int) -> Span | Unsatisfiable | None:
    """The span that this Range field asks of a whole of `size` bytes; None: ignore the field and send the whole."""
    unit = _BYTES.match(value)
    if unit is None:
        return None
    specs = [spec for part in unit[1].split(b",") if (spec := part.strip(b" \t"))]  # §5.6.1: empty elements are skipped
    if len(specs) != 1 or not (spec := _SPEC.match(specs[0])):
        return None
    first, last = spec[1], spec[2]
    if not first:
        return _suffix(last, size)
    start = _number(first)
    if last and _number(last) < start:
        return None  # invalid, not unsatisfiable (§14.1.2)
    if start >= size:
        return UNSATISFIABLE
    return Span(start, min(_number(last) + 1, size) if last else size)


def _suffix(last: bytes, size: int) -> Span | Unsatisfiable | None:
    """The last n bytes. A suffix longer than the whole is the whole; of an empty file it has no 206 form: send it."""
    if not last or size == 0:
        return None if not last or _number(last) else UNSATISFIABLE
    length = _number(last)
    return Span(max(0, size - length), size) if length else UNSATISFIABLE


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return 10**_DIGITS if len(digits) > _DIGITS else int(digits or b"0")
