"""A tab that stays open over a deploy: an app built by Vite, its lazy chunk asked for after everything has a new name.

Actors: `rim up` with two edges, headless Chromium, a real Vite; and a real nginx over a folder that is replaced, where
the same steps break: so the play can fail.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.kit.nginx import nginx
from tests.kit.ring import Up
from tests.kit.vite import build, hashed

pytestmark = pytest.mark.needs("chromium", "npm", "node")


@dataclass(frozen=True)
class Versions:
    """The built folders, and the chunk of the first one that its page loads only on a click."""

    one: Path
    two: Path

    @property
    def lazy(self) -> str:
        return next(path for path in hashed(self.one) if path.startswith("/assets/lazy-") and path.endswith(".js"))


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    folder = tmp_path_factory.mktemp("app")
    made = Versions(build(folder, "v1"), build(folder, "v2"))
    assert len(hashed(made.one)) >= 5
    assert not hashed(made.one) & hashed(made.two)
    return made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with a browser's cache of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_an_open_tab_finds_its_chunk_after_a_deploy(versions: Versions, page: Page, tmp_path: Path) -> None:
    """v1 is open at one edge, v2 is published; the click works, with its style; a reload is v2. What no release has is
    a 404 that nobody keeps, also where the site has a shell."""
    with Up(tmp_path, edges=2) as up:
        up.publish(versions.one, "app", "--spa")
        base = str(up.edges[0]["public"]).rpartition(":")[2]
        page.goto(f"http://app.localhost:{base}/")
        expect(page.locator("h1")).to_have_text("v1")
        up.publish(versions.two, "app", "--spa", "--wait", "all")
        page.locator("button").click()
        expect(page.locator("output")).to_have_text("lazy of v1")
        expect(page.locator("output")).to_have_css("color", "rgb(4, 5, 6)")
        page.reload()
        expect(page.locator("h1")).to_have_text("v2")
        page.locator("button").click()
        expect(page.locator("output")).to_have_text("lazy of v2")
        assert page.evaluate("document.querySelector('img').naturalWidth") > 0
        for edge in range(2):
            gone = up.get("app", "/assets/lazy-D0esNt3x.js", edge, {"Sec-Fetch-Mode": "cors"})
            assert (gone.status, gone.headers["cache-control"]) == (404, "no-store")
            assert gone.headers["rim-reason"] == "not-a-navigation"
            assert b"<script" not in gone.body


@pytest.mark.needs("nginx")
@pytest.mark.parametrize(
    ("location", "status", "kind"),
    [("", 404, "text/html"), ("try_files $uri $uri/ /index.html;", 200, "text/html")],
    ids=["plain", "with a shell for all that is missing"],
)
def test_a_replaced_folder_breaks_the_same_tab(
    versions: Versions, page: Page, tmp_path: Path, location: str, status: int, kind: str
) -> None:
    """nginx has the new files only: the old tab's click fails; with a shell it even gets a page for a script."""
    folder = shutil.copytree(versions.one, tmp_path / "site")
    with nginx(tmp_path / "nginx", folder, location) as url:
        page.goto(url + "/")
        expect(page.locator("h1")).to_have_text("v1")
        shutil.rmtree(folder)
        shutil.copytree(versions.two, folder)
        with page.expect_response(lambda answer: answer.url.endswith(versions.lazy)) as asked:
            page.locator("button").click()
        assert (asked.value.status, asked.value.headers["content-type"]) == (status, kind)
        expect(page.locator("output")).to_contain_text("failed: ")
