"""Rewrites: the rules of a release by which one of its files answers under another path, as a script applies them.

Here live which rules a service worker can apply itself, and their form: a regular expression (ECMA-262) over decoded
paths, and what String.replace makes a file's path of. Not here: the rules (content/redirectrule) or how an edge applies
them (content/redirecttable). A rewrite that asks for a host or a query, or answers 404, is the edge's alone to apply,
as all redirects are: a worker asks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from content.passed import escaped
from content.pattern import SPLAT, Pattern, Segment
from content.redirectrule import RedirectRule

_REFERENCE = re.compile(r":([A-Za-z][A-Za-z0-9_]*)")
_GROUPS = 99  # that a replacement can name
_SHELL = [r"^[\s\S]*", "/index.html", True]  # of a site of one page: for all of a path that is not there


def redirecting(rules: Iterable[RedirectRule]) -> str:
    """How a script asks where rules lead (Fetch, redirect mode): "follow" within the site; "manual", as the browser
    does, where some lead to other hosts; "" where none leads anywhere."""
    hosts = [rule.host for rule in rules if not rule.is_rewrite]
    return "" if not hosts else "manual" if any(hosts) else "follow"


def rewriting(rules: Iterable[RedirectRule], spa: bool) -> list[list[Any]]:
    """The rewrites in their order: expression, replacement, and whether only a navigation is answered so."""
    found = [_rewrite(rule) for rule in rules if rule.status == 200 and not rule.query]
    return [rewrite for rewrite in found if rewrite is not None] + ([list(_SHELL)] if spa else [])


def _rewrite(rule: RedirectRule) -> list[Any] | None:
    pattern = Pattern.parse(rule.source)
    if pattern.host is not None or len(pattern.names) > _GROUPS:
        return None
    expression, names = _expression(pattern)
    path = re.split(r"[?#]", rule.target, maxsplit=1)[0]
    pieces = _REFERENCE.split(path)  # every second one is a name
    filled = (
        f"${names.index(piece) + 1:02}" if at % 2 else unquote(piece).replace("$", "$$")
        for at, piece in enumerate(pieces)
    )
    return [expression, "".join(filled), rule.is_shell]


def _expression(pattern: Pattern) -> tuple[str, list[str]]:
    """For all paths that the pattern matches, with a slash more or less at the end; and the names of its groups."""
    path, names = pattern.path, list[str]()
    head = "".join("/" + _segment(segment, names) for segment in path.head)
    if path.splat is None:
        return f"^{head.removesuffix('/')}/?$", names
    names.append(SPLAT)
    before, after = map(escaped, path.splat)
    tail = "".join("/" + _segment(segment, names) for segment in path.tail).removesuffix("/")
    if path.tail or after:
        return f"^{head}/{before}(.*){after}{tail}/?$", names
    return (f"^{head}/{before}(.*)$" if before else f"^{head}(?:/(.*))?$"), names


def _segment(segment: Segment, names: list[str]) -> str:
    literals, captured = segment
    names += captured
    return "([^/]+)".join(map(escaped, literals))
