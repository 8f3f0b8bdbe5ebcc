"""What a path of a site means: folders, symlinks, shells, 404 pages, and files lent by other releases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from content.catalog import Floor, Retained, Site
from content.limits import SYMLINK_HOPS
from edge.http.target import quoted
from edge.site.rules import is_navigation
from edge.site.view import Found, Meaning, Missing, Moved, Reason
from tests.edge.sites import File, Store, site_of

FILES: dict[str, File] = {
    "index.html": b"home",
    "about.html": b"about",
    "docs/index.html": b"docs",
    "docs/guide/page.html": b"page",
    "docs/404.html": b"no such doc",
    "404.html": b"no such page",
    "assets/app-BQk3xY9z.js": b"code",
    "empty/.keep": b"",
    "_headers": b"secret",
    "_redirects": b"secret",
    "rim.toml": b"secret",
    "sub/_headers": b"a file",
    "a b#?%20'\".txt": b"awkward",
    "caf\u00e9/index.html": b"menu",
    "link.txt": "about.html",
    "docs/up.txt": "../about.html",
    "docs/out.txt": "../../etc/passwd",
    "abs.txt": "/about.html",
    "loop-a": "loop-b",
    "loop-b": "loop-a",
    "manual": "docs",
    "deep": "manual/guide",
    "latest-BQk3xY9z.js": "assets/app-BQk3xY9z.js",
    "mutable.js": "assets/app-BQk3xY9z.js",
    "to-folder/index.html": "../about.html",
    "dot": ".",
    "settings.txt": "rim.toml",
}


@pytest.fixture(scope="module")
def store() -> Store:
    return Store()


@pytest.fixture(scope="module")
def site(store: Store) -> Site:
    return site_of(store, FILES)


def meaning(store: Store, site: Site, path: str, navigation: bool = False) -> Meaning:
    return store.resolve(store.view(site), path, navigation)


def body(store: Store, found: Meaning) -> bytes:
    assert isinstance(found, Found), found
    return store.get(found.asset.cid).data


FOUND = [
    ("/", b"home"),
    ("/index.html", b"home"),
    ("/about.html", b"about"),
    ("/docs/", b"docs"),
    ("/docs/guide/page.html", b"page"),
    ("/empty/.keep", b""),
    ("/sub/_headers", b"a file"),
    ("/a b#?%20'\".txt", b"awkward"),
    ("/caf\u00e9/", b"menu"),
    ("/link.txt", b"about"),
    ("/docs/up.txt", b"about"),
    ("/manual/", b"docs"),
    ("/manual/guide/page.html", b"page"),
    ("/deep/page.html", b"page"),
    ("/to-folder/", b"about"),
    ("/dot/about.html", b"about"),
    ("/dot/dot/docs/", b"docs"),
]


@pytest.mark.parametrize(("path", "expected"), FOUND)
def test_a_path_is_a_file(store: Store, site: Site, path: str, expected: bytes) -> None:
    """Every published path answers under its own name, folders by their index.html, symlinks by their target."""
    found = meaning(store, site, path)
    assert body(store, found) == expected
    assert isinstance(found, Found)
    assert found.status == 200


@pytest.mark.parametrize("path", ["/docs", "/caf\u00e9", "/manual", "/to-folder", "/dot"])
def test_a_folder_without_its_slash_moves(store: Store, site: Site, path: str) -> None:
    """`dir` goes to `dir/` where that answers, also through a symlink."""
    assert meaning(store, site, path) == Moved(quoted(path) + "/")


MISSING = [
    "/nope",
    "/empty",
    "/empty/",
    "/about.html/",
    "/index.html/x",
    "/_headers",
    "/_redirects",
    "/rim.toml",
    "/settings.txt",
    "/dot/rim.toml",
    "/dot/dot/_headers",
    "/abs.txt",
    "//about.html",
    "/loop-a",
    "/link.txt/x",
    "/assets/app-BQk3xY9y.js",
]


@pytest.mark.parametrize("path", MISSING)
def test_a_missing_path_gets_the_404_page(store: Store, site: Site, path: str) -> None:
    """What is no file is a 404 with the top page, and so are the site's own settings and links that lead nowhere."""
    found = meaning(store, site, path)
    assert isinstance(found, Found)
    assert (found.status, body(store, found)) == (404, b"no such page")


@pytest.mark.parametrize("path", ["/docs/nope", "/docs/guide/nope", "/docs/nope/deeper/still", "/docs/out.txt"])
def test_the_nearest_404_page_answers(store: Store, site: Site, path: str) -> None:
    """The 404.html of the deepest folder on the way that has one."""
    assert body(store, meaning(store, site, path)) == b"no such doc"


def test_without_a_404_page_it_is_just_missing() -> None:
    """No page, no asset: the app says so in its own words."""
    store = Store()
    assert meaning(store, site_of(store, {"index.html": b"home"}), "/nope") == Missing()


