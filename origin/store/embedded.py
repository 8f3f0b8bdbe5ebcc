"""Embedded: the default store, packs on this machine's disk with an index in memory.

Here lives the index, the batches and the order of durability: a block is in the index only after the fsync of the
batch it came in, so what `has` says survives power loss. Not here: the file itself (store/pack), nor which blocks may
go (origin/gc); compaction of what went is in store/compact.

The index is rebuilt from the packs at start. The last pack's tail may be torn (killed while writing, or power lost
before the fsync): the file is cut after its last section that verifies, which loses nothing acknowledged.
Road not taken: one file per block (seen: 0.41 s per 1,000 durable blocks, against 0.03 s in a pack).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from content.block import Block
from content.cid import CID, IDENTITY
from content.errors import BadBlock
from content.limits import MiB
from origin.errors import StateError
from origin.state import store_error, sync_folder
from origin.steps import step
from origin.store import Freed, Marks
from origin.store.compact import compact
from origin.store.pack import HEADER, Pack, prefix

PACK_BYTES = 512 * MiB  # a pack past this is closed: compaction needs at most this much free space
BATCH_BYTES = 32 * MiB  # written between two fsyncs: 14 ms of fsync seen on a cloud disk, and bounds the torn tail
WRITE_BYTES = 4 * MiB  # gathered for one writev
TAIL_BYTES = 2 * BATCH_BYTES  # hashed at start: more than one batch, which is all that can be torn

T = TypeVar("T")
Entry = tuple[Pack, int, int]  # where a block's data is: pack, offset, length


class Embedded:
    """The packs under one folder. One writer at a time (a lock); readers never wait."""

    follows = False
    calls: Mapping[str, int] = {}  # it asks nobody
    failures: Mapping[str, int] = {}

    def __init__(self, folder: Path, pack_bytes: int = PACK_BYTES, batch_bytes: int = BATCH_BYTES) -> None:
        self.folder = folder
        self.pack_bytes = pack_bytes
        self.batch_bytes = batch_bytes
        self.index: dict[bytes, Entry] = {}
        self.bytes = 0
        self.corrupt = 0  # blocks found not to hash when read; they count as missing, so that they are sent again
        self.torn = 0  # torn tail taken away at start
        self.writing = threading.RLock()
        self._touched: set[bytes] | None = None
        self._swept = 0  # blocks forgotten since the last compaction
        self.packs: list[Pack] = []
        paths = sorted(folder.glob("*.car"))
        for path in paths:
            self._load(path, last=path is paths[-1])

    def __repr__(self) -> str:
        return f"<Embedded {self.blocks} blocks, {self.bytes} B, {len(self.packs)} packs>"

    @property
    def blocks(self) -> int:
        return len(self.index)

    def get(self, cid: CID) -> Block | None:
        if cid.hash_code == IDENTITY:
            return Block(cid, cid.digest)
        entry = self.index.get(cid.store_key)
        if entry is None:
            return None
        pack, offset, length = entry
        with suppress(OSError, BadBlock):  # a disk that lies is a count and a miss, never wrong bytes
            return Block(cid, pack.read(offset, length))
        self.corrupt += 1
        self.forget((cid.store_key,))
        return None

    def has(self, cid: CID) -> bool:
        return cid.store_key in self.index or cid.hash_code == IDENTITY

    def length(self, cid: CID) -> int | None:
        if cid.hash_code == IDENTITY:
            return len(cid.digest)
        entry = self.index.get(cid.store_key)
        return None if entry is None else entry[2]

    holds = has  # there is one kind of keeping here

    def missing(self, cids: Iterable[CID]) -> list[CID]:
        return [cid for cid in cids if not self.has(cid)]

    def cids(self) -> Iterator[CID]:
        for pack in tuple(self.packs):
            for cid, _, offset, _ in pack.sections():
                entry = self.index.get(cid.store_key)
                if entry is not None and entry[:2] == (pack, offset):
                    yield cid

    def ready(self) -> None:
        """It is, once it is made."""

    def pin(self, root: CID, name: str, like: CID | None = None) -> None:
        """Nothing to do: this store keeps all until origin/gc, which reads the pins, says what may go."""

    def announce(self, name: str, record: bytes) -> None:
        """Nobody follows names through a folder."""

    def meet(self, addresses: Sequence[str]) -> None:
        """A folder speaks to nobody."""

    def mend(self, wanted: Mapping[CID, str]) -> set[CID]:
        return set()

    def pinned(self, root: CID) -> bool:
        return False

    def unpinned(self, wanted: Iterable[CID]) -> list[CID]:
        return []

    def rests(self, wanted: Set[CID]) -> bool:
        return True

    def settle(self) -> None:
        """What was forgotten is gone; its bytes go with the next compaction."""

    def close(self) -> None:
        """Nothing is open but the packs, which readers may still hold."""

    def put(self, blocks: Iterable[Block]) -> int:
        with self.writing:
            batch = _Batch(self)
            try:
                for block in blocks:
                    batch.add(block)
                batch.commit()
            except BaseException:
                batch.take_back()
                raise
            return batch.stored

    write = put

    def watch(self) -> None:
        """Start noting the keys of all blocks put from now on, new or not (origin/gc: they came after the mark)."""
        with self.writing:
            self._touched = set()

    def sweep(self, marks: Marks) -> int:
        with self.writing:
            touched = self._touched or ()
            dead = self.forget([key for key in self.index if key not in marks.keys and key not in touched])
            self._swept += dead
        return dead

    def unwatch(self) -> None:
        self._touched = None

    def compact(self) -> Freed:
        swept, self._swept = self._swept, 0
        return Freed(swept, compact(self))

    def verify(self) -> Iterator[str]:
        """Every section of every pack: its shape to the end of the file, and its hash."""
        for pack in self.packs:
            end = None
            for section in pack.sections():
                cid, start, offset, length = section
                end = offset + length
                if not pack.verify(section):
                    self.forget((cid.store_key,))
                    yield f"{pack.path.name}, byte {start}: block {cid} does not hash to its name"
            if end is not None and end != pack.size:
                yield f"{pack.path.name}, byte {end}: {pack.size - end} bytes that are no blocks"

    def forget(self, keys: Iterable[bytes]) -> int:
        """Take these out of the index; how many were in it. Their bytes go with the next compaction."""
        gone = 0
        with self.writing:
            for key in keys:
                entry = self.index.pop(key, None)
                if entry is not None:
                    gone += 1
                    self.bytes -= entry[2]
        return gone

    def enter(self, keys: Sequence[bytes], entries: Sequence[Entry]) -> None:
        """Blocks that are durable now: from here on `has` says so."""
        for key, entry in zip(keys, entries, strict=True):
            if key not in self.index:
                self.bytes += entry[2]
            self.index[key] = entry

    def touch(self, key: bytes) -> None:
        if self._touched is not None:
            self._touched.add(key)

    def open_pack(self) -> Pack:
        """The pack to append to; a new one when the last is large enough."""
        if not self.packs or self.packs[-1].size >= self.pack_bytes:
            self.packs.append(self.new_pack(self.next_number))
        return self.packs[-1]

    @property
    def next_number(self) -> int:
        return max((pack.number for pack in self.packs), default=0) + 1

    def new_pack(self, number: int) -> Pack:
        pack = Pack.create(self.folder / f"{number:06}.car")
        sync_folder(self.folder)
        step("pack created")
        return pack

    def _load(self, path: Path, last: bool) -> None:
        """Enter what a pack holds. The last pack's tail is hashed, and cut after the last section that verifies."""
        pack = Pack.open(path)
        if last and pack.size < len(HEADER):  # killed while the pack itself was made
            path.unlink()
            return
        if pack.read(0, len(HEADER)) != HEADER:
            raise StateError(f"{path} is not a pack of this store")
        hashed_from = pack.size - TAIL_BYTES if last else pack.size
        good = len(HEADER)
        for section in pack.sections():
            cid, start, offset, length = section
            if start < hashed_from or pack.verify(section):
                self.enter((cid.store_key,), ((pack, offset, length),))
                good = offset + length
        if last and good < pack.size:
            self.torn = pack.size - good
            pack.cut(good)
        self.packs.append(pack)


