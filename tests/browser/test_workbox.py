"""Rim's worker beside Workbox's, for one app of 200 assets: nothing is asked for on the way back, and little after a
deploy.

Actors: `rim up` with an edge, headless Chromium twice (with dictionaries, and without: Workbox as on any server that
has brotli), Vite, workbox-build's generateSW. Counted is what the edge answered, bodies in bytes, so pages, workers and
the browser itself are all in it. Times are measured by bench/workbox.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.kit.accesslog import AccessLog
from tests.kit.bigapp import ASSETS, ONE, TWO, assets, built
from tests.kit.chromium import another
from tests.kit.ring import Up
from tests.kit.sides import RIM, WITHOUT, WORKBOX
from tests.kit.tap import Tap
from tests.kit.visits import Watch, walk

pytestmark = pytest.mark.needs("chromium", "npm", "node")
REACH = 8.0  # times fewer bytes after a deploy
CHANGED = {"react-dom", "index", "notes", "search", "calendar"}  # chunks, and so their names


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    folder = tmp_path_factory.mktemp("workbox")
    log = AccessLog(folder / "access.log")
    with Up(folder / "up", env=log.environment) as up, Tap(str(up.edges[0]["public"])) as tap:
        yield Watch(up, log, tap)


def test_a_way_back_asks_for_nothing_and_a_deploy_for_an_eighth(watch: Watch, browser: Browser, tmp_path: Path) -> None:
    """All is installed; a second visit makes no request; after a deploy of another react-dom and four changed files the
    update takes an eighth of Workbox's bytes at most, with and without heads, and the new version is there, whole."""
    changed = set(assets(built(TWO))) - set(assets(built(ONE)))
    assert {path.removeprefix("/assets/")[:-12] for path in changed} == CHANGED
    rim = walk(watch, browser, RIM, RIM.folders(tmp_path))
    with another(browser, WITHOUT) as other:
        box = walk(watch, other, WORKBOX, WORKBOX.folders(tmp_path))
    for side, walked in (RIM, rim), (WORKBOX, box):
        for name, step in ("install", walked.install), ("update", walked.update):
            print(f"{side.site}, {name}: {len(step.lines)} requests, {step.bodies} bytes, {step.wire} with heads")
        print(*(f"  {line.status} {line.path} {line.size}" for line in walked.update.lines), sep="\n")
        assert walked.back.asked(side) == []
        assert walked.after.asked(side) == []
        assert len([path for path in walked.kept if path in assets(built(TWO))]) == ASSETS
        assert walked.title == "Version 2"
    assert box.update.bodies >= REACH * rim.update.bodies
    assert box.update.wire >= REACH * rim.update.wire
    assert rim.install.bodies <= 1.05 * box.install.bodies
