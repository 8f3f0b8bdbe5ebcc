"""A visitor with a browser of its own at a site with a service worker: the first visit, the way back, an update.

Here live the steps, which know nothing of whose worker it is, and what the edge was asked in each. Not here: the app
(tests/kit/bigapp), the two sites (tests/kit/sides), or what is expected of them (tests/browser/test_workbox).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, Page

from tests.kit.accesslog import AccessLog, Line
from tests.kit.bigapp import assets
from tests.kit.dictionaries import make
from tests.kit.ring import Up
from tests.kit.sides import Side
from tests.kit.tap import Tap

_HASH = len("DnMtNqvS.js")
_PATIENCE = 120_000  # ms: never reached by a worker that works
# The worker is active, so all that it keeps is there: both workers precache in their install.
_INSTALLED = """async (patience) => {
  const late = new Promise((_, fail) => setTimeout(fail, patience, new Error("no worker is active")));
  const { active } = await Promise.race([navigator.serviceWorker.ready, late]);
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
  while (!/installed|activated|redundant/.test(next.state)) {
    await new Promise((changed) => next.addEventListener("statechange", changed, { once: true }));
  }
  return next.state !== "redundant";
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
        return float(page.evaluate(_INSTALLED, _PATIENCE))

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


@dataclass
class Step:
    """What the edge was asked while something was done. `wire`: bytes that came from it, heads and bodies."""

    lines: list[Line] = field(default_factory=list)
    wire: int = 0

    @property
    def bodies(self) -> int:
        """Bytes of the bodies, as they were sent."""
        return sum(line.size for line in self.lines)

    def asked(self, side: Side) -> list[Line]:
        """What the page and its worker asked for: all but the browser's own look for a new worker."""
        return [line for line in self.lines if line.path != side.script]


@dataclass
class Watch:
    """The ring, and two who count: its edge's log, and a tap before it."""

    up: Up
    log: AccessLog
    tap: Tap

    def url(self, side: Side) -> str:
        return f"http://{side.site}.localhost:{self.tap.port}/"

    @contextmanager
    def step(self, side: Side) -> Iterator[Step]:
        """What is asked of this site within the block: it is there when the block has ended."""
        mark, before, step = self.log.mark(self.up, side.site), self.tap.down, Step()
        yield step
        step.lines, step.wire = self.log.since(self.up, side.site, mark), self.tap.down - before


@dataclass(frozen=True)
class Walk:
    """The first visit; the way back; an update after a deploy; the way back once more. Both ways back are visits with
    everything in place; the browser's own question for the worker's script is in them (made at once, where a browser
    takes a second or more)."""

    install: Step
    back: Step
    update: Step
    after: Step
    kept: set[str]  # at the end
    title: str | None  # of the last visit's heading


def walk(watch: Watch, browser: Browser, side: Side, builds: tuple[Path, Path]) -> Walk:
    """Publish the first build, install it, come back; publish the second, update, come back."""
    publish(watch.up, builds[0], side)
    with Visitor(browser, watch.url(side)) as visitor:
        with watch.step(side) as install:
            visitor.install()
        with watch.step(side) as back:
            page = visitor.come()
            assert not visitor.update(page)
        with watch.step(side) as update:
            publish(watch.up, builds[1], side)
            make_deltas(watch.up, side, *builds)
            assert visitor.update(page)
        with watch.step(side) as after:
            page = visitor.come()
            assert not visitor.update(page)
        return Walk(install, back, update, after, visitor.kept(page), page.get_attribute("h1", "title"))


def make_deltas(up: Up, side: Side, one: Path, two: Path) -> None:
    """Have the differences made of what changed: chunks that differ in the hash of their names alone."""
    old = {path[:-_HASH]: body for path, body in assets(one).items()}
    for path in assets(two).keys() - assets(one).keys():
        make(up, side.site, path, old[path[:-_HASH]])


def publish(up: Up, folder: Path, side: Side) -> None:
    """Every edge has it when this ends; packed as well as can be."""
    up.publish(folder, side.site, "--encode", "best", "--wait", "all")
