"""Views: from a verified Catalog to the SiteViews of all its sites.

Here lives the reading of control blocks, with those of the last Head at hand: what has not changed is neither fetched
nor read again. Not here: whether the Catalog may be believed (edge/control/head), or swapping (edge/site/router).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from content import tree
from content.block import Block
from content.catalog import Catalog, Retained, Site
from content.cbor import link
from content.cid import CID
from content.errors import BadNode
from content.release import Release
from content.walk import Walk
from edge.site.view import Published, SiteView

T = TypeVar("T")
Fetch = Callable[[CID], Awaitable[Block]]
_SLICE = 64  # sites read between two breaths of the event loop


@dataclass(frozen=True, slots=True)
class World:
    """All sites at one Head, and every control block that this took."""

    catalog: Catalog
    views: Mapping[str, SiteView]
    blocks: Mapping[CID, Block]


@dataclass(slots=True)
class _Reader:
    """Takes blocks from those that came, then from those that were there, then from whoever has them; keeps all."""

    came: Mapping[CID, Block]
    held: Mapping[CID, Block]
    fetch: Fetch
    used: dict[CID, Block] = field(default_factory=dict)

    async def get(self, cid: CID) -> Block:
        block = self.used.get(cid) or self.came.get(cid) or self.held.get(cid) or await self.fetch(cid)
        self.used[cid] = block
        return block

    async def run(self, walk: Walk[T]) -> T:
        try:
            wanted = next(walk)
            while True:
                wanted = walk.send(await self.get(wanted))
        except StopIteration as end:
            result: T = end.value
            return result


async def build(cid: CID, came: Iterable[Block], old: World | None, fetch: Fetch) -> World:
    """The world that this Catalog describes. Raises ContentError, and whatever `fetch` raises."""
    held = old.blocks if old is not None else {tree.EMPTY.cid: tree.EMPTY}
    reader = _Reader({block.cid: block for block in came}, held, fetch)
    catalog = Catalog.from_block(await reader.get(cid))
    rows = await reader.run(tree.rows(catalog.sites))
    views: dict[str, SiteView] = {}
    for count, (name, value) in enumerate(rows):
        if count % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        views[name] = await _view(reader, name, link(value), old)
    return World(catalog, views, reader.used)


async def _view(reader: _Reader, name: str, cid: CID, old: World | None) -> SiteView:
    last = old.views.get(name) if old is not None else None
    if last is not None and last.epoch == cid:
        for published in (last.live, last.next):
            if published is not None:
                await reader.get(published.cid)
        await reader.get(cid)
        return last
    site = Site.from_block(await reader.get(cid))
    if site.name != name:
        raise BadNode(f"the Catalog calls a site {name!r} that calls itself {site.name!r}")
    return SiteView(cid, site, await _published(reader, site.live), await _published(reader, site.next))


async def _published(reader: _Reader, kept: Retained | None) -> Published | None:
    if kept is None:
        return None
    release = Release.from_block(await reader.get(kept.release))
    return Published(kept.release, release, kept.generation)
