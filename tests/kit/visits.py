"""A visitor with a browser of its own at a site with a service worker: the first visit, the way back, an update.

Here live the steps, which know nothing of whose worker it is, and what the edge was asked in each. Not here: the app
(tests/kit/bigapp), the two workers beside each other (tests/browser/test_workbox, bench/workbox).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, Page

from tests.kit.accesslog import AccessLog, Line
from tests.kit.ring import Up
from tests.kit.sides import Side

# The worker is active, so all that it keeps is there: both workers precache before they let themselves activate.
_INSTALLED = """async () => {
  const { active } = await navigator.serviceWorker.ready;
  while (active.state !== "activated") {
    await new Promise((changed) => active.addEventListener("statechange", changed, { once: true }));
  }
  return performance.now();
}"""
# What the browser does by itself a while after a navigation, done now: ask whether the script has changed.
_UPDATED = """async () => {
  const registration = await navigator.serviceWorker.ready;
  await registration.update();
  const next = registration.installing ?? registration.waiting ?? registration.active;
  if (next === window.firstWorker) return false;
  while (next.state !== "activated" && next.state !== "redundant") {
    await new Promise((changed) => next.addEventListener("statechange", changed, { once: true }));
  }
  return next.state === "activated";
}"""
_FIRST = "navigator.serviceWorker.ready.then(({ active }) => { window.firstWorker = active; })"
_KEPT = """async () => {
  const kept = new Set();
  for (const name of await caches.keys()) {
    for (const { url } of await (await caches.open(name)).keys()) kept.add(new URL(url).pathname);
  }
  return [...kept];
}"""


class Visitor:
    """A profile without a past; it ends with the `with`."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._context, self._url = browser.new_context(), url

    def __enter__(self) -> Visitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.close()

    def install(self) -> float:
        """The first visit: milliseconds from the navigation to an active worker. The tab stays open."""
        page = self._context.new_page()
        page.goto(self._url, wait_until="load")
        return float(page.evaluate(_INSTALLED))

    def come(self) -> Page:
        """Open the site in a new tab, alone; the page has loaded all that it asks for by itself."""
        for page in self._context.pages:
            page.close()
        page = self._context.new_page()
        page.goto(self._url, wait_until="networkidle")
        page.evaluate(_FIRST)
        return page

    @staticmethod
    def update(page: Page) -> bool:
        """Whether there is another worker than when this tab was opened; it is active now."""
        return bool(page.evaluate(_UPDATED))

    @staticmethod
    def kept(page: Page) -> set[str]:
        """The paths of all that is in the site's caches."""
        return set(page.evaluate(_KEPT))


@dataclass(frozen=True)
class Steps:
    """What the edge was asked. `back` and `after` are visits with everything in place; the browser's own question for
    the worker's script is in each (it is made at once, not a second later), and is told apart by `asked`."""

    script: str  # the worker's path
    install: list[Line]
    back: list[Line]
    update: list[Line]
    after: list[Line]
    kept: set[str]  # at the end
    title: str | None  # of the last visit's heading

    def asked(self, lines: list[Line]) -> list[Line]:
        """What the page and its worker asked for: all but the browser's look for a new worker."""
        return [line for line in lines if line.path != self.script]


def size_of(lines: list[Line]) -> int:
    """Bytes of these bodies, as they were sent."""
    return sum(line.size for line in lines)


def walk(up: Up, log: AccessLog, browser: Browser, side: Side, builds: tuple[Path, Path]) -> Steps:
    """Publish the first build, install it, come back; publish the second, update, come back."""
    site = side.site
    url = f"http://{site}.localhost:{str(up.edges[0]['public']).rpartition(':')[2]}/"
    up.publish(builds[0], site, "--encode", "best", "--wait", "all")
    with Visitor(browser, url) as visitor:
        mark = log.mark(up, site)
        visitor.install()
        install = log.since(up, site, mark)
        mark = log.mark(up, site)
        page = visitor.come()
        assert not visitor.update(page)
        back = log.since(up, site, mark)
        mark = log.mark(up, site)
        up.publish(builds[1], site, "--encode", "best", "--wait", "all")
        assert visitor.update(page)
        update = log.since(up, site, mark)
        mark = log.mark(up, site)
        page = visitor.come()
        assert not visitor.update(page)
        after = log.since(up, site, mark)
        return Steps(side.script, install, back, update, after, visitor.kept(page), page.get_attribute("h1", "title"))
