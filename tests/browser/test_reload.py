"""`rim up --watch` in a real browser: save a file, and the open page shows it.

Actors: `rim up --watch` with two edges, headless Chromium.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.kit.ring import Up
from tests.rim.conftest import site_folder

pytestmark = pytest.mark.needs("chromium")
PAGE = '<!doctype html><title>t</title><link rel="stylesheet" href="app.css"><h1>%s</h1><a href="b.html">b</a>'


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    root = tmp_path_factory.mktemp("reload")
    files = {"index.html": PAGE % "one", "b.html": PAGE % "b", "app.css": "h1 { color: rgb(1, 0, 0) }"}
    # A strict policy: the script comes as a file of this origin, and speaks to this origin only
    files["_headers"] = "/*\n  Content-Security-Policy: default-src 'self'\n"
    with Up(root, site_folder(root / "hello", files), "--watch", edges=2) as ring:
        yield ring


@pytest.mark.parametrize("edge", [0, 1])
def test_the_page_reloads_after_a_save(up: Up, browser: Browser, edge: int) -> None:
    """The page itself, then a file that it uses: both are seen without a touch; the console is silent."""
    port = str(up.edges[edge]["public"]).rpartition(":")[2]
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        (up.root / "hello/index.html").write_text(PAGE % f"before {edge}")
        page.goto(f"http://hello.localhost:{port}/")
        expect(page.locator("h1")).to_have_text(f"before {edge}", timeout=30_000)
        (up.root / "hello/index.html").write_text(PAGE % f"after {edge}")
        expect(page.locator("h1")).to_have_text(f"after {edge}", timeout=30_000)
        (up.root / "hello/app.css").write_text(f"h1 {{ color: rgb(2, 0, {edge}) }}")
        expect(page.locator("h1")).to_have_css("color", f"rgb(2, 0, {edge})", timeout=30_000)
        assert not [text for text in complaints if "favicon" not in text and "404" not in text], complaints
    finally:
        page.close()


def test_the_release_is_what_was_saved(up: Up) -> None:
    """The script is on the way only: an export of the site does not have it."""
    car = up.root / "hello.car"
    up.rim("export", "hello", "--output", str(car))
    held = car.read_bytes()
    assert (up.root / "hello/index.html").read_bytes() in held
    assert b"/.rim/reload" not in held
