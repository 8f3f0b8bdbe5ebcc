"""Owed: the purges of a Head that this edge has shown and not carried out yet.

Here lives the forgetting of what new floors cover, and which sites still wait for it. Not here: which blocks those are
(edge/control/purge), when it is done and stored (head), how it lies on the disk (stored).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from content.block import Block
from content.catalog import Site
from content.errors import ContentError
from edge.cache.flight import Verdict
from edge.cache.loader import Loader, Unavailable
from edge.control.purge import lost, purged, softened
from edge.site.view import SiteView

logger = logging.getLogger("rim.edge")


class Event(Protocol):
    """Somebody who is told what happens: a word, the site if it is one's, and more."""

    def __call__(self, name: str, site: str | None = None, **detail: Any) -> None: ...


class Owed:
    """What one edge owes: the sites whose purge is not done, as they were before it."""

    def __init__(self, loader: Loader, on_event: Event) -> None:
        self._loader = loader
        self._on_event = on_event
        self.sites: Mapping[str, Site] = {}

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The Site blocks from before: what `recall` takes."""
        return tuple(site.to_block() for site in self.sites.values())

    def recall(self, blocks: Iterable[Block], views: Mapping[str, SiteView]) -> None:
        """What was owed in another life, beside what is served now. Of a site that comes more than once the oldest; one
        that is no older than what is served owes nothing. Raises ContentError."""
        found: dict[str, Site] = {}
        for site in sorted(map(Site.from_block, blocks), key=lambda site: site.generation, reverse=True):
            if site.name in views and site.generation < views[site.name].site.generation:
                found[site.name] = site
        self.sites = found

    def suspect(self, views: Mapping[str, SiteView]) -> None:
        """Owe every purge that still stands: blocks lie here, and what was carried out on them nobody knows."""
        self.sites = {name: Site(name) for name, view in views.items() if view.site.floors or view.site.soft}

    async def carry_out(self, before: Mapping[str, SiteView], after: Mapping[str, SiteView]) -> bool:
        """Whether all that new floors cover is gone, those of earlier Heads too. What to forget stands in Indexes, and
        a node of one may be out of reach; then the site is remembered as it was, and memory goes whole, once for each
        purge: rather cold than wrong. Raises OSError of a disk that lets nothing be taken off it."""
        shown = {name: view.site for name, view in before.items()}
        were = shown | dict(self.sites)
        owed: dict[str, Site] = {}
        for name, view in after.items():
            old = were.get(name)
            if old is None or _same(old, view.site):
                continue
            try:
                await self._forget(name, old, view)
            except (ContentError, Verdict) as error:
                waits = isinstance(error, Verdict)  # an Index that does not read will not read later either
                if not waits or name not in self.sites or not _same(shown.get(name, old), view.site):
                    logger.warning("purge of %s: %s; all blocks in memory go", name, error)
                    self._loader.forget_memory()
                if waits:
                    owed[name] = old
                    continue
            self._on_event("purged", name, generation=view.site.generation)
        self.sites = owed  # only now: who is given up half-way owes as much as before
        return not owed

    async def _forget(self, name: str, old: Site, view: SiteView) -> None:
        """What the new floors cover. Of what only old trees name the origin may keep nothing any more, where this node
        was away for long: then no path leads there, and it lies on the disk until its place is needed. Else the purge
        would be owed for ever."""
        doomed = await self._loader.run(purged(old, view), limit=None)
        try:
            doomed |= await self._loader.run(lost(old, view), limit=None)
        except Unavailable as error:
            if not error.absent:
                raise
            logger.warning("purge of %s: what was kept before it is not known any more: %s", name, error)
            self._loader.forget_memory()
        await self._loader.forget(doomed)
        await self._loader.reread(await self._loader.run(softened(old, view), limit=None))

    def __repr__(self) -> str:
        return f"<Owed: {', '.join(self.sites) or 'nothing'}>"


def _same(one: Site, other: Site) -> bool:
    """Whether no purge lies between them."""
    return one.floors == other.floors and one.soft == other.soft
