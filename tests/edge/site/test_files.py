"""Addresses of documents: clean URLs and slashes, in every mode, for tables of folders and for random ones."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from content.release import SLASHES, Rules
from edge.site.rules import NEVER_FILES
from edge.site.view import Found, Meaning, Missing, Moved
from tests.edge.sites import File, Store, site_of

PLAIN: dict[str, File] = {"index.html": b"top", "about.html": b"about", "docs/index.html": b"docs", "a.txt": b"text"}
BOTH: dict[str, File] = {"docs.html": b"page", "docs/index.html": b"folder"}
FILE: dict[str, File] = {"about": b"bare", "about.html": b"page"}
INDEX: dict[str, File] = {"index": b"bare", "index.html": b"top", "in/index.html": b"deep"}

# files, clean, slash, path → "=body" (200), ">where" (308) or "" (404)
CASES: list[tuple[dict[str, File], bool, str, str, str]] = [
    (PLAIN, False, "auto", "/about.html", "=about"),
    (PLAIN, False, "auto", "/about", ""),
    (PLAIN, False, "auto", "/docs", ">/docs/"),
    (PLAIN, False, "auto", "/docs/", "=docs"),
    (PLAIN, False, "auto", "/docs/index.html", "=docs"),
    (PLAIN, False, "never", "/docs/", ">/docs"),
    (PLAIN, False, "never", "/docs", "=docs"),
    (PLAIN, False, "never", "/", "=top"),
    (PLAIN, True, "auto", "/about", "=about"),
    (PLAIN, True, "auto", "/about/", ">/about"),
    (PLAIN, True, "auto", "/about.html", ">/about"),
    (PLAIN, True, "auto", "/docs", ">/docs/"),
    (PLAIN, True, "auto", "/docs/index.html", ">/docs/"),
    (PLAIN, True, "auto", "/docs/index", ">/docs/"),
    (PLAIN, True, "auto", "/index", ">/"),
    (PLAIN, True, "always", "/docs/index/", ">/docs/"),
    (PLAIN, True, "never", "/docs/index/", ">/docs"),
    (BOTH, True, "never", "/docs/index", ">/docs/index.html"),
    (PLAIN, True, "auto", "/index.html", ">/"),
    (PLAIN, True, "auto", "/a.txt", "=text"),
    (PLAIN, True, "auto", "/a.txt/", ""),
    (PLAIN, True, "always", "/about", ">/about/"),
    (PLAIN, True, "always", "/about/", "=about"),
    (PLAIN, True, "always", "/about.html", ">/about/"),
    (PLAIN, True, "always", "/docs", ">/docs/"),
    (PLAIN, True, "always", "/", "=top"),
    (PLAIN, True, "never", "/about/", ">/about"),
    (PLAIN, True, "never", "/docs/", ">/docs"),
    (PLAIN, True, "never", "/docs/index.html", ">/docs"),
    (PLAIN, True, "never", "/index.html", ">/"),
    (BOTH, True, "auto", "/docs", "=page"),
    (BOTH, True, "auto", "/docs/", "=folder"),
    (BOTH, True, "never", "/docs", "=page"),
    (BOTH, True, "never", "/docs/", "=folder"),
    (BOTH, True, "never", "/docs/index.html", "=folder"),
    (BOTH, True, "always", "/docs/", "=folder"),
    (BOTH, True, "always", "/docs.html", "=page"),
    (FILE, True, "auto", "/about", "=bare"),
    (FILE, True, "auto", "/about.html", "=page"),
    (FILE, True, "always", "/about.html", ">/about/"),
    (INDEX, True, "auto", "/index", "=bare"),
    (INDEX, True, "auto", "/index.html", ">/"),
    (INDEX, True, "never", "/in/", ">/in"),
]


def told(meaning: Meaning, store: Store) -> str:
    match meaning:
        case Found():
            return "=" + store.get(meaning.asset.cid).data.decode()
        case Moved():
            assert meaning.status == 308
            return ">" + meaning.location
        case Missing():
            return ""


@pytest.mark.parametrize(("files", "clean", "slash", "path", "expected"), CASES)
def test_an_address(files: dict[str, File], clean: bool, slash: str, path: str, expected: str) -> None:
    """200 under a document's own address, 308 from every other spelling, 404 where there is none."""
    store = Store()
    site = site_of(store, files, rules=Rules(clean=clean, slash=slash))
    assert told(store.resolve(store.view(site), path), store) == expected


def test_the_query_goes_along() -> None:
    """A redirect between spellings keeps the query."""
    store = Store()
    view = store.view(site_of(store, PLAIN, rules=Rules(clean=True)))
    assert store.resolve(view, "/about.html", query=b"a=1&b=%2F") == Moved("/about?a=1&b=%2F")


STEM = st.sampled_from(["a", "b", "index", "a.html", "index.html", "404", "é"])
PATH = st.lists(STEM, min_size=1, max_size=3).map("/".join)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, File]:
    """A few files, each with bytes of its own; no file is a folder too."""
    files: dict[str, File] = {}
    for name in draw(st.lists(st.tuples(PATH, st.sampled_from(["", ".html", ".txt"])).map("".join), max_size=7)):
        inside = any(other.startswith(f"{name}/") or name.startswith(f"{other}/") for other in files)
        if not inside and f"/{name}" not in NEVER_FILES:
            files[name] = f"<{name}>".encode()
    return files


@given(folders(), st.booleans(), st.sampled_from(SLASHES), st.lists(PATH, max_size=4))
@example({"a.html": b"<a.html>", "a/index.html": b"<a/index.html>", "a.html.html": b"x"}, True, "never", ["a"])
@example({"index.html.html": b"1", "index.html/index.html": b"2"}, True, "auto", ["index.html"])
def test_every_file_is_reached_and_nothing_loops(
    files: dict[str, File], clean: bool, slash: str, others: list[str]
) -> None:
    """Each published path ends at its own bytes within two redirects; from any other spelling they end somewhere."""
    store = Store()
    view = store.view(site_of(store, files, rules=Rules(clean=clean, slash=slash)))

    def follow(path: str) -> str:
        for _ in range(3):
            met = store.resolve(view, path)
            if not isinstance(met, Moved):
                return told(met, store)
            path = unquote(met.location)
        raise AssertionError(f"redirects without end at {path}")

    for name, content in files.items():
        assert isinstance(content, bytes)
        assert follow(f"/{name}") == "=" + content.decode()
        if not clean:
            assert told(store.resolve(view, f"/{name}"), store) == "=" + content.decode()
    for name in [*files, *others]:
        for path in (
            f"/{name}/",
            f"/{name}.html",
            f"/{name.removesuffix('.html')}",
            f"/{name.removesuffix('index.html')}",
        ):
            if "//" not in path:
                follow(path)
