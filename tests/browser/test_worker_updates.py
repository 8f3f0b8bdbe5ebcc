"""An update that something comes between: no room, a tab that closes, a worker or a browser that dies, a second tab on
another release. What a page shows is whole and of one release, always; and what was fetched is not fetched again.

Actors: `rim up` with two edges, headless Chromium, and a proxy before an edge that holds answers back (tests/kit/liar).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.kit import whole
from tests.kit.chromium import heard, installed, kept, kept_chromium, kill_workers, state, updated, visitor
from tests.kit.liar import Liar, cut
from tests.kit.nodes import until
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
LATER = ("lazy", "data", "css")  # what whole.later asks for
EXTRA = 24
# The install that was under way has come to its end, and a worker is there for the next page
ENDED = "navigator.serviceWorker.getRegistration('/').then(found => !!found?.active && !found.installing)"
STORED = "heard.filter(event => event.rim === 'progress' && event.path.startsWith('/extra/')).map(event => event.path)"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), edges=2) as ring:
        yield ring


@pytest.fixture
def liar(up: Up) -> Iterator[Liar]:
    with Liar(up.edges[0]["public"]) as between:
        yield between


def make(folder: Path, number: int) -> whole.Whole:
    """With files that no page asks for: who asks is the worker."""
    extra = {f"/extra/{n}.json": f'"{n} of v{number}"'.ljust(2_000).encode() for n in range(EXTRA)}
    return whole.make(folder, number, whole.toml(), files=extra)


def opened(page: Page, url: str) -> dict[str, str]:
    """What the page there says of its parts."""
    page.goto(url)
    return whole.parts(page)


def extra(liar: Liar, since: int) -> Counter[str]:
    """Who asked for the files that only the worker wants, from this request on."""
    return Counter(path for path in liar.paths(since) if path.startswith("/extra/"))


def had_of(page: Page) -> set[str]:
    """The extra files of any version that lie in the browser, as their URLs do there."""
    return {url for url in state(page)["stored"] if url.startswith("/extra/")}


def test_two_tabs_on_two_releases(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """The tab that was open before the deploy goes on with its release, chunk, fixed names and what is looked up on
    demand; the new one has the new one; the old one reloaded has it too."""
    one, two = make(tmp_path, 1), make(tmp_path, 2)
    up.publish(one.folder, "tabs", "--wait", "all")
    notes = "fetch('/notes.txt').then(answer => answer.text())"
    with visitor(browser) as context:
        old = context.new_page()
        assert opened(old, liar.of("tabs")) == one.parts
        installed(old)
        assert opened(old, liar.of("tabs")) == one.parts
        release = up.publish(two.folder, "tabs", "--wait", "all")["release"]
        new = context.new_page()
        assert opened(new, liar.of("tabs")) == two.parts
        updated(new, release)
        for _ in range(2):
            assert whole.later(old) == dict.fromkeys(LATER, "v1")
            assert whole.later(new) == dict.fromkeys(LATER, "v2")
            assert (old.evaluate(notes), new.evaluate(notes)) == ("notes of v1", "notes of v2")
        old.reload()
        assert whole.parts(old) == two.parts
        assert whole.later(old) == dict.fromkeys(LATER, "v2")


def test_a_tab_closed_in_the_middle_of_an_update(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """It had begun the update and is closed while files are on their way. The next one has the new release whole, and
    every file was asked for once."""
    one, two = make(tmp_path, 1), make(tmp_path, 2)
    up.publish(one.folder, "closed", "--wait", "all")
    with visitor(browser) as context:
        page = context.new_page()
        assert opened(page, liar.of("closed")) == one.parts
        installed(page)
        release, before = up.publish(two.folder, "closed", "--wait", "all")["release"], len(liar.asked)
        with liar.hold("/extra/*", skip=EXTRA // 3) as held:
            page.goto(liar.of("closed"))
            held.wait()
            page.close()
        page = context.new_page()
        assert opened(page, liar.of("closed")) == two.parts
        updated(page, release)
        assert set(extra(liar, before).values()) == {1}
        assert len(extra(liar, before)) == EXTRA


def test_a_worker_killed_in_the_middle_of_its_install(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """The page it was for does not notice. The next install fetches what was not stored, and that alone."""
    one = make(tmp_path, 1)
    up.publish(one.folder, "killed", "--wait", "all")
    with visitor(browser) as context:
        page = context.new_page()
        with liar.hold("/extra/*", skip=EXTRA // 3) as held:
            assert opened(page, liar.of("killed")) == one.parts
            held.wait()
            kill_workers(page)
            had, before = had_of(page), len(liar.asked)
        assert had
        assert opened(page, liar.of("killed")) == one.parts
        installed(page)
        again = extra(liar, before)
        assert not {url.partition("?")[0] for url in had} & set(again)
        assert set(again.values()) == {1}
        assert len(had_of(page)) == EXTRA
        assert opened(page, liar.of("killed")) == one.parts


def test_a_worker_killed_in_the_middle_of_an_update(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """An open tab keeps its release through the death of the worker (the new one knows whose it is), a new tab has the
    new release."""
    one, two = make(tmp_path, 1), make(tmp_path, 2)
    up.publish(one.folder, "update", "--wait", "all")
    with visitor(browser) as context:
        old = context.new_page()
        assert opened(old, liar.of("update")) == one.parts
        installed(old)
        assert opened(old, liar.of("update")) == one.parts
        release = up.publish(two.folder, "update", "--wait", "all")["release"]
        new = context.new_page()
        with liar.hold("/extra/*", skip=EXTRA // 3) as held:
            assert opened(new, liar.of("update")) == two.parts
            held.wait()
            kill_workers(new)
            had, before = had_of(new), len(liar.asked)
        assert whole.later(old) == dict.fromkeys(LATER, "v1")
        assert whole.later(new) == dict.fromkeys(LATER, "v2")
        assert opened(context.new_page(), liar.of("update")) == two.parts
        updated(new, release)
        again = extra(liar, before)
        assert len(had_of(new)) >= EXTRA
        assert set(again.values()) <= {1}
        assert len(again) <= 2 * EXTRA - len(had)  # v1's lie there, and so does what v2 had got


@pytest.mark.parametrize("first", [True, False], ids=["install", "update"])
def test_a_line_that_breaks_in_the_middle(up: Up, liar: Liar, browser: Browser, tmp_path: Path, first: bool) -> None:
    """Files are on their way, and nobody can be asked any more: the install ends without them. The next page has the
    rest fetched, and that alone; then the release is whole, and works with nobody there."""
    site = f"broken-{first}".lower()
    live = make(tmp_path, 1)
    release = up.publish(live.folder, site, "--wait", "all")["release"]
    with visitor(browser) as context:
        page = context.new_page()
        if not first:
            assert opened(page, liar.of(site)) == live.parts
            updated(page, release)
            live = make(tmp_path, 2)
            release = up.publish(live.folder, site, "--wait", "all")["release"]
        with liar.hold("/extra/*", skip=EXTRA // 3) as held:
            assert opened(page, liar.of(site)) == live.parts
            held.wait()
            context.set_offline(True)  # for gateways too
            liar.lie(lambda asked: True, cut)
        until("its end", lambda: page.evaluate(ENDED))
        had, before = had_of(page), len(liar.asked)
        assert EXTRA // 3 <= len(had) < (1 if first else 2) * EXTRA
        assert kept(page).get("whole") != release
        liar.honest()
        context.set_offline(False)
        assert opened(page, liar.of(site)) == live.parts
        updated(page, release)
        missing = (1 if first else 2) * EXTRA - len(had)
        until("the page is told of each", lambda: len(page.evaluate(STORED)) >= missing)
        assert len(set(page.evaluate(STORED))) == len(page.evaluate(STORED)) == missing
        assert set(extra(liar, before).values()) == {1}, "a gateway may have given some, and nobody one twice"
        liar.down()
        assert opened(page, liar.of(site, "/deep/page/")) == live.parts
        liar.up()


def test_a_browser_that_ends_in_the_middle_of_an_update(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """The next day the same visitor has the new release, whole, and pays for the rest of it alone."""
    one, two = make(tmp_path, 1), make(tmp_path, 2)
    up.publish(one.folder, "ended", "--wait", "all")
    with kept_chromium(browser, tmp_path / "profile") as context:
        page = context.new_page()
        assert opened(page, liar.of("ended")) == one.parts
        installed(page)
        up.publish(two.folder, "ended", "--wait", "all")
        with liar.hold("/extra/*", skip=EXTRA // 3) as held:
            page.goto(liar.of("ended"))
            held.wait()
            had = had_of(page)
            context.close()
    before = len(liar.asked)
    with kept_chromium(browser, tmp_path / "profile") as context:
        page = context.new_page()
        assert opened(page, liar.of("ended")) == two.parts
        updated(page, up.publish(two.folder, "ended", "--wait", "all")["release"])
        again = extra(liar, before)
        assert set(again.values()) == {1}
        assert len(again) <= 2 * EXTRA - len(had)


def test_a_browser_that_is_full(up: Up, liar: Liar, browser: Browser, tmp_path: Path) -> None:
    """With no room at all, at install or at an update: every page that is shown is whole and of one release, the old
    one once at most, where there is no room to write down that there is a new one."""
    one, two = make(tmp_path, 1), make(tmp_path, 2)
    up.publish(one.folder, "full", "--wait", "all")
    with visitor(browser) as early, visitor(browser) as late:
        first = early.new_page()
        _fill(early, first, liar, 1_000)
        assert opened(first, liar.of("full")) == one.parts
        second = late.new_page()
        assert opened(second, liar.of("full")) == one.parts
        installed(second)
        assert opened(second, liar.of("full")) == one.parts
        _fill(late, second, liar, 1_000)
        up.publish(two.folder, "full", "--wait", "all")
        for context in (early, late):
            shown = [opened(context.new_page(), liar.of("full", path)) for path in ("/", "/deep/page/")]
            assert shown in ([one.parts, two.parts], [two.parts, two.parts])
            page = context.new_page()
            assert opened(page, liar.of("full")) == two.parts
            assert whole.later(page) == dict.fromkeys(LATER, "v2")
        heard(second, "quota")
        assert whole.later(second) == dict.fromkeys(LATER, "v1")
        until("the edge is told", lambda: up.counted("rim_browser_reports_total", 0, kind="quota") > 0)


def _fill(context: BrowserContext, page: Page, liar: Liar, size: int) -> None:
    """From now on this origin may keep so many bytes."""
    origin = {"origin": liar.of("full", ""), "quotaSize": size}
    context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", origin)
