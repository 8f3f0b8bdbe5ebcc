"""Views: from a verified Catalog to the SiteViews of all its sites.

Here lives the reading of control blocks, with those of the last Head at hand: what has not changed is neither fetched
nor read again. Not here: whether the Catalog may be believed (edge/control/judging), or swapping (edge/site/router).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from content import ipns, tree
from content.block import Block
from content.catalog import Catalog, Retained, Site
from content.cbor import link
from content.cid import CID
from content.denylist import Denylist
from content.denylists import own_list
from content.errors import BadNode
from content.release import Release
from content.walk import Walk
from edge.site.view import Lender, Published, SiteView

logger = logging.getLogger("rim.edge")
T = TypeVar("T")
Fetch = Callable[[CID], Awaitable[Block]]
_SLICE = 64  # sites read between two breaths of the event loop


@dataclass(frozen=True, slots=True)
class Denied:
    """The Catalog's own list: its rules as they stand there, and as they are asked; and the nodes of their tree."""

    rules: frozenset[str] = frozenset()
    own: Denylist = field(default_factory=lambda: own_list(()))
    nodes: tuple[CID, ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """All sites at one Head, their previews, and every control block that this took."""

    catalog: Catalog
    views: Mapping[str, SiteView]
    blocks: Mapping[CID, Block]
    previews: Mapping[str, tuple[SiteView, ...]] = field(default_factory=dict)  # of the sites that have any
    denied: Denied = field(default_factory=lambda: Denied())

    @property
    def all_views(self) -> list[SiteView]:
        """What a router takes."""
        return [*self.views.values(), *(view for views in self.previews.values() for view in views)]


@dataclass(frozen=True, slots=True)
class Head:
    """What an edge serves: the record, its bytes and the world it names."""

    record: ipns.Record
    raw: bytes
    catalog: CID
    world: World

    @property
    def sequence(self) -> int:
        return self.record.sequence


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


async def build(
    cid: CID, came: Iterable[Block], old: World | None, fetch: Fetch, catalog: Catalog | None = None
) -> World:
    """The world that this Catalog describes; `catalog`: what it says, where that has been read. Raises ContentError,
    and whatever `fetch` raises."""
    held = old.blocks if old is not None else {tree.EMPTY.cid: tree.EMPTY}
    reader = _Reader({block.cid: block for block in came}, held, fetch)
    block = await reader.get(cid)
    catalog = catalog or Catalog.from_block(block)
    rows = await reader.run(tree.rows(catalog.sites))
    views: dict[str, SiteView] = {}
    previews: dict[str, tuple[SiteView, ...]] = {}
    for count, (name, value) in enumerate(rows):
        if count % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        views[name] = await _view(reader, name, link(value), old)
        if views[name].site.aliases:
            previews[name] = await _previews(reader, views[name], old)
    return World(catalog, views, reader.used, previews, await _denied(reader, catalog, old))


async def _denied(reader: _Reader, catalog: Catalog, old: World | None) -> Denied:
    """The Catalog's own denylist, or the one that was there before where nothing has changed."""
    if old is not None and old.catalog.denied == catalog.denied:
        for cid in old.denied.nodes:
            await reader.get(cid)
        return old.denied
    rows = await reader.run(tree.rows(catalog.denied))
    nodes = await reader.run(tree.node_cids(catalog.denied))
    unread: set[str] = set()
    own = own_list(rows, unread)
    if unread:
        logger.error("%d rules of what is denied do not read: this edge is older than its origin", len(unread))
    return Denied(frozenset(text for text, _ in rows) - unread, own, tuple(nodes))


async def _view(reader: _Reader, name: str, cid: CID, old: World | None) -> SiteView:
    last = old.views.get(name) if old is not None else None
    block = await reader.get(cid)
    if last is not None and last.epoch == cid:
        for published in (last.live, last.next, last.rollout):
            if published is not None:
                await reader.get(published.cid)
        return last
    site = Site.from_block(block)
    if site.name != name:
        raise BadNode(f"the Catalog calls a site {name!r} that calls itself {site.name!r}")
    known = {} if last is None else {p.cid: p for p in (last.live, last.next, last.rollout) if p is not None}
    rollout = None if site.rollout is None else site.rollout.item
    live, coming, tried = [await _published(reader, item, known) for item in (site.live, site.next, rollout)]
    return SiteView(cid, site, live, coming, tried)


async def _previews(reader: _Reader, view: SiteView, old: World | None) -> tuple[SiteView, ...]:
    """A view for each preview of a site, which shares the site's epoch."""
    last = {shown.alias: shown for shown in old.previews.get(view.site.name, ())} if old is not None else {}
    made: list[SiteView] = []
    for name, alias in view.site.aliases.items():
        before = last.get(name)
        known = {} if before is None or before.live is None else {before.live.cid: before.live}
        shown = await _published(reader, Retained(alias.release, alias.generation, alias.time), known)
        lent = [] if view.live is None else [(Lender.LIVE, view.live)]
        if alias.before is not None:
            earlier = await _published(reader, Retained(alias.before, alias.generation, alias.time), known)
            assert earlier is not None
            lent.append((Lender.BEFORE, earlier))
        made.append(SiteView(view.epoch, view.site, shown, alias=name, terms=alias, lent=tuple(lent)))
    return tuple(made)


async def _published(reader: _Reader, kept: Retained | None, known: Mapping[CID, Published]) -> Published | None:
    """The release, with the rules that were compiled for it if it was there before."""
    if kept is None:
        return None
    block = await reader.get(kept.release)
    same = known.get(kept.release)
    if same is not None and same.generation == kept.generation:
        return same
    return Published(kept.release, Release.from_block(block), kept.generation)
