"""HeaderRule: one block of `_headers`, and what its lines are allowed to say.

Here live the values and their checks. Not here: the lines of the file (content/headers), which rules count for a
request (content/headers), or the fields that an answer has by itself (edge/http).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from content.cbor import typed
from content.errors import BadNode
from content.limits import RULE_CHARS
from content.pattern import Pattern, references

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?\Z")  # RFC 9110 §5.5, without obs-text
_OF_THE_MESSAGE = "connection content-length keep-alive te trailer transfer-encoding upgrade"
_OF_THE_BYTES = "accept-ranges content-encoding content-range etag"
_OF_THE_ANSWER = "age allow alt-svc cache-status date location server set-cookie"
OWNED = frozenset(f"{_OF_THE_MESSAGE} {_OF_THE_BYTES} {_OF_THE_ANSWER}".split())  # what the edge alone can say


class BadHeader(ValueError):
    """A line that is refused; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class HeaderOp:
    """One thing to do to an answer's fields: set `name` to `value` (Vary: append it), or take `name` out (None)."""

    name: str
    value: str | None = None

    @classmethod
    def parse(cls, text: str) -> HeaderOp:
        """`Name: value`, or `! Name` to take it out. Raises BadHeader."""
        if text.startswith("!"):
            return cls(text[1:].strip(" \t")).checked()
        name, colon, value = text.partition(":")
        if not colon:
            raise BadHeader(f"'{text[:80]}' is no header: write Name: value, or ! Name to remove one")
        return cls(name.rstrip(" \t"), value.strip(" \t")).checked()

    def checked(self) -> HeaderOp:
        """Itself. Raises BadHeader."""
        lower = self.name.lower()
        if not _TOKEN.match(self.name):
            raise BadHeader(f"'{self.name[:80]}' is no header name: letters, digits and - only, then a colon")
        if lower == "basic-auth":
            raise BadHeader("Basic-Auth is not supported, and would publish the password: give a preview a password")
        if lower in OWNED or lower.startswith("proxy-"):
            raise BadHeader(f"{self.name} is the edge's own to say: remove the line")
        if self.value is not None and (not _VALUE.match(self.value) or len(self.value) > RULE_CHARS):
            raise BadHeader(f"the value of {self.name} is empty, too long or not printable ASCII: rewrite it")
        return self


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """What the lines under one source do, in their order. `line` is where the source stands."""

    source: str
    ops: tuple[HeaderOp, ...]
    line: int = 0

    @property
    def size(self) -> int:
        """Bytes that the rule takes of a file, at least."""
        texts = (self.source, *(text for op in self.ops for text in (op.name, op.value or "")))
        return sum(len(text.encode("utf-8", "replace")) + 1 for text in texts)

    @property
    def references(self) -> int:
        """How many captures the values use."""
        names = Pattern.parse(self.source).names
        return sum(name in names for op in self.ops for name in references(op.value or ""))

    def to_value(self) -> list[Any]:
        """The rule as a list for DAG-CBOR; a detach is a list of its name alone."""
        rows = [[op.name] if op.value is None else [op.name, op.value] for op in self.ops]
        return [self.source, rows, self.line]

    @classmethod
    def from_value(cls, value: Any) -> HeaderRule:
        """Read to_value()'s list, as strictly as a block. Raises BadNode."""
        try:
            source, rows, line = typed(value, list, "header rule")
            texts = [[typed(text, str, "header") for text in typed(row, list, "header")] for row in rows]
            Pattern.parse(typed(source, str, "source"))
            return cls(source, tuple(HeaderOp(*row).checked() for row in texts), typed(line, int, "line"))
        except (TypeError, ValueError) as error:
            raise BadNode(f"header rule: {error}") from error
