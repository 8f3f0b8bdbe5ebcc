"""A worker that is broken, or not wanted any more: the site loads, and `rim sw off` frees every browser.

Actors: `rim up` with two edges, headless Chromium, and a proxy that puts another worker in the place of ours
(tests/kit/liar), as a faulty version of Rim would.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict
from playwright.sync_api import Browser, BrowserContext, Error, Page

from edge.site.browser.scripts import stripped
from tests.kit import whole
from tests.kit.chromium import freed, installed, settled, state, visitor
from tests.kit.liar import Asked, Change, Liar, Told, cut, gone, instead
from tests.kit.nodes import fetch, until
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
REPORTS = "rim_browser_reports_total"
BAD = "/.rim/worker-0000000000ba.js"
NEW = (
    'addEventListener("install", () => skipWaiting()); addEventListener("activate", e => e.waitUntil(clients.claim()));'
)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), edges=2) as ring:
        yield ring


@pytest.fixture
def liar(up: Up) -> Iterator[Liar]:
    with Liar(up.edges[0]["public"], plain=True) as between:
        yield between


@pytest.fixture
def site(liar: Liar) -> str:
    """A name of its own for each play."""
    return f"switch-{liar.port}"


@pytest.fixture
def one(up: Up, site: str, tmp_path: Path) -> whole.Whole:
    """v1, live."""
    made = whole.make(tmp_path, 1, whole.toml())
    up.publish(made.folder, site, "--wait", "all")
    return made


@pytest.fixture
def context(browser: Browser, liar: Liar, site: str, one: whole.Whole) -> Iterator[BrowserContext]:
    """Somebody in whose browser v1 is."""
    with visitor(browser) as somebody:
        page = somebody.new_page()
        assert opened(page, liar.of(site)) == one.parts
        installed(page)
        assert opened(page, liar.of(site)) == one.parts
        assert state(page)["controlled"]
        page.close()
        yield somebody


def opened(page: Page, url: str) -> dict[str, Any]:
    """What the page there says of its parts."""
    page.goto(url)
    return whole.parts(page)


@contextmanager
def worker(liar: Liar, site: str, source: str, *edits: tuple[str, str]) -> Iterator[None]:
    """Inside the block the site's worker is this one. "@" is ours, with these edits."""
    host = f"{site}.localhost"
    stub = fetch(liar.upstream, "/.rim/sw.js", host=host).body.decode()
    text = fetch(liar.upstream, stub.split('"')[-2], host=host).body.decode()
    for before, after in edits:
        before, after = stripped(before).strip(), stripped(after).strip()
        assert before in text, before
        text = text.replace(before, after, 1)

    def named(asked: Asked, told: Told) -> Told:
        head, _, _ = told.body.partition(b"importScripts")
        return told.bearing(head + f'importScripts("{BAD}")'.encode())

    def bad(asked: Asked, told: Told) -> Told:
        head = CIMultiDict({"Content-Type": "text/javascript", "Cache-Control": "no-store"})
        return Told(200, head, source.replace("@", text).encode())

    with liar.lying("/.rim/sw.js", named), liar.lying(BAD, bad):
        yield


def arrives(page: Page, liar: Liar, site: str, of: whole.Whole) -> None:
    """A page is loaded, of this version; then the browser looks for another worker, and has it.

    Not while the page is loading: a worker that takes over open pages at once (NEW) has Chromium 156 lose what these
    ask for just then (worker.js knows it too), and such a page waits for ever."""
    with liar.hold("/.rim/sw.js"):
        assert opened(page, liar.of(site)) == of.parts
    settled(page)


def off(up: Up, site: str) -> None:
    up.rim("sw", "off", site, "--wait", "all")


def is_freed_by(page: Page, liar: Liar, site: str, of: whole.Whole) -> None:
    """The next visit ends with nothing of ours in the browser, and pages come from the network."""
    with contextlib.suppress(Error):  # it may be loaded anew meanwhile
        page.goto(liar.of(site))
    until("freed", lambda: freed(page))
    before = len(liar.asked)
    assert opened(page, liar.of(site)) == of.parts
    assert not state(page)["controlled"]
    until("still", lambda: freed(page))  # client.js registers what ends itself, each time
    assert {"/", "/app.css"} <= set(liar.paths(before))


