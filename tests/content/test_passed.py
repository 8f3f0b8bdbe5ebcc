"""Passed: which paths a worker leaves alone, as Python and as scripts know them."""

from __future__ import annotations

import json
import subprocess

import pytest

from content.passed import BadPassed, check_passed, expression, is_passed

PASSED = ("/api/*", "/a.b", "/x(1)+$", "/%C3%A4/*", "/pre*")


@pytest.mark.parametrize("text", ["/api/*", "/a", "/a/", "/%20*", "/~a/b;c=d@e", "/" + "a" * 127])
def test_what_may_pass(text: str) -> None:
    assert check_passed(text) == text


@pytest.mark.parametrize("text", ["", "a", "*", "/*", "/a*b", "/**", "/a b", "/ü", "/a#", "/./a", "/a/..", "/[a]"])
def test_what_may_not(text: str) -> None:
    with pytest.raises(BadPassed):
        check_passed(text)


def test_a_file_is_below_such_a_path() -> None:
    """Files' names are decoded, these are not."""
    assert [path for path in ("/api/x", "/api", "/a.b", "/a.b/c", "/ä/x", "/prefix") if is_passed(path, PASSED)] == [
        "/api/x",
        "/a.b",
        "/ä/x",
        "/prefix",
    ]


@pytest.mark.needs("node")
def test_a_script_knows_the_same() -> None:
    """And the edge's own paths, whatever a site says."""
    paths = ["/api/x", "/api", "/a.b", "/axb", "/a.b/", "/x(1)+$", "/%C3%A4/x", "/prefix", "/.rim/sw.js", "/xrim/", "/"]
    script = """const [expression, paths] = JSON.parse(require("fs").readFileSync(0));
      console.log(JSON.stringify(paths.map((path) => !!path.match(expression))));"""
    for passed in (PASSED, ()):
        given = json.dumps([expression(passed), paths])
        done = subprocess.run(["node", "-e", script], input=given, capture_output=True, text=True, check=True)
        got = [path for path, known in zip(paths, json.loads(done.stdout), strict=True) if known]
        assert got == (
            ["/api/x", "/a.b", "/x(1)+$", "/%C3%A4/x", "/prefix", "/.rim/sw.js"] if passed else ["/.rim/sw.js"]
        )
