"""Precache: what a worker fetches unasked, by the publisher's globs or by our choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rim.findings import NOTE, WARNING
from rim.precache import PRECACHED_MAX, choose, is_complete
from rim.project import Precache, read
from rim.rules import find_rules
from tests.rim.conftest import site_folder

FILES = {
    "/index.html": 100,
    "/about.html": 100,
    "/docs/deep/page.html": 100,
    "/oops.html": 100,
    "/css/app.css": 200,
    "/js/app-BQk3xY9z.js": 300,
    "/js/app-BQk3xY9z.js.map": 900,
    "/font/a.woff2": 50,
    "/font/a.ttf": 50,
    "/img/logo.svg": 50,
    "/data.json": 10,
    "/film.mp4": 9_000,
    "/empty.css": 0,
    "/_headers": 20,
}
WANTED = {"/index.html", "/about.html", "/docs/deep/page.html", "/oops.html", "/css/app.css", "/js/app-BQk3xY9z.js"}
REST = {"/font/a.woff2", "/img/logo.svg", "/data.json"}


def ours(room: int, files: dict[str, int] | None = None, *first: str) -> set[str]:
    return set(choose(Precache(None, room), FILES if files is None else files, first)[0])


def test_everything_that_a_visit_offline_needs() -> None:
    """Pages, styles, scripts, woff2, images, JSON; no maps, video, other fonts, settings; and nothing to be said."""
    paths, said = choose(Precache(None, 5 << 20), FILES)
    assert (set(paths), said) == (WANTED | REST, [])
    assert paths == sorted(paths)


def test_when_the_room_is_small() -> None:
    """Pages take half of it, then styles, scripts, fonts, pages again, the rest; the first pages are the first."""
    assert ours(200) == {"/index.html", "/font/a.woff2", "/data.json"}  # no style fits into the other half
    assert ours(400) == {"/index.html", "/about.html", "/css/app.css"}
    assert ours(400, None, "/oops.html") == {"/index.html", "/oops.html", "/css/app.css"}
    assert ours(600) == {"/index.html", "/about.html", "/oops.html", "/css/app.css", "/font/a.woff2", "/data.json"}
    assert "/js/app-BQk3xY9z.js" in ours(900)
    level, words = choose(Precache(None, 600), FILES)[1][0]
    assert level == NOTE
    assert words.startswith("6 of 9 files fit into 600 B")
    assert "raise precache.max_bytes" in words


def test_a_site_of_very_many_pages_keeps_its_styles() -> None:
    """Ten thousand pages do not crowd out the one style that all of them need, nor pass the limit of files."""
    files = {f"/p/{n}.html": 1_000 for n in range(10_000)} | {"/app.css": 1_000, "/index.html": 1_000}
    chosen = ours(100_000, files)
    assert {"/app.css", "/index.html"} <= chosen
    assert sum(files[path] for path in chosen) <= 100_000
    assert len(ours(1 << 30, files)) == PRECACHED_MAX


def test_globs_never_mean_the_sites_settings() -> None:
    """`/**` is everything that an edge serves, and `_headers` is not: a worker that awaits it never installs."""
    paths, said = choose(Precache(("/**", "/none"), 1 << 20), FILES)
    assert set(paths) == FILES.keys() - {"/_headers"}
    assert said == [(WARNING, 'no file is meant by "/none"')]


def test_complete_is_all_documents() -> None:
    """With all of them a navigation never needs the network, so the worker leaves navigation preload off."""
    assert is_complete(["/index.html", "/a.js"], ["/index.html", "/b.js"])
    assert not is_complete(["/index.html"], ["/index.html", "/a.htm"])


def rules(toml: str, tmp_path: Path) -> Any:
    project, findings = read(toml, Path("rim.toml"))
    assert findings == []
    return find_rules(project, site_folder(tmp_path, {}), {"/index.html": 10, "/b.html": 20, "/film.mp4": 5})


def test_what_a_release_says_of_its_worker(tmp_path: Path) -> None:
    """`worker` beside `precache`; without the table, or switched off, neither."""
    gate = "https://gw.example"
    found = rules(f'[service_worker]\ncheck = "2m"\ngateways = ["{gate}"]', tmp_path)
    assert found.rules["worker"] == {"check": 120, "gateways": [gate], "complete": True}
    assert found.rules["precache"] == {"paths": ["/b.html", "/index.html"], "bytes": 30}
    some = rules('[service_worker]\n[precache]\nglobs = ["/index.html"]', tmp_path)
    assert some.rules["worker"] == {"check": 60, "gateways": [], "complete": False}
    assert some.rules["precache"]["paths"] == ["/index.html"]
    small = rules("[service_worker]\n[precache]\nmax_bytes = 15", tmp_path)
    assert small.rules["precache"]["paths"] == ["/index.html"]
    assert [finding.level for finding in small.findings] == [NOTE]
    assert rules("[service_worker]\nenabled = false", tmp_path).rules == {}
    alone = rules("[precache]", tmp_path)
    assert (set(alone.rules), alone.rules["precache"]["bytes"]) == ({"precache"}, 30)


def test_what_passes_by_a_worker_is_not_stored(tmp_path: Path) -> None:
    """Whatever the globs say; and it is none of the pages that would have to be, for all to be."""
    found = rules('[service_worker]\npass = ["/b*"]\n[precache]\nglobs = ["/*.html"]', tmp_path)
    assert found.rules["precache"]["paths"] == ["/index.html"]
    assert found.rules["worker"] == {"check": 60, "gateways": [], "complete": True, "pass": ["/b*"]}


def test_pages_that_load_a_worker_that_is_not_there(tmp_path: Path) -> None:
    """html.worker without [service_worker] is most likely a slip."""
    found = rules("[html]\nworker = true", tmp_path)
    assert [(f.level, f.line) for f in found.findings] == [(WARNING, 1)]
    assert rules("[html]\nworker = true\n[service_worker]", tmp_path).findings == ()
