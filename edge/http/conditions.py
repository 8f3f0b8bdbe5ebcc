"""Conditional requests (RFC 9110 §13): does the client's validator match ours?

Here live If-None-Match, If-Match and If-Range over entity tags. Dates are not here: nothing we serve has a
modification date (a file's time says nothing about its bytes), so If-Modified-Since and If-Unmodified-Since are
ignored, as §13.1.3 and §13.1.4 ask when no date is known, and an If-Range with a date never matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# entity-tag = [ weak ] opaque-tag (RFC 9110 §8.8.3), then the comma or the end. A comma may stand inside the quotes.
_ELEMENT = re.compile(rb'[ \t,]*(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|\Z)')


def none_match(value: bytes, etag: bytes) -> bool:
    """Whether If-None-Match names this tag, so that the answer is 304. Weak comparison (§13.1.2)."""
    if value == etag:
        return True
    if etag not in value:  # most fields end here: they are not read at all
        return value.strip() == b"*"
    return any(tag == etag for _, tag in _tags(value))


def match(value: bytes, etag: bytes) -> bool:
    """Whether If-Match is satisfied by this tag. Strong comparison: a weak tag matches nothing (§13.1.1)."""
    if etag not in value:
        return value.strip() == b"*"
    return any(tag == etag and not weak for weak, tag in _tags(value))


def strong_tags(value: bytes) -> Iterator[bytes]:
    """The strong tags that If-Match names."""
    return (tag for weak, tag in _tags(value) if not weak)


def range_holds(value: bytes, etag: bytes) -> bool:
    """Whether If-Range lets the Range stand: one strong tag, equal to ours (§13.1.5). A date never does, see above."""
    return value.strip() == etag


def _tags(value: bytes) -> Iterator[tuple[bool, bytes]]:
    """(weak, opaque tag) of each element, up to the first that is malformed: what we cannot read matches nothing."""
    at = 0
    while found := _ELEMENT.match(value, at):
        yield found[1] is not None, found[2]
        at = found.end()
