"""The example app in a real browser, through a ring of three: what a newcomer sees after `scripts/run`.

Actors: `rim up` with three edges, headless Chromium. A screenshot is kept where RIM_SHOTS names a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Response, expect

from tests.kit.chromium import QUIET as QUIET
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
DEMO = Path(__file__).parents[2] / "examples" / "demo" / "site"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), DEMO, edges=3) as ring:
        yield ring


def url(up: Up, path: str, edge: int = 0) -> str:
    port = str(up.edges[edge]["public"]).rpartition(":")[2]
    return f"http://demo.localhost:{port}{path}"


@pytest.mark.parametrize("path", ["/", "/pictures/", "/how/", "/app/some/route"])
@pytest.mark.parametrize("edge", [0, 2])
def test_each_page_works_and_says_where_its_files_came_from(up: Up, browser: Browser, path: str, edge: int) -> None:
    """Every request of the page answers; the console is silent; what the page shows names a real edge."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    answers: list[Response] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("response", lambda answer: answers.append(answer))  # playwright marks its handlers
    page.on("console", complain)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        page.goto(url(up, path, edge), wait_until="networkidle")
        assert {a.status for a in answers} <= {200, 304}, [(a.url, a.status) for a in answers]
        assert len(answers) > 4
        assert not complaints, complaints
        assert page.title()
        if path == "/":
            expect(page.locator("[data-rows] tr").first).to_be_visible()
            expect(page.locator("[data-edge]")).to_contain_text("edge-")
            expect(page.locator("[data-rows]")).to_contain_text(f"edge-{edge + 1}")
        shots = os.environ.get("RIM_SHOTS")
        if shots:
            name = path.strip("/").replace("/", "-") or "home"
            page.screenshot(path=Path(shots) / f"demo-{name}-edge{edge + 1}.png", full_page=True)
    finally:
        page.close()


def test_a_missing_chunk_is_a_404_and_a_navigation_is_the_shell(up: Up, browser: Browser) -> None:
    """The SPA's shell answers navigations only: a script that is not there is a no-store 404."""
    page = browser.new_page()
    try:
        page.goto(url(up, "/app/anything"), wait_until="load")
        status, store = page.evaluate(
            "fetch('/assets/gone.0a1b2c3d.js').then(a => [a.status, a.headers.get('cache-control')])"
        )
        assert (status, store) == (404, "no-store")
    finally:
        page.close()
