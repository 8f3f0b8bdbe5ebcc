"""DAG-JSON as bytes: reader and writer (IPLD DAG-JSON spec), and plain JSON.

Here lives the text form of the data model, byte for byte what Kubo writes. Not here: what a value means (content/ipld).
Python's own json is not used to read: it recurses, takes NaN, keeps the last of two equal keys and cannot be told how
deep to go. Links are {"/": "cid"}, bytes are {"/": {"bytes": "base64"}}; a map that only nearly looks like one is a
map, as Kubo reads it. Written are no spaces, keys in order of their bytes, numbers as ECMAScript writes them (so 1.0 is
"1" and comes back as an integer: that is the format's, and Kubo's).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from content.cid import CID
from content.dagcbor import INTEGER_MAX, INTEGER_MIN, Value, encoded
from content.errors import BadCID, BadNode
from content.limits import NODE_DEPTH, NODE_VALUES, check

_TOKEN = re.compile(  # possessive: nothing is remembered to go back to, whatever the length
    r"[ \t\n\r]*(?:"
    r'(?P<mark>[{}\[\],:])|(?P<text>"[^"\\\x00-\x1f]*+(?:\\.[^"\\\x00-\x1f]*+)*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?P<broken>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))|(?P<word>true|false|null)"
    r"|(?P<end>\Z))"
)
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None}
_DIGITS_MAX = len(str(INTEGER_MIN))
_ESCAPED = re.compile('[\x00-\x1f"\\\\\u2028\u2029]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_EXPONENT = re.compile(r"e-0(?=\d\Z)")


@dataclass(slots=True)
class _Open:
    """A list or map that is not closed yet, and the key of a map's next member."""

    into: list[Value] | dict[str, Value]
    key: str = ""


