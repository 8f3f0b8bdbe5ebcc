"""What the worker spares a visitor: the first visit, his data where he asks for that (Save-Data), a start of the worker
for what never changes, and the wait for it before a page that is not stored.

Actors: `rim up` with one edge, headless Chromium, a proxy before the edge that counts and holds answers back
(tests/kit/liar). Not here: how few bytes an update takes (test_deltas, test_workbox).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.test_worker import CLIENT, come, folder, page
from tests.kit.chromium import devtools, heard, installed, save_data, state, visitor
from tests.kit.liar import Asked, Liar, instead
from tests.kit.nodes import until
from tests.kit.ring import Up
from tests.kit.whole import png

pytestmark = pytest.mark.needs("chromium")
# Which static route answered for these files of the page: "cache" is one to the store, "" none (so the worker did)
SOURCES = (
    """paths => paths.map(path => performance.getEntriesByName(location.origin + path)[0].workerFinalSourceType)"""
)
SCRIPT = """src => new Promise((done, failed) => {
  document.head.append(Object.assign(document.createElement("script"), { src, onload: done, onerror: failed }));
})"""
AT_ONCE = 3  # of the six files that an install asks for, Chromium sends so many over HTTP/1.1 at low priority


def is_ahead(asked: Asked) -> bool:
    """Whether a worker asks, and no page."""
    return asked.headers.get("sec-fetch-dest") == "empty"


def asked_of(edge: Liar, since: int) -> set[str]:
    """The site's own paths that were asked for from this request on."""
    return {path for path in edge.paths(since) if not path.startswith("/.rim/")}


