"""Paths that are not simply files: those that a site passes by, those that rules lead elsewhere or have another file
answer, and parts of files.

Actors: `rim up` with one edge, headless Chromium, a proxy before the edge that leads some paths to what is no edge and
lies about others (tests/kit/liar). Not here: paths of files (test_worker).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from multidict import CIMultiDict
from playwright.sync_api import Browser, Page

from tests.browser.test_worker import FETCH, come, folder, page
from tests.kit.chromium import heard, visitor
from tests.kit.liar import Asked, Liar, Told, gone, instead
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")


def program(asked: Asked, told: Told) -> Told:
    """What is behind these paths is no edge: it says what it was asked."""
    said = f"<title>{asked.method} {asked.path}?{asked.query}</title>".encode()
    return Told(200, CIMultiDict({"Content-Type": "text/html", "Cache-Control": "no-store"}), said)


def test_what_passes_is_never_touched(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """Pages, fetches and what changes something reach the program as the browser asks, once, and nothing of ours has a
    hand in it. What only looks like these paths is the site's; what is published below them is not stored."""
    toml = 'pass = ["/api/*", "/sign.in"]'
    files = {"index.html": page("home"), "api/old.html": page("old"), "other.html": page("other")}
    site = folder(tmp_path, files, globs='["/index.html", "/api/*"]')
    rim_toml = site / "rim.toml"
    rim_toml.write_text(rim_toml.read_text().replace('check = "0s"', f'check = "0s"\n{toml}'))
    up.publish(site, "passes", "--wait", "all")
    for path in ("/api/*", "/sign.in"):
        edge.lie(path, program)
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("passes"))
        for path in ("/api/once?code=1", "/sign.in?next=/", "/api/old.html"):
            before = len(edge.asked)
            answer = tab.goto(edge.of("passes", path))
            assert answer is not None
            assert not answer.from_service_worker
            assert tab.title() == f"GET {path}" + ("" if "?" in path else "?")
            (asked,) = [asked for asked in edge.asked[before:] if not asked.path.startswith("/.rim/")]
            assert asked.headers["sec-fetch-mode"] == "navigate"
        answer = tab.goto(edge.of("passes"))
        assert answer is not None
        assert answer.from_service_worker
        assert tab.evaluate(FETCH, ["/api/a", "/sign.in"]) == [
            [200, "", "<title>GET /api/a?</title>"],
            [200, "", "<title>GET /sign.in?</title>"],
        ]
        post = "fetch('/api/b', { method: 'POST', body: 'x' }).then(answer => answer.text())"
        assert tab.evaluate(post) == "<title>POST /api/b?</title>"
        got = tab.evaluate(FETCH, ["/api", "/signxin", "/sign.in/", "/other.html"])
        assert [line[0] for line in got] == [404, 404, 404, 200]
        assert tab.evaluate("caches.match('/api/old.html', { ignoreSearch: true }).then(found => !found)")


def went(tab: Page, url: str) -> tuple[int, str, str]:
    answer = tab.goto(url)
    assert answer is not None
    return answer.status, tab.title(), tab.url


def test_where_rules_lead(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """Pages are led to other hosts and within the site, and other files answer, as without a worker. What answers so
    is proved, and answers without an edge where it is stored."""
    up.publish(folder(tmp_path / "other", {"there.html": page("there")}), "elsewhere", "--wait", "all")
    files = {name: page(name) for name in ("index.html", "new.html", "app/index.html", "pages/7.html", "pages/8.html")}
    rules = (
        f"/out/:id {edge.of('elsewhere', '/there.html')}?id=:id 302\n/old /new.html 301\n"
        "/app/* /app/index.html 200\n/news/:id /pages/:id.html 200\n/data /data.json 200\n"
    )
    files |= {"data.json": '"data"', "_redirects": rules}
    toml = '[redirects]\nexternal = ["elsewhere.localhost"]'
    site = folder(tmp_path / "site", files, toml, '["/index.html", "/app/index.html", "/data.json"]')
    up.publish(site, "rules", "--wait", "all")
    paths = ["/out/1?x=y", "/old", "/app/deep/er", "/app", "/news/7", "/news/9", "/out", "/nowhere"]
    asked = ["/old", "/data", "/app/x.js", "/news/8", "/news/9"]
    plain = browser.new_context(service_workers="block")
    tab = plain.new_page()
    theirs = [went(tab, edge.of("rules", path)) for path in paths]
    tab.goto(edge.of("rules"))
    theirs_fetched = tab.evaluate(FETCH, asked)
    plain.close()
    assert theirs[0] == (200, "there", edge.of("elsewhere", "/there.html?id=1"))
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("rules"))
        mine = [went(tab, edge.of("rules", path)) for path in paths]
        assert [(status, url) for status, _, url in mine] == [(status, url) for status, _, url in theirs]
        assert [title for status, title, _ in mine if status == 200] == [line[1] for line in theirs if line[0] == 200]
        tab.goto(edge.of("rules"))
        assert tab.evaluate(FETCH, asked) == theirs_fetched
        edge.lie("/pages/8.html", instead(page("lie").encode()))
        edge.lie("/news/8", instead(page("lie").encode()))
        assert went(tab, edge.of("rules", "/news/8"))[:2] == (200, "pages/8.html")
        edge.down()
        assert went(tab, edge.of("rules", "/app/other"))[:2] == (200, "app/index.html")
        assert tab.evaluate(FETCH, ["/data"]) == [[200, "", '"data"']]
        edge.up()


def test_no_page_is_led_away_where_no_rule_does(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """An edge that says so is not believed, unless the site has signed that there are such rules."""
    files = {"index.html": page("home"), "new.html": page("new"), "_redirects": "/old /new.html\n"}
    up.publish(folder(tmp_path, files), "stays", "--wait", "all")

    def away(asked: Asked, told: Told) -> Told:
        return Told(302, CIMultiDict({"Location": edge.of("liar"), "Cache-Control": "no-store"}), b"")

    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("stays"))
        edge.lie("/out", away)
        assert went(tab, edge.of("stays", "/out"))[::2] == (404, edge.of("stays", "/out"))
        assert went(tab, edge.of("stays", "/old")) == (200, "new", edge.of("stays", "/new.html"))


PARTS = """ranges => Promise.all(ranges.map(async Range => {
  const answer = await fetch("/data.bin", { headers: { Range } });
  return [answer.status, answer.headers.get("content-range"), await answer.text()];
}))"""


def test_parts_of_what_is_stored(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """They are the edge's to give, and told of; where it cannot, the stored file answers, whole."""
    files = {"index.html": page("home"), "data.bin": b"0123456789"}
    up.publish(folder(tmp_path, files, globs='["/**"]'), "parts", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("parts"))
        before = len(edge.asked)
        assert tab.evaluate(PARTS, ["bytes=2-4"]) == [[206, "bytes 2-4/10", "234"]]
        assert edge.paths(before).count("/data.bin") == 1
        assert heard(tab, "passed")["path"] == "/data.bin"
        edge.lie("/data.bin", gone)
        assert tab.evaluate(PARTS, ["bytes=2-4"]) == [[200, None, "0123456789"]]
        edge.down()
        assert tab.evaluate(PARTS, ["bytes=2-4", "bytes=-1"]) == [[200, None, "0123456789"]] * 2
        assert heard(tab, "served", path="/data.bin")["from"] == "store"
        edge.up()
