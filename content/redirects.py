"""`_redirects`: its lines, the table that answers a request, and the loops that rules make together.

Here live parse, RedirectTable and loops. Not here: what one rule may say (content/redirectrule), what is sent
(edge/http), or how the file gets into a Release (the publisher). The grammar is Netlify's, with Cloudflare's splat in
the middle; docs/rules.md lists where both differ, and tests/content/documented_redirects.py holds their cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode

from content.cbor import typed
from content.errors import BadNode
from content.limits import PATH_BYTES, REDIRECT_BYTES, REDIRECT_HOPS, RULES_MAX
from content.linting import Finding, lines
from content.pattern import Pattern, PatternIndex, labels
from content.redirectrule import DEFAULT_STATUS, BadRule, RedirectRule

__all__ = ["RedirectRule", "RedirectTable", "Redirected", "loops", "parse"]

_STATUS = re.compile(r"([0-9]{3})(!?)\Z")
_BROWSER_HOPS = 20  # where browsers give up (Fetch standard, HTTP-redirect fetch)
_SAMPLES = ("", "sample", "sample/sample", "/".join(["sample"] * 9))  # of what a splat takes


def parse(text: str, *, external: Collection[str] = ()) -> tuple[list[RedirectRule], list[Finding]]:
    """The rules of a `_redirects` file, and what is wrong with it; a line with an error makes no rule.

    `external`: hosts that absolute targets may name, lower case; `*` allows all.
    """
    rules: list[RedirectRule] = []
    findings: list[Finding] = []
    for number, line in lines(text, REDIRECT_BYTES, findings):
        if len(rules) == RULES_MAX:
            findings.append(Finding(number, f"{RULES_MAX:,} rules are the limit: merge some with * or placeholders"))
            break
        try:
            rule = _rule(line, number)
            rule.check(external)
            rules.append(rule)
        except ValueError as error:
            findings.append(Finding(number, str(error)))
    return rules, findings + list(_unreached(RedirectTable(rules)))


def _rule(line: str, number: int) -> RedirectRule:
    """source [name=value ...] target [status[!]]; a word that starts with # ends the line."""
    words = line.split()
    words = words[: next((n for n, word in enumerate(words) if word.startswith("#")), None)]
    at = 1
    while at < len(words) and "=" in words[at] and not words[at].startswith(("/", "http://", "https://")):
        at += 1
    if len(words) <= at:
        raise BadRule("a rule needs a source and a destination: /from /to [status]")
    pairs = [word.partition("=") for word in words[1:at]]
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise BadRule("one query parameter twice: name each once")
    status, force = DEFAULT_STATUS, False
    rest = words[at + 1 :]
    if rest and (found := _STATUS.match(rest[0])):
        status, force, rest = int(found[1]), found[2] == "!", rest[1:]
    if rest:
        if rest[0].partition("=")[0].lower() in ("country", "language", "role", "cookie"):
            raise BadRule(f"{rest[0]}: conditions are not supported, every visitor gets one answer; remove it")
        raise BadRule(f"'{rest[0][:80]}' is no status: write 301, or 301! to beat a published file")
    return RedirectRule(words[0], words[at], status, force, tuple((name, value) for name, _, value in pairs), number)


@dataclass(frozen=True, slots=True)
class Redirected:
    """What a request got: the rule, and its target filled (a file's decoded path, or a URL reference for Location)."""

    rule: RedirectRule
    target: str

    def location(self, query: bytes | str) -> str:
        """The target with the request's query carried on, unless it has its own or the rule has taken the query."""
        text = quote(query, safe="".join(map(chr, range(0x21, 0x7F))).replace("#", ""))
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
            if not _leads_back(found, path, asked, names):
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
        rules = [RedirectRule.from_value(row, external)[0] for row in rows]
        if sum(rule.size for rule in rules) > REDIRECT_BYTES:
            raise BadNode(f"redirects: over the limit of {REDIRECT_BYTES:,} bytes")
        return cls(rules)


def _leads_back(found: Redirected, path: str, query: str, host_labels: list[str]) -> bool:
    if found.rule.is_rewrite or (found.rule.host is not None and labels(found.rule.host) != host_labels):
        return False
    to, asked = _split(found.target)
    return to == path and (not found.rule.query or asked == query)


def _split(location: str) -> tuple[str, str]:
    """The decoded path and the query of a Location that stays on its host."""
    address, _, query = location.partition("#")[0].partition("?")
    return unquote(re.sub(r"\A(?:https?:)?//[^/]*", "", address, flags=re.IGNORECASE)) or "/", query


def _asks(rule: RedirectRule) -> str:
    return urlencode([(name, "sample" if value.startswith(":") else value) for name, value in rule.query])


def _unreached(table: RedirectTable) -> Iterator[Finding]:
    """A warning for each rule whose every sample an earlier rule takes."""
    for rule, pattern in zip(table.rules, table.patterns, strict=True):
        samples = [pattern.sample(splat) for splat in (_SAMPLES if pattern.has_splat else _SAMPLES[1:2])]
        found = [table.match(path, _asks(rule), host) for path, host in samples]
        first = [hit.rule.line for hit in found if hit and hit.rule.line < rule.line]
        if len(first) == len(samples):
            yield Finding(rule.line, f"never reached: line {first[-1]} matches before it; move it up", "warning")


def loops(rules: Sequence[RedirectRule], exists: Callable[[str], bool]) -> list[Finding]:
    """Redirects that lead to each other without end (errors), or through more than 5 rules (warnings).

    Each rule is followed from a sample of its source; `exists` says whether a file answers a path, which ends a chain.
    """
    table, findings, known = RedirectTable(rules), [], set()
    for rule, pattern in zip(table.rules, table.patterns, strict=True):
        path, host = pattern.sample()
        if _leads_back(Redirected(rule, rule.fill(_captured(rule, pattern))), path, _asks(rule), labels(host)):
            findings.append(Finding(rule.line, "leads to itself, so it never applies: change its target"))
        chain, endless = _follow(table, path, _asks(rule), host, exists)
        members = frozenset(chain)
        if members in known or not (endless or len(chain) > REDIRECT_HOPS):
            continue
        known.add(members)
        way = " → ".join(f"line {line}" for line in chain[: REDIRECT_HOPS + 2])
        if endless:
            findings.append(Finding(chain[0], f"redirects without end, {way}: let one lead to a page"))
        else:
            message = f"a chain of {len(chain)} redirects, {way}: lead the first to the last target"
            findings.append(Finding(chain[0], message, "warning"))
    return findings


def _captured(rule: RedirectRule, pattern: Pattern) -> dict[str, str]:
    return {**(pattern.match(*pattern.sample()) or {}), **(rule.captures_query(_asks(rule)) or {})}


def _follow(
    table: RedirectTable, path: str, query: str, host: str, exists: Callable[[str], bool]
) -> tuple[list[int], bool]:
    """The lines of the redirects from here on, and whether there is no end to them (then the first comes again)."""
    chain: list[int] = []
    seen = [(path, query)]
    while len(chain) < _BROWSER_HOPS and len(path) <= PATH_BYTES:
        found = table.match(path, query, host, forced=exists(path))
        if found is None or found.rule.is_rewrite or found.rule.host not in (None, host):
            return chain, False
        chain.append(found.rule.line)
        path, query = _split(found.location(query))
        if (path, query) in seen:
            at = seen.index((path, query))
            return [*chain[at:], chain[at]], True
        seen.append((path, query))
    return chain, True
