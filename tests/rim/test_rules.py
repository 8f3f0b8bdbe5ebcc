"""Rules: what a Release is given out of rim.toml, `_headers` and `_redirects`, and what a publish refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from content.cbor import encode
from content.headers import HeaderTable
from content.redirects import RedirectTable
from rim.exits import Usage
from rim.project import Project, read
from rim.rules import RulesFound, check_rules, find_rules
from tests.rim.conftest import site_folder

PAGE = {"/index.html": 10, "/404.html": 5, "/assets/app.js": 2_000, "/assets/deep/x.css": 3_000, "/docs/a.html": 7}


def project(toml: str) -> Project:
    made, findings = read(toml, Path("rim.toml"))
    assert findings == []
    return made


def found(tmp_path: Path, toml: str = "", **files: str) -> RulesFound:
    folder = site_folder(tmp_path / "site", dict(files))
    return find_rules(project(toml), folder, PAGE)


def told(rules: RulesFound) -> list[tuple[str, int, str]]:
    return [(Path(f.file).name, f.line, f.level) for f in rules.findings]


def test_nothing_said_is_nothing_kept(tmp_path: Path) -> None:
    """A folder without rules has an empty value, and names decide what is immutable."""
    rules = found(tmp_path)
    assert (rules.rules, rules.findings) == ({}, ())
    assert rules.is_immutable("/index-BQk3xY9z.js")
    assert not rules.is_immutable("/app.js")
    assert rules.tags_of("/app.js") == ()


def test_all_of_it(tmp_path: Path) -> None:
    """Every part, in a value that DAG-CBOR takes and the tables read again."""
    rules = found(
        tmp_path,
        """
clean_urls = true
trailing_slash = "never"
error_page = "/404.html"
immutable = ["/assets/**"]
[[cache]]
path = "/api/*"
control = "no-store"
[[tags]]
path = "/docs/**"
tags = ["docs"]
[[tags]]
path = "*.html"
tags = ["page", "docs"]
[precache]
globs = ["/index.html", "/assets/*"]
[cors]
origin = "*"
[redirects]
external = ["example.org"]
[skew]
pin = true
""",
        _headers="/api/*\n  Cache-Control: public\n  X-A: b\n",
        _redirects="/old /new\n/away https://example.org/ 302\n",
    )
    assert rules.findings == ()
    value = encode({"rules": dict(rules.rules)}) and rules.rules
    assert value["html"] == {"clean": True, "slash": "never"}
    assert value["error"] == "/404.html"
    assert value["precache"] == {"paths": ["/assets/app.js", "/index.html"], "bytes": 2_010}
    assert value["pin"] is True
    hit = RedirectTable.from_value(value["redirects"]).match("/old")
    assert hit is not None
    assert hit.target == "/new"
    ops = {op.name: op.value for op in HeaderTable.from_value(value["headers"]).of("/api/x")}
    assert ops == {"Cache-Control": "no-store", "X-A": "b", "Access-Control-Allow-Origin": "*"}
    assert rules.is_immutable("/assets/deep/x.css")
    assert rules.tags_of("/docs/a.html") == ("docs", "page")


def test_the_later_cache_rule_counts(tmp_path: Path) -> None:
    """Two `[[cache]]` that match are not joined."""
    toml = '[[cache]]\npath = "/*"\ncontrol = "no-cache"\n[[cache]]\npath = "/a"\ncontrol = "max-age=5"\n'
    table = HeaderTable.from_value(found(tmp_path, toml).rules["headers"])
    assert [op.value for op in table.of("/a")] == ["max-age=5"]
    assert [op.value for op in table.of("/b")] == ["no-cache"]


WRONG = [  # rim.toml, _headers, _redirects, what is told
    ('error_page = "/oops.html"', "", "", [("rim.toml", 1, "error")]),
    ("", "/a\n  Content-Length: 5\n  X-A: b\n", "", [("_headers", 2, "error")]),
    ("", "X-A: b\n", "", [("_headers", 1, "error")]),
    ("", "", "/a\n", [("_redirects", 1, "error")]),
    ("", "", "/a /b\n/b /a\n", [("_redirects", 1, "error")]),
    ("", "", "# out\n/a https://example.org/\n", [("_redirects", 2, "error")]),
    ("", "", "/* /x\n/a /b\n", [("_redirects", 2, "warning")]),
    ('[precache]\nglobs = ["/nothing"]', "", "", [("rim.toml", 1, "warning")]),
    ('[precache]\nglobs = ["/assets/**"]\nmax_bytes = 4000', "", "", [("rim.toml", 1, "error")]),
]


@pytest.mark.parametrize(("toml", "headers", "redirects", "expected"), WRONG, ids=range(len(WRONG)))
def test_what_is_wrong(
    toml: str, headers: str, redirects: str, expected: list[tuple[str, int, str]], tmp_path: Path
) -> None:
    """File, line and level; and a publish refuses errors, never warnings."""
    folder = site_folder(tmp_path / "site", {"_headers": headers, "_redirects": redirects})
    assert told(find_rules(project(toml), folder, PAGE)) == expected
    if any(level == "error" for _, _, level in expected):
        name, line, _ = expected[0]
        with pytest.raises(Usage, match=rf"{name}:{line}: error: ") as fault:
            check_rules(folder, project(toml), PAGE)
        assert "nothing was changed" in fault.value.hint
    else:
        check_rules(folder, project(toml), PAGE)


def test_a_loop_that_a_file_ends(tmp_path: Path) -> None:
    """A redirect under a path that a file answers does not apply, so there is no loop."""
    assert found(tmp_path, _redirects="/index.html /x\n/x /index.html\n").findings == ()


def test_a_rules_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8: exit 2, by name."""
    folder = site_folder(tmp_path / "site", {"_headers": b"/a\n  X: \xff\n"})
    with pytest.raises(Usage, match="_headers cannot be read"):
        find_rules(Project(), folder, PAGE)


def test_too_many_rules_together(tmp_path: Path) -> None:
    """_headers alone is within the limit; with rim.toml's own it is not, and both are told."""
    headers = "".join(f"/{n}\n  X: y\n" for n in range(2_000))
    rules = found(tmp_path, '[cors]\norigin = "*"', _headers=headers)
    assert told(rules) == [("rim.toml", 0, "error")]
    assert "[[cache]]" in rules.findings[0].message
