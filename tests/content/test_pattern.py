"""Patterns: what matches, what it captures, and that no pattern costs more than its length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.limits import PATH_BYTES, RULE_CHARS
from content.pattern import BadPattern, Pattern, fill, references
from content.patternindex import PatternIndex

MATCHES: list[tuple[str, str, dict[str, str] | None]] = [
    ("/", "/", {}),
    ("/", "/a", None),
    ("/a", "/a", {}),
    ("/a", "/A", None),
    ("/a", "/a/", None),
    ("/caf%C3%A9", "/café", {}),
    ("/café", "/café", {}),
    ("/a%2Ab", "/a*b", {}),
    ("/*", "/", {"splat": ""}),
    ("/*", "/a/b", {"splat": "a/b"}),
    ("/*", "//evil", {"splat": "/evil"}),
    ("/news/*", "/news", None),
    ("/news/*", "/news/", {"splat": ""}),
    ("/news*", "/newspaper/x", {"splat": "paper/x"}),
    ("/*.jpg", "/a/b.jpg", {"splat": "a/b"}),
    ("/*.jpg", "/.jpg", {"splat": ""}),
    ("/ab*ba", "/aba", None),
    ("/a/*/b", "/a/x/b/y/b", {"splat": "x/b/y"}),
    ("/a/*/b/:c", "/a/x/b/y", {"splat": "x", "c": "y"}),
    ("/:a", "/", None),
    ("/:a", "/x", {"a": "x"}),
    ("/:a/:b", "/x/y", {"a": "x", "b": "y"}),
    ("/:a/:b", "/x/", None),
    ("/:a-:b", "/x-y-z", {"a": "x-y", "b": "z"}),
    ("/:a-:b-:c", "/1-2-3-4", {"a": "1-2", "b": "3", "c": "4"}),
    ("/v:a.html", "/v1.html", {"a": "1"}),
    ("/v:a.html", "/v.html", None),
    ("/:a--:b", "/---", None),
    ("/:a--:b", "/----", {"a": "-", "b": "-"}),
    ("/a:1", "/a:1", {}),
]
HOSTS = [
    ("https://example.com/a", "Example.COM:8080", True),
    ("https://example.com/a", "www.example.com", False),
    ("https://example.com/a", None, False),
    ("http://*.Example.com/a", "x.y.example.com", True),
    ("http://*.example.com/a", "example.com", False),
    ("https://:x.example.com/a", "a.example.com", True),
    ("https://:x.example.com/a", "a.b.example.com", False),
]
REFUSED = [
    "",
    "a",
    "//",
    "//host/a",
    "http://",
    "http:///a",
    "https://host",
    "https://host:80/a",
    "https://u@host/a",
    "https://exämple.com/a",
    f"https://{'a' * 254}/",
    "/*/*",
    "https://*.a/*",
    "/:a/:a",
    "/:splat",
    "/:a:b",
    "/:a*",
    "/a b",
    "/a\n",
    "/a\\b",
    "/a?b",
    "/a#b",
    "/%ff",
    "/a%2fb",
    "/" + "a" * RULE_CHARS,
]


@pytest.mark.parametrize(("pattern", "path", "captures"), MATCHES)
def test_match(pattern: str, path: str, captures: dict[str, str] | None) -> None:
    assert Pattern.parse(pattern).match(path) == captures


@pytest.mark.parametrize(("pattern", "host", "matches"), HOSTS)
def test_match_of_a_host(pattern: str, host: str | None, matches: bool) -> None:
    """Case, port and scheme are ignored; a placeholder is one label."""
    assert (Pattern.parse(pattern).match("/a", host) is not None) == matches


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(BadPattern):
        Pattern.parse(text)


def test_longest() -> None:
    """2,000 characters are a pattern; one more was refused above."""
    assert Pattern.parse("/" + "a" * (RULE_CHARS - 1)).match("/" + "a" * (RULE_CHARS - 1)) == {}


def test_fill() -> None:
    """Values are percent-encoded, and names that were not captured stay."""
    assert fill("/b/:a-:x.html", {"a": "ü\r\n;,/:"}) == "/b/%C3%BC%0D%0A%3B%2C/%3A-:x.html"
    assert references("/:a/:b1_c.:a:1") == ["a", "b1_c", "a"]


paths = st.text(st.sampled_from("ab/-.*:é"), max_size=12).map("/".__add__)


@given(st.text(max_size=30) | paths)
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    """And a pattern matches a sample of itself."""
    try:
        pattern = Pattern.parse(text)
    except BadPattern:
        return
    captures = pattern.match(*pattern.sample())
    assert captures is not None
    assert captures.keys() == pattern.names or pattern.host is not None


@given(st.lists(paths, max_size=12), paths)
def test_index_finds_what_matches(texts: list[str], path: str) -> None:
    """The index names all that match, in their order, with or without the last slash."""
    patterns = []
    for text in texts:
        try:
            patterns.append(Pattern.parse(text))
        except BadPattern:
            continue
    found = [order for order, _ in PatternIndex(patterns).candidates(path[1:].split("/"))]
    other = path[:-1] if path.endswith("/") else path + "/"
    matching = [n for n, pattern in enumerate(patterns) if any(pattern.match(p) is not None for p in (path, other))]
    assert found == sorted(found)
    assert set(matching) <= set(found)


def test_a_bomb_costs_its_length() -> None:
    """A regular expression would look at this for longer than a visitor lives; each segment is compared once."""
    bomb = Pattern.parse("/" + "-".join(f":a{n}" for n in range(300)) + "-!")
    assert bomb.match("/" + "-" * PATH_BYTES) is None
    assert Pattern.parse("/" + "/".join(f":a{n}-:b{n}" for n in range(180))).match("/" + "--/" * 340) is None


@pytest.mark.parametrize("source", ["/old/{}", "/old/{}/*", "/old/:x/{}", "/:x/{}", "/{}/:x/*", "/:x-y/{}"])
def test_few_are_compared(source: str) -> None:
    """Of 2,000 sources that differ in a segment, the one that has it is compared."""
    index = PatternIndex([Pattern.parse(source.format(n)) for n in range(2000)])
    path = source.format(7).replace(":x", "a").replace("*", "b")
    assert [order for order, _ in index.candidates(path[1:].split("/"))] == [7]
    assert index.candidates(["old", "a", "b", "c"]) == index.candidates([""]) == []