def test_who_saves_data_gets_nothing_ahead(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """Neither at the install nor at an update; what pages use is stored and works offline. Somebody who saves nothing
    gets all of the same release: so the play can fail."""
    more = {f"more/{number}.js": f"// {number}" for number in range(8)}

    def publish(version: int) -> str:
        app = f"app-0a1b2c3{version}.js"
        html = page(f"v{version}", f'<script src="/{app}"></script>')
        site = folder(tmp_path / str(version), {"index.html": html, app: "window.app = 1", **more}, globs='["/**"]')
        up.publish(site, "thrift", "--wait", "all")
        return f"/{app}"

    one = publish(1)
    with visitor(browser) as context, visitor(browser) as other:
        tab = context.new_page()
        save_data(tab)
        tab.goto(edge.of("thrift"))
        installed(tab)
        assert [asked.headers.get("save-data") for asked in edge.asked if asked.path == "/.rim/manifest.json"] == ["on"]
        assert asked_of(edge, 0) == {"/", one}
        assert not [url for url in state(tab)["stored"] if "/.rim/" not in url]
        tab.goto(edge.of("thrift"))
        used = [url.partition("?")[0] for url in state(tab)["stored"] if "/.rim/" not in url]
        assert sorted(used) == sorted([one, "/index.html"])
        assert tab.evaluate(SOURCES, [one]) == [""], "no route leads to what was not stored"
        two, before = publish(2), len(edge.asked)
        tab.goto(edge.of("thrift"))
        assert tab.title() == "v2"
        waits = "navigator.serviceWorker.getRegistration('/').then(found => !!found.waiting)"
        until("its install has ended", lambda: tab.evaluate(waits))
        assert asked_of(edge, before) == {"/index.html", two}
        edge.down()
        tab.goto(edge.of("thrift"))
        assert (tab.title(), tab.evaluate("window.app")) == ("v2", 1)
        edge.up()
        before, tab = len(edge.asked), other.new_page()
        tab.goto(edge.of("thrift"))
        heard(tab, "ready")
        assert asked_of(edge, before) >= {f"/{name}" for name in more}


def test_a_first_visit_pays_nothing_before_it_is_usable(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """Nothing of the worker is asked for before the page is loaded. Then files come in the manifest's order, a few at a
    time, pages first, and the page is told of each. It hears when the edge is away, and when it is back."""
    late = '<link rel="stylesheet" href="/style.css"><img src="/late.png">'
    files: dict[str, str | bytes] = {
        "index.html": page("home", late),
        "late.png": png(3),
        "style.css": "h1 { color: red }",
    }
    files |= {f"page-{name}.html": page(name) for name in "abc"}
    files |= {f"part-{name}.js": f"// {name}" for name in "abcde"}
    site = folder(tmp_path, files)
    (site / "rim.toml").write_text('[service_worker]\ncheck = "0s"\n')
    up.publish(site, "first", "--wait", "all")
    entries: list[dict[str, Any]] = json.loads(up.get("first", "/.rim/manifest.json").body)["entries"]
    order = [entry["path"] for entry in entries]
    assert len(order) == len(files)
    assert {"/index.html", "/page-a.html", "/page-b.html", "/page-c.html", "/style.css"} == set(order[:5])
    with visitor(browser) as context:
        tab = context.new_page()
        with edge.hold("/late.png") as image, edge.hold(lambda asked: asked.path in order and is_ahead(asked)) as ahead:
            tab.goto(edge.of("first"), wait_until="domcontentloaded")
            image.wait()
            tab.evaluate("import('/.rim/client.js').then(() => new Promise(requestIdleCallback)).then(() => {})")
            tab.evaluate("fetch('/.rim/health').then(answer => answer.text())")
            assert asked_of(edge, 0) == {"/", "/style.css", "/late.png"}
            assert set(edge.paths()) - asked_of(edge, 0) == {"/.rim/client.js", "/.rim/health"}
            before = len(edge.asked)
            image.free()
            ahead.wait()
            until("as many as come at once", lambda: len(asked_of(edge, before)) >= AT_ONCE)
            asked = asked_of(edge, before)
            assert asked == set(order[: len(asked)])
        heard(tab, "ready")
        told = [event for event in tab.evaluate("heard") if event["rim"] == "progress"]
        assert [event["done"] for event in told] == list(range(1, len(order) + 1))
        assert {event["path"] for event in told} == set(order)
        tab.goto(edge.of("first"))
        edge.down()
        tab.goto(edge.of("first", "/page-a.html"))
        heard(tab, "offline")
        edge.up()
        tab.goto(edge.of("first"))
        heard(tab, "online")


def test_what_never_changes_its_name_starts_no_worker(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """Static routes: the browser answers from the store, with the worker at rest. What may change its bytes under its
    name has none, and starts it."""
    hashed = {"app-0a1b2c3d.js": "window.app = 1", "lazy-1a2b3c4d.js": "window.lazy = 1", "dot-2a3b4c5d.png": png(3)}
    html = page("routes", '<img src="/dot-2a3b4c5d.png"><script src="/app-0a1b2c3d.js"></script>')
    files = {"index.html": html + '<script src="/fixed.js"></script>', "fixed.js": "window.fixed = 1", **hashed}
    up.publish(folder(tmp_path, files, globs='["/**"]'), "routes", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("routes"))
        before = len(edge.asked)
        tab.goto(edge.of("routes"))
        paths = ["/app-0a1b2c3d.js", "/dot-2a3b4c5d.png", "/fixed.js"]
        assert tab.evaluate(SOURCES, paths) == ["cache", "cache", ""]
        seen = at_rest(tab)
        tab.evaluate(SCRIPT, "/lazy-1a2b3c4d.js")
        assert tab.evaluate("window.lazy") == 1
        assert set(seen) == {"stopped"}
        tab.evaluate(SCRIPT, "/fixed.js?again")
        until("it is started", lambda: tab.evaluate("1") and "running" in seen)
        assert asked_of(edge, before) == set()


def at_rest(tab: Page) -> list[str]:
    """Stops the worker; the list goes on growing by what becomes of it."""
    seen: list[str] = []
    session = devtools(tab)

    def note(event: dict[str, Any]) -> None:
        seen.extend(version["runningStatus"] for version in event["versions"])

    session.on("ServiceWorker.workerVersionUpdated", note)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")
    until("it is at rest", lambda: tab.evaluate("1") and seen[-1:] == ["stopped"])
    del seen[:-1]
    return seen


def test_a_page_that_is_not_stored_does_not_wait_for_the_worker(
    up: Up, edge: Liar, browser: Browser, tmp_path: Path
) -> None:
    """Navigation preload: the browser asks for it while the worker starts, once; and it is proved all the same. Where
    every page is stored nothing is asked ahead."""
    files = {"index.html": page("home"), "about.html": page("about")}
    preload = "service-worker-navigation-preload"
    for site, globs in (("some", '["/index.html"]'), ("all", '["/**"]')):
        up.publish(folder(tmp_path / site, files, globs=globs), site, "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("some"))
        before = len(edge.asked)
        tab.goto(edge.of("some", "/about.html"))
        assert tab.title() == "about"
        pages = [asked.headers.get(preload) for asked in edge.asked[before:] if asked.path == "/about.html"]
        assert pages == ["true"]
        edge.lie("/about.html", instead(b"<title>lie</title>" + CLIENT.encode()))
        tab.goto(edge.of("some", "/about.html"))
        assert tab.title() == "about"
        come(tab, edge.of("all"))
        before = len(edge.asked)
        tab.goto(edge.of("all", "/about.html"))
        assert tab.title() == "about"
        assert not [asked for asked in edge.asked[before:] if preload in asked.headers]
