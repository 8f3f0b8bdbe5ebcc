"""`_headers`: its lines, and the table that says which fields a site adds to, changes in or takes from an answer.

Here live parse, HeaderRule and HeaderTable. Not here: the fields that an answer has by itself (edge/http), or how the
file gets into a Release (the publisher). The grammar is Cloudflare's and Netlify's; docs/rules.md says where they
differ, and tests/content/documented_headers.py holds their cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from content.cbor import typed
from content.errors import BadNode
from content.limits import HEADER_REFERENCES, HEADERS_BYTES, RULE_CHARS, RULE_REFERENCES, RULES_MAX
from content.linting import Finding, lines
from content.pattern import Pattern, PatternIndex, fill, labels, quoted, references

OWNED = frozenset(  # what the edge alone can say: about the message, the connection, the cache and the bytes
    [
        "accept-ranges",
        "age",
        "allow",
        "cache-status",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "date",
        "etag",
        "keep-alive",
        "location",
        "server",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?\Z")  # RFC 9110 §5.5, without obs-text
_SOURCE = re.compile(r"/|https?://", re.IGNORECASE)


class BadHeader(ValueError):
    """A line that is refused; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class HeaderOp:
    """One thing to do to an answer's fields: set `name` to `value` (Vary: append it), or take `name` out (None)."""

    name: str
    value: str | None = None

    def check(self) -> None:
        """Raises BadHeader."""
        lower = self.name.lower()
        if not _TOKEN.match(self.name):
            raise BadHeader(f"'{self.name[:80]}' is no header name: letters, digits and - only, then a colon")
        if lower == "basic-auth":
            raise BadHeader("Basic-Auth is not supported, and would publish the password: give a preview a password")
        if lower in OWNED or lower.startswith("proxy-"):
            raise BadHeader(f"{self.name} is the edge's own to say: remove the line")
        if self.value is None:
            return
        if not _VALUE.match(self.value) or len(self.value) > RULE_CHARS:
            raise BadHeader(f"the value of {self.name} is empty, too long or not printable ASCII: rewrite it")
        if len(references(self.value)) > RULE_REFERENCES:
            raise BadHeader(f"the value of {self.name} has over {RULE_REFERENCES} placeholders: use fewer")


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

    def references(self) -> int:
        """How many captures the values use."""
        names = Pattern.parse(self.source).names
        return sum(name in names for op in self.ops for name in references(op.value or ""))


def parse(text: str) -> tuple[list[HeaderRule], list[Finding]]:
    """The rules of a `_headers` file, and what is wrong with it; what has an error is left out."""
    rules: list[HeaderRule] = []
    findings: list[Finding] = []
    source: tuple[str, int] | None = None  # None after a bad source, so that its lines do not go to the one before
    ops: list[HeaderOp] = []

    def end() -> None:
        if source and ops:
            rules.append(HeaderRule(source[0], tuple(ops), source[1]))
        elif source:
            findings.append(Finding(source[1], f"no header under {source[0][:80]}: add one, indented", "warning"))
        ops.clear()

    started = False
    for number, line in lines(text, HEADERS_BYTES, findings):
        content = line.strip(" \t")
        try:
            if _SOURCE.match(content):
                end()
                source, started = None, True
                if len(rules) == RULES_MAX:
                    raise BadHeader(f"{RULES_MAX:,} rules are the limit, this and what follows is left out: use *")
                Pattern.parse(content)
                source = content, number
            elif not started:
                raise BadHeader("a header before any path: write the path that it is for on a line above, as in /*")
            elif source:
                ops.append(_op(content))
        except ValueError as error:
            findings.append(Finding(number, str(error)))
    end()
    if sum(rule.references() for rule in rules) > HEADER_REFERENCES:
        findings.append(Finding(1, f"over {HEADER_REFERENCES} placeholders in all values: use fewer"))
    return rules, findings


def _op(content: str) -> HeaderOp:
    """`Name: value`, or `! Name` to take it out."""
    if content.startswith("!"):
        op = HeaderOp(content[1:].strip(" \t"))
    else:
        name, colon, value = content.partition(":")
        if not colon:
            raise BadHeader(f"'{content[:80]}' is no header: write Name: value, or ! Name to remove one")
        op = HeaderOp(name.rstrip(" \t"), value.strip(" \t"))
    op.check()
    return op


class HeaderTable:
    """The rules of a release, ready to match: every rule that matches counts, in the order of the file."""

    def __init__(self, rules: Sequence[HeaderRule]) -> None:
        self.rules = tuple(rules)
        patterns = [Pattern.parse(rule.source) for rule in rules]
        self.index = PatternIndex(patterns)
        self.reads_host = any(pattern.host for pattern in patterns)

    def of(self, path: str, host: str | None = None) -> tuple[HeaderOp, ...]:
        """What to do to the answer for a decoded path: one op a name, captures filled in (percent-encoded).

        One name set twice joins with `, `. A detach forgets what earlier rules set; a set after it starts anew.
        """
        segments, names = path[1:].split("/"), labels(host)
        done: dict[str, HeaderOp] = {}
        for order, pattern in self.index.candidates(segments):
            captures = pattern.match_pieces(segments, names)
            for op in self.rules[order].ops if captures is not None else ():
                done[op.name.lower()] = _joined(done.get(op.name.lower()), op, captures or {})
        return tuple(done.values())

    def to_value(self) -> list[Any]:
        """The rules as plain lists, integers and strings, for DAG-CBOR; a detach is a list of its name alone."""
        return [
            [rule.source, [[op.name] if op.value is None else [op.name, op.value] for op in rule.ops], rule.line]
            for rule in self.rules
        ]

    @classmethod
    def from_value(cls, value: Any) -> HeaderTable:
        """Read to_value()'s list, as strictly as a file. Raises BadNode."""
        rows = typed(value, list, "headers")
        if len(rows) > RULES_MAX:
            raise BadNode(f"headers: {len(rows):,} rules, {RULES_MAX:,} are the limit")
        rules = [_from_value(row) for row in rows]
        if sum(rule.size for rule in rules) > HEADERS_BYTES:
            raise BadNode(f"headers: over the limit of {HEADERS_BYTES:,} bytes")
        if sum(rule.references() for rule in rules) > HEADER_REFERENCES:
            raise BadNode(f"headers: over {HEADER_REFERENCES} placeholders")
        return cls(rules)


def _from_value(value: Any) -> HeaderRule:
    try:
        source, rows, line = typed(value, list, "header rule")
        ops = tuple(HeaderOp(*(typed(text, str, "header") for text in typed(row, list, "header"))) for row in rows)
        for op in ops:
            op.check()
        Pattern.parse(typed(source, str, "source"))
        return HeaderRule(source, ops, typed(line, int, "line"))
    except (TypeError, ValueError) as error:
        raise BadNode(f"header rule: {error}") from error


def _joined(before: HeaderOp | None, op: HeaderOp, captures: Mapping[str, str]) -> HeaderOp:
    if op.value is None:
        return op
    value = fill(op.value, captures, quoted)
    return HeaderOp(op.name, f"{before.value}, {value}" if before and before.value is not None else value)
