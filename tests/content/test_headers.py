"""`_headers`: the documented cases, refusals, limits, and that no request writes a field of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cbor import decode, encode
from content.errors import BadNode
from content.headers import HeaderOp, HeaderTable, parse
from content.limits import HEADER_REFERENCES, HEADERS_BYTES, RULE_CHARS, RULES_MAX
from tests.content.documented_headers import CASES, Case


def outcome(case: Case) -> tuple[str, ...]:
    """What we do, in the words of the cases."""
    rules, findings = parse(case.rules)
    if any(finding.level == "error" for finding in findings):
        return ("refused",)
    url = urlsplit(urljoin("http://site.example", case.request))
    ops = HeaderTable(rules).of(url.path, url.netloc)
    return tuple(f"! {op.name.lower()}" if op.value is None else f"{op.name.lower()}: {op.value}" for op in ops)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_documented(case: Case) -> None:
    """What is documented happens; or, where it does not, what we say happens, and for a reason."""
    assert bool(case.ours) == bool(case.differs)
    assert outcome(case) == (case.ours or case.expected)
    assert case.ours != case.expected or not case.differs


def test_differences_are_listed() -> None:
    """The list for a reader (pytest -s); no two cases have one name."""
    for case in CASES:
        if case.differs:
            print(f"{case.id}: {case.expected}; ours {case.ours}: {case.differs}")
    assert len({case.id for case in CASES}) == len(CASES)


REFUSED = {
    "X A: b": "no header name",
    ": b": "no header name",
    "! X:A": "no header name",
    "!": "no header name",
    "X-Ä: b": "no header name",
    "X-A": "is no header",
    "X-A:": "empty",
    "X-A: é": "not printable",
    "X-A: a\rb": "control character",
    "X-A: a\x00b": "control character",
    "X-A: a\x7fb": "control character",
    "Content-Length: 5": "edge's own",
    "ETAG: x": "edge's own",
    "set-cookie: a=b": "edge's own",
    "Cache-Status: x": "edge's own",
    "Proxy-Authenticate: Basic": "edge's own",
    "! Content-Encoding": "edge's own",
    "Basic-Auth: a:b": "preview",
}


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line: str) -> None:
    """One error, with its line; the lines around it stay."""
    rules, findings = parse(f"/x\n  X-B: 1\n  {line}\n  X-C: 2")
    assert [[op.name for op in rule.ops] for rule in rules] == [["X-B", "X-C"]]
    assert [(finding.line, finding.level) for finding in findings] == [(3, "error")]
    assert REFUSED[line] in findings[0].message


def test_lines_without_a_path() -> None:
    """A header before any path is an error; so is a bad path, whose lines go to no other; an empty one is warned of."""
    rules, findings = parse("X-A: 1\n/a\n  X-B: 1\n/*/*\n  X-C: 1\n/d\n")
    assert [(rule.source, rule.ops) for rule in rules] == [("/a", (HeaderOp("X-B", "1"),))]
    assert [(finding.line, finding.level) for finding in findings] == [(1, "error"), (4, "error"), (6, "warning")]


def test_detach_and_set() -> None:
    """A detach forgets what was set before it, and a set after it starts anew; the case of names means nothing."""
    table = HeaderTable(parse("/*\n  X-A: 1\n/b/*\n  ! x-a\n/b/c\n  x-A: 2\n  X-a: 3")[0])
    assert table.of("/a") == (HeaderOp("X-A", "1"),)
    assert table.of("/b/d") == (HeaderOp("x-a"),)
    assert table.of("/b/c") == (HeaderOp("X-a", "2, 3"),)


def test_vary_is_allowed() -> None:
    """The edge appends it to its own."""
    assert parse("/*\n  Vary: Origin\n  ! X-Frame-Options")[1] == []


def test_reads_host() -> None:
    assert not HeaderTable(parse("/*\n  X-A: 1")[0]).reads_host
    assert HeaderTable(parse("https://a.example/*\n  X-A: 1")[0]).reads_host


@given(st.text(max_size=40).map("/".__add__))
def test_no_request_writes_a_value(path: str) -> None:
    """A capture stays one word: no line, list, directive or parameter comes of a path."""
    for op in HeaderTable(parse("/*\n  X-A: a :splat b")[0]).of(path):
        assert op.value is not None
        assert op.value.isascii()
        assert op.value.isprintable()
        assert op.value.count(" ") == 2
        assert not set(op.value) & set(",;\"'=<>")


words = st.sampled_from(["/*", "/a/:b", "https://:h.example/*", "X-A: :b", "! X-A", "# c", "Vary: Origin", "x"])
texts = st.text(max_size=80) | st.lists(words, max_size=12).map("\n".join)


@given(texts)
def test_any_text_is_read(text: str) -> None:
    """No text is too strange; what came of it goes through a Release, and answers any request."""
    rules, findings = parse(text)
    assert all(finding.line >= 1 and finding.message for finding in findings)
    table = HeaderTable(rules)
    block = encode({"kind": "test", "v": 1, "rules": table.to_value()})
    assert HeaderTable.from_value(decode(block.data, "test")["rules"]).rules == table.rules
    table.of("/a/b", "a.example")


@pytest.mark.parametrize(
    "value",
    [
        None,
        [[]],
        [["/a", [["X-A", "1"]]]],
        [[5, [["X-A", "1"]], 1]],
        [["a", [["X-A", "1"]], 1]],
        [["/a", [["X-A", "1", "2"]], 1]],
        [["/a", [[]], 1]],
        [["/a", [["X-A", 1]], 1]],
        [["/a", [["X-A", "1\r\nX-B: 2"]], 1]],
        [["/a", [["Set-Cookie", "1"]], 1]],
        [["/a", [["X-A", "1" * (RULE_CHARS + 1)]], 1]],
        [["/a", [["X-A", "1"]], True]],
        [["/a", [["X-A", "1"]], 1]] * (RULES_MAX + 1),
        [["/a", [["X-A", "1" * 1_000]], 1]] * 66,
        [["/*", [["X-A", ":splat"]], 1]] * (HEADER_REFERENCES + 1),
    ],
)
def test_malformed_values(value: Any) -> None:
    """A Release from somewhere else is read as strictly as a file."""
    with pytest.raises(BadNode):
        HeaderTable.from_value(value)


def test_limits() -> None:
    """Each at its value, and one past it."""
    row = "/a\nA: b\n"
    for text, errors in {
        row + "#" * (HEADERS_BYTES - len(row)): 0,
        row + "#" * (HEADERS_BYTES - len(row) + 1): 1,
        f"/a\nA: {'b' * (RULE_CHARS - 3)}": 0,
        f"/a\nA: {'b' * (RULE_CHARS - 2)}": 1,
        "".join(f"/{n}\nA: b\n" for n in range(RULES_MAX)): 0,
        "".join(f"/{n}\nA: b\n" for n in range(RULES_MAX + 1)): 1,
        "/*\n" + "A: :splat\n" * HEADER_REFERENCES: 0,
        "/*\n" + "A: :splat\n" * (HEADER_REFERENCES + 1): 1,
        "/*\n" + "A: :other\n" * (HEADER_REFERENCES + 1): 0,
    }.items():
        assert sum(finding.level == "error" for finding in parse(text)[1]) == errors
