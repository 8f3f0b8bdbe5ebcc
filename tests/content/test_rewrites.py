"""Rewrites, as a script applies them: it finds the file that an edge finds."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from content import redirects
from content.redirecttable import RedirectTable
from content.rewrites import redirecting, rewriting

PATHS = (
    "/", "/app", "/app/", "/app/a/b", "/apple", "/data", "/data/", "/news/7", "/news/7/", "/news/a-b-c", "/x/1/2/y",
    "/pre", "/prefix/a", "/ä b", "/a.b", "/axb", "/d/1/2", "/s/x/end", "/s/x/y/end/", "/s/end",
)  # fmt: skip
RULES = (
    "/app/* /app/index.html 200",
    "/data /data.json 200",
    "/news/:id /pages/:id.html 200",
    "/news/:a-:b /pages/:b/:a$1.html 200",
    "/x/:one/:two/y /:two/:one/x.html 200",
    "/pre* /p/:splat 200",
    "/%C3%A4%20b /%C3%A4.html 200",
    "/a.b /dot.html?x=1 200",
    "/d/:a/:b/ /:b:a:b.html 200",
    "/s/*/end /:splat/e.html 200",
    "/* /index.html 200",
    "/* / 200",
    "/ /home.html 200",
)


@pytest.mark.needs("node")
def test_a_script_finds_the_file_that_an_edge_finds() -> None:
    """Each rule alone, over paths that it matches and others."""
    script = """const [rules, paths] = JSON.parse(require("fs").readFileSync(0));
      console.log(JSON.stringify(rules.map((found) => paths.map((path) => {
        const [from, to] = found.find(([from]) => path.match(from)) ?? [];
        return from ? path.replace(RegExp(from), to) : null;
      }))));"""
    parsed = [redirects.parse(line) for line in RULES]
    assert not any(findings for _, findings in parsed)
    given = json.dumps([[rewriting(rules, False) for rules, _ in parsed], PATHS])
    done = subprocess.run(["node", "-e", script], input=given, capture_output=True, text=True, check=True)
    for (rules, _), line, got in zip(parsed, RULES, json.loads(done.stdout), strict=True):
        hits = [RedirectTable(rules).match(path) for path in PATHS]
        assert got == [None if hit is None else hit.target for hit in hits], line


def test_what_is_the_edge_s_alone() -> None:
    """What asks for a host or a query, and what answers 404. Of a site of one page all else is its page."""
    rules, findings = redirects.parse("https://a.example/* /a.html 200\n/q x=:x /:x.html 200\n/lost/* /lost.html 404\n")
    assert findings == []
    assert rewriting(rules, False) == []
    assert rewriting(rules, True) == [[r"^[\s\S]*", "/index.html", True]]
    (expression, replacement, _), *_ = rewriting([], True)
    assert re.sub(expression, replacement, "/place/oslo\n", count=1) == "/index.html", "nothing stays"
    rules, _ = redirects.parse("/app/* /app/index.html 200\n/data/* /:splat.json 200\n")
    assert [row[2] for row in rewriting(rules, True)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", ""),
        ("/* /index.html 200", ""),
        ("/a /b", "follow"),
        ("/a /b\n/c https://other.example/ 302", "manual"),
    ],
)
def test_how_a_script_asks_where_rules_lead(text: str, mode: str) -> None:
    assert redirecting(redirects.parse(text, external=("other.example",))[0]) == mode
