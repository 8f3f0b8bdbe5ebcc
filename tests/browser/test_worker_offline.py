"""A site that was installed, and then nobody is there: it works, deep links too; and coming back costs what changed.

Actors: `rim up` with two edges, headless Chromium, and a proxy before an edge that counts (tests/kit/liar). Offline is
both: the browser is told so, and the whole ring is stopped; for either alone a browser takes another way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.kit import whole
from tests.kit.chromium import installed, updated, visitor
from tests.kit.liar import Liar
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
TOML = whole.toml(check="0s")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A ring for each play: one stops it for good, and plays run in any order."""
    with Up(tmp_path / "up", edges=2) as ring:
        yield ring


@pytest.fixture
def liar(up: Up) -> Iterator[Liar]:
    with Liar(up.edges[0]["public"]) as between:
        yield between


def opened(page: Page, url: str) -> dict[str, str]:
    """What the page there says of its parts."""
    page.goto(url)
    return whole.parts(page)


def test_coming_back_after_a_deploy_costs_what_changed(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """v2 is published while the visitor is away. Until he is back he has v1, whole; then v2, whole, for which each file
    that is new or other is asked for once, and no other. The edge's own count is the same as the proxy's."""
    one, two = whole.make(tmp_path, 1, TOML), whole.make(tmp_path, 2, TOML)
    up.publish(one.folder, "back", "--wait", "all")
    with visitor(browser) as context:
        page = context.new_page()
        assert opened(page, liar.of("back")) == one.parts
        installed(page)
        liar.down()
        context.set_offline(True)
        release = up.publish(two.folder, "back", "--wait", "all")["release"]
        assert opened(page, liar.of("back")) == one.parts
        before, counted = len(liar.asked), up.counted("rim_site_requests_total", 0, site="back")
        liar.up()
        context.set_offline(False)
        assert opened(page, liar.of("back")) == two.parts
        updated(page, release)
        asked = Counter(path.removesuffix("index.html") for path in liar.paths(before) if "/.rim/" not in path)
        assert asked == dict.fromkeys(two.other_than(one), 1)
        assert up.counted("rim_site_requests_total", 0, site="back") - counted == len(liar.asked) - before
        liar.down()
        context.set_offline(True)
        again = context.new_page()
        assert opened(again, liar.of("back", "/deep/page/")) == two.parts
        assert whole.later(again) == dict.fromkeys(("lazy", "data", "css"), "v2")


def test_installed_it_works_with_every_edge_stopped(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """A reload, a deep link typed in a new tab, a page without its suffix, a route of an app that only its shell knows:
    all work with the network off, and again with it on and nobody there. What was not precached fails, as such."""
    plain, shell = whole.make(tmp_path / "plain", 1, TOML), whole.make(tmp_path / "shell", 1, TOML)
    up.publish(plain.folder, "plain", "--wait", "all")
    up.publish(shell.folder, "shell", "--spa", "--wait", "all")
    with visitor(browser) as context:
        page = context.new_page()
        for site in ("shell", "plain"):
            assert opened(page, liar.of(site)) == plain.parts
            installed(page)
        context.set_offline(True)
        page.reload()
        assert whole.parts(page) == plain.parts
        _works(page, liar, plain)
        up.stop()
        liar.down()
        _works(context.new_page(), liar, plain)
        context.set_offline(False)
        _works(context.new_page(), liar, plain)


def _works(page: Page, liar: Liar, of: whole.Whole) -> None:
    asked = len(liar.asked)
    for site, path, title in (
        ("plain", "/", "home of v1"),
        ("plain", "/deep/page/", "deep of v1"),
        ("plain", "/deep/page", "deep of v1"),
        ("shell", "/", "home of v1"),
        ("shell", "/deep/page/", "deep of v1"),
        ("shell", "/cart/42?from=mail", "home of v1"),
    ):
        assert (opened(page, liar.of(site, path)), page.title()) == (of.parts, title), (site, path)
    assert whole.later(page) == dict.fromkeys(("lazy", "data", "css"), "v1")
    page.locator("a", has_text="home").click()
    page.wait_for_url(liar.of("shell"))
    assert whole.parts(page) == of.parts
    # Whether there is such a file was never asked, and cannot be now: that is what is said, and not that there is none
    answer = page.goto(liar.of("plain", "/notes.txt"))
    assert answer is not None
    assert (answer.status, page.locator("body").inner_text() != "") == (504, True)
    assert opened(page, liar.of("plain")) == of.parts
    assert page.evaluate("fetch('/notes.txt').then(() => 'there', () => 'failed')") == "failed"
    assert set(liar.paths(asked)) <= {"/.rim/sw.js"}  # the browser's own look for another worker knows no emulation