def test_an_empty_site_has_nothing() -> None:
    """A site without a live release, and one with an empty folder."""
    store = Store()
    assert meaning(store, Site("bare"), "/") == Missing(Reason.NOTHING_LIVE)
    assert meaning(store, site_of(store, {}), "/") == Missing()


def test_symlinks_end_after_so_many_hops() -> None:
    """A chain of 8 symlinks is followed, one of 9 is not."""
    store = Store()
    files: dict[str, File] = {"l0": b"end"}
    files |= {f"l{hop}": f"l{hop - 1}" for hop in range(1, SYMLINK_HOPS + 2)}
    site = site_of(store, files)
    assert body(store, meaning(store, site, f"/l{SYMLINK_HOPS}")) == b"end"
    assert meaning(store, site, f"/l{SYMLINK_HOPS + 1}") == Missing()


@pytest.mark.parametrize(
    ("path", "immutable"),
    [
        ("/assets/app-BQk3xY9z.js", True),
        ("/latest-BQk3xY9z.js", True),
        ("/mutable.js", False),
        ("/dot/assets/app-BQk3xY9z.js", False),
        ("/index.html", False),
    ],
)
def test_immutable_is_what_every_step_says(store: Store, site: Site, path: str, immutable: bool) -> None:
    """A name that may point elsewhere tomorrow is never served as immutable, whatever it points at today."""
    found = meaning(store, site, path)
    assert isinstance(found, Found)
    assert found.immutable is immutable


def test_the_shell_answers_navigations_only() -> None:
    """An SPA's routes answer the shell to a person; a missing chunk stays missing; files and folders come first."""
    store = Store()
    site = site_of(store, {"index.html": b"shell", "real/index.html": b"real", "a.txt": b"a"}, spa=True)
    found = meaning(store, site, "/route/deep", navigation=True)
    assert isinstance(found, Found)
    assert (found.is_shell, found.status, body(store, found)) == (True, 200, b"shell")
    assert meaning(store, site, "/route/deep") == Missing(Reason.NOT_A_NAVIGATION)
    assert meaning(store, site, "/real", navigation=True) == Moved("/real/")
    direct = meaning(store, site, "/", navigation=True)
    assert isinstance(direct, Found)
    assert not direct.is_shell


NAVIGATIONS = [
    (b"navigate", None, True),
    (b"no-cors", b"text/html", False),
    (b"cors", None, False),
    (b"", b"text/html", False),
    (None, b"text/html,application/xhtml+xml", True),
    (None, b"application/json, TEXT/HTML;q=0.9", True),
    (None, b"text/html;q=0", False),
    (None, b"*/*", False),
    (None, None, False),
]


@pytest.mark.parametrize(("mode", "accept", "navigation"), NAVIGATIONS)
def test_navigation(mode: bytes | None, accept: bytes | None, navigation: bool) -> None:
    """Sec-Fetch-Mode decides; only where it is absent, an Accept that names text/html."""
    assert is_navigation(mode, accept) is navigation


def lenders(store: Store) -> Site:
    """Live has `now`, next has `coming`, the attic holds `gone`; each with an immutable chunk and a page."""

    def files(word: str, code: str) -> dict[str, File]:
        return {f"{word}.html": word.encode(), f"chunk-{code}.js": word.encode()}

    live = Retained(store.release(files("now", "aaaaaaa1")), 3, 0)
    coming = Retained(store.release(files("coming", "bbbbbbb2")), 4, 0)
    attic = store.index({"chunk-ccccccc3.js": b"gone"})
    return Site("demo", generation=4, live=live, next=coming, attic=attic)


@pytest.mark.parametrize(("code", "word"), [("aaaaaaa1", b"now"), ("bbbbbbb2", b"coming"), ("ccccccc3", b"gone")])
def test_immutable_files_of_other_releases_are_lent(code: str, word: bytes) -> None:
    """A chunk of the release that comes, or of one that went, answers with the same headers as a live one."""
    store = Store()
    found = meaning(store, lenders(store), f"/chunk-{code}.js")
    assert isinstance(found, Found)
    assert (found.immutable, body(store, found)) == (True, word)


def test_pages_of_other_releases_are_not_lent() -> None:
    """Only immutable files are: a staged page stays unseen until the flip."""
    store = Store()
    assert meaning(store, lenders(store), "/coming.html") == Missing()


def test_a_floor_binds_next() -> None:
    """Nothing from before a purge's generation is lent; what was staged after it is."""
    store = Store()
    site = lenders(store)
    purged = replace(site, generation=5, floors=(Floor("path", "/chunk-bbbbbbb2.js", 5),))
    assert meaning(store, purged, "/chunk-bbbbbbb2.js") == Missing(Reason.PURGED)
    assert site.next is not None
    again = replace(purged, next=replace(site.next, generation=6), generation=6)
    assert isinstance(meaning(store, again, "/chunk-bbbbbbb2.js"), Found)