class _Batch:
    """One put: sections gathered, written, synced, entered; or taken back to the last synced length."""

    def __init__(self, store: Embedded) -> None:
        self.store = store
        self.stored = 0
        self._pack: Pack | None = None
        self._at = 0
        self._parts: list[bytes] = []
        self._gathered = 0
        self._keys: dict[bytes, Entry] = {}

    def add(self, block: Block) -> None:
        key = block.cid.store_key
        self.store.touch(key)
        if key in self.store.index or key in self._keys or block.cid.hash_code == IDENTITY:
            return
        if self._pack is None:
            self._open()
        assert self._pack is not None
        head = prefix(block.cid, len(block.data))
        self._keys[key] = (self._pack, self._at + self._gathered + len(head), len(block.data))
        self._parts += (head, block.data)
        self._gathered += len(head) + len(block.data)
        if self._gathered >= WRITE_BYTES:
            self._write()
            if self._at - self._pack.size >= self.store.batch_bytes:
                self.commit()

    def commit(self) -> None:
        """Make what was added durable, then known."""
        if self._pack is None:
            return
        self._write()
        step("blocks written")
        _guard(self._pack.sync)
        step("blocks synced")
        self._pack.size = self._at
        self.store.enter(tuple(self._keys), tuple(self._keys.values()))
        self.stored += len(self._keys)
        self._keys.clear()
        self._pack = None

    def _open(self) -> None:
        self._pack = _guard(self.store.open_pack)
        self._at = self._pack.size

    def _write(self) -> None:
        assert self._pack is not None
        parts, self._parts, self._gathered = self._parts, [], 0
        pack, at = self._pack, self._at
        self._at = _guard(lambda: pack.append(parts, at))

    def take_back(self) -> None:
        """Cut the pack to what was acknowledged, so that nothing half-written stays."""
        if self._pack is None:
            return
        with suppress(OSError):  # a disk that does not even cut: the next batch writes over it, or start cuts it
            self._pack.cut(self._pack.size)
        self._pack = None


def _guard(action: Callable[[], T]) -> T:
    try:
        return action()
    except OSError as error:
        raise store_error(error) from error
