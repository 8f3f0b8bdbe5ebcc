"""Globs: a table of what they mean, and a slow, plain matcher to hold the fast one against."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.errors import LimitExceeded
from content.glob import Glob, matches
from content.limits import GLOB_BYTES

CASES = [  # glob, paths that it means, paths that it does not
    ("/app.js", ["/app.js"], ["/app.jsx", "/x/app.js", "/App.js", "/app.js\n"]),
    ("/*.js", ["/app.js", "/.js", "/two\nlines.js"], ["/x/app.js", "/app.css", "/app.js.map"]),
    ("/a/*", ["/a/b", "/a/"], ["/a/b/c", "/a", "/b/a/x"]),
    ("/a/*/c", ["/a/b/c", "/a//c"], ["/a/c", "/a/b/b/c"]),
    ("/a/**", ["/a/b", "/a/b/c/d"], ["/a", "/ab/c"]),
    ("/a/**/c.js", ["/a/c.js", "/a/b/c.js", "/a/b/b/c.js"], ["/a/xc.js", "/a/b/c.jsx", "/c.js"]),
    ("/**/c.js", ["/c.js", "/a/b/c.js"], ["/xc.js"]),
    ("/**/**/c.js", ["/c.js", "/a/c.js"], ["/xc.js"]),
    ("/a**z", ["/az", "/a/b/z", "/abz"], ["/ab/z/", "/z"]),
    ("/**/a*b/c", ["/ab/c", "/a/ab/c", "/axb/a/axxb/c"], ["/a/b/c", "/ab/d"]),
    ("*.woff2", ["/x.woff2", "/fonts/x.woff2"], ["/x.woff", "/x.woff2/y"]),
    ("fonts/*.woff2", ["/fonts/x.woff2", "/a/fonts/x.woff2"], ["/myfonts/x.woff2"]),
    ("/[a].txt", ["/[a].txt"], ["/a.txt"]),
    ("/a?.txt", ["/a?.txt"], ["/ab.txt"]),
    ("/ü*", ["/über"], ["/uber"]),
    ("", ["/"], ["/a"]),
    ("**", ["/a", "/a/b"], []),
]


@pytest.mark.parametrize(("glob", "yes", "no"), CASES, ids=[case[0] for case in CASES])
def test_what_a_glob_means(glob: str, yes: list[str], no: list[str]) -> None:
    """`*` stays in its segment, `**` does not, nothing else is special."""
    assert [path for path in yes if not matches(glob, path)] == []
    assert [path for path in no if matches(glob, path)] == []


def plain(glob: str) -> re.Pattern[str]:
    """The same meaning as a regular expression, which may take for ever."""
    rooted = glob if glob.startswith("/") else "/**/" + glob
    words = {"*": "[^/]*"}
    parts = re.findall(r"/(?:\*\*/)+|\*+|.", rooted, re.DOTALL)
    return re.compile(
        "".join(
            "/(?:.*/)?" if p.startswith("/*") else ".*" if p.startswith("**") else words.get(p, re.escape(p))
            for p in parts
        ),
        re.DOTALL,
    )


@given(glob=st.text("ab/*", max_size=12), path=st.text("ab/", max_size=12))
def test_as_a_plain_matcher_has_it(glob: str, path: str) -> None:
    """Whatever glob, whatever path."""
    assert matches(glob, "/" + path) == bool(plain(glob).fullmatch("/" + path))


def test_many_stars_cost_no_more_than_few() -> None:
    """What a backtracking matcher would take longer than the world for."""
    assert not matches("/" + "*a" * 200 + "b", "/" + "a" * 1_000)


def test_the_length_of_a_glob() -> None:
    """512 bytes are read, 513 are not."""
    assert Glob("/" + "a" * (GLOB_BYTES - 1)).matches("/" + "a" * (GLOB_BYTES - 1))
    with pytest.raises(LimitExceeded, match="bytes of a glob"):
        Glob("/" + "a" * GLOB_BYTES)
