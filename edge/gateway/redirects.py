"""Redirects: what a root's own `_redirects` file says of paths that are not there.

Here lives the file as the IPFS spec has it, which is stricter than what sites publish with (content/redirects): no
forced rules, no query parameters, statuses for what is gone. One fault in it is a fault of the whole. The patterns and
the filling of targets are the sites' own. Not here: when it is asked (edge/gateway/app), the answers.

Spec: https://specs.ipfs.tech/http-gateways/web-redirects-file/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from content.asking import Walk
from content.cid import CID
from content.errors import BadNode, LimitExceeded, NotFound
from content.limits import REDIRECT_BYTES, RULES_MAX
from content.pattern import Pattern
from content.redirectrule import RedirectRule
from content.walk import find, read_file, stat

NAME = "_redirects"
GONE = (404, 410, 451)  # a page of the root answers with this status
_MOVED = (301, 302, 303, 307, 308)
_DEFAULT = 301


class BadRedirects(ValueError):
    """The file is not one. The text says why, with the line."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. `rule` fills the target; its own status stands for how: a rewrite, or a redirect."""

    pattern: Pattern
    rule: RedirectRule
    status: int


@dataclass(frozen=True, slots=True)
class Hit:
    """What the first rule that matches says: a decoded path below the root, or a URL reference."""

    target: str
    status: int

    @property
    def is_redirect(self) -> bool:
        return self.status in _MOVED


def match(root: CID, path: str) -> Walk[Hit | None]:
    """What the root's file says of this decoded path (from its slash on). Raises BadRedirects."""
    try:
        cid = yield from find(root, [NAME])
        entry = yield from stat(cid)
    except (NotFound, BadNode):
        return None
    if entry.kind != "file":
        return None
    if entry.size > REDIRECT_BYTES:
        raise BadRedirects(f"redirects file size cannot exceed {REDIRECT_BYTES} bytes")
    try:
        text = (yield from read_file(cid)).decode()
    except UnicodeDecodeError:
        raise BadRedirects("it is not UTF-8") from None
    rules = _rules(text)
    if isinstance(rules, str):
        raise BadRedirects(rules)
    return first(rules, path)


@lru_cache(8)
def _rules(text: str) -> Sequence[Rule] | str:
    """The rules of a file, or what is wrong with it: 2,000 of them take 0.1 s to read, and 404s come in storms."""
    try:
        return parse(text)
    except BadRedirects as error:
        return str(error)


def parse(text: str) -> list[Rule]:
    """All rules of a file. Raises BadRedirects."""
    rules: list[Rule] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.strip(" \t\r").split()
        words = words[: next((at for at, word in enumerate(words) if word.startswith("#")), None)]
        if not words:
            continue
        if len(rules) == RULES_MAX:
            raise BadRedirects(f"more than {RULES_MAX} rules")
        try:
            rules.append(_rule(words, number))
        except (ValueError, LimitExceeded) as error:
            raise BadRedirects(f"line {number}: {error}") from error
    return rules


def first(rules: Sequence[Rule], path: str) -> Hit | None:
    """The first rule that matches, its target filled."""
    for rule in rules:
        captures = rule.pattern.match(path)
        if captures is not None:
            return Hit(rule.rule.fill(captures), rule.status)
    return None


def _rule(words: Sequence[str], number: int) -> Rule:
    """from to [status]"""
    if not 2 <= len(words) <= 3:
        raise ValueError("a rule is: from to [status]")
    source, target = words[:2]
    text = words[2] if len(words) == 3 else str(_DEFAULT)
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"status {text[:20]!r} is no number (forced redirects are not supported)")
    status = int(text[:4])
    if status not in (200, *GONE, *_MOVED):
        raise ValueError(f"unsupported redirect status {status}")
    if not source.startswith("/"):
        raise ValueError("'from' is a path: it starts with /")
    if "*" in source and not source.endswith("*"):
        raise ValueError("* stands at the end of 'from' only")
    way = RedirectRule(source, target, 404 if status in GONE else status, line=number)
    return Rule(way.check(("*",)), way, status)
