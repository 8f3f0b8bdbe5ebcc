"""`_headers`: the lines of the file, and the table that says which fields a site changes in an answer.

Here live parse and HeaderTable. Not here: what one line may say (content/headerrule), the fields that an answer has by
itself (edge/http), or how the file gets into a Release (the publisher). The grammar is Cloudflare's and Netlify's;
docs/rules.md says where they differ, and tests/content/documented_headers.py holds their cases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from content.cbor import typed
from content.errors import BadNode
from content.headerrule import BadHeader, HeaderOp, HeaderRule
from content.limits import HEADER_REFERENCES, HEADERS_BYTES, RULES_MAX
from content.linting import Finding, lines
from content.pattern import Pattern, fill, labels
from content.patternindex import PatternIndex

__all__ = ["HeaderOp", "HeaderRule", "HeaderTable", "parse"]

_SOURCE = re.compile(r"/|https?://", re.IGNORECASE)


def parse(text: str) -> tuple[list[HeaderRule], list[Finding]]:
    """The rules of a `_headers` file, and what is wrong with it; a line with an error does nothing.

    A line that begins with / or https:// is a source, whatever its indentation, and the others are for the last one.
    """
    findings: list[Finding] = []
    blocks: list[tuple[str, int, list[HeaderOp]]] = []
    current: list[HeaderOp] | None = None
    for number, line in lines(text, HEADERS_BYTES, findings):
        content = line.strip(" \t")
        try:
            if _SOURCE.match(content):
                if len(blocks) == RULES_MAX:
                    findings.append(Finding(number, f"{RULES_MAX:,} rules are the limit: merge some with *"))
                    break
                current = []
                Pattern.parse(content)
                blocks.append((content, number, current))
            elif current is None:
                raise BadHeader("a header before any path: write the path that it is for on a line above, as in /*")
            else:
                current.append(HeaderOp.parse(content))
        except ValueError as error:
            findings.append(Finding(number, str(error)))
    rules = [HeaderRule(source, tuple(ops), number) for source, number, ops in blocks if ops]
    for source, number, ops in blocks:
        if not ops:
            findings.append(Finding(number, f"no header under {source[:80]}: add one, indented", "warning"))
    return _affordable(rules, findings), findings


def _affordable(rules: list[HeaderRule], findings: list[Finding]) -> list[HeaderRule]:
    """The rules, up to the one that makes an answer grow too far with its path."""
    total = 0
    for at, rule in enumerate(rules):
        total += rule.references
        if total > HEADER_REFERENCES:
            message = f"over {HEADER_REFERENCES} placeholders in the values of the file: use fewer"
            findings.append(Finding(rule.line, message))
            return rules[:at]
    return rules


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
            if captures is not None:
                for op in self.rules[order].ops:
                    done[op.name.lower()] = _joined(done.get(op.name.lower()), op, captures)
        return tuple(done.values())

    def to_value(self) -> list[Any]:
        """The rules as plain lists, integers and strings, for DAG-CBOR."""
        return [rule.to_value() for rule in self.rules]

    @classmethod
    def from_value(cls, value: Any) -> HeaderTable:
        """Read to_value()'s list, as strictly as a file. Raises BadNode."""
        rows = typed(value, list, "headers")
        if len(rows) > RULES_MAX:
            raise BadNode(f"headers: {len(rows):,} rules, {RULES_MAX:,} are the limit")
        rules = [HeaderRule.from_value(row) for row in rows]
        if sum(rule.size for rule in rules) > HEADERS_BYTES:
            raise BadNode(f"headers: over the limit of {HEADERS_BYTES:,} bytes")
        if sum(rule.references for rule in rules) > HEADER_REFERENCES:
            raise BadNode(f"headers: over the limit of {HEADER_REFERENCES} placeholders")
        return cls(rules)


def _joined(before: HeaderOp | None, op: HeaderOp, captures: Mapping[str, str]) -> HeaderOp:
    if op.value is None:
        return op
    value = fill(op.value, captures)
    return HeaderOp(op.name, f"{before.value}, {value}" if before and before.value is not None else value)
