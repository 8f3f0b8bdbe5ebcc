"""Deltas: `dcz` bodies, made from pairs of files on demand.

Here live the making (one at a time per process, in a thread, each pair once), what is known of each pair, and the
bounds. Not here: which base a digest names (edge/site/delta), which variant a request gets (edge/http/answer), the
fields (edge/http/dictionary), the compression itself (edge/browsers/dcz).

A delta is a block in the memory tier like all others, so its bytes are counted there, and the hot path sends it as it
sends any; one that was pushed out is made again. It is never written to the disk: making it again is cheaper than what
it would push out there. What is known of pairs lasts as long as their view, so a flip, a purge or a denial ends it.

Of several processes each makes its own, and they are the same bytes: what shapes them is no setting.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from content import walk
from content.block import Block
from content.cid import CID, RAW
from content.deltas import DELTA_BYTES
from content.denylists import Denied
from content.errors import BadNode, ContentError
from content.limits import BLOCK_ACCEPTED
from content.release import Asset
from edge.browsers.dcz import compress
from edge.cache.admission import fits_memory
from edge.cache.flight import FillerDied, Flight, Verdict
from edge.cache.loaded import farthest
from edge.cache.loader import Loader, Source, Unavailable
from edge.http.answer import Answer, Asking, Choice, Delta
from edge.http.dictionary import digest_of
from edge.site.delta import base_of
from edge.site.router import Router, Table
from edge.site.view import SiteView

logger = logging.getLogger("rim.edge")
PAIRS: Final = 8_192  # of which is known what became of them, some 250 B each
BASES: Final = 16  # of one file; more come from who invents digests
QUEUE: Final = 16  # pairs that are being made or wait for it ...
QUEUE_BYTES: Final = 4 * DELTA_BYTES  # ... and bytes of their files together: what the queue holds in memory
LEAVES: Final = 1_024  # blocks of one file, 8 KiB each in the largest; to list a million held up the loop for 13 s
PATIENCE: Final = 1.0  # s that a visitor waits for a delta; then he gets what is there, and the next one the delta
REST: Final = 5.0  # s without another try when nobody could be asked for a base: visitors must not wait for that
NICENESS: Final = 10  # of the thread

Key: TypeAlias = tuple[bytes, CID]  # of a view, and a file of it


class Chosen(NamedTuple):
    """A choice; and, of a delta that was made for it just now, where the farthest of its files came from."""

    choice: Choice
    source: Source | None = None


@dataclass(slots=True)
class DeltaCounts:
    """What became of it, ever."""

    made: int = 0
    bytes: int = 0  # of what was made
    seconds: float = 0.0  # of CPU, in the thread
    missed: Counter[str] = field(default_factory=Counter)  # times that one was asked for and not sent, by why


class _Missed(Verdict):
    """No delta this time, for a reason that may pass."""


class Deltas:
    """All pairs of one process."""

    def __init__(
        self, router: Router, loader: Loader, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.loader = loader
        self.counts = DeltaCounts()
        self._router = router
        self.patience = patience
        self._clock = clock
        self._known: OrderedDict[Key, dict[bytes, Delta | None]] = OrderedDict()
        self._pairs = 0
        self._flight: Flight[tuple[Key, bytes], Source | None] = Flight()
        self._begun: dict[tuple[Key, bytes], float] = {}
        self._bytes = 0  # of the files of pairs that are under way
        self._rests_until = float("-inf")
        self._thread = ThreadPoolExecutor(1, "delta", _give_way)
        router.watchers.append(self._retain)

    async def choose(self, view: SiteView, asset: Asset, answer: Answer, asking: Asking) -> Chosen:
        """The answer to this request, as a delta where one is worth it and to be had in time. `answer` learns what is
        known of its pairs, and goes on learning what becomes known."""
        if answer.deltas is None:
            return Chosen(answer.choose(asking))
        key, source = (view.key, asset.cid), None
        answer.deltas = self._known.get(key, answer.deltas)
        if asking.available_dictionary is None:
            return Chosen(answer.choose(asking))
        if self._is_lost(answer, answer.choose(asking)):
            self._forget(key, digest_of(asking.available_dictionary))
        if (digest := answer.awaited(asking)) is not None:
            try:
                source = await self._wait(view, asset, answer, digest)
            except _Missed as error:
                self.counts.missed[str(error)] += 1
            answer.deltas = self._known.get(key, answer.deltas)
        choice = answer.choose(asking)
        if self._is_lost(answer, choice):  # pushed out of memory in this moment
            return Chosen(answer.choose(asking._replace(available_dictionary=None)))
        return Chosen(choice, source)

    def of(self, view: SiteView, cid: CID) -> Mapping[bytes, Delta | None]:
        """What is known of the pairs of a file: SHA-256 of the base → the delta, None where it is not worth sending."""
        return self._known.get((view.key, cid), {})

    async def close(self) -> None:
        """End all that is under way."""
        await self._flight.close()
        await asyncio.to_thread(self._thread.shutdown)

    # Making.

    async def _wait(self, view: SiteView, asset: Asset, answer: Answer, digest: bytes) -> Source | None:
        """Until it is known what becomes of this pair. Raises _Missed where that takes too long, or is not begun."""
        pair = ((view.key, asset.cid), digest)
        now = self._clock()
        begun = self._begun.get(pair)
        if begun is None and now < self._rests_until:
            raise _Missed("unavailable")
        if begun is None and len(self._flight) >= QUEUE:
            raise _Missed("busy")
        least = min(variant.size for variant in answer.variants.values())
        try:
            async with asyncio.timeout(self.patience - (0.0 if begun is None else now - begun)):
                return await self._flight.run(pair, lambda: self._learn(view, asset, digest, least))
        except TimeoutError as error:
            raise _Missed("late") from error
        except FillerDied as error:
            raise _Missed("unavailable") from error

    async def _learn(self, view: SiteView, asset: Asset, digest: bytes, least: int) -> Source | None:
        """Find out what becomes of a pair, and remember it. Raises _Missed."""
        delta, seen = None, set[Source]()
        pair = ((view.key, asset.cid), digest)
        self._begun[pair] = self._clock()
        try:
            delta = await self._make(view, asset, digest, least, seen)
        except Unavailable as error:
            if not error.absent:
                self._rests_until = self._clock() + REST
                raise _Missed("unavailable") from error
            self.counts.missed["unavailable"] += 1
        except (ContentError, Denied) as error:  # or the files are not what their rows say
            logger.warning("no delta to %s from %s: %s", asset.cid, digest.hex(), error)
            self.counts.missed["unfit"] += 1
        finally:
            del self._begun[pair]
        if view.key in self._router.table.keys:
            self._remember(pair[0], digest, delta)
        return None if delta is None else farthest(seen)

    async def _make(self, view: SiteView, asset: Asset, digest: bytes, least: int, seen: set[Source]) -> Delta | None:
        """The delta, in memory; None where it is of `least` bytes or more. Raises _Missed, Unavailable, Denied, and
        BadNode."""
        base = await self.loader.run(base_of(view, digest))
        if base is None:
            self.counts.missed["unknown"] += 1
            return None
        size = base.asset.size + asset.size
        if self._bytes and self._bytes + size > QUEUE_BYTES:
            raise _Missed("busy")
        self._bytes += size
        try:
            old, new = await self._read(base.asset, seen), await self._read(asset, seen)
            loop = asyncio.get_running_loop()
            data, seconds = await loop.run_in_executor(self._thread, compress, old, new, digest)
        finally:
            self._bytes -= size
        self.counts.made += 1
        self.counts.bytes += len(data)
        self.counts.seconds += seconds
        memory = self.loader.memory
        if len(data) >= least or len(data) > BLOCK_ACCEPTED or not fits_memory(len(data), memory.budget):
            self.counts.missed["larger"] += 1
            return None
        block = Block.make(RAW, data)
        memory.put(block.cid, block, len(data))
        return Delta(block.cid, len(data))

    async def _read(self, asset: Asset, seen: set[Source]) -> bytes:
        """All bytes of a file, which is at most DELTA_BYTES long. Raises Unavailable, Denied, BadNode."""
        if asset.cid.codec == RAW:
            loaded = await self.loader.get(asset.cid)
            seen.add(loaded.source)
            data = loaded.block.data
        else:
            leaves = await self.loader.run(walk.leaves(asset.cid, 0, asset.size, LEAVES))
            data = b"".join([piece async for piece in self.loader.read(leaves, seen=seen)])
        if len(data) != asset.size:
            raise BadNode(f"{asset.cid}: {len(data)} bytes, its row says {asset.size}")
        return data

    # What is known.

    def _is_lost(self, answer: Answer, choice: Choice) -> bool:
        """Whether what is chosen is a delta that has left memory."""
        body = choice.body
        if body is None or body in self.loader.memory:
            return False
        return all(variant.cid != body for variant in answer.variants.values())

    def _remember(self, key: Key, digest: bytes, delta: Delta | None) -> None:
        known = self._known.setdefault(key, {})
        self._known.move_to_end(key)
        if len(known) >= BASES:  # rather one that came to nothing: those cost whoever sends them nothing
            self._forget(key, next((old for old, made in known.items() if made is None), next(iter(known))))
        self._pairs += digest not in known
        known[digest] = delta
        while self._pairs > PAIRS:
            self._drop(next(iter(self._known)))

    def _forget(self, key: Key, digest: bytes | None) -> None:
        known = self._known.get(key, {})
        if digest is not None and digest in known:
            delta = known.pop(digest)
            self._pairs -= 1
            if delta is not None:
                self.loader.memory.drop(delta.cid)

    def _drop(self, key: Key) -> None:
        for digest in list(self._known[key]):
            self._forget(key, digest)
        del self._known[key]

    def _retain(self, table: Table) -> None:
        """Other views are there: what was made for those that are not is gone."""
        for key in [key for key in self._known if key[0] not in table.keys]:
            self._drop(key)

    def __repr__(self) -> str:
        return f"<Deltas {self._pairs} pairs, {len(self._begun)} under way>"


def _give_way() -> None:
    """Have the scheduler prefer all else to this thread: whoever names one pair after the other keeps it busy, and a
    visitor who waits for a delta waits for a second at most. Linux alone has threads that are nicer than others."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
