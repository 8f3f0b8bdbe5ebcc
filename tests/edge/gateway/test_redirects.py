"""`_redirects` of the IPFS spec (web-redirects-file): what a line may say, and what the first that matches answers."""

from __future__ import annotations

import pytest

from content.limits import RULES_MAX
from edge.gateway.redirects import BadRedirects, Hit, first, parse

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
