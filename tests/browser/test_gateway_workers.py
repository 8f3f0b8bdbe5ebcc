"""Service workers on an IPFS gateway and on sites' own hosts: nobody's rules over what is another's.

Actors: one edge with two gateway hosts, one for paths and one with subdomains, and two sites; headless Chromium.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page

from content import unixfs
from content.cid import CID
from edge.gateway.hosts import parse_hosts
from edge.site.browser import scripts
from tests.edge.sites import File, World
from tests.edge.standing import standing
from tests.edge.wire import edge
from tests.edge.workers import publish

pytestmark = pytest.mark.needs("chromium")
SW = b'self.addEventListener("fetch", event => event.respondWith(new Response("by a worker")));\n'
FILES: dict[str, File] = {
    "index.html": b"<!doctype html><title>t</title>",
    "sw.js": SW,
    "sub/sw.js": SW,
    ".rim/sw.js": SW,
    "_headers": b"/*\n  Service-Worker-Allowed: /\n",
}
# "" where it was registered, else the kind of refusal
REGISTER = """async ([script, scope]) => {
  try { await navigator.serviceWorker.register(script, scope ? { scope } : {}); return ""; }
  catch (error) { return error.name; }
}"""
SCOPES = "async () => (await navigator.serviceWorker.getRegistrations()).map(one => new URL(one.scope).pathname)"


@dataclass(frozen=True)
class Stand:
    """The edge's port, and the roots of two folders that its gateway shows."""

    port: int
    roots: tuple[CID, CID]

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    @asynccontextmanager
    async def start() -> AsyncIterator[Stand]:
        world = World()
        publish(world, {"index.html": b"<!doctype html><title>t</title>"}, name="ours")
        world.publish("own", FILES)
        roots = tuple(folder(world, {**FILES, "name.txt": name}) for name in (b"one", b"two"))
        hosts = parse_hosts("gw.localhost, paths.localhost;paths")
        async with edge(tmp_path_factory.mktemp("edge"), world, gateway_hosts=hosts) as (node, origin):
            origin.public.update(roots)
            yield Stand(int(node.public_url.rpartition(":")[2]), (roots[0], roots[1]))

    with standing(start) as (stand, _):
        yield stand


def folder(world: World, files: dict[str, File]) -> CID:
    emit = world.store.emit
    nodes = {path: unixfs.file(data, emit) for path, data in files.items() if isinstance(data, bytes)}
    return unixfs.root(nodes, emit).cid.v1


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def register(page: Page, script: str, scope: str = "") -> str:
    return str(page.evaluate(REGISTER, [script, scope]))


@pytest.mark.parametrize("file", ["sw.js", "sub/sw.js", ".rim/sw.js"])
def test_a_path_gateway_takes_no_worker(stand: Stand, page: Page, file: str) -> None:
    """Neither over a root, nor over its own folder, nor over another root, whatever the published `_headers` say; from
    a page of that origin which may register one (documents of content are sandboxed, and may not even ask). The same
    script is read as a file, so it is the registration that is refused."""
    page.goto(stand.url("paths.localhost", "/no-content-path"))
    one, two = (f"/ipfs/{root}" for root in stand.roots)
    script = f"{one}/{file}"
    assert page.evaluate("async url => (await fetch(url)).status", script) == 200
    for scope in ("", f"{script.rpartition('/')[0]}/", f"{one}/", f"{two}/", "/ipfs/", "/"):
        assert register(page, script, scope) != "", scope
    assert page.evaluate(SCOPES) == []


def test_a_document_on_a_path_gateway_has_no_workers_at_all(stand: Stand, page: Page) -> None:
    """Its origin is opaque: another's registration could not reach it, and it makes none."""
    page.goto(stand.url("paths.localhost", f"/ipfs/{stand.roots[0]}/"))
    assert page.title() == "t"
    assert register(page, "sw.js") != ""


def test_each_root_has_an_origin_of_its_own(stand: Stand, page: Page) -> None:
    """Below a host with subdomains a worker rules over its own root, and no other root knows of it. What is published
    under `.rim/` is a file like any other there: no header lets it out of its folder."""
    one, two = (f"{root}.ipfs.gw.localhost" for root in stand.roots)
    page.goto(stand.url(one))
    assert register(page, "/.rim/sw.js", "/") == "SecurityError"
    assert register(page, "/sw.js") == ""
    page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    page.goto(stand.url(one, "/name.txt"))
    assert page.text_content("body") == "by a worker"
    page.goto(stand.url(two, "/name.txt"))
    assert page.text_content("body") == "two"
    assert page.evaluate(SCOPES) == []


def test_a_site_has_a_worker_of_its_own_making(stand: Stand, page: Page) -> None:
    """/sw.js of a site that has not asked for ours: it rules over the site, /.rim/ too, as far as the browser asks it.
    Another site of the same edge knows nothing of it."""
    page.goto(stand.url("own.localhost"))
    assert register(page, "/sw.js") == ""
    page.evaluate("navigator.serviceWorker.ready.then(() => 0)")
    page.goto(stand.url("own.localhost", "/anything"))
    assert page.text_content("body") == "by a worker"
    page.goto(stand.url("ours.localhost"))
    assert page.evaluate(SCOPES) == []


def test_ours_rules_over_the_site_from_below_its_folder(stand: Stand, page: Page) -> None:
    """/.rim/sw.js may have the scope `/`, because it says so; what it imports is the worker of this edge."""
    page.goto(stand.url("ours.localhost"))
    assert register(page, "/.rim/sw.js", "/") == ""
    assert page.evaluate(SCOPES) == ["/"]
    assert page.evaluate("async url => (await fetch(url)).status", scripts.worker_path()) == 200
