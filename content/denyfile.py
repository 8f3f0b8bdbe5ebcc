"""Denyfile: a denylist as text, read a slice at a time.

Here live the header, the lines, their hints and the limits of both (compact denylist format, "File syntax"). Not here:
where the bytes come from, or who waits between two slices (edge/denials, origin/denials).

A line that is no rule is reported and left out: one bad line must not open what a thousand others deny. A header that
does not read, a version that we do not know and a list past its limits are no list at all.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from content.denylist import GONE, STATUSES, Denylist
from content.denyrule import Rule
from content.errors import ContentError, LimitExceeded
from content.limits import DENYLIST_BYTES, DENYLIST_HEADER, DENYLIST_LINE, check

SLICE = 256  # lines read between two breaths: some 0.5 ms
PROBLEMS_TOLD = 20  # of the lines that are no rules; the others are counted
REASON_CHARS = 200
_HINTS_OF_STATUS = ("status", "gateway_status")
_STATUSES = frozenset(map(str, STATUSES))
_VERSION = "1"
_PLAIN = 2 + 64  # characters of such a line
_MARK = re.compile(rb"^---[ \t\r]*\n", re.MULTILINE)


class BadDenylist(ContentError):
    """Not a denylist that we can read: nothing of it holds."""


@dataclass(slots=True)
class Header:
    """What stands above `---`, as far as it means something here."""

    name: str = ""
    hints: dict[str, str] = field(default_factory=dict)


class Reader:
    """Reads one list. `feed` it, exhausting what it returns, then `end`; `problems` says what was left out."""

    def __init__(self, name: str) -> None:
        """`name`: what the list is called where it does not say so itself."""
        self.list = Denylist(name)
        self.title = name
        self.problems: list[tuple[int, str]] = []
        self.malformed = 0
        self._rest = b""
        self._size = 0
        self._line = 0
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[None]:
        """Read on, with a breath after each slice. Raises BadDenylist, LimitExceeded."""
        self._size += len(data)
        check("size of a denylist", self._size, DENYLIST_BYTES)
        self._rest += data
        if not self._has_begun and not self._begin(at_end=False):
            return
        end = self._rest.rfind(b"\n") + 1
        lines, self._rest = self._rest[:end], self._rest[end:]
        yield from self._read(lines)
        check("line of a denylist", len(self._rest), DENYLIST_LINE)

    def end(self) -> Iterator[None]:
        """The last line, which need not be ended. Raises as `feed` does."""
        if not self._has_begun:
            self._rest += b"\n"
            self._begin(at_end=True)
        lines, self._rest = self._rest, b""
        yield from self._read(lines)

    # The header.

    def _begin(self, at_end: bool) -> bool:
        """Whether it is known by now where the rules begin."""
        head, mark, rest = _split(self._rest)
        if mark:
            header = _header(head)
            self._line = head.count(b"\n") + 1
            self._rest = rest
            self.title = header.name or self.title
            self.list.status = _status(header.hints) or GONE
        elif not at_end and len(self._rest) <= DENYLIST_HEADER:
            return False
        self._has_begun = True
        return True

    # The rules.

    def _read(self, data: bytes) -> Iterator[None]:
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for start in range(0, len(lines), SLICE):
            self._slice(lines[start : start + SLICE])
            yield

    def _slice(self, lines: list[bytes]) -> None:
        digests: list[bytes] = []  # of lines that are nothing but a double hash in hex, until another kind comes
        for line in lines:
            self._line += 1
            if len(line) == _PLAIN and line.startswith(b"//"):
                try:
                    digests.append(binascii.unhexlify(line[2:]))
                    continue
                except binascii.Error:
                    pass
            line = line.strip()
            if line and not line.startswith(b"#"):
                self._put(digests)
                digests = []
                self._rule(line)
        self._put(digests)

    def _put(self, digests: list[bytes]) -> None:
        if digests:
            self.list.put_hashes(digests, self.list.number())

    def _rule(self, line: bytes) -> None:
        try:
            check("line of a denylist", len(line), DENYLIST_LINE)
            text, *hints = [
                word.decode() for word in line.split()
            ]  # as bytes: what else Unicode takes for blank is not
            told = dict(_hint(hint) for hint in hints)
            reason = unquote(told.get("reason", ""))[:REASON_CHARS]
            self.list.add(Rule.parse(text), _status(told), reason)
        except LimitExceeded as error:
            if not error.limit.startswith("path"):
                raise
            self._leave_out(str(error))
        except (ContentError, UnicodeDecodeError) as error:
            self._leave_out(str(error))

    def _leave_out(self, why: str) -> None:
        self.malformed += 1
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append((self._line, why))

    def __repr__(self) -> str:
        return f"<Reader of {self.list!r}, line {self._line}, {self.malformed} left out>"


def read(data: bytes, name: str = "list") -> Reader:
    """A whole list at once: for short ones, and where nothing waits. Raises BadDenylist, LimitExceeded."""
    reader = Reader(name)
    for _ in (*reader.feed(data), *reader.end()):
        pass
    return reader


def _split(data: bytes) -> tuple[bytes, bool, bytes]:
    """What stands above the first line of three hyphens, whether there is one, and what is below."""
    found = _MARK.search(data, 0, DENYLIST_HEADER)
    return (data[: found.start()], True, data[found.end() :]) if found else (b"", False, data)


def _header(data: bytes) -> Header:
    """The header's known fields. Of YAML we read what headers consist of: `key: value` and one level below `hints:`;
    what else is indented belongs to a field that is not ours. Raises BadDenylist."""
    header, within = Header(), ""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise BadDenylist("the header is not UTF-8") from error
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, colon, value = line.strip().partition(":")
        if line[0] in " \t-":
            if within == "hints" and colon:
                header.hints[_scalar(key)] = _scalar(value)
            continue
        if not colon or (value and value[0] not in " \t"):
            raise BadDenylist(f"the header does not read: {line[:80]!r} is not KEY: VALUE")
        within = _scalar(key)
        if within == "version" and _scalar(value) != _VERSION:
            raise BadDenylist(f"version {_scalar(value)[:20]!r} of the denylist format; {_VERSION} is read here")
        if within == "name":
            header.name = _scalar(value)[:REASON_CHARS]
    return header


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text.partition(" #")[0].rstrip()


def _hint(text: str) -> tuple[str, str]:
    """`key:value` as the format has it; Kubo's reader takes `key=value`, so such lists are about."""
    at = min((place for place in (text.find(":"), text.find("=")) if place >= 0), default=len(text))
    return text[:at], text[at + 1 :]


def _status(hints: dict[str, str]) -> int | None:
    """The status that a hint asks for; one that means something else is no hint to us."""
    asked = {int(told) for key in _HINTS_OF_STATUS if (told := hints.get(key, "")) in _STATUSES}
    return max(asked, default=None)
