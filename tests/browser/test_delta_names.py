"""Dictionaries by name: what Chromium makes of the patterns, whatever stands in a path.

Actors: headless Chromium, an edge with two deploys: the old files lie in the attic, so one page can ask for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser

from edge.node import Node
from tests.edge.standing import standing
from tests.edge.test_deltas import NEW, OLD, two_deploys
from tests.edge.wire import edge

pytestmark = pytest.mark.needs("chromium")
NAMES = (
    "app.{h}.js", "(shop)/page-{h}.js", "[slug]/page-{h}.js", "a+b/app-{h}.js", "a b/app-{h}.js", "é/app-{h}.js",
    "c:d/app-{h}.js", "it's/app-{h}.js", "e{f}/app-{h}.js", "s*r/app-{h}.js", "q?#/app-{h}.js", "p%41/app-{h}.js",
    "back\\slash/app-{h}.js", "a,b;c=d&$@!~/app-{h}.js", "vue/app-{h}.js", "vue/app-router-{h}.js",
)  # fmt: skip
FETCH = """(paths) => Promise.all(paths.map(async (path) => {
  const answer = await fetch(path);
  const { byteLength } = await answer.arrayBuffer();
  return [byteLength, performance.getEntriesByName(answer.url)[0].contentEncoding];
}))"""
SPELLINGS = ("/;,:@&=+$!*'()", "/!*'()", "/")  # what encodeURI, encodeURIComponent and Python leave as it is


def spelled(hashed: str, safe: str) -> list[str]:
    return [f"/{quote(named(name, hashed), safe=safe)}" for name in NAMES]


def named(name: str, hashed: str) -> str:
    return name.replace("{h}", hashed)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    old, new = ({named(name, h): data for name in NAMES} for h, data in (("8f3a9c1e", OLD), ("9e4b8d2f", NEW)))
    page = b"<!doctype html><title>names</title>"
    world = two_deploys("demo", {"index.html": page, **old}, {"index.html": page, **new})
    folder: Path = tmp_path_factory.mktemp("names")
    with standing(lambda: edge(folder, world)) as ((made, _), _loop):
        made.deltas.patience = 60.0  # on a busy machine too
        yield made


@pytest.mark.parametrize("safe", SPELLINGS)
def test_every_name_finds_its_dictionary(node: Node, browser: Browser, safe: str) -> None:
    """Each new file comes as `dcz` from an old one, and is whole, however the page spells its URL."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"http://demo.localhost:{urlsplit(node.public_url).port}/")
        assert [size for size, _ in page.evaluate(FETCH, spelled("8f3a9c1e", safe))] == [len(OLD)] * len(NAMES)
        assert page.evaluate(FETCH, spelled("9e4b8d2f", safe)) == [[len(NEW), "dcz"]] * len(NAMES)
    finally:
        context.close()
