"""Keeping: the store that leaves the blocks of releases and pins to a Kubo beside the origin.

Here lives what is where. The origin's own state (Catalog, Sites, their trees) stays in the packs of the state folder.
Blocks of releases are in Kubo, all of them, so that a recursive pin of the Release holds it and any IPFS tool can read
it; those with links are in the packs too, so that walks ask nobody. Kubo keeps bytes by multihash alone; that control
blocks have a room of their own is kept here. Not here: the words spoken with Kubo (rpc), lease nodes (batches).

One rule carries the rest: **what `holds` calls present is under a pin of ours.** Blocks come in under the pin of their
batch; a pin goes only in a collection, after the blocks that it alone held left the index, and after whatever leases,
checks and commits rely on was found under another. So Kubo's own `repo gc` may run at any moment. What a pin holds is
read from the packs: a recursive pin is Kubo's word that all below it is there, and it proved that when it was made.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from content.block import Block
from content.cid import CID, IDENTITY, RAW
from content.errors import BadBlock, BadNode, LimitExceeded
from origin.errors import StoreFailed
from origin.gc import PIN_NAME
from origin.reach import Reach
from origin.reading import Absent
from origin.steps import step
from origin.store import Freed, Marks
from origin.store.embedded import Embedded
from origin.store.kubo import batches
from origin.store.kubo.journal import BATCH, Journal, Lengths
from origin.store.kubo.rpc import TAKE_SECONDS, Lacking, Rpc

_UNKNOWN = -1  # a length: asked of Kubo when it is wanted
log = logging.getLogger("rim.origin")


class KuboStore:
    """Blocks in Kubo, control state and nodes in packs."""

    follows = True

    def __init__(self, folder: Path, packs: Embedded, rpc: Rpc) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.packs = packs
        self.rpc = rpc
        self.bytes = 0
        self._journal = Journal(folder / "pins.jsonl")
        self._lengths = Lengths(folder / "lengths")
        self._index: dict[bytes, int] = {}  # store key → length; all of it under a pin, once that is proved
        self._proved = False
        self._lost = 0
        self._batches: dict[CID, list[bytes]] = {}  # lease node → the keys that it holds
        self._pinned: dict[CID, str] = {}  # what Kubo pins, of what is ours or wanted, and the name there
        self._going: set[CID] = set()  # pins to be taken away
        self._failed: dict[CID, float] = {}  # lease nodes of imports that never answered, and since when
        self._partial: dict[
            CID, int
        ] = {}  # wanted roots that lack a block, and how much had been put when that was seen
        self._seen: set[bytes] = set()  # the multihashes that `verify` found in Kubo
        self._puts = 0
        self._old: tuple[set[CID], set[CID]] = (set(), set())  # batches and roots from before the collection
        self._fresh: dict[CID, str] = {}  # pinned since it began
        self._touched: set[bytes] | None = None
        self._lock = threading.RLock()
        self._moving = threading.Lock()
        self._enter(self._lengths.load())
        for root, name in self._journal.all().items():
            if name == BATCH:
                self._batches[root] = _keys(packs, root)

    def __repr__(self) -> str:
        return f"<KuboStore {self.blocks} blocks, {len(self._pinned)} pins, {self.rpc!r}>"

    @property
    def blocks(self) -> int:
        return len(self._index)

    @property
    def corrupt(self) -> int:
        return self.packs.corrupt + self._lost

    @property
    def torn(self) -> int:
        return self.packs.torn

    @property
    def calls(self) -> Mapping[str, int]:
        return self.rpc.calls

    @property
    def failures(self) -> Mapping[str, int]:
        return self.rpc.failures

    # -- blocks

    def ready(self) -> None:
        if not self._proved:
            raise StoreFailed("the origin has not seen its Kubo's pins yet; try again in a moment", "kubo_away")

    def put(self, blocks: Iterable[Block]) -> int:
        return sum(map(self._put, batches.split(blocks)))

    def write(self, blocks: Iterable[Block]) -> int:
        return self.packs.put(blocks)

    def get(self, cid: CID) -> Block | None:
        block = self.packs.get(cid)
        if block is not None or not self._may_have(cid):
            return block
        data = self.rpc.block(cid)
        if data is not None:
            try:
                return Block(cid, data)
            except (BadBlock, LimitExceeded):
                log.error("Kubo gave bytes for %s that do not hash to it: run `rim origin fsck`", cid)
        self._lose([cid.store_key])
        return None

    def has(self, cid: CID) -> bool:
        return self.holds(cid) or self.packs.has(cid)

    def holds(self, cid: CID) -> bool:
        key = cid.store_key
        return key in self._index or key[1:] in self._seen or cid.hash_code == IDENTITY

    def length(self, cid: CID) -> int | None:
        length = self.packs.length(cid)
        if length is None:
            length = self._index.get(cid.store_key, _UNKNOWN if self.holds(cid) else None)
        if length == _UNKNOWN:
            block = self.get(cid)
            length = None if block is None else len(block.data)
            if length is not None:
                self._enter({cid.store_key: length})
                self._lengths.add({cid.store_key: length})
        return length

    def missing(self, cids: Iterable[CID]) -> list[CID]:
        return [cid for cid in cids if not self.holds(cid)]

    def cids(self) -> Iterator[CID]:
        local = set()
        for cid in self.packs.cids():
            local.add(cid.store_key)
            yield cid
        yield from (batches.raw(key) for key in list(self._index) if key not in local)

    # -- pins and names

    def pin(self, root: CID, name: str, like: CID | None = None) -> None:
        root = root.v1
        with self._moving:
            self._going.discard(root)
        if not self.rpc.is_pinned(root):
            self._journal.add(root, name)
            self._pin(root, name, None if like is None else like.v1)
        with self._lock:
            self._pinned[root] = self._fresh[root] = name
        step("root pinned")

    def announce(self, name: str, record: bytes) -> None:
        self.rpc.publish(name, record)

    def meet(self, addresses: Sequence[str]) -> None:
        self.rpc.connect(addresses)

    def unpinned(self, wanted: Iterable[CID]) -> list[CID]:
        found = self.rpc.pins()
        return [root for root in wanted if root not in found]

    # -- collection

    def rests(self, wanted: Set[CID]) -> bool:
        with self._lock:
            if not self._proved or self._batches or self._failed:
                return False
            return self._journal.all().keys() <= wanted <= self._pinned.keys() | self._partial.keys()

    def watch(self) -> None:
        with self._lock:
            self._touched = set()
            self._fresh = {}
            over = {node for node, at in self._failed.items() if time.monotonic() - at > 2 * TAKE_SECONDS}
            self._old = set(self._batches) | over, {root for root, name in self._journal.all().items() if name}
            self.packs.watch()

    def mend(self, wanted: Mapping[CID, str]) -> set[CID]:
        found, ours = self.rpc.pins(), self._journal.all()
        for root, name in wanted.items():
            if found.get(root) == name and root not in ours:
                self._journal.add(root, name)  # the folder was restored: its pins are still there
            if root in found or root in self._fresh or self._partial.get(root) == self._puts:
                continue
            if self._mend(root, name, self._beside(found, name)):
                found[root] = name
        with self._lock:
            self._pinned = {root: name for root, name in found.items() if root in wanted or ours.get(root) == name}
            self._pinned |= self._fresh
        return {root for root in wanted if root in found}

    def pinned(self, root: CID) -> bool:
        return root in self._pinned

    def sweep(self, marks: Marks) -> int:
        with self._lock:
            covered = set(marks.rooted)
            for node in self._batches.keys() - self._old[0]:
                covered.update(self._batches[node])
            nodes = set(marks.nodes)
            staying = self._stay(marks, covered, nodes)
            dead = [key for key in self._index if key not in covered]
            for key in dead:
                self.bytes -= max(0, self._index.pop(key))
            self._enter({key: _UNKNOWN for key in marks.rooted if key not in self._index})
            self._going = {root for old in self._old for root in old} - staying - self._fresh.keys()
            for node in self._going:
                self._failed.pop(node, None)
            self._proved = True
            here = {CID(node).store_key for node in nodes}
            here.update(key for key in marks.keys if key not in self._index)
            here.update(root.store_key for root in self._batches if root not in self._going)
            self.packs.sweep(Marks(here, set(), set(), set()))
        return len(dead)

    def unwatch(self) -> None:
        with self._lock:
            self._touched = None
            self.packs.unwatch()

    def settle(self) -> None:
        gone = []
        try:
            for root in tuple(self._going):
                with self._moving:  # or a pin that is made again just now would be taken away after it was found
                    if root not in self._going:
                        continue
                    if root in self._pinned:
                        self.rpc.unpin(root)
                    self._going.discard(root)
                with self._lock:
                    self._pinned.pop(root, None)
                    self._batches.pop(root, None)
                gone.append(root)
                step("pin let go")
        finally:
            self._journal.drop(gone)
        self._lengths.shrink(self._index)

    def compact(self) -> Freed:
        before = self.rpc.size()
        blocks = self.rpc.collect()
        freed = max(0, before - self.rpc.size())
        return Freed(blocks, freed + self.packs.compact().bytes)

    def verify(self) -> Iterator[str]:
        yield from self.packs.verify()
        yield from (f"Kubo: {words}" for words in self.rpc.verify())
        self._seen = self.rpc.local()  # from here on this is what counts as held: the memo of lengths may have holes
        self._lose([key for key in self._index if key[1:] not in self._seen])

    def close(self) -> None:
        self.rpc.close()

    # -- within

    def _may_have(self, cid: CID) -> bool:
        """Whether Kubo is to be asked: for what it holds for us; for all, as long as that is not known; but a control
        block is never given as something else."""
        key = cid.store_key
        if key in self._index:
            return True
        twin = (b"c" if key[:1] == b"b" else b"b") + key[1:]
        return not (self._proved or twin in self._index or twin in self.packs.index)

    def _put(self, blocks: list[Block]) -> int:
        with self._lock:
            if self._touched is not None:
                self._touched.update(block.cid.store_key for block in blocks)
            new = {block.cid.store_key: block for block in blocks if block.cid.store_key not in self._index}
        if not new:
            return 0
        node = batches.node_of(new)
        self.packs.put([*(block for block in new.values() if block.cid.codec != RAW), node])
        self._journal.add(node.cid, BATCH)
        try:
            self.rpc.take(batches.car_of(node, list(new.values())))
        except BaseException:
            with self._lock:
                self._failed[node.cid] = time.monotonic()
            raise
        step("blocks imported")
        lengths = {key: len(block.data) for key, block in new.items()}
        self._lengths.add(lengths)
        with self._lock:
            self._batches[node.cid] = list(new)
            self._pinned[node.cid] = BATCH
            self._enter(lengths)
            self._puts += len(new)
        return len(new)

    def _pin(self, root: CID, name: str, like: CID | None) -> None:
        """Pin it. Raises Absent, and then the index says what is really there."""
        try:
            self._ask_pin(root, name, like)
        except Lacking as lacking:
            self._recount()
            raise Absent(lacking.cid or root) from lacking

    def _mend(self, root: CID, name: str, like: CID | None) -> bool:
        """Pin a root that is wanted and not pinned. The nodes that Kubo lost are given to it again: they are here."""
        self._journal.add(root, name)
        puts = self._puts
        for last in (False, True):
            try:
                self._ask_pin(root, name, like)
                self._partial.pop(root, None)
                return True
            except Lacking as lacking:
                if last or not self._give(root):
                    # Of a release it is a fault; of an explicit pin, it may have been so from the start.
                    log.warning("%s cannot be pinned as %s: %s", root, name, lacking)
                    self._partial[root] = puts
                    return False
        raise AssertionError

    def _beside(self, found: Mapping[CID, str], name: str) -> CID | None:
        """A pinned release that another of this name is like. Explicit pins are like nothing: Kubo compares path by
        path, which for two hostile DAGs might never end."""
        if name == PIN_NAME:
            return None
        return next((other for other, known in found.items() if known == name), None)

    def _give(self, root: CID) -> int:
        """Put the nodes below this root that are in the packs and not in Kubo; how many."""
        self._recount()
        reach = Reach(self)
        reach.walk([root])
        nodes = (self.packs.get(CID(node)) for node in reach.nodes if not self.holds(CID(node)))
        return self.put([block for block in nodes if block is not None])

    def _recount(self) -> None:
        """Believe Kubo, and not the index, about what is there."""
        have = self.rpc.local()
        with self._lock:
            self._lose([key for key in self._index if key[1:] not in have])

    def _ask_pin(self, root: CID, name: str, like: CID | None) -> None:
        """Pin it beside what it is like, where that has the name: Kubo gives the new pin the name of the old one."""
        if like is not None and like != root and self._pinned.get(like) == name:
            try:
                return self.rpc.pin_like(like, root)
            except StoreFailed as error:
                if "recursively pinned" not in error.message:  # else somebody took the old pin away
                    raise
        return self.rpc.pin(root, name)

    def _stay(self, marks: Marks, covered: set[bytes], nodes: set[bytes]) -> set[CID]:
        """Which pins from before the collection stay: those of wanted roots, and those that hold what leases and checks
        rely on. Adds what they hold to `covered`, and what of it has links to `nodes`."""
        wanted = marks.keys | (self._touched or set())
        needed = {key for key in wanted if key in self._index and key not in covered}
        staying = {root for root in marks.roots if root in self._old[1]}
        for node in self._old[0]:
            mine = needed.intersection(self._batches.get(node, ())) if needed and node in self._pinned else None
            if mine:
                staying.add(node)
                covered.update(self._batches[node])
                needed -= mine
        for root in self._old[1] - staying if needed else ():
            if root in self._pinned:
                reach = Reach(self, whole=True)
                reach.walk([root])
                if mine := needed & reach.keys:
                    staying.add(root)
                    covered |= reach.keys
                    nodes |= reach.nodes
                    needed -= mine
        return staying

    def _enter(self, lengths: Mapping[bytes, int]) -> None:
        with self._lock:
            for key, length in lengths.items():
                self.bytes += max(0, length) - max(0, self._index.get(key, 0))
                self._index[key] = length

    def _lose(self, keys: Iterable[bytes]) -> None:
        """Blocks that Kubo should have, and has not."""
        with self._lock:
            for key in keys:
                length = self._index.pop(key, None)
                if length is not None:
                    self.bytes -= max(0, length)
                    self._lost += 1


def _keys(packs: Embedded, node: CID) -> list[bytes]:
    """What a lease node holds. Of one that cannot be read nothing is relied on: its blocks are sent again."""
    block = packs.get(node)
    try:
        return [] if block is None else batches.keys_of(block)
    except BadNode:
        return []
