"""Manifests: those of the sites that this edge serves, made from their releases, proved, and kept for who asks next.

Here lives their making as an edge does it: the blocks through the loader, the signature before anything is shown, each
once however many ask. Not here: their form (content/manifest), who gets which (edge/browsers).

What was made depends on the release and on what was signed, and on nothing else of the site. So a purge or a new host
leaves it, and it goes when no view names that signature any more, or when others need the room.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final

from content import manifest
from content.asking import Walk, ask
from content.catalog import Signed
from content.cid import CID
from content.errors import BadRecord
from content.limits import MiB
from content.manifest import Entry
from content.release import Release
from edge.cache.flight import FillerDied, Flight
from edge.cache.loader import Loader
from edge.coded import Coded, coded
from edge.http.problem import Problem
from edge.replies import RETRY
from edge.site.browser.stub import Standing
from edge.site.router import Router, Table

logger = logging.getLogger("rim.edge")
ROOM: Final = 16 * MiB  # of all that is kept, beside the budget: some 40 sites of 1,000 files, or 400 of 100
JSON: Final = "application/json"
_Key = tuple[Any, ...]
_Core = dict[str, Any]


class Manifests:
    """The manifests of one edge."""

    def __init__(self, loader: Loader, router: Router, room: int = ROOM) -> None:
        self._loader = loader
        self._room = room
        self._made: OrderedDict[_Key, Coded | None] = OrderedDict()  # the latest asked for last
        self._flight: Flight[_Key, Coded | None] = Flight()
        self.bytes = 0
        self.invalid = 0  # manifests that the site's key has not signed as this edge makes them
        router.watchers.append(self._turn)

    async def whole(self, of: Standing) -> Coded | None:
        """The manifest; None where it is not what was signed. Raises Unavailable, ContentError."""
        return await self._once((of.signed, of.ipns, "whole"), lambda: self._whole(of))

    async def workbox(self, of: Standing) -> Coded | None:
        """The list for Workbox, of a manifest that holds."""
        return await self._once((of.signed, of.ipns, "workbox"), lambda: self._workbox(of))

    async def since(self, of: Standing, release: CID) -> Coded | None:
        """What has changed since this release; None where that is not shorter than the whole, which must hold."""
        return await self._once((of.signed, of.ipns, release), lambda: self._since(of, release))

    def _core(self, of: Standing) -> Walk[tuple[tuple[Entry, ...], _Core]]:
        return manifest.made(of.site, of.signed, of.published.release)

    async def _whole(self, of: Standing) -> Coded | None:
        _, core = await self._loader.run(self._core(of))
        try:
            manifest.verify(of.ipns, core, of.signed.signature)
        except BadRecord as error:
            self.invalid += 1
            logger.error("manifest of %s, release %s: %s", of.site, of.signed.release, error)
            return None
        return await coded(manifest.whole(core, of.signed.signature), JSON)

    async def _workbox(self, of: Standing) -> Coded:
        listed, _ = await self._loader.run(self._core(of))
        return await coded(manifest.signed_text({"": manifest.workbox(listed)})[4:-1], JSON)

    async def _since(self, of: Standing, release: CID) -> Coded | None:
        _, core = await self._loader.run(self._core(of))
        old = await self._loader.run(_entries_of(release))
        text = manifest.difference(old, core, of.signed.signature, release)
        return await coded(text, JSON) if len(text) < len(manifest.whole(core, of.signed.signature)) else None

    # What is kept.

    async def _once(self, key: _Key, make: Callable[[], Coroutine[Any, Any, Coded | None]]) -> Coded | None:
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        try:
            made = await self._flight.run(key, make)
        except FillerDied as error:
            raise Problem(503, "This edge is stopping.", headers=RETRY) from error
        if key not in self._made:  # of all who waited, the first
            self._made[key] = made
            self.bytes += _weight(made)
            while self.bytes > self._room and len(self._made) > 1:
                self._drop(next(iter(self._made)))
        return made

    def _turn(self, table: Table) -> None:
        """Other views are there: let go of what was signed for those that are not."""
        if self._made:
            alive: set[Signed] = {signed for view in table.sites.values() for signed in view.site.signed}
            for key in [key for key in self._made if key[0] not in alive]:
                self._drop(key)

    def _drop(self, key: _Key) -> None:
        self.bytes -= _weight(self._made.pop(key))

    async def close(self) -> None:
        """End what is being made."""
        await self._flight.close()

    def __repr__(self) -> str:
        return f"<Manifests {len(self._made)} made, {self.bytes} B>"


def _weight(made: Coded | None) -> int:
    return 1_000 if made is None else made.weight


def _entries_of(release: CID) -> Walk[tuple[Entry, ...]]:
    block = yield from ask(release)
    return (yield from manifest.entries(Release.from_block(block)))
