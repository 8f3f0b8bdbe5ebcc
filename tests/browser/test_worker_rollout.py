"""A rollout over visitors who have the service worker: whose pages come out of their browser, so that no page could
bring them the cookie by which they are in or out.

Actors: one edge; headless Chromium.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from content.catalog import WHOLE
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.standing import standing
from tests.edge.wire import edge
from tests.edge.workers import publish, roll_out, take_back
from tests.kit.chromium import installed, visitor

pytestmark = pytest.mark.needs("chromium")
ASK = {"check": 0, "gateways": [], "complete": True}  # at each navigation


def site(version: str) -> dict[str, File]:
    page = f'<!doctype html><h1>{version}</h1><p></p><script src="say.js"></script>'
    return {"index.html": page.encode(), "say.js": f"document.querySelector('p').textContent = '{version}'".encode()}


class Stand:
    """The edge and its origin, on a loop of another thread."""

    def __init__(self, node: Node, origin: TinyOrigin, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.url = f"http://demo.localhost:{node.public_url.rpartition(':')[2]}/"
        self._origin, self._world, self._loop = origin, world, loop

    def commit(self, change: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        """One change of the site; when this returns, the edge serves it."""

        async def run() -> None:
            change(self._world, *arguments, **more)
            await self._origin.serving(await self._origin.sign())

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    world = World()
    publish(world, site("v1"), worker=ASK)

    @asynccontextmanager
    async def start() -> AsyncIterator[tuple[Node, TinyOrigin]]:
        async with edge(tmp_path, world) as both:
            yield both

    with standing(start) as ((node, origin), loop):
        yield Stand(node, origin, world, loop)


def test_a_visitor_with_a_worker_takes_part(stand: Stand, browser: Browser) -> None:
    """Who has v1 stored, and no name yet: out of a rollout to nobody, in when its share grows, out when it is taken
    back; and so who came while it was on, though what he moves between was signed in one commit, with one serial. Page
    and script are of one release each time."""
    with visitor(browser) as early, visitor(browser) as late:
        pages = [early.new_page(), late.new_page()]

        def see(version: str, *those: Page) -> None:
            for page in those or pages:
                page.goto(stand.url)
                expect(page.locator("h1")).to_have_text(version)
                expect(page.locator("p")).to_have_text(version)

        def names() -> list[str]:
            cookies = [cookie for context in (early, late) for cookie in context.cookies()]
            return [str(cookie.get("value")) for cookie in cookies if cookie.get("name") == "rim_visitor"]

        def register(page: Page) -> None:
            page.evaluate("import('/.rim/client.js').then(client => client.register())")
            installed(page)

        see("v1", pages[0])
        register(pages[0])
        stand.commit(roll_out, site("v2"), 0, worker=ASK)
        see("v1")
        register(pages[1])
        see("v1")
        told = names()
        assert len(set(told)) == 2
        stand.commit(roll_out, site("v2"), WHOLE, worker=ASK)
        see("v2")
        see("v2")
        stand.commit(take_back)
        see("v1")
        assert names() == told
