"""DAG-CBOR as bytes: a reader that tells links from byte strings, and the writer to it (IPLD DAG-CBOR spec, RFC 8949).

Here lives what libipld cannot say (it reads both as bytes, content/cbor): any DAG-CBOR of anyone, and plain CBOR.
Not here: control blocks, which libipld reads faster (content/cbor), or what a value means (content/ipld).

Canonical is asked for where two writings of one value would be two CIDs: shortest integers and lengths, map keys in
order of length and then bytes, 64-bit floats, no NaN, no infinity, no key twice, no indefinite length, no tag but 42.
A reader of links alone, and one of plain CBOR, let order and width of floats pass, as Kubo's does: only a key twice is
two readings of one block. Nothing recurses: how deep a value goes is its author's choice, how deep we follow is ours.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TypeAlias

from content.cid import CID
from content.errors import BadCID, BadNode
from content.limits import NODE_DEPTH, NODE_ITEMS, NODE_VALUES, check

Value: TypeAlias = "bool | int | float | str | bytes | CID | list[Value] | dict[str, Value] | None"

_UINT, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_LINK_TAG = 42
_NAMED: dict[int, Value] = {20: False, 21: True, 22: None}
_UNDEFINED = 23
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
INTEGER_MIN, INTEGER_MAX = -(2**64), 2**64 - 1  # what CBOR holds without bignums


@dataclass(slots=True)
class _Open:
    """A list or map whose members are still to come: so many, and the key of the next in a map."""

    into: list[Value] | dict[str, Value]
    left: int
    key: str = ""


def read(data: bytes, *, canonical: bool = True, links: bool = True) -> Value:
    """The one value in these bytes. `links` False: plain CBOR, without tags. Raises BadNode, LimitExceeded."""
    reader = _Reader(data, canonical, links)
    value = reader.value()
    if reader.at != len(data):
        raise BadNode(f"CBOR: {len(data) - reader.at} bytes after the value")
    return value


def links(data: bytes) -> list[CID]:
    """The links in these bytes, in order. Raises BadNode where they are no CBOR, LimitExceeded.

    For walks, which meet the largest nodes of anyone: no value is made, and what is no link is only counted. Lists and
    maps need no stack: what was opened says how many items must follow.
    """
    found: list[CID] = []
    at, end, missing, looked = 0, len(data), 1, 0  # missing: items that must still follow
    while missing:
        if at >= end:
            raise BadNode("CBOR: cut short")
        looked += 1
        if looked > NODE_ITEMS:
            check("items of a node", looked, NODE_ITEMS)
        major, argument, at = data[at] >> 5, data[at] & 31, at + 1
        missing -= 1
        if argument >= 24:
            if argument > 27:
                raise BadNode("CBOR: an indefinite length or a reserved one")
            size = 1 << argument - 24
            argument, at = int.from_bytes(data[at : at + size], "big"), at + size
        elif major < _BYTES:
            continue
        if major == _TAG:
            reader = _Reader(data, canonical=False, links=True, at=at)
            found.append(reader.link(argument))
            at = reader.at
        elif major in (_BYTES, _TEXT):
            at += argument
        elif major in (_LIST, _MAP):
            missing += argument * (major - 3)
            if missing > end - at:
                raise BadNode("CBOR: a list or map is cut short")
    if at != end:
        raise BadNode("CBOR: bytes after the value, or too few")
    return found


class _Reader:
    def __init__(self, data: bytes, canonical: bool, links: bool, at: int = 0) -> None:
        self.at = at
        self._data = data
        self._canonical = canonical
        self._links = links
        self._count = 0

    def value(self) -> Value:
        opened: list[_Open] = []
        while True:
            value, members = self._item()
            if isinstance(value, list | dict):
                check("depth of a node", len(opened) + 1, NODE_DEPTH)
            if members:
                assert isinstance(value, list | dict)
                opened.append(_Open(value, members))
            else:
                while opened:
                    top = opened[-1]
                    if isinstance(top.into, list):
                        top.into.append(value)
                    else:
                        top.into[top.key] = value
                    top.left -= 1
                    if top.left:
                        break
                    value = opened.pop().into
                else:
                    return value
            if isinstance(opened[-1].into, dict):
                opened[-1].key = self._key(opened[-1].into, opened[-1].key)

    def _item(self) -> tuple[Value, int]:
        """What stands next, and how many members of it are still to come."""
        self._count += 1
        check("values of a node", self._count, NODE_VALUES)
        major, argument, info = self._head()
        if major == _UINT:
            return argument, 0
        if major == _NEGATIVE:
            return -1 - argument, 0
        if major == _BYTES:
            return self._take(argument), 0
        if major == _TEXT:
            return self._text(argument), 0
        if major in (_LIST, _MAP):
            if argument * (major - 3) > len(self._data) - self.at:  # a member is a byte at least, a pair is two
                raise BadNode("CBOR: a list or map is cut short")
            return ([] if major == _LIST else {}), argument
        if major == _TAG:
            return self.link(argument), 0
        if info in _NAMED:
            return _NAMED[info], 0
        if info == _UNDEFINED and not self._canonical:
            return None, 0
        if info in _FLOATS and (info == 27 or not self._canonical):
            return self._float(info, argument), 0
        raise BadNode(f"CBOR: simple value or float of another width than 64 bits (0x{0xE0 | info:x})")

    def _head(self) -> tuple[int, int, int]:
        """Major type, argument, and the five bits that said how long the argument is."""
        if self.at >= len(self._data):
            raise BadNode("CBOR: cut short")
        first = self._data[self.at]
        self.at += 1
        major, info = first >> 5, first & 31
        if info < 24:
            return major, info, info
        if info > 27:
            raise BadNode("CBOR: an indefinite length or a reserved one")
        size = 1 << info - 24
        argument = int.from_bytes(self._take(size), "big")
        if major != _SIMPLE and argument < (24 if size == 1 else 1 << 4 * size):
            raise BadNode("CBOR: a number is not as short as can be")
        return major, argument, info

    def _take(self, size: int) -> bytes:
        start, self.at = self.at, self.at + size
        if self.at > len(self._data):
            raise BadNode("CBOR: cut short")
        return self._data[start : self.at]

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError as error:
            raise BadNode("CBOR: a text is not UTF-8") from error

    def _key(self, into: dict[str, Value], before: str) -> str:
        major, size, _ = self._head()
        if major != _TEXT:
            raise BadNode("CBOR: a map key is no text")
        key = self._text(size)
        if key in into:
            raise BadNode(f"CBOR: map key {key[:80]!r} twice")
        if self._canonical and into and _order(key) < _order(before):
            raise BadNode(f"CBOR: map key {key[:80]!r} is not in order (of length, then bytes)")
        return key

    def link(self, tag: int) -> CID:
        if tag != _LINK_TAG or not self._links:
            raise BadNode(f"CBOR: tag {tag}")
        major, size, _ = self._head()
        body = self._take(size) if major == _BYTES else b""
        if body[:1] != b"\0":  # the multibase prefix of plain binary
            raise BadNode("CBOR: tag 42 on what is no link")
        try:
            return CID.from_bytes(body[1:])
        except BadCID as error:
            raise BadNode(f"CBOR: a link: {error}") from error

    def _float(self, info: int, argument: int) -> float:
        size = 1 << info - 24
        (number,) = struct.unpack(_FLOATS[info], argument.to_bytes(size, "big"))
        if not math.isfinite(number):
            raise BadNode("CBOR: NaN or an infinity")
        return float(number)


def write(value: Value, *, links: bool = True) -> bytes:
    """The canonical bytes of this value. `links` False: plain CBOR, which has none. Raises BadNode."""
    out: list[bytes] = []
    rest: list[Value | _Key] = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, _Key):
            out.append(item.encoded)
        elif isinstance(item, list):
            out.append(_header(_LIST, len(item)))
            rest += reversed(item)
        elif isinstance(item, dict):
            out.append(_header(_MAP, len(item)))
            for key in sorted(item, key=_order, reverse=True):
                rest += (item[key], _Key(_text(key)))
        else:
            out.append(_scalar(item, links))
    return b"".join(out)


@dataclass(frozen=True, slots=True)
class _Key:
    """A map key that is written when its turn comes: a value of its own kind, so that no text is taken for one."""

    encoded: bytes


def _scalar(value: Value, links: bool) -> bytes:
    if value is None or isinstance(value, bool):
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise BadNode("an integer of more than 64 bits")
        return _header(_UINT, value) if value >= 0 else _header(_NEGATIVE, -1 - value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadNode("NaN or an infinity")
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, CID):
        if not links:
            raise BadNode("plain CBOR holds no links")
        return b"\xd8\x2a%b\0%b" % (_header(_BYTES, len(value) + 1), value)
    assert isinstance(value, bytes)
    return _header(_BYTES, len(value)) + value


def _text(text: str) -> bytes:
    data = encoded(text)
    return _header(_TEXT, len(data)) + data


def encoded(text: str) -> bytes:
    """This text as UTF-8. Raises BadNode where it is no text: half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadNode("a text with half a surrogate pair") from error


def _order(key: str) -> tuple[int, bytes]:
    data = encoded(key)
    return len(data), data


def _header(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    size = 1 if argument < 1 << 8 else 2 if argument < 1 << 16 else 4 if argument < 1 << 32 else 8
    return bytes((major << 5 | 23 + size.bit_length(),)) + argument.to_bytes(size, "big")