def read(data: bytes, *, links: bool = True) -> Value:
    """The one value in these bytes. `links` False: plain JSON, "/" means nothing. Raises BadNode, LimitExceeded."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadNode("JSON: not UTF-8") from error
    reader = _Reader(text, links)
    value = reader.value()
    reader.expect("end", "")
    return value


def links(data: bytes) -> list[CID]:
    """The links in these bytes, in order, whatever else there is. Raises BadNode, LimitExceeded.

    For walks: Python's own reader is native and takes a little more than JSON, which does not matter here; it recurses,
    but says so before the stack ends.
    """
    found: list[CID] = []

    def seen(pairs: list[tuple[str, object]]) -> None:
        if len(pairs) == 1 and pairs[0][0] == "/" and isinstance(pairs[0][1], str):
            found.append(CID.parse(pairs[0][1]))

    try:
        json.loads(data.decode(), object_pairs_hook=seen)
    except BadCID as error:
        raise BadNode(f"JSON: a link: {error}") from error
    except ValueError as error:
        raise BadNode(f"JSON: {error}") from error
    except RecursionError:
        return _in(read(data))  # deeper than the interpreter's stack, not yet than we follow
    return found


def _in(value: Value) -> list[CID]:
    found: list[CID] = []
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, CID):
            found.append(item)
        elif isinstance(item, dict):
            rest += reversed(item.values())
        elif isinstance(item, list):
            rest += reversed(item)
    return found


class _Reader:
    def __init__(self, text: str, links: bool) -> None:
        self._text = text
        self._links = links
        self._at = 0
        self._count = 0

    def value(self) -> Value:
        opened: list[_Open] = []
        while True:
            value, whole = self._item()
            if isinstance(value, list | dict):
                check("depth of a node", len(opened) + 1, NODE_DEPTH)
            if isinstance(value, list | dict) and not whole:
                opened.append(_Open(value))
            else:
                while opened:
                    top = opened[-1]
                    if isinstance(top.into, list):
                        top.into.append(value)
                    else:
                        top.into[top.key] = value
                    if self._more(top):
                        break
                    opened.pop()
                    value = self._meaning(top.into)
                else:
                    return value
            if isinstance(opened[-1].into, dict):
                opened[-1].key = self._key(opened[-1].into)

    def _item(self) -> tuple[Value, bool]:
        """What stands next; False with it when it is a list or map whose members come."""
        self._count += 1
        check("values of a node", self._count, NODE_VALUES)
        token = self._next()
        if token.lastgroup == "text":
            return self._string(token), True
        if token.lastgroup == "word":
            return _WORDS[token["word"]], True
        if token["number"] is not None:
            return _number(token["number"], bool(token["broken"])), True
        mark = token["mark"]
        if mark not in ("[", "{"):
            raise self._wrong()
        closed = _TOKEN.match(self._text, self._at)
        if closed is not None and closed["mark"] == ("]" if mark == "[" else "}"):
            self._at = closed.end()
            return ([] if mark == "[" else {}), True
        return ([] if mark == "[" else {}), False

    def _more(self, top: _Open) -> bool:
        """Whether another member follows; False at the end of this list or map."""
        mark = self._next()["mark"]
        if mark == ",":
            return True
        if mark != ("]" if isinstance(top.into, list) else "}"):
            raise self._wrong()
        return False

    def _key(self, into: dict[str, Value]) -> str:
        key = self._string(self.expect("text", None))
        if key in into:
            raise BadNode(f"JSON: map key {key[:80]!r} twice")
        self.expect("mark", ":")
        return key

    def _string(self, token: re.Match[str]) -> str:
        text = token["text"]
        if "\\" not in text:
            return text[1:-1]
        try:
            found: str = json.loads(text)
        except ValueError as error:
            raise self._wrong() from error
        encoded(found)  # an escape may name half of a surrogate pair
        return found

    def _meaning(self, value: list[Value] | dict[str, Value]) -> Value:
        """A map as the link or the bytes that it stands for."""
        if not self._links or not isinstance(value, dict) or len(value) != 1 or "/" not in value:
            return value
        inside = value["/"]
        if isinstance(inside, str):
            try:
                return CID.parse(inside)
            except BadCID as error:
                raise BadNode(f"JSON: a link: {error}") from error
        text = inside["bytes"] if isinstance(inside, dict) and inside.keys() == {"bytes"} else None
        return _bytes(text) if isinstance(text, str) else value

    def expect(self, kind: Literal["text", "mark", "end"], what: str | None) -> re.Match[str]:
        token = self._next()
        if token[kind] is None or (what is not None and token[kind] != what):
            raise self._wrong()
        return token

    def _next(self) -> re.Match[str]:
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            raise self._wrong()
        self._at = token.end()
        return token

    def _wrong(self) -> BadNode:
        return BadNode(f"JSON: not what may stand there, near character {self._at:,}")


def _number(text: str, broken: bool) -> int | float:
    if broken:
        number = float(text)
        if not math.isfinite(number):
            raise BadNode("JSON: a number beyond what 64 bits hold")
        return number
    if len(text) <= _DIGITS_MAX and INTEGER_MIN <= int(text) <= INTEGER_MAX:
        return int(text)
    if len(text) <= _DIGITS_MAX + 1 and _float(float(text)) == text:
        return float(text)  # how a float from 2^64 up to 1e21 is written: what we write we read
    raise BadNode("JSON: an integer of more than 64 bits")


def _bytes(text: str) -> bytes:
    """Base64 of the bytes: without padding as it is written, with it too, as Kubo reads."""
    try:
        return base64.b64decode(text if text.endswith("=") else text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNode("JSON: bytes that are not base64") from error


def write(value: Value, *, links: bool = True) -> bytes:
    """The bytes of this value. `links` False: plain JSON, which holds no links and no bytes. Raises BadNode."""
    out: list[str] = []
    rest: list[Value | _Literal] = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, _Literal):
            out.append(item.text)
        elif isinstance(item, list):
            out.append("[")
            rest.append(_CLOSE_LIST)
            for index in range(len(item) - 1, -1, -1):
                rest += (item[index], _COMMA) if index else (item[index],)
        elif isinstance(item, dict):
            if links:
                _check_reserved(item)
            out.append("{")
            rest.append(_CLOSE_MAP)
            keys = sorted(item, key=encoded)
            for index in range(len(keys) - 1, -1, -1):
                rest += (item[keys[index]], _Literal(f"{',' if index else ''}{_quoted(keys[index])}:"))
        else:
            out.append(_scalar(item, links))
    return encoded("".join(out))


@dataclass(frozen=True, slots=True)
class _Literal:
    """Text that is written as it stands when its turn comes."""

    text: str


_COMMA, _CLOSE_LIST, _CLOSE_MAP = _Literal(","), _Literal("]"), _Literal("}")


def _scalar(value: Value, links: bool) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise BadNode("an integer of more than 64 bits")
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, str):
        return _quoted(value)
    if not links:
        raise BadNode("plain JSON holds no links and no bytes")
    if isinstance(value, CID):
        return f'{{"/":"{value}"}}'
    assert isinstance(value, bytes)
    return f'{{"/":{{"bytes":"{base64.b64encode(value).decode().rstrip("=")}"}}}}'


def _float(number: float) -> str:
    """As ECMAScript's Number::toString: plain digits from 1e-6 up to 1e21, an exponent outside."""
    if not math.isfinite(number):
        raise BadNode("NaN or an infinity")
    shortest = repr(number)
    if number and not 1e-6 <= abs(number) < 1e21:
        return _EXPONENT.sub("e-", shortest)
    return format(Decimal(shortest), "f").removesuffix(".0")


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def _check_reserved(value: dict[str, Value]) -> None:
    """A map that would be read back as a link or as bytes has no DAG-JSON (spec, "Reserved Namespace")."""
    if len(value) != 1 or "/" not in value:
        return
    inside = value["/"]
    if isinstance(inside, str) or (
        isinstance(inside, dict) and inside.keys() == {"bytes"} and isinstance(inside["bytes"], str)
    ):
        raise BadNode('a map with "/" alone would be read back as a link: it has no DAG-JSON form')
