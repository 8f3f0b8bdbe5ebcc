"""An app that has a service worker of its own, made with Workbox, and takes Rim's list into it: /.rim/workbox.js.

Actors: `rim up` with one edge, headless Chromium, the real modules of Workbox, a proxy before the edge that counts and
lies (tests/kit/liar). Not here: Rim's worker beside one that Workbox's own tools made (test_workbox).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.kit.chromium import installed, settled, state, visitor
from tests.kit.liar import Liar, instead
from tests.kit.npm import installed as npm_installed
from tests.kit.ring import Up
from tests.kit.workbox import WORKBOX

pytestmark = pytest.mark.needs("chromium", "npm")
MODULES = ("core", "routing", "strategies", "precaching")  # each needs those before it
SW = f"""importScripts("/.rim/workbox.js", ...{[f"/modules/{name}.js" for name in MODULES]});
addEventListener("install", () => skipWaiting());
workbox.precaching.precacheAndRoute(self.__WB_MANIFEST);
"""
PAGE = """<!doctype html><link rel="icon" href="data:,"><title>%s</title><h1>%s</h1>
<script>navigator.serviceWorker.register("/sw.js")</script>"""
LISTED = {f"/part-{number}.json" for number in range(6)}


def make(folder: Path, version: int) -> Path:
    """Of each version the page and one part are others."""
    (folder / "modules").mkdir(parents=True, exist_ok=True)
    for name in MODULES:
        built = npm_installed(WORKBOX) / f"workbox-{name}/build/workbox-{name}.prod.js"
        (folder / "modules" / f"{name}.js").write_bytes(built.read_bytes())
    for path in LISTED:
        (folder / path[1:]).write_text(f'"{path} of v{version if path == "/part-3.json" else 0}"')
    (folder / "index.html").write_text(PAGE % (f"v{version}", f"v{version}"))
    (folder / "sw.js").write_text(SW)
    (folder / "rim.toml").write_text('[service_worker]\n[precache]\nglobs = ["*.html", "*.json"]\n')
    return folder


def test_a_worker_of_the_app_s_own_takes_the_list(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """What the list has is stored, and works with nobody there. A deploy changes not a byte of the app's worker; it is
    noticed all the same, and what changed is fetched. A lie in it is refused by the browser, by the list's hash."""
    up.publish(make(tmp_path, 1), "own", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        tab.goto(edge.of("own"))
        installed(tab)
        edge.down()
        tab.goto(edge.of("own"))
        assert tab.title() == "v1"
        assert tab.evaluate("fetch('/part-3.json').then(answer => answer.json())") == "/part-3.json of v1"
        edge.up()
        up.publish(make(tmp_path, 2), "own", "--wait", "all")
        with edge.lying("/part-3.json", instead(b'"lie"')):
            tab.goto(edge.of("own"))
            settled(tab)
            tab.goto(edge.of("own"))
            assert tab.title() == "v1"
        before = len(edge.asked)
        settled(tab)
        tab.goto(edge.of("own"))
        assert tab.title() == "v2"
        assert tab.evaluate("fetch('/part-3.json').then(answer => answer.json())") == "/part-3.json of v2"
        assert not {path for path in edge.paths(before) if path in LISTED} - {"/part-3.json"}
        (worker,) = state(tab)["registrations"]
        assert worker["active"][0] == edge.of("own", "/sw.js")
