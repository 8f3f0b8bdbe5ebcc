"""Manifests: those of the sites that this edge serves, made from their releases, proved, and kept for who asks next.

Here lives their making as an edge does it: the blocks through the loader, the signature before anything is shown, each
once however many ask. Not here: their form (content/manifest), who gets which (edge/browsers/own).

What was made depends on the release and on what was signed, and on nothing else of the site. So a purge or a new host
leaves it, and it goes when no view names that signature any more, or when others need the room.

Of 1,000 files it takes some 40 ms of a core, and this is the one place where a thread runs Python for so long: a loop
that has to share for a moment is better than one that stands still. But each such thread takes its turns from the loop,
so there is one at a time: sixty strangers who named sixty old releases held it up for seconds (seen). And who names one
while others wait gets the whole, which is at hand.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from content import manifest, tree
from content.asking import Walk, drive
from content.block import Block
from content.catalog import Signed
from content.cid import CID
from content.errors import BadRecord, ContentError
from content.limits import MiB
from content.manifest import Entry
from content.release import Release
from edge.browsers.coded import Coded, coded
from edge.cache.flight import FillerDied, Flight
from edge.cache.loader import Loader, Unavailable
from edge.http.problem import Problem
from edge.replies import RETRY
from edge.site.browser.scripts import JAVASCRIPT
from edge.site.browser.stub import Standing
from edge.site.router import Router, Table

logger = logging.getLogger("rim.edge")
ROOM: Final = 16 * MiB  # of all that is kept, beside the budget: some 40 sites of 1,000 files, or 400 of 100
QUEUE: Final = 4  # that are being made or wait for it: then no difference is begun
JSON: Final = "application/json"
P = ParamSpec("P")
T = TypeVar("T")
_Key = tuple[Any, ...]
_Core = dict[str, Any]


class Manifests:
    """The manifests of one edge."""

    def __init__(self, loader: Loader, router: Router, room: int = ROOM) -> None:
        self._loader = loader
        self._room = room
        self._made: OrderedDict[_Key, Coded | None] = OrderedDict()  # the latest asked for last
        self._flight: Flight[_Key, Coded | None] = Flight()
        self._one = asyncio.Semaphore(1)
        self.bytes = 0
        self.invalid = 0  # manifests that the site's key has not signed as this edge makes them
        router.watchers.append(self._turn)

    async def whole(self, of: Standing) -> Coded | None:
        """The manifest; None where it is not what was signed. Raises Unavailable, ContentError."""
        return await self._once((of.signed, of.ipns, "whole"), lambda: self._whole(of))

    async def workbox(self, of: Standing, script: bool) -> Coded | None:
        """The list for Workbox, of a manifest that holds. `script`: as one that leaves it where Workbox's own tools
        would, and that a browser compares when it looks for a new worker."""
        return await self._once((of.signed, of.ipns, "workbox", script), lambda: self._workbox(of, script))

    async def since(self, of: Standing, release: CID) -> Coded | None:
        """What has changed since this release; None where that is not shorter than the whole, which must hold, where
        others are being made, or where the old one cannot be read now: nobody is to stay with it for that."""
        key = (of.signed, of.ipns, release)
        if key not in self._made and len(self._flight) >= QUEUE:
            return None
        try:
            return await self._once(key, lambda: self._since(of, release))
        except (Unavailable, ContentError) as error:
            logger.warning("manifest of %s since %s: %s", of.site, release, error)
            return None

    async def _core(self, of: Standing) -> tuple[tuple[Entry, ...], _Core]:
        release = of.published.release
        return await self._beside(release, lambda: manifest.made(of.site, of.signed, release))

    async def _beside(self, release: Release, walk: Callable[[], Walk[T]]) -> T:
        """The walk in a thread, over nodes of this release's Index that are at hand by then. Where it asks for others,
        because a path leads through symlinks, it is run here."""
        nodes: dict[CID, Block] = {}
        await self._loader.run(_noting(tree.select(release.index, release.rules.precached), nodes))
        try:
            return await self._think(lambda: drive(walk(), nodes.__getitem__))
        except KeyError:
            return await self._loader.run(walk())

    async def _whole(self, of: Standing) -> Coded | None:
        _, core = await self._core(of)
        try:
            await self._think(manifest.verify, of.ipns, core, of.signed.signature)
        except BadRecord as error:
            self.invalid += 1
            logger.error("manifest of %s, release %s: %s", of.site, of.signed.release, error)
            return None
        return await coded(await self._think(manifest.whole, core, of.signed.signature), JSON)

    async def _workbox(self, of: Standing, script: bool) -> Coded:
        listed, _ = await self._core(of)
        text = manifest.signed_text({"": manifest.workbox(listed)})[4:-1]
        return await coded(b"self.__WB_MANIFEST=%b\n" % text, JAVASCRIPT) if script else await coded(text, JSON)

    async def _since(self, of: Standing, release: CID) -> Coded | None:
        _, core = await self._core(of)
        before = Release.from_block((await self._loader.get(release)).block)
        old = await self._beside(before, lambda: manifest.entries(before))
        text = await self._think(manifest.difference, old, core, of.signed.signature, release)
        whole = await self.whole(of)
        return await coded(text, JSON) if whole is not None and len(text) < whole.asset.size else None

    async def _think(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread, alone: what is waited for meanwhile is never the network."""
        async with self._one:
            return await asyncio.to_thread(act, *args, **kwargs)

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


def _noting(walk: Walk[object], blocks: dict[CID, Block]) -> Walk[None]:
    """The walk, with each block that it was sent written down."""
    try:
        wanted = next(walk)
        while True:
            blocks[wanted] = yield wanted
            wanted = walk.send(blocks[wanted])
    except StopIteration:
        return
