"""Chromium, and what a play asks of a page and of its service worker. A visitor is a browser context: storage, caches
and worker of its own.

Here live starting the browser, waiting for a worker without sleeping, what pages heard from it, and what it left in
the browser. Not here: what goes over the wire (tests/kit/liar), or sites (tests/kit/whole).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Error, Page, sync_playwright

from tests.kit.nodes import until
from tests.kit.programs import needed

QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.localhost 127.0.0.1",
]  # fmt: skip

# In every page, before its own scripts: what the worker says to it. The queue of messages is not started here, so the
# page's own listeners miss nothing.
_LISTEN = """
window.heard = [];
navigator.serviceWorker?.addEventListener("message", event => {
  if (event.data?.rim) window.heard.push(event.data);
});
"""
_STATE = """async () => {
  const ours = (await caches.keys()).filter(name => name.startsWith("rim:"));
  const files = (await Promise.all(ours.map(async name => (await (await caches.open(name)).keys()).map(r => r.url))));
  const all = await navigator.serviceWorker.getRegistrations();
  const worker = of => of && [of.scriptURL, of.state];
  return {
    caches: ours,
    stored: files.flat().map(url => new URL(url)).map(url => url.pathname + url.search),
    registrations: all.map(r => ({
      scope: r.scope, installing: worker(r.installing), waiting: worker(r.waiting), active: worker(r.active)
    })),
    controlled: !!navigator.serviceWorker.controller
  };
}"""
_SAVER, _GO = "Emulation.setDataSaverOverride", "Runtime.runIfWaitingForDebugger"
_KEPT = "caches.match('/.rim/state').then(answer => answer?.json() ?? {})"
_SETTLE = """async () => {
  const registration = await navigator.serviceWorker.getRegistration("/");
  if (!registration) return;
  await registration.update().catch(() => {});
  for (;;) {
    const { installing, waiting, active } = registration;
    const worker = installing ?? waiting ?? (active?.state === "activating" ? active : undefined);
    if (!worker) return;
    await new Promise(done => worker.addEventListener("statechange", done, { once: true }));
  }
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium until the block ends."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=needed("chromium"), args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def another(browser: Browser, *more: str) -> Iterator[Browser]:
    """One more Chromium beside this one, with these arguments more."""
    started = browser.browser_type.launch(executable_path=needed("chromium"), args=[*QUIET, *more])
    try:
        yield started
    finally:
        started.close()


@contextmanager
def kept_chromium(browser: Browser, folder: Path) -> Iterator[BrowserContext]:
    """Another Chromium, whose profile lies in a folder: the next one there is the same visitor."""
    kind = browser.browser_type  # one playwright for each thread
    context = kind.launch_persistent_context(folder, executable_path=needed("chromium"), args=QUIET)
    context.add_init_script(_LISTEN)
    try:
        yield context
    finally:
        context.close()


@contextmanager
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """Somebody who was never here."""
    context = browser.new_context()
    context.add_init_script(_LISTEN)
    try:
        yield context
    finally:
        context.close()


def devtools(page: Page) -> CDPSession:
    """The Chrome DevTools Protocol of this page."""
    return page.context.new_cdp_session(page)


def save_data(page: Page) -> None:
    """From now on this visitor asks to be spared data (Save-Data: on), in this page and in workers that start.

    The setting is of one target each (Chromium 156): a worker knows nothing of its page's, and no switch of the command
    line sets it for both. So each worker is held before its first line until it has been told. Sessions of their own
    (not flat), because playwright hands out none for a worker."""
    session = devtools(page)
    saving = {"dataSaverEnabled": True}

    def tell(event: dict[str, Any]) -> None:
        for number, (method, params) in enumerate([(_SAVER, saving), (_GO, {})]):
            message = json.dumps({"id": number, "method": method, "params": params})
            session.send("Target.sendMessageToTarget", {"sessionId": event["sessionId"], "message": message})

    session.on("Target.attachedToTarget", tell)
    session.send(_SAVER, saving)
    session.send("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": False})


def kill_workers(page: Page) -> None:
    """End all workers at once, as a browser short of memory does: what they were at is not finished."""
    session = devtools(page)
    session.send("ServiceWorker.enable")
    session.send("ServiceWorker.stopAllWorkers")


def state(page: Page) -> dict[str, Any]:
    """What this origin has in the browser: registrations, caches whose name begins with "rim:", and what lies there."""
    found: dict[str, Any] = page.evaluate(_STATE)
    return found


def installed(page: Page) -> None:
    """Wait until this origin has a worker that is installed."""
    page.evaluate("navigator.serviceWorker.ready.then(() => {})")


def updated(page: Page, release: str) -> None:
    """Wait until all that is fetched unasked of this release is stored."""
    until(f"all of {release}", lambda: kept(page).get("whole") == release)


def kept(page: Page) -> dict[str, Any]:
    """What the worker has written down: the release for new pages (current), the last one that is whole."""
    written: dict[str, Any] = page.evaluate(_KEPT)
    return written


def settled(page: Page) -> None:
    """Have the browser look for another worker, and wait until what comes of it is in charge or gone."""
    page.evaluate(_SETTLE)


def freed(page: Page) -> bool:
    """Whether nothing of ours is left in this browser; False too while the page is being loaded anew."""
    try:
        now = state(page)
    except Error:
        return False
    return not now["registrations"] and not now["caches"] and not now["controlled"]


def heard(page: Page, kind: str, seconds: float = 30, **having: Any) -> dict[str, Any]:
    """The first event of this kind (with these fields) that this page was sent by its worker: waited for."""
    like = "m => m.rim === kind && Object.keys(having).every(k => m[k] === having[k])"
    found = page.wait_for_function(
        f"([kind, having]) => window.heard.find({like})", arg=[kind, having], timeout=seconds * 1000
    )
    value: dict[str, Any] = found.json_value()
    return value