BROKEN = {
    "at the top": 'throw new Error("v2");',
    "does not parse": "addEventListener(",
    "in install": 'addEventListener("install", event => event.waitUntil(Promise.reject(new Error("v2")))); @',
    "in activate": NEW + 'addEventListener("activate", event => event.waitUntil(Promise.reject(new Error("v2"))));',
    "in fetch": NEW + 'addEventListener("fetch", () => { throw new Error("v2"); });',
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_site_loads_with_a_worker_that_throws(
    up: Up, liar: Liar, site: str, context: BrowserContext, tmp_path: Path, how: str
) -> None:
    """v2 comes with it. Pages load, of v2; then the switch frees the browser on the next visit."""
    page, two = context.new_page(), whole.make(tmp_path, 2, whole.toml())
    with worker(liar, site, BROKEN[how]):
        up.publish(two.folder, site, "--wait", "all")
        for _ in range(3):
            arrives(page, liar, site, two)
        assert liar.count(BAD) > 0
        assert opened(context.new_page(), liar.of(site, "/deep/page/")) == two.parts
    off(up, site)
    is_freed_by(page, liar, site, two)


# A fault of our own in a function of our own: what it would be about is not known here, so none is left out
FAULTY = (
    "async function answer(event, navigation, url) {",
    "async function releases(event, navigation) {",
    "async function respond(event, navigation, url, core) {",
    "async function find(core, path, hops = 8) {",
    "async function manifest(cid) {",
)


def test_the_site_loads_with_a_fault_in_our_worker(liar: Liar, site: str, one: whole.Whole, browser: Browser) -> None:
    """It throws what nobody expects there: the page comes as if there were no worker."""
    fault = "if (self.registration.active) null.v2;"
    for head in FAULTY:
        with worker(liar, site, "@", (head, head + fault)), visitor(browser) as context:
            page = context.new_page()
            assert opened(page, liar.of(site)) == one.parts
            installed(page)
            for path in ("/", "/deep/page/"):
                assert opened(page, liar.of(site, path)) == one.parts, head
                assert state(page)["controlled"]


def test_the_switch_frees_a_browser_in_which_nothing_loads(
    up: Up, liar: Liar, site: str, one: whole.Whole, context: BrowserContext
) -> None:
    """A worker as bad as can be answers each request with an error. Even who has it is freed by coming back."""
    page = context.new_page()
    with worker(
        liar, site, NEW + 'addEventListener("fetch", event => event.respondWith(Promise.reject(new Error("v2"))));'
    ):
        arrives(page, liar, site, one)
        with pytest.raises(Error, match="ERR_FAILED"):
            page.goto(liar.of(site))
    off(up, site)
    asked = liar.count("/.rim/sw.js")
    with pytest.raises(Error, match="ERR_FAILED"):
        context.new_page().goto(liar.of(site))
    until("the browser has looked", lambda: liar.count("/.rim/sw.js") > asked)
    back = until("it loads", lambda: _loaded(context, liar.of(site)))
    is_freed_by(back, liar, site, one)


def _loaded(context: BrowserContext, url: str) -> Page | None:
    page = context.new_page()
    try:
        page.goto(url)
    except Error:
        page.close()
        return None
    return page


def test_the_switch_frees_every_browser(
    up: Up, liar: Liar, site: str, context: BrowserContext, browser: Browser
) -> None:
    """One with two tabs, one that comes back later, one that is new. No publish undoes it; `rim sw on` does."""
    two = whole.make(up.root / site, 2, whole.toml())
    with visitor(browser) as later, visitor(browser) as new:
        gone = later.new_page()
        gone.goto(liar.of(site))
        installed(gone)
        gone.close()
        first, second = context.new_page(), context.new_page()
        for page in (first, second):
            page.goto(liar.of(site))
            assert state(page)["controlled"]
        off(up, site)
        up.publish(two.folder, site, "--wait", "all")
        is_freed_by(first, liar, site, two)
        second.reload()
        assert whole.parts(second) == two.parts
        until("the other tab, too", lambda: freed(second))  # client.js registers what ends itself, each time
        is_freed_by(later.new_page(), liar, site, two)
        stranger = new.new_page()
        assert opened(stranger, liar.of(site)) == two.parts
        settled(stranger)
        assert not state(stranger)["controlled"]
        up.rim("sw", "on", site, "--wait", "all")
        assert opened(first, liar.of(site)) == two.parts
        installed(first)
        assert opened(first, liar.of(site)) == two.parts
        assert state(first)["controlled"]


def test_the_switch_frees_a_browser_whose_tabs_are_loaded_one_after_another(
    up: Up, liar: Liar, site: str, one: whole.Whole, context: BrowserContext
) -> None:
    """The first tab is back, and registers what ends itself, while the second is still waiting for its page: that is no
    new registration, it is the one that was about to go, and it goes."""
    first, second = context.new_page(), context.new_page()
    assert opened(second, liar.of(site, "/deep/page/")) == one.parts
    assert opened(first, liar.of(site)) == one.parts
    off(up, site)
    with liar.hold("/deep/page/") as held:
        first.reload()
        held.wait()
        until("the first tab is back", lambda: _is_back(first))
        first.evaluate("import('/.rim/client.js').then(({ register }) => register({ now: true })).then(() => {})")
    until("freed", lambda: freed(first) and freed(second))
    assert opened(second, liar.of(site, "/deep/page/")) == one.parts
    until("still", lambda: freed(first) and freed(second))


def _is_back(page: Page) -> bool:
    """Whether it was loaded anew, by no worker; False too while it is."""
    try:
        return not state(page)["controlled"]
    except Error:
        return False


def test_three_pages_that_do_not_come_up_take_the_worker_away(
    up: Up, liar: Liar, site: str, one: whole.Whole, context: BrowserContext
) -> None:
    """No switch was thrown: client.js, which no worker answers, counts. The fourth page is whole, without a worker, and
    it is not registered again. The edge is told, once."""
    page, told = context.new_page(), up.counted(REPORTS, 0, kind="boot")
    stopping = 'if (/script|style/.test(event.request.destination) && !event.request.url.includes("/.rim/"))'
    with worker(
        liar, site, NEW + f'addEventListener("fetch", event => {{ {stopping} event.respondWith(Response.error()); }});'
    ):
        arrives(page, liar, site, one)
        for boots in (1, 2, 3):
            assert opened(page, liar.of(site))["main"] == "failed"
            page.wait_for_function(f"localStorage.getItem('rim:boots') === '{boots}'")
        page.goto(liar.of(site))
        until("freed", lambda: freed(page))
        assert opened(page, liar.of(site)) == one.parts
        assert freed(page)
        assert up.counted(REPORTS, 0, kind="boot") == told + 1


SILENT: dict[str, Change] = {
    "404": gone,
    "503": lambda asked, told: told.bearing(b"busy", 503),
    "cut": cut,
    "an empty answer": instead(b""),
    "a page": instead(b"<!doctype html><title>Welcome</title>"),
}


def test_what_is_missing_bricks_no_site(
    liar: Liar, site: str, one: whole.Whole, context: BrowserContext, browser: Browser
) -> None:
    """The manifest, sw.js, or all that an edge has of its own: who has the site goes on with it, who comes has it."""
    page = context.new_page()
    for path in ("/.rim/manifest.json", "/.rim/sw.js", "/.rim/*"):
        for how, change in SILENT.items():
            with liar.lying(path, change):
                assert opened(page, liar.of(site, "/deep/page/")) == one.parts, (path, how)
                assert opened(page, liar.of(site)) == one.parts, (path, how)
        with liar.lying(path, gone), visitor(browser) as new:
            stranger = new.new_page()
            for at in ("/", "/deep/page/"):
                assert opened(stranger, liar.of(site, at)) == one.parts, path


def test_a_manifest_that_does_not_come_holds_up_nobody_for_long(
    liar: Liar, site: str, one: whole.Whole, context: BrowserContext
) -> None:
    """The edge takes the question and is silent: the page that is stored is shown."""
    page = context.new_page()
    with liar.hold("/.rim/manifest.json") as held:
        assert opened(page, liar.of(site)) == one.parts
        held.wait()
