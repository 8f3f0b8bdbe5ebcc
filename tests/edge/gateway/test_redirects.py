"""`_redirects` of the IPFS spec (web-redirects-file): what a line may say, and what the first that matches answers."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from content import unixfs
from content.asking import drive
from content.limits import RULES_MAX
from edge.gateway import redirects
from edge.gateway.redirects import BadRedirects, Hit, first, parse
from tests.edge.sites import Store

FILE = """
# a comment
/one /one.html
/two /two.html 302   # another
/posts/:year/:slug /articles/:year/:slug 301
/splat/* /moved/:splat 308
/out/* https://example.net/in/:splat
/gone/* /410.html 410
/law/* /451.html 451
/* /index.html 200
"""


@pytest.mark.parametrize(
    ("path", "hit"),
    [
        ("/one", Hit("/one.html", 301)),
        ("/two", Hit("/two.html", 302)),
        ("/posts/2022/x y", Hit("/articles/2022/x%20y", 301)),
        ("/splat/a/b", Hit("/moved/a/b", 308)),
        ("/splat//evil.test", Hit("/moved//evil.test", 308)),
        ("/out/../x", Hit("https://example.net/in/../x", 301)),
        ("/gone/x", Hit("/410.html", 410)),
        ("/law/x", Hit("/451.html", 451)),
        ("/anything", Hit("/index.html", 200)),
    ],
)
def test_the_first_that_matches(path: str, hit: Hit) -> None:
    assert first(parse(FILE.replace("\n", "\r\n")), path) == hit


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/a /b 301!", "forced"),
        ("/a", "from to"),
        ("/a /b 301 x", "from to"),
        ("/a x=:x /b", "no number"),
        ("/a /b 418", "unsupported redirect status 418"),
        ("a /b", "starts with /"),
        ("/a/*/b /c", "at the end"),
        ("/a https://:host/", ":host"),
        ("/:host https://:host/", "host"),
        ("/a https://e.test 200", "file of this site"),
        ("/a /:missing", ":missing"),
    ],
)
def test_one_fault_is_a_fault_of_the_whole(line: str, why: str) -> None:
    with pytest.raises(BadRedirects, match="line 2: ") as refused:
        parse(f"/ok /fine\n{line}\n")
    assert why in str(refused.value)


def test_rules_are_bounded() -> None:
    assert len(parse("/a /b\n" * RULES_MAX)) == RULES_MAX
    with pytest.raises(BadRedirects):
        parse("/a /b\n" * (RULES_MAX + 1))


def test_no_capture_leads_to_another_host() -> None:
    """`//host` and `/\\host` would be other hosts to a browser."""
    (rule,) = parse("/* /:splat 302")
    for path in ("//evil.test", "/\\evil.test", "/%2Fevil.test"):
        hit = first([rule], path)
        assert hit is not None
        assert not hit.target.startswith(("//", "/\\"))


@pytest.mark.parametrize("text", ["/a /b", "/a"], ids=["good", "bad"])
def test_a_file_is_read_once(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """2,000 rules take 0.1 s to read, and a storm of 404s asks for them each time."""
    store, reads = Store(), list[str]()
    root = unixfs.root({"_redirects": unixfs.file(f"{text}\n# {text} once".encode(), store.emit)}, store.emit).cid
    parse_ = redirects.parse

    def parse_once(text: str) -> list[redirects.Rule]:
        reads.append(text)
        return parse_(text)

    monkeypatch.setattr(redirects, "parse", parse_once)
    for path in ("/a", "/x", "/a"):
        with pytest.raises(BadRedirects) if text == "/a" else nullcontext():
            assert drive(redirects.match(root, path), store.get) == (Hit("/b", 301) if path == "/a" else None)
    assert len(reads) == 1
