"""What some visitors see and others do not, in a real browser: previews, rollouts, cleared caches, pinned tabs.

Actors: `rim up` with three edges, headless Chromium. Each visitor is a browser context: cookies, cache and password of
its own. Edges share a host and differ by port, as cookies do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
VISITORS = 40
# What a tab's document says of its release
RELEASE = "performance.getEntriesByType('navigation')[0].serverTiming.find(t => t.name === 'rim-release').description"
GET = "([path, headers]) => fetch(path, {headers, cache: 'no-store'}).then(answer => answer.text())"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), edges=3) as ring:
        yield ring


def make(folder: Path, version: str, toml: str = "") -> Path:
    """A page whose title its hash-named script gives it; a chunk that nobody loads; data under a fixed name."""
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / f"main-{version}a1b2c3d.js").write_text(f"document.title = '{version}'")
    (folder / "assets" / f"lazy-{version}a1b2c3d.js").write_text(f"// lazy {version}")
    script = f'<script src="/assets/main-{version}a1b2c3d.js"></script>'
    page = f'<!doctype html><html lang="en"><title>none</title><link rel="icon" href="data:,">{script}</html>'
    (folder / "index.html").write_text(page)
    (folder / "data.json").write_text(f'"{version}"')
    (folder / "rim.toml").write_text(toml)
    return folder


def url(up: Up, host: str, edge: int = 0) -> str:
    return f"http://{host}.localhost:{str(up.edges[edge]['public']).rpartition(':')[2]}/"


def title(up: Up, page: Page, host: str, edge: int) -> str:
    """The version that a navigation there shows."""
    page.goto(url(up, host, edge))
    return page.title()


def test_a_preview_asks_for_its_password(up: Up, browser: Browser, tmp_path: Path) -> None:
    """Without it 401 and none of its bytes; with it the page and its script, for no search engine and no shared cache;
    and what is live stays as it was."""
    up.publish(make(tmp_path / "1", "e1"), "shown")
    folder = make(tmp_path / "2", "e2")
    secret = {"RIM_PREVIEW_PASSWORD": "open sesame"}
    up.rim("publish", str(folder), "--site", "shown", "--preview", "pr", "--password", "--wait", "all", env=secret)
    for edge in range(3):
        stranger = browser.new_context()
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            stranger.new_page().goto(url(up, "pr--shown", edge))
        stranger.close()
        refused = up.get("pr--shown", "/data.json", edge)
        assert (refused.status, b"e2" in refused.body) == (401, False)
        friend = browser.new_context(http_credentials={"username": "anyone", "password": "open sesame"})
        page = friend.new_page()
        answer = page.goto(url(up, "pr--shown", edge))
        assert answer is not None
        assert (answer.status, page.title()) == (200, "e2")
        assert answer.headers["x-robots-tag"] == "noindex"
        assert "private" in answer.headers["cache-control"]
        assert title(up, page, "shown", edge) == "e1"
        friend.close()


def test_a_rollout_keeps_each_visitor_on_one_release(up: Up, browser: Browser, tmp_path: Path) -> None:
    """Half of 40 visitors, about, get the new one, at whichever edge and however often; abort, and nobody does: but
    the chunk of a page that is still open is there."""
    up.publish(make(tmp_path / "1", "e1"), "half")
    up.publish(make(tmp_path / "2", "e2"), "half", "--preview", "next")
    up.rim("rollout", "half", "next", "--percent", "50", "--wait", "all")
    count: Counter[str] = Counter()
    kept: dict[str, tuple[BrowserContext, Page]] = {}  # one visitor of each kind, whose tab stays open
    try:
        for number in range(VISITORS):
            context = browser.new_context()
            page = context.new_page()
            seen = [title(up, page, "half", (number + n) % 3) for n in range(6)]
            assert len(set(seen)) == 1, seen
            count[seen[0]] += 1
            if kept.setdefault(seen[0], (context, page))[0] is not context:
                context.close()
        print(f"of {VISITORS} visitors: {dict(count)}")
        assert count.keys() == {"e1", "e2"}
        assert min(count.values()) >= 6  # fewer, by chance: once in a million runs
        up.rim("rollout", "half", "--abort", "--wait", "all")
        tab = kept["e2"][1]
        assert tab.title() == "e2"
        assert tab.evaluate(GET, ["/assets/lazy-e2a1b2c3d.js", {}]) == "// lazy e2"
        assert {title(up, page, "half", edge) for _, page in kept.values() for edge in range(3)} == {"e1"}
    finally:
        for context, _ in kept.values():
            context.close()


def test_each_browser_is_asked_once_to_clear_its_cache(up: Up, browser: Browser, tmp_path: Path) -> None:
    """After `rim purge --browsers` the next document says so, to each visitor, and the one after it does not."""
    up.publish(make(tmp_path / "1", "e1"), "cleared")

    def asked(page: Page, edge: int) -> str | None:
        answer = page.goto(url(up, "cleared", edge))
        assert answer is not None
        return answer.header_value("clear-site-data")

    one, two = browser.new_context(), browser.new_context()
    try:
        here, there = one.new_page(), two.new_page()
        assert asked(here, 0) is None
        up.rim("purge", "cleared", "--browsers", "--wait", "all")
        assert [asked(here, edge) for edge in range(3)] == ['"cache"', None, None]
        assert [asked(there, edge) for edge in (2, 1, 0)] == ['"cache"', None, None]
        up.rim("purge", "cleared", "--browsers", "--wait", "all")
        assert [asked(here, edge) for edge in (1, 1)] == ['"cache"', None]
        assert here.title() == "e1"
    finally:
        one.close()
        two.close()


def test_a_tab_gets_the_data_of_the_release_that_it_began_with(up: Up, browser: Browser, tmp_path: Path) -> None:
    """With `pin`: the release stands in the document's Server-Timing; a fetch that names it gets that release's data
    after a deploy too, also when another tab has gone on. A navigation gets what is live."""
    toml = "[skew]\npin = true\n"
    up.publish(make(tmp_path / "1", "e1", toml), "pinned", "--wait", "all")
    context = browser.new_context()
    try:
        old, new = context.new_page(), context.new_page()
        assert title(up, old, "pinned", 0) == "e1"
        began = old.evaluate(RELEASE)
        up.publish(make(tmp_path / "2", "e2", toml), "pinned", "--wait", "all")
        assert old.evaluate(GET, ["/data.json", {"Rim-Release": began}]) == '"e1"'
        assert old.evaluate(GET, ["/data.json", {}]) == '"e1"'  # the cookie of its document says it too
        assert title(up, new, "pinned", 1) == "e2"
        assert new.evaluate(RELEASE) != began
        assert new.evaluate(GET, ["/data.json", {"Rim-Release": new.evaluate(RELEASE)}]) == '"e2"'
        assert old.evaluate(GET, ["/data.json", {"Rim-Release": began}]) == '"e1"'
        assert old.evaluate(GET, ["/data.json", {}]) == '"e2"'  # the cookie is all tabs'
        old.reload()
        assert old.title() == "e2"
    finally:
        context.close()
