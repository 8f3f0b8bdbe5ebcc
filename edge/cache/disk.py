"""Disk: the second tier. Blocks in files named by their hash, within a budget of bytes.

Here live the tier's verbs, the queue of writes, and what to do when the disk or the index is sick: count it and serve
on. Not here: file names, writing, the index itself (shelf), who goes when it is full (inventory), who may enter then
(admission), how the book and the index are brought in line (stock).

One thread writes, a few read; the event loop alone knows what is held. Nothing in here raises for a sick disk, and
nothing is believed because it lies on ours: every block is hashed when it is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from content.block import Block
from content.cid import CID, SHA2_256
from content.errors import ContentError
from content.limits import MiB
from edge.cache.admission import Door, Probation, fits_disk
from edge.cache.inventory import Inventory, Policy, cost
from edge.cache.shelf import INDEX_ERRORS, Shelf
from edge.cache.stock import Stock

T = TypeVar("T")

READERS = 4  # threads: reading and hashing release the GIL, more than this only queue at the disk
WAITING_MAX = 64 * MiB  # of blocks, in pages, that wait to be written; past it new ones are not taken
BATCH = 64  # blocks to one transaction ...
BATCH_BYTES = 16 * MiB  # ... and bytes
SLICE = 512  # files unlinked by one call of the writing thread
DOOMED_FROM = 512  # blocks taken away at once that are no longer waited for: unlinking 100,000 takes seconds
BARRED_FOR = 600 * 10**9  # ns in which the owner of a removed block has unlinked it
FREE_FOR = 1.0  # s that a look at the filesystem's free space holds, less what was written since
SICK_FOR = 10.0  # s after a write that failed for good in which the disk counts as sick
_SICK = frozenset({errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.ESTALE})  # full is not sick
TICK = 5.0  # s between two looks at recency to write down and an index to win back


@dataclass(slots=True)
class DiskCounts:
    """What happened, ever. Error counters are by errno's name or the exception's."""

    hits: int = 0
    misses: int = 0
    stored: int = 0
    written: int = 0  # bytes of what was stored
    evicted: int = 0
    quarantined: int = 0  # what lay under the name was not the block
    skipped: int = 0  # not taken: too large, the disk sick or short of space, too much waiting, or not ours to write
    short_of_space: int = 0  # times the filesystem had too little left, and blocks went for it
    on_probation: int = 0  # seen once while the disk was full, and not written
    read_errors: Counter[str] = field(default_factory=Counter)
    write_errors: Counter[str] = field(default_factory=Counter)
    index_errors: Counter[str] = field(default_factory=Counter)
    rebuilds: int = 0  # times a broken index was made anew


@dataclass(slots=True, eq=False)
class _Store:
    key: bytes
    block: Block
    done: asyncio.Future[bool]


@dataclass(slots=True, eq=False)
class _Remove:
    keys: list[bytes]
    done: asyncio.Future[bool]


class DiskTier:
    """One node's blocks on disk. `owner=False` (a second process on the folder) reads and never writes.

    Several processes may share the folder: each gets an `index` of its own (a folder below this one), its part of the
    budget, and `owns`, which says of a block's key (CID.store_key) whether it is this process that writes, counts and
    deletes it. Any of them reads all. When their number changes, `shelf.retire_indexes` comes first.

    `min_free` bytes of the filesystem are left to others, whatever the budget says (None: a small part). `used_above`
    tells of a key whether the tier above answered its block again since it came: a use which this tier does not see.
    """

    def __init__(
        self,
        folder: Path,
        budget: int,
        *,
        owner: bool = True,
        owns: Callable[[bytes], bool] | None = None,
        index: str = "",
        policy: Policy = "s3fifo",
        min_free: int | None = None,
        used_above: Callable[[bytes], bool] = lambda key: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = owner
        self.counts = DiskCounts()
        self._owns = owns
        self._shelf = Shelf(folder, index)
        self._door = Door(clock)
        self._clock = clock
        self._waiting: dict[bytes, _Store] = {}
        self._held = Inventory(budget, policy, used_above)
        self._probation = Probation(budget if policy == "s3fifo" else 0)
        self._used_above = used_above
        self._min_free = min_free
        self._spare = 0  # bytes that may be written before the filesystem is looked at again ...
        self._looked = float("-inf")  # ... and when it was
        self._stock = Stock(self._shelf, self._held, self._write, self._is_ours, self._waiting.keys())
        self._barred = self._shelf.doomed_by_others()  # removed, another's to unlink: read only if written since (ns)
        self._doomed = set(self._shelf.doomed())  # to go, and not to be read until then; a kill may have left some
        self._sick: tuple[str, float] | None = None  # how a write failed, and when
        self._waiting_bytes = 0
        self._jobs: deque[_Store | _Remove] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._whole = asyncio.Event()  # all files are known, so what is not known is not there
        self._closing = asyncio.Event()
        self._readers = ThreadPoolExecutor(READERS, "rim-disk-read")
        self._writer = ThreadPoolExecutor(1, "rim-disk-write")

    # Life.

    async def open(self) -> None:
        """Begin to serve at once, from the names alone; the index is read, or rebuilt, behind it."""
        if self.owner and self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def ready(self) -> None:
        """Wait until everything on disk is known. A tier that only reads never knows, and needs not."""
        if self.owner:
            await self._whole.wait()

    async def settled(self) -> None:
        """Wait until nothing is queued to be written or removed."""
        while self._worker is not None:
            await asyncio.wait((self._worker,))

    async def close(self) -> None:
        """Write down what is still to be written, and let go of everything."""
        self._closing.set()
        if self._keeper is not None:
            await asyncio.wait((self._keeper,))  # not cancelled: a removal it has begun should reach the disk
        self._whole.set()  # it may never have been opened
        await self.settled()
        await self._stock.write_uses()
        await self._write(self._shelf.close)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    # The tier's verbs.

    async def get(self, cid: CID) -> Block | None:
        """The block, verified; None when absent, or when what lay there was not it."""
        if cid.hash_code != SHA2_256 or self._closing.is_set():
            return None
        key = cid.store_key
        if waiting := self._waiting.get(key):
            return waiting.block if waiting.block.cid == cid else Block(cid, waiting.block.data)
        if known := self._use_on_probation(key):
            self.counts.hits += 1
            return known if known.cid == cid else Block(cid, known.data)
        if key in self._doomed or (self._whole.is_set() and key not in self._held and self._is_ours(key)):
            self.counts.misses += 1
            return None
        since = self._barred.get(key, 0)
        block = await asyncio.get_running_loop().run_in_executor(self._readers, _read, self._shelf, cid, since)
        if since != self._barred.get(key, 0):
            block = None  # barred since this was asked
        return self._judge(key, block)

    def offer(self, block: Block, *, keep: bool = False) -> bool:
        """Store it soon, if all is well and it is worth its place, which it is with `keep`; never waits, never raises.
        False: not stored, or not yet."""
        return self._take(block, keep) is not None

    async def put(self, block: Block) -> bool:
        """Store it; True once it lies under its name. Never raises for a sick disk."""
        done = self._take(block, keep=True)
        return done is not None and await asyncio.shield(done)

    async def remove(self, cids: Iterable[CID]) -> None:
        """Take blocks away, rows first (a purge, a denied CID). On return none of them is answered again from what
        lies here now, whatever happens to this process.

        A few are gone then. Many are written down in a list instead, one write and one fsync, and go behind it: from
        that list on, here and after a restart, they are as absent as if they were gone. Road not taken: an epoch for
        each block (when it was last proved), compared at each read. That needs a clock in every row, which an index
        that may be lost at any time cannot hold.
        """
        keys = [cid.store_key for cid in cids if cid.hash_code == SHA2_256]
        for key in keys:
            self._probation.take(key)
        self._bar([key for key in keys if not self._is_ours(key)])
        keys = [key for key in keys if self._is_ours(key)]
        if len(keys) >= DOOMED_FROM:
            keys = await self._doom(keys)
        if keys:
            await asyncio.shield(self._queue_removal(keys))

    @property
    def used(self) -> int:
        """Bytes on disk, in whole pages."""
        return self._held.bytes

    @property
    def budget(self) -> int:
        """Bytes that may be."""
        return self._held.budget

    @property
    def sickness(self) -> str | None:
        """How writes fail at present, by errno's name; None: they do not. A full disk is well."""
        if self._sick is None or self._clock() >= self._sick[1] + SICK_FOR:
            return None
        return self._sick[0]

    def __contains__(self, cid: CID) -> bool:
        """Whether this process holds it. What another process of the folder owns is not known, only read."""
        return cid.store_key in self._held or cid.store_key in self._waiting

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        index = "with" if self._shelf.has_index else "without"
        return f"<DiskTier {len(self._held)} blocks, {self.used} of {self.budget} B, {index} index>"

    def _is_ours(self, key: bytes) -> bool:
        return self.owner and (self._owns is None or self._owns(key))

    def _use_on_probation(self, key: bytes) -> Block | None:
        """A block on probation; that somebody asks again decides for it."""
        block = self._probation.take(key)
        if block is not None and self._take(block, keep=True) is None:
            self._probation.enter(key, block)  # it cannot be written now
        return block

    def _probate(self, key: bytes, block: Block) -> None:
        """Put a block on probation, and decide on those whose time is over."""
        self._probation.enter(key, block)
        for gone, other in self._probation.overflow():
            if not self._used_above(gone) or self._take(other, keep=True) is None:
                self._probation.forget(gone, other, len(self._held))

    # Reading.

    def _judge(self, key: bytes, found: Block | Exception | None) -> Block | None:
        """What a reader brought, and what follows from it."""
        if key in self._doomed:  # since this was asked
            found = None
        if isinstance(found, Block):
            self.counts.hits += 1
            if not self._whole.is_set() and key not in self._held and self._is_ours(key):
                self._held.enter(key, len(found.data))  # the walk has not come to it yet
            self._held.use(key)
            return found
        self.counts.misses += 1
        if isinstance(found, ContentError):
            self.counts.quarantined += 1
        elif found is not None:
            self.counts.read_errors[_label(found)] += 1
            if not isinstance(found, OSError) or found.errno != errno.EIO:
                return None  # out of descriptors, say: the file is not to blame
        if self._is_ours(key) and not self._closing.is_set() and (found is not None or key in self._held):
            self._queue_removal([key])
        return None

    def _bar(self, keys: list[bytes]) -> None:
        """Do not read these until their owner has written them anew; it may not have unlinked them yet."""
        now = time.time_ns()
        self._barred.update(dict.fromkeys(keys, now))
        for key, at in list(self._barred.items())[: len(keys) + 1] if keys else ():
            if now - at > BARRED_FOR:
                del self._barred[key]

    # Taking many away.

    async def _doom(self, keys: list[bytes]) -> list[bytes]:
        """Have these go behind us. Returns those that must be waited for: what is only now being written can still be
        read from the queue; and all, where the list cannot be written."""
        if self._whole.is_set():
            keys = [key for key in keys if key in self._held or key in self._waiting]
        later = {key for key in keys if key not in self._waiting} - self._doomed
        if not later:
            return keys
        self._doomed |= later
        try:  # by the writing thread: it may be about to end the list that was
            await asyncio.get_running_loop().run_in_executor(self._writer, self._shelf.doom, list(later))
        except OSError as error:
            self.counts.write_errors[_label(error)] += 1
            self._doomed -= later
            return keys
        self._let_go(list(later))
        return [key for key in keys if key not in later]

    def _let_go(self, keys: list[bytes]) -> None:
        """Queue the removals in slices, so that what is stored meanwhile need not wait long."""
        for start in range(0, len(keys), SLICE):
            self._queue_removal(keys[start : start + SLICE])

    async def _end_doom(self, keys: list[bytes]) -> None:
        """These are gone. With the last of them the list goes."""
        if self._doomed:
            self._doomed.difference_update(keys)
            if not self._doomed:
                await self._write(self._shelf.end_doom)

    # Writing.

    def _take(self, block: Block, keep: bool) -> asyncio.Future[bool] | None:
        """Queue a block for writing; the promise that it was, or None when it is not taken."""
        key, size = block.cid.store_key, len(block.data)
        if waiting := self._waiting.get(key):
            return waiting.done
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if key in self._held:
            done.set_result(True)
            return done
        if block.cid.hash_code != SHA2_256:
            return None
        if not self._may_write(key, size):
            self.counts.skipped += 1
            return None
        if not keep and not self._is_worth_it(key, size):
            self.counts.on_probation += 1
            self._probate(key, block)
            return None
        self._probation.take(key)
        self._waiting[key] = job = _Store(key, block, done)
        self._waiting_bytes += cost(size)
        self._queue(job)
        return done

    def _is_worth_it(self, key: bytes, size: int) -> bool:
        """Whether a block that nobody asked to keep gets a place: while there is room, all do."""
        if self._held.has_room(self._waiting_bytes + cost(size)) or not self._probation.budget:
            return True
        needed_by_a_start = key[:1] == b"c"
        return needed_by_a_start or key in self._probation or self._probation.knew(key)

    def _may_write(self, key: bytes, size: int) -> bool:
        ours = self._is_ours(key) and not self._closing.is_set()
        fits = fits_disk(size, self.budget) and self._waiting_bytes + cost(size) <= WAITING_MAX
        return ours and fits and self._door.is_open

    def _queue_removal(self, keys: list[bytes]) -> asyncio.Future[bool]:
        for key in keys:
            self._held.leave(key)
            self._probation.take(key)
        self._stock.left(keys)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue(_Remove(keys, done))
        return done

    def _queue(self, job: _Store | _Remove) -> None:
        self._jobs.append(job)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    async def _work(self) -> None:
        """Do the queued jobs in their order, alike ones together."""
        try:
            while self._jobs:
                batch = self._next_batch()
                removed = [key for job in batch if isinstance(job, _Remove) for key in job.keys]
                stuck = await self._remove_all(removed)
                await self._end_doom([key for key in removed if key not in stuck])
                await self._store_all([job for job in batch if isinstance(job, _Store)])
                for job in batch:
                    if not job.done.done():
                        job.done.set_result(isinstance(job, _Remove))
        finally:
            self._worker = None

    def _next_batch(self) -> list[_Store | _Remove]:
        """The next jobs that are alike, in their order, and no more at once than find room together."""
        batch = [self._jobs.popleft()]
        room = min(BATCH_BYTES, self.budget // 2)
        keys = SLICE  # of removals, so that what waits to be stored need not wait long
        while self._jobs and type(self._jobs[0]) is type(batch[0]) and len(batch) < BATCH:
            job = self._jobs[0]
            if isinstance(job, _Store):
                room -= cost(len(job.block.data))
            else:
                keys -= len(job.keys)
            if room < 0 or keys < 0:
                break
            batch.append(self._jobs.popleft())
        return batch

    async def _store_all(self, jobs: list[_Store]) -> None:
        if not jobs:
            return
        await self._whole.wait()  # before that nobody knows what room there is
        coming = sum(cost(len(job.block.data)) for job in jobs)
        await self._make_room(coming)
        if not await self._leaves_space(coming):
            for job in jobs:
                self._skip(job)
            return
        items = [(job.key, job.block.data) for job in jobs]
        results = await self._write(self._shelf.store, items)
        if results is None:  # the index failed, the files need not
            results = await self._write(self._shelf.store_files, items) or [OSError()] * len(jobs)
        for job, error in zip(jobs, results, strict=True):
            self._land(job, error)

    def _skip(self, job: _Store) -> None:
        del self._waiting[job.key]
        self._waiting_bytes -= cost(len(job.block.data))
        self.counts.skipped += 1
        job.done.set_result(False)

    def _land(self, job: _Store, error: Exception | None) -> None:
        del self._waiting[job.key]
        self._waiting_bytes -= cost(len(job.block.data))
        if error is None:
            self.counts.stored += 1
            self.counts.written += len(job.block.data)
            self._held.enter(job.key, len(job.block.data))
        else:
            self._fail(error)
        job.done.set_result(error is None)

    def _fail(self, error: Exception) -> None:
        """A write failed: count it, and write nothing for a moment."""
        self.counts.write_errors[_label(error)] += 1
        self._door.shut()
        if isinstance(error, OSError) and error.errno in _SICK:
            self._sick = (_label(error), self._clock())

    async def _remove_all(self, keys: list[bytes]) -> set[bytes]:
        """Returns those that the disk would not let go of: they are doomed, so a later start tries again, and are not
        answered until then."""
        for key in keys:
            self._held.leave(key)
        stuck = await self._write(self._shelf.remove, keys) if keys else None
        if stuck:
            self.counts.write_errors["unlink"] += len(stuck)
            self._doomed.update(stuck)
            await self._write(self._shelf.doom, stuck)
        return set(stuck or ())

    async def _make_room(self, coming: int) -> None:
        while victims := self._held.make_room(coming):
            await self._evict(victims)

    async def _evict(self, victims: list[bytes]) -> None:
        self.counts.evicted += len(victims)
        for start in range(0, len(victims), SLICE):
            await self._remove_all(victims[start : start + SLICE])

    async def _leaves_space(self, coming: int) -> bool:
        """Whether the filesystem keeps its free space when so many bytes are written. Where it does not, blocks go
        until it does; what was to be written then is not."""
        if coming > self._spare or self._clock() >= self._looked + FREE_FOR:
            if (spare := await self._write(self._shelf.spare, self._min_free)) is None:
                return False
            self._spare, self._looked = spare, self._clock()
        lack = coming - self._spare
        self._spare -= coming
        if lack <= 0:
            return True
        self._looked = float("-inf")
        self.counts.short_of_space += 1
        while lack > 0 and (victims := self._held.shrink(min(lack, BATCH_BYTES))):
            lack -= BATCH_BYTES
            await self._evict(victims)
        return False

    # Keeping.

    async def _keep(self) -> None:
        await self._write(self._shelf.prepare)
        await self._stock.take(self._closing.is_set)
        self.counts.rebuilds = self._stock.rebuilds
        self._let_go(list(self._doomed))
        self._whole.set()
        await self._make_room(0)
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._closing.wait()
            await self.tick()

    async def tick(self) -> None:
        """Write down what was used; win back a lost index; give way to others who fill the filesystem. Called every
        few seconds by itself."""
        await self._leaves_space(0)
        await self._stock.write_uses()
        self.counts.rebuilds = self._stock.rebuilds

    async def _write(self, call: Callable[..., T], *arguments: object) -> T | None:
        """Run one call on the writing thread; None when disk or index failed, which is counted."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer, call, *arguments)
        except INDEX_ERRORS as error:
            self.counts.index_errors[_label(error)] += 1
            # A failed COMMIT leaves diskcache's connection inside its transaction for good: always begin anew.
            await asyncio.get_running_loop().run_in_executor(self._writer, self._shelf.close)
        except OSError as error:
            self._fail(error)
        except Exception as error:  # a bug in here must not cost a visitor his page
            self.counts.write_errors[_label(error)] += 1
        return None


def _read(shelf: Shelf, cid: CID, since: int) -> Block | Exception | None:
    """Read and prove one block; in a thread. Failures are returned, for they are the loop's to count."""
    try:
        data = shelf.read(cid.store_key, since)
        return None if data is None else Block(cid, data)
    except (OSError, ContentError) as error:
        return error


def _label(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, str(error.errno))
    return type(error).__name__
