"""`_redirects`: parse takes any text, the index finds what a look at every rule finds, and no answer leads elsewhere.

An input is a file, a path, a query and a host, with NUL between them (no rule can hold one).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libipld

from content import redirects
from content.errors import BadNode
from content.limits import RULE_CHARS, RULE_REFERENCES
from content.pattern import labels
from content.redirects import Redirected, RedirectTable
from content.redirecttable import leads_back

STEPS = (20_000, 12_000)  # loops() follows every rule for 20 hops past all others
_URL = re.compile(r"[\x21-\x5b\x5d-\x7e]+([?#][\x21-\x7e]*)?\Z")  # a Location; to a browser, \ in a path is /
_EXTERNAL = ("example.com",)


def check(data: bytes, thorough: bool) -> None:
    text, path, query, host = (*(part.decode("utf-8", "replace") for part in data.split(b"\0", 3)), "", "", "")[:4]
    path = "/" + path
    rules, findings = redirects.parse(text, external=_EXTERNAL)
    for finding in findings:
        assert finding.line >= 1
        assert len(finding.message) < 400
        assert finding.message
    for rule in rules:
        assert rule.host is None or rule.host.partition(":")[0] == "example.com"
    table = RedirectTable(rules)
    if thorough:
        _round_trip(table)
        redirects.loops(rules, lambda path: len(path) % 3 == 0)
    for forced in (False, True) if table.forces or thorough else (False,):
        found = table.match(path, query, host, forced)
        assert found == _plain(table, path, query, host, forced)
        if found is not None:
            _safe(found, path, query, host)
            assert not forced or found.rule.force


def _plain(table: RedirectTable, path: str, query: str, host: str, forced: bool) -> Redirected | None:
    """The same by a look at every rule in turn."""
    others = path.removesuffix("/") if path.endswith("/") else path + "/"
    for rule, pattern in zip(table.rules, table.patterns, strict=True):
        captures = pattern.match(path, host)
        if captures is None and others:
            captures = pattern.match(others, host)
        if captures is None:
            continue
        if rule.query:
            if (taken := rule.captures_query(query)) is None:
                continue
            captures = {**captures, **taken}
        found = Redirected(rule, rule.fill(captures))
        if not leads_back(found, path, query, labels(host)):
            return found if rule.force or not forced else None
    return None


def _safe(found: Redirected, path: str, query: str, host: str) -> None:
    """No header is split, no other host is reached, and no answer is longer than its request and rule allow."""
    rule = found.rule
    if rule.is_rewrite:
        assert found.target.startswith("/")
        assert not found.target.startswith(("//", "/\\"))
        return
    location = found.location(query)
    assert _URL.match(location), repr(location)
    if rule.host is None:
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))
    else:
        assert re.match(r"(?:https?:)?//([^/?#]*)", location, re.IGNORECASE)[1].lower() == rule.host  # type: ignore[index]
    asked = 12 * (len(path.encode()) + len(query.encode()) + len(host.encode()))
    assert len(location) <= 9 * len(rule.target) + (RULE_REFERENCES + 1) * asked


def _round_trip(table: RedirectTable) -> None:
    """Through a Release and back the rules are the same; what a line cannot say, a block cannot either."""
    value = libipld.decode_dag_cbor(libipld.encode_dag_cbor(table.to_value()))
    assert RedirectTable.from_value(value, _EXTERNAL).rules == table.rules
    for row in value[:2]:
        for changed in ({0: row[0] + "*/*"}, {1: "//evil.example/"}, {2: 200.5}, {3: 2}, {1: "x" * (RULE_CHARS + 1)}):
            bad = [changed.get(n, part) for n, part in enumerate(row)]
            try:
                RedirectTable.from_value([bad], _EXTERNAL)
            except BadNode:
                continue
            raise AssertionError(f"a rule that no file can hold: {bad}")


def seeds() -> Iterator[bytes]:
    files: tuple[tuple[str, str, str, str], ...] = (
        ("/a /b", "a", "", ""),
        ("/a/* /b/:splat 302", "a/x/y", "q=1", ""),
        ("/news/:year/:slug /n/:slug?y=:year 301!", "news/2020/x%", "", ""),
        ("/store id=:id /blog/:id 200", "store", "id=../..//evil", ""),
        ("https://:who.example.org/* https://example.com/:who/:splat 308", "x//y\\", "", "a.example.org:80"),
        ("/* /index.html 200\n/a /b 404", "", "", ""),
        ("/a /a 301\n/b/* /c/:splat\n/c/* /b/:splat", "b/", "", ""),
        ("# no\n\n/x  # gone\n/y /z 299\r\n/é%20ü /%C3%A9", "é ü", "", ""),
        ("/a//b/:c-:d.html* //example.com/:d 301", "a//b/1-2.html", "", ""),
        ("/a /b Country=de\n/a https://evil.example/", "a/", "", ""),
        ("/:a/:b/:c /:a:a:a/:b:b/:c:c 307", "x/y/z", "", ""),
    )
    for parts in files:
        yield "\0".join(parts).encode()
