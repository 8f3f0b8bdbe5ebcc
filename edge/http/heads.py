"""Heads: plain requests, read without the parser.

Here lives a strict grammar: a GET or HEAD of HTTP/1.1 that matches whole has one meaning in every reading of RFC 9112,
and what does not match is the parser's to judge. It never refuses and never repairs. Not here: what is answered
(edge/ready), or the wire (edge/http/protocol).

A browser sends the same fields with every file of a page, and so does every tool: their bytes are the key to what was
read of them last time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from edge.http.answer import Asking

_END = b"\r\n\r\n"
LONGEST = 8 * 1024  # bytes of a request that is read here; longer ones are the parser's, with its budgets
REMEMBERED = 1_024  # field blocks ...
_SHORT = 2 * 1024  # ... of at most so many bytes
_MOST_FIELDS = 64
_VERSION = b" HTTP/1.1\r\n"
# field-line = field-name ":" OWS field-value OWS (RFC 9112 §5): no folding, no bare CR or LF, no control but tab.
_BLOCK = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)+\r\n")
# What stands in a target after the question mark: RFC 3986's own characters and a little more, as the parser has it.
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
_FORMS = re.compile(rb"application/(?!xhtml\+xml|xml|signed-exchange)", re.IGNORECASE)  # but what browsers send
_CHOOSING = frozenset({b"service-worker", b"x-forwarded-host", b"x-forwarded-proto"})
# Fields that change what is read after this head, or who is asked, or how it is answered: not plain.
# The parser takes Proxy-Connection for Connection.
_UNUSUAL = frozenset(
    {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"proxy-connection"}
)


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a plain request. `key`: what of them may choose among ready answers; None: too various to keep."""

    host: bytes
    asking: Asking  # with the method GET
    key: tuple[bytes | None, bytes | None, bytes | None] | None
    fields: tuple[tuple[bytes, bytes], ...]
    is_plain: bool = True  # it names no form of content, no other host, and lets caches ask: as browsers do
    release: bytes | None = None  # Rim-Release, as it was sent


class Plain(NamedTuple):
    """A plain request that stands in some bytes, up to `end`. A HEAD where it is no GET."""

    is_get: bool
    target: bytes
    head: Head
    end: int


class Heads:
    """Reads plain requests, and remembers field blocks. Bounded: past its size it starts anew, keeping what is used."""

    def __init__(self) -> None:
        self._new: dict[bytes, Head] = {}
        self._old: dict[bytes, Head] = {}

    def read(self, data: bytes, at: int) -> Plain | None:
        """The request that begins here. None: not plain, or not whole."""
        end = data.find(_END, at, at + LONGEST) + 4
        line = data.find(b"\r\n", at, end) + 2
        if data[line - 11 : line] != _VERSION:
            return None
        if data.startswith(b"GET /", at):
            is_get, start = True, at + 4
        elif data.startswith(b"HEAD /", at):
            is_get, start = False, at + 5
        else:
            return None
        block = data[line:end]
        head = self._new.get(block) or self._read(block)
        return None if head is None else Plain(is_get, data[start : line - 11], head, end)

    def _read(self, block: bytes) -> Head | None:
        head = self._old.get(block) or _read(block)
        if head is not None and len(block) <= _SHORT:
            if len(self._new) >= REMEMBERED // 2:
                self._old, self._new = self._new, {}
            self._new[block] = head
        return head


def without_query(request: bytes) -> bytes | None:
    """A plain request's bytes as they would be without the query of its target; None where it has none, or is long."""
    if len(request) > LONGEST:
        return None
    line = request.find(b"\r\n")
    mark = request.find(b"?", 0, line)
    if mark < 0 or request[line - 9 : line + 2] != _VERSION or not is_query(request[mark + 1 : line - 9]):
        return None
    return request[:mark] + request[line - 9 :]


def is_query(query: bytes) -> bool:
    """Whether a target may end like this, after its question mark."""
    return _QUERY.fullmatch(query) is not None


def _read(block: bytes) -> Head | None:
    if not _BLOCK.fullmatch(block):
        return None
    fields = []
    host = release = None
    for line in block[:-4].split(b"\r\n"):
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            if host is not None:
                return None
            host = value
        elif name == b"rim-release":
            release = value
        elif name in _UNUSUAL or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        fields.append((name, value))
    if host is None or len(fields) > _MOST_FIELDS:
        return None
    asking = Asking.read("GET", fields)
    various = asking.range is not None or asking.if_range is not None or asking.if_match is not None
    key = None if various else (asking.accept_encoding, asking.if_none_match, asking.available_dictionary)
    return Head(host, asking, key, tuple(fields), not any(map(_chooses, fields)), release)


def _chooses(field: tuple[bytes, bytes]) -> bool:
    """Whether a field may choose another answer of an IPFS gateway than the plain one (edge/gateway/formats)."""
    name, value = field
    if name == b"accept":
        return _FORMS.search(value) is not None
    return name in _CHOOSING or (name == b"cache-control" and b"only-if-cached" in value.lower())
