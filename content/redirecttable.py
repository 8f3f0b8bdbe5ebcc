"""RedirectTable: the rules of a release, ready to answer a request.

Here live the choice of the rule and its form for DAG-CBOR. Not here: what one rule may say (content/redirectrule), the
file it came from (content/redirects), or what is sent (edge/http).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from content.cbor import typed
from content.errors import BadNode
from content.limits import REDIRECT_BYTES, RULES_MAX
from content.pattern import Pattern, labels
from content.patternindex import PatternIndex
from content.redirectrule import PRINTABLE, RedirectRule

_ORIGIN = re.compile(r"\A(?:https?:)?//[^/]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Redirected:
    """What a request got: the rule, and its target filled (a file's decoded path, or a URL reference for Location)."""

    rule: RedirectRule
    target: str

    def location(self, query: bytes | str) -> str:
        """The target with the request's query carried on, unless it has its own or the rule has taken the query."""
        raw = query if isinstance(query, bytes) else query.encode("utf-8", "replace")
        text = quote(raw, safe=PRINTABLE.replace("#", ""))
        address, mark, fragment = self.target.partition("#")
        if not text or self.rule.query or "?" in address:
            return self.target
        return f"{address}?{text}{mark}{fragment}"


class RedirectTable:
    """The rules of a release, ready to match. The first rule that matches wins."""

    def __init__(self, rules: Sequence[RedirectRule]) -> None:
        self.rules = tuple(rules)
        self.patterns = tuple(Pattern.parse(rule.source) for rule in rules)
        self.index = PatternIndex(self.patterns)
        self.reads_query = any(rule.query for rule in rules)  # in choosing a rule; a 3xx also carries the query on
        self.reads_host = any(pattern.host for pattern in self.patterns)
        self.forces = any(rule.force for rule in rules)

    def match(
        self, path: str, query: bytes | str = "", host: str | None = None, forced: bool = False
    ) -> Redirected | None:
        """What the first rule that matches says of a decoded path, or None.

        A slash more or less at the end matches too. With `forced`, as asked where a file is published under the path,
        the first rule counts only if it is a forced one. A rule that would lead back to the request is passed over.
        """
        asked = query.decode("utf-8", "replace") if isinstance(query, bytes) else query
        segments, names = path[1:].split("/"), labels(host)
        others = segments[:-1] if segments[-1] == "" else [*segments, ""]
        for order, pattern in self.index.candidates(segments):
            captures = pattern.match_pieces(segments, names)
            if captures is None and (captures := pattern.match_pieces(others, names)) is None:
                continue
            rule = self.rules[order]
            if rule.query:
                if (taken := rule.captures_query(asked)) is None:
                    continue
                captures = {**captures, **taken}
            found = Redirected(rule, rule.fill(captures))
            if not leads_back(found, path, asked, names):
                return found if rule.force or not forced else None
        return None

    def to_value(self) -> list[Any]:
        """The rules as plain lists, integers and strings, for DAG-CBOR."""
        return [rule.to_value() for rule in self.rules]

    @classmethod
    def from_value(cls, value: Any, external: Collection[str] = ("*",)) -> RedirectTable:
        """Read to_value()'s list, as strictly as a file. Raises BadNode."""
        rows = typed(value, list, "redirects")
        if len(rows) > RULES_MAX:
            raise BadNode(f"redirects: {len(rows):,} rules, {RULES_MAX:,} are the limit")
        rules = [RedirectRule.from_value(row, external) for row in rows]
        if sum(rule.size for rule in rules) > REDIRECT_BYTES:
            raise BadNode(f"redirects: over the limit of {REDIRECT_BYTES:,} bytes")
        return cls(rules)


def leads_back(found: Redirected, path: str, query: str, host_labels: list[str]) -> bool:
    """Whether following the redirect asks for the same again."""
    if found.rule.is_rewrite or (found.rule.host is not None and labels(found.rule.host) != host_labels):
        return False
    to, asked = split(found.target)
    return to == path and (not found.rule.query or asked == query)


def split(location: str) -> tuple[str, str]:
    """The decoded path and the query of a Location that stays on its host."""
    address, _, query = location.partition("#")[0].partition("?")
    return unquote(_ORIGIN.sub("", address)) or "/", query
