"""`_redirects`: the documented cases, refusals, limits, loops, and that no request leads where no rule says."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cbor import decode, encode
from content.errors import BadNode
from content.limits import PATH_BYTES, REDIRECT_BYTES, RULE_CHARS, RULE_REFERENCES, RULES_MAX
from content.redirects import RedirectRule, RedirectTable, loops, parse
from tests.content.documented_redirects import CASES, Case


def outcome(case: Case) -> str:
    """What we do, in the words of the cases; as an edge asks: forced rules, then files, then rules."""
    rules, findings = parse(case.rules, external=["*"])
    if any(finding.level == "error" for finding in findings):
        return "refused"
    url = urlsplit(urljoin("http://site.example", case.request))
    table = RedirectTable(rules)
    found = table.match(url.path, url.query, url.netloc, forced=url.path in case.files)
    if found is None:
        return "file" if url.path in case.files else "none"
    return f"{found.rule.status} {found.target if found.rule.is_rewrite else found.location(url.query)}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_documented(case: Case) -> None:
    """What is documented happens; or, where it does not, what we say happens, and for a reason."""
    assert bool(case.ours) == bool(case.differs)
    assert outcome(case) == (case.ours or case.expected)
    assert case.ours != case.expected


def test_differences_are_listed() -> None:
    """The list for a reader (pytest -s); no two cases have one name."""
    for case in CASES:
        if case.differs:
            print(f"{case.id}: {case.expected}; ours {case.ours}: {case.differs}")
    assert len({case.id for case in CASES}) == len(CASES)


REFUSED = {
    "/a": "needs a source and a destination",
    "a /b": "is no path",
    "/a b": "is no destination",
    "/a javascript:alert(1)": "is no destination",
    "/a https:/evil.example": "is no destination",
    "/a https://other.example/": "allow it",
    "/a HTTP://other.example/": "allow it",
    "/a //other.example/": "allow it",
    "/a https://ok.example.evil.example/": "allow it",
    "/a https://ok.example@evil.example/": "ASCII",
    "/* https://ok.example:splat": "ASCII",
    "/:a https://:a.example/": "ASCII",
    "/a https:///x": "ASCII",
    "/a https://öther.example/": "ASCII",
    "/a https://ok.example/ 200": "use a path",
    "/a https://ok.example/ 404": "use a path",
    "/a /\\evil": "the target holds",
    "/a /b\x01": "control character",
    "/a /b\rx": "control character",
    "/a /:b": "does not capture",
    "/a /:splat": "does not capture",
    "/a /x//:b": "does not capture",
    "/a HTTPS://other.example/?b=c": "allow it",
    "/a id=:id /:other": "does not capture",
    "/a id=:id id=:x /:id": "name of its own",
    "/a =:x /:x": "name of its own",
    "/a id=:id x=:id /:id": "twice",
    "/:id id=:id /:id": "twice",
    "/a /b 410": "status 410",
    "/a /b 200!!": "is no status",
    "/a /b 301 301": "is no status",
    "/a /b Country=us": "conditions",
    "/a /b 301 Cookie=x": "conditions",
    "/*/* /b": "two *",
    "/* /" + ":splat" * (RULE_REFERENCES + 1): "placeholders",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line: str) -> None:
    """One error, with its line, that says what to do; the rules around it stay."""
    rules, findings = parse(f"# first\n/x /y\n{line}\n/z /y", external=["ok.example"])
    assert [rule.line for rule in rules] == [2, 4]
    assert [(finding.line, finding.level) for finding in findings] == [(3, "error")]
    assert REFUSED[line] in findings[0].message


def test_external() -> None:
    """Other hosts are targets only where they are allowed, with any port."""
    for allowed in (["ok.example"], ["*"]):
        rules, findings = parse("/a https://OK.example:8443/b?c=d 302", external=allowed)
        assert findings == []
    found = RedirectTable(rules).match("/a")
    assert found is not None
    assert found.location("x=1") == "https://OK.example:8443/b?c=d"


def test_query_is_carried() -> None:
    """On to a target without its own, before the fragment, as it was sent; not where the rule has taken it."""
    table = RedirectTable(parse("/a /b#c\n/d /e?f=g\n/i id=:id /j/:id")[0])
    expected = {("/a", "x=%20&y"): "/b?x=%20&y#c", ("/a", ""): "/b#c", ("/d", "x"): "/e?f=g", ("/i", "id=1"): "/j/1"}
    for (path, query), location in expected.items():
        found = table.match(path, query.encode())
        assert found is not None
        assert found.location(query.encode()) == found.location(query) == location
    assert table.match("/a").location(b"\r\n\xff") == "/b?%0D%0A%FF#c"  # type: ignore[union-attr]


def test_values_in_a_query() -> None:
    """A parameter may have to have one value, percent-coded in the rule as in a URL."""
    table = RedirectTable(parse("/a page=b%20c id=:id /:id")[0])
    assert table.match("/a", "id=1&page=b+c") is not None
    assert table.match("/a", "id=1&page=b") is None


def test_encoding() -> None:
    """Locations are encoded; a rewrite names a file, decoded."""
    table = RedirectTable(parse("/a/* /é/:splat?q=:splat#:splat\n/r/* /%C3%A9/:splat?x 200")[0])
    assert table.match("/a/ü&b/c").target == "/%C3%A9/%C3%BC%26b/c?q=%C3%BC%26b%2Fc#%C3%BC%26b%2Fc"  # type: ignore[union-attr]
    assert table.match("/r/ü%41:b").target == "/é/ü%41:b"  # type: ignore[union-attr]


def test_shell() -> None:
    """Only a 200 of a splat to one HTML page."""
    text = "/a/* /index.html 200\n/b/* / 200\n/c/* /app.js 200\n/d/* /:splat.html 200\n/e /i.html 200\n/f/* /i.html 404"
    assert [rule.is_shell for rule in parse(text)[0]] == [True, True, False, False, False, False]


def test_forced() -> None:
    """Where a file is, the first rule that matches counts, and only if it is forced."""
    table = RedirectTable(parse("/a /b\n/a /c 301!\n/d /e 301!")[0])
    assert table.forces
    assert table.match("/a", forced=True) is None
    assert table.match("/d", forced=True) is not None


@pytest.mark.parametrize(
    ("text", "reads_query", "reads_host"),
    [("/a /b", False, False), ("/a x=:x /b", True, False), ("https://a.example/* /:splat", False, True)],
)
def test_what_a_table_reads(text: str, reads_query: bool, reads_host: bool) -> None:
    table = RedirectTable(parse(text)[0])
    assert (table.reads_query, table.reads_host) == (reads_query, reads_host)


SHADOWED = {
    "/a /b\n/a /c": [2],
    "/a /b\n/a/ /c": [2],
    "/* /i.html 200\n/a /b": [2],
    "/a/* /b\n/a/:x/c /d\n/a/*.js /e\n/c/* /e": [2, 3],
    "/:x /b\n/a /c\n/a/* /d": [2],
    "/a x=:x /b/:x\n/a /c": [],
    "/a /c\n/a x=:x /b/:x": [2],
    "https://a.example/* /b\n/a /c": [],
    "/* /b\nhttps://a.example/a /c": [2],
    "/trailing /trailing/\n/trailing/ /x": [],
    "/sample /b\n/:x /c": [],
    "/:x /b\n/y /c\n/z /d": [2, 3],
}


@pytest.mark.parametrize("text", SHADOWED)
def test_shadowed(text: str) -> None:
    """A rule that an earlier one always beats is warned of."""
    _, findings = parse(text)
    assert [finding.line for finding in findings] == SHADOWED[text]
    assert all(finding.level == "warning" and "never reached: line 1" in finding.message for finding in findings)


LOOPS: dict[str, list[tuple[int, str]]] = {
    "/a /b\n/b /a": [(1, "error")],
    "/a /b\n/b/ /a": [(1, "error")],
    "/x /a\n/a/* /b/:splat\n/b/* /a/:splat": [(2, "error")],
    "/a /a 301": [(1, "error")],
    "/* /:splat": [(1, "error")],
    "/* /blog/:splat": [(1, "error")],
    "/* /:splat/:splat/:splat/:splat": [(1, "error")],
    "/a /b\n/b /a 200": [],
    "/a /page\n/page /a": [],
    "/a /page\n/page /a 301!": [(1, "error")],
    "/a https://other.example/a": [],
    "/a id=:id /b?id=:id\n/b id=:id /a?id=:id": [(1, "error")],
    "\n".join(f"/{n} /{n + 1}" for n in range(5)): [],
    "\n".join(f"/{n} /{n + 1}" for n in range(6)): [(1, "warning")],
    "\n".join(f"/{n} /{n + 1}" for n in range(12)): [(1, "warning")],
}


@pytest.mark.parametrize("text", LOOPS)
def test_loops(text: str) -> None:
    """Loops are errors and chains of more than 5 warnings; a published page ends both, unless a rule is forced."""
    rules, _ = parse(text, external=["*"])
    findings = loops(rules, {"/page"}.__contains__)
    assert [(finding.line, finding.level) for finding in findings] == LOOPS[text]


def test_a_loop_names_its_lines() -> None:
    rules, _ = parse("# x\n/a /b\n\n/b /a")
    assert "line 2 → line 4 → line 2" in loops(rules, lambda path: False)[0].message


HOSTILE = ["//evil.example", "/\\evil.example", "/\\/evil.example", "//", "/\t/evil.example", "/%2F/evil.example"]
RULES = ["/* /:splat", "/* /:splat 302", "/*  /a/../:splat", "/:a/* /:splat", "/*x /:splat", "/* /?u=:splat"]
segments = st.text(st.sampled_from("/\\:@.evil%?#\t\r\n x"), max_size=12)


@pytest.mark.parametrize("rule", RULES)
@given(path=segments.map("/".__add__) | st.sampled_from(HOSTILE))
def test_no_request_chooses_the_host(rule: str, path: str) -> None:
    """A Location is a path of this site to a browser, and one line of ASCII, whatever is requested."""
    found = RedirectTable(parse(rule)[0]).match(path)
    if found is None:
        return
    location = found.location("//evil")
    assert location.isascii()
    assert location.isprintable()
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "\\" not in location
    assert urlsplit(urljoin("https://site.example/x", location)).netloc == "site.example"


@given(path=segments.map("/".__add__))
def test_no_request_changes_an_external_host(path: str) -> None:
    found = RedirectTable(parse("/* https://ok.example/:splat", external=["ok.example"])[0]).match(path)
    assert found is not None
    assert urlsplit(found.location("@evil")).netloc == "ok.example"


words = st.sampled_from(["/a", "/*", "/:x/y", "/b/:splat", "id=:id", "/:id", "301", "200!", "#", "https://h.example/*"])
texts = st.text(max_size=80) | st.lists(st.lists(words, max_size=5).map(" ".join), max_size=8).map("\n".join)


@given(texts)
def test_any_text_is_read(text: str) -> None:
    """No text is too strange; what came of it goes through a Release, and answers any request."""
    rules, findings = parse(text, external=["*"])
    assert all(finding.line >= 1 and finding.message for finding in findings)
    table = RedirectTable(rules)
    block = encode({"kind": "test", "v": 1, "rules": table.to_value()})
    assert RedirectTable.from_value(decode(block.data, "test")["rules"]).rules == table.rules
    table.match("/a/b", "id=1", "h.example")
    loops(rules, lambda path: False)


GOOD: list[Any] = ["/a/*", "/b/:splat", 301, 0, [["id", ":id"]], 1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [[]],
        [GOOD[:-1]],
        [[*GOOD, 1]],
        *([[*GOOD[:at], bad, *GOOD[at + 1 :]]] for at, bad in enumerate([5, 5, "301", True, ["ab"], "1"])),
        [["a", *GOOD[1:]]],
        [["/a", *GOOD[1:]]],
        [[*GOOD[:3], 2, *GOOD[4:]]],
        [[*GOOD[:3], -1, *GOOD[4:]]],
        [[*GOOD[:4], [["id"]], 1]],
        [[*GOOD[:4], [["id", "1"], ["id", "2"]], 1]],
        [[*GOOD[:2], 410, *GOOD[3:]]],
        [["/a/*", "//x:splat", *GOOD[2:]]],
        [["/a/*", "/" + "b" * RULE_CHARS, *GOOD[2:]]],
        [GOOD] * (RULES_MAX + 1),
        [["/" + "a" * 1000, "/" + "b" * 1000, 301, 0, [], n] for n in range(33)],
    ],
)
def test_malformed_values(value: Any) -> None:
    """A Release from somewhere else is read as strictly as a file."""
    with pytest.raises(BadNode):
        RedirectTable.from_value(value)


def test_never_back_to_the_request() -> None:
    """A rule that asks for the same host and path again is passed over, and the next one is tried."""
    table = RedirectTable(parse("http://a.example/* https://a.example/:splat 301!\n/x /y", external=["a.example"])[0])
    found = table.match("/x", host="A.example:443")
    assert found is not None
    assert found.target == "/y"
    assert table.match("/z", host="a.example") is None


def test_external_hosts_in_a_value() -> None:
    value = RedirectTable([RedirectRule("/a", "https://x.example/")]).to_value()
    assert RedirectTable.from_value(value).rules[0].host == "x.example"
    with pytest.raises(BadNode, match="allow it"):
        RedirectTable.from_value(value, external=())


def test_limits() -> None:
    """Each at its value, and one past it."""
    row = "/a /b\n"
    for text, errors in {
        row + "#" * (REDIRECT_BYTES - len(row)): 0,
        row + "#" * (REDIRECT_BYTES - len(row) + 1): 1,
        f"/a /{'b' * (RULE_CHARS - 4)}": 0,
        f"/a /{'b' * (RULE_CHARS - 3)}": 1,
        "\n".join(f"/{n} /b" for n in range(RULES_MAX)): 0,
        "\n".join(f"/{n} /b" for n in range(RULES_MAX + 1)): 1,
        "/* /" + ":splat" * RULE_REFERENCES: 0,
        "x" * 102_400: 1,
    }.items():
        assert sum(finding.level == "error" for finding in parse(text)[1]) == errors


def test_a_bomb_of_rules() -> None:
    """2,000 rules of 2,000 characters, all placeholders, in one bucket: each is looked at once, and none matches."""
    source = "/" + "-".join(f":a{n}" for n in range(300))
    rules = [RedirectRule(f"{source}-{n:04d}", "/x/:a1", line=n) for n in range(RULES_MAX)]
    assert RedirectTable(rules).match("/" + "-" * PATH_BYTES) is None


def test_lines_of_other_systems() -> None:
    """CRLF, tabs, a byte order mark and letters beyond ASCII in paths."""
    rules, findings = parse("\ufeff/a\t/b\t302\r\n\r\n  /ü /ö\r\n")
    assert findings == []
    assert [(rule.source, rule.target, rule.status, rule.line) for rule in rules] == [
        ("/a", "/b", 302, 1),
        ("/ü", "/ö", 301, 3),
    ]
