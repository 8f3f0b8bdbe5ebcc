"""Warm: fetching, before a release goes live, what this edge will be asked for.

Here lives the choice of blocks and their fetching within a budget. Not here: when (edge/control/head), where blocks
come from (edge/cache/loader), or telling the origin (edge/control/report).

An edge warms what it owns in its region, so the ring as a whole holds the release; and what stands in the place of
something that was asked for here, so a visitor's next page is a hit. The rest would push out what others want.
What visitors ask for most comes first, so it is there should the gate's time, or the budget, run out.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from content import tree, walk
from content.cid import CID, RAW
from content.denylists import Denied
from content.errors import ContentError
from content.release import Asset
from content.walk import Leaf, Walk
from edge.cache.absence import ABSENT_FOR
from edge.cache.loader import Loader, Unavailable
from edge.control.popularity import Popularity
from edge.site.view import Published

T = TypeVar("T")

_JITTER = random.Random()  # noqa: S311 (spreads, guards nothing)
AT_ONCE = 16  # fetches of one release under way
RESTS = 30  # times that a busy origin is waited for, each as long as it says; the gate has a deadline of its own


@dataclass(slots=True)
class Staged:
    """What came of warming one release; reported to the origin, which opens the gate when all edges said ok."""

    site: str
    release: str
    ok: bool = True
    blocks: int = 0
    bytes: int = 0
    ms: int = 0
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "error" or value}


@dataclass(slots=True)
class WarmCounts:
    """What warming came to, ever."""

    blocks: int = 0
    errors: int = 0


@dataclass(slots=True)
class Warmer:
    """Warms releases through the loader, each within `budget` bytes."""

    loader: Loader
    node: str
    region: str
    budget: int
    asked: Callable[[str], Mapping[str, int]] = lambda site: {}  # how often each path of a site was asked for here
    is_mine: Callable[[bytes], bool] = lambda key: True  # of the processes of this machine, by a block's key
    counts: WarmCounts = field(default_factory=WarmCounts)

    async def warm(self, site: str, live: Published | None, coming: Published) -> Staged:
        """Fetch what is new in `coming` and ours to have. Never raises: what failed stands in the result."""
        staged = Staged(site, str(coming.cid))
        begun = time.monotonic()
        try:
            changes = await patiently(lambda: self.loader.run(_changes(live, coming), limit=None))
            places = asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as group:
                rank = Popularity(self.asked(site)).of
                changes.sort(key=lambda change: -rank(change[0]))  # stable: what is equal stays in order of path
                for cid, size in self._wanted(changes):
                    if staged.bytes + size > self.budget:
                        break
                    staged.bytes += size
                    await places.acquire()
                    group.create_task(self._fetch(cid, size, staged, places))
        except* (Unavailable, ContentError) as errors:
            staged.ok, staged.error = False, str(errors.exceptions[0])[:500]
            self.counts.errors += 1
        self.counts.blocks += staged.blocks
        staged.ms = round((time.monotonic() - begun) * 1000)
        return staged

    def _wanted(self, changes: list[tuple[str, Any, Any]]) -> Iterator[tuple[CID, int]]:
        """(CID, size) of files and encodings that are new under their path, each once."""
        seen: set[CID] = set()
        for _, before, after in changes:
            if after is None:
                continue
            asset = Asset.from_row(after)
            known = before is not None and self._is_here(Asset.from_row(before).cid)
            for cid, size in ((asset.cid, asset.size), *((e.cid, e.size) for e in asset.encodings.values())):
                if asset.link_target is None and cid not in seen and (known or cid.codec != RAW or self._is_ours(cid)):
                    seen.add(cid)
                    yield cid, size

    async def _fetch(self, cid: CID, size: int, staged: Staged, places: asyncio.Semaphore) -> None:
        try:
            if cid.codec == RAW:
                await self._have(cid, staged)
                return
            for leaf in await patiently(lambda: self.loader.run(_leaves(cid, size))):
                if self._is_ours(leaf.cid):
                    await self._have(leaf.cid, staged)
        except Denied:
            return  # by a list of this edge's own: nobody will be shown it here, and the rest must not wait for it
        finally:
            places.release()

    async def _have(self, cid: CID, staged: Staged) -> None:
        if cid not in self.loader.disk:
            staged.blocks += cid not in self.loader.memory
            loaded = await patiently(lambda: self.loader.get(cid))
            if self.is_mine(cid.store_key):
                self.loader.disk.offer(loaded.block, keep=True)  # on a full disk too: it will be asked for

    def _is_here(self, cid: CID) -> bool:
        return cid in self.loader.memory or cid in self.loader.disk

    def _is_ours(self, cid: CID) -> bool:
        if not self.is_mine(cid.store_key):
            return False
        order = self.loader.ring.order(cid.store_key, self.region)
        well = self.loader.members.healthy(order)
        return not order or (well or order)[0].name == self.node


async def patiently(load: Callable[[], Awaitable[T]]) -> T:
    """What it loads, tried again while the origin only asks for rest: this work has time, and a release must not fail
    because many edges warm it at once. Raises Unavailable, in the end."""
    for _ in range(RESTS):
        try:
            return await load()
        except Unavailable as error:
            if error.rest is None:
                raise
            await asyncio.sleep(max(error.rest, ABSENT_FOR) * _JITTER.uniform(1.0, 1.5))
    return await load()


def _changes(live: Published | None, coming: Published) -> Walk[list[tuple[str, Any, Any]]]:
    if live is not None:
        return (yield from tree.diff(live.release.index, coming.release.index))
    rows = yield from tree.rows(coming.release.index)
    return [(key, None, value) for key, value in rows]


def _leaves(cid: CID, size: int) -> Walk[list[Leaf]]:
    return (yield from walk.leaves(cid, 0, size))
