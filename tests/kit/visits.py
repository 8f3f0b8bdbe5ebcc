"""A visitor with a browser of its own at a site with a service worker: the first visit, the way back, an update.

Here live the steps, which know nothing of whose worker it is. Not here: what was asked of the edge meanwhile
(tests/kit/accesslog), or which sites there are.
"""

from __future__ import annotations

from types import TracebackType

from playwright.sync_api import Browser, Page

# The worker is active, so all that it keeps is there: both workers here precache before they let themselves activate.
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
  const old = registration.active;
  await registration.update();
  const next = registration.installing ?? registration.waiting ?? registration.active;
  if (next === old) return false;
  while (next.state !== "activated" && next.state !== "redundant") {
    await new Promise((changed) => next.addEventListener("statechange", changed, { once: true }));
  }
  return next.state === "activated";
}"""
_KEPT = """async () => {
  let kept = 0;
  for (const name of await caches.keys()) kept += (await (await caches.open(name)).keys()).length;
  return kept;
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

    def come(self) -> Page:
        """Open the site in a new tab, alone; the page has loaded all that it asks for by itself."""
        for page in self._context.pages:
            page.close()
        page = self._context.new_page()
        page.goto(self._url, wait_until="networkidle")
        return page

    def install(self) -> float:
        """The first visit: milliseconds from the navigation to an active worker."""
        page = self._context.new_page()
        page.goto(self._url, wait_until="load")
        return float(page.evaluate(_INSTALLED))

    def update(self, page: Page) -> bool:
        """Whether there was a new worker; it is active now."""
        return bool(page.evaluate(_UPDATED))

    def kept(self, page: Page) -> int:
        """Entries in all caches of the site."""
        return int(page.evaluate(_KEPT))
