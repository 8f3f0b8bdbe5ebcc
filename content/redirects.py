"""`_redirects`: the lines of the file, and what a publisher should know of the rules together.

Here live parse and loops. Not here: what one rule may say (content/redirectrule), which one answers a request
(content/redirecttable), or how the file gets into a Release (the publisher). The grammar is Netlify's, with
Cloudflare's splat in the middle; docs/rules.md lists where both differ, tests/content/documented_redirects.py holds
their cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from urllib.parse import unquote, urlencode

from content.limits import PATH_BYTES, REDIRECT_BYTES, REDIRECT_HOPS, RULES_MAX
from content.linting import Finding, lines
from content.pattern import SAMPLE, Pattern, labels
from content.redirectrule import DEFAULT_STATUS, BadRule, RedirectRule
from content.redirecttable import Redirected, RedirectTable, leads_back, split

__all__ = ["RedirectRule", "RedirectTable", "Redirected", "loops", "parse"]

_STATUS = re.compile(r"([0-9]{3})(!?)\Z")
_BROWSER_HOPS = 20  # where browsers give up (Fetch standard, HTTP-redirect fetch)
_SAMPLES = ("", SAMPLE, f"{SAMPLE}/{SAMPLE}", "/".join([SAMPLE] * 9))  # of what a splat takes


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
    words = re.split(r"[ \t]+", line.strip(" \t"))
    words = words[: next((n for n, word in enumerate(words) if word.startswith("#")), None)]
    at = 1
    while at < len(words) and "=" in words[at] and not words[at].lower().startswith(("/", "http://", "https://")):
        at += 1
    if len(words) <= at:
        raise BadRule("a rule needs a source and a destination: /from /to [status]")
    pairs = [word.partition("=") for word in words[1:at]]
    status, force = DEFAULT_STATUS, False
    rest = words[at + 1 :]
    if rest and (found := _STATUS.match(rest[0])):
        status, force, rest = int(found[1]), found[2] == "!", rest[1:]
    if rest:
        if rest[0].partition("=")[0].lower() in ("country", "language", "role", "cookie"):
            raise BadRule(f"{rest[0]}: conditions are not supported, every visitor gets one answer; remove it")
        raise BadRule(f"'{rest[0][:80]}' is no status: write 301, or 301! to beat a published file")
    return RedirectRule(words[0], words[at], status, force, tuple((name, value) for name, _, value in pairs), number)


def _asks(rule: RedirectRule) -> str:
    return urlencode([(name, SAMPLE if value.startswith(":") else unquote(value)) for name, value in rule.query])


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
    table, findings = RedirectTable(rules), list[Finding]()
    known: list[frozenset[int]] = []
    for rule, pattern in zip(table.rules, table.patterns, strict=True):
        path, host = pattern.sample()
        if leads_back(Redirected(rule, rule.fill(_captured(rule, pattern))), path, _asks(rule), labels(host)):
            findings.append(Finding(rule.line, "leads to itself, so it never applies: change its target"))
        chain, endless = _follow(table, path, _asks(rule), host, exists)
        members = frozenset(chain)
        if not (endless or len(chain) > REDIRECT_HOPS) or any(members <= other for other in known):
            continue
        known.append(members)
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
    """The lines of the redirects from here on, and whether there is no end to them (a loop's first comes again)."""
    chain: list[int] = []
    seen = [(path, query)]
    while len(chain) < _BROWSER_HOPS and len(path) <= PATH_BYTES:
        found = table.match(path, query, host, forced=exists(path))
        if found is None or found.rule.is_rewrite or found.rule.host not in (None, host):
            return chain, False
        chain.append(found.rule.line)
        path, query = split(found.location(query))
        if (path, query) in seen:
            loop = chain[seen.index((path, query)) :]
            first = loop.index(min(loop))
            return [*loop[first:], *loop[:first], loop[first]], True
        seen.append((path, query))
    return chain, True
