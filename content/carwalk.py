"""The blocks of a trustless CAR, one after another (trustless gateway spec, IPIP-402, IPIP-412).

Here lives which blocks a CAR of a path, scope and range holds, in what order. Not here: the bytes of a CAR
(content/car), HTTP (origin/gateway, edge), or who may read what.

`car()` yields a `Want` per step and is sent that block. Whoever drives it writes the block as a section where
`want.write` says so, before the next step:

    walk = car(root, segments, scope, entity_bytes, dups)
    want = next(walk)
    while True:  # until StopIteration
        block = get(want.cid)
        if want.write:
            write(section(want.cid, block.data))
        want = walk.send(block)

Only a CAR without doubles ever wants a block that it does not write: one met again, of which another part is needed
now. The order is depth first, path blocks first, each parent before its children. Identity CIDs are neither wanted
nor written. The header's root is for the driver to write: it has run `follow` before, to answer 404 while it can;
`Place.cid` is the root that Kubo writes. What raises here (NotFound, BadNode, LimitExceeded) ends a stream that has
begun, and such a stream must break, not end.

Nothing is held but the links of the nodes above (WALK_PENDING) and, without doubles, what was sent (CAR_SEEN). A DAG of
2^40 logical bytes in 41 blocks is 41 steps without doubles; with them it goes on for as long as somebody reads.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from content import ipld
from content.asking import Walk, file_size
from content.block import Block
from content.cid import CID, DAG_PB, IDENTITY, RAW
from content.dagpb import FILE, SHARD, Data, PBNode, decode, decode_data
from content.errors import BadBlock, BadNode
from content.hamt import ask_shard, read_shard
from content.limits import CAR_SEEN, DAG_DEPTH, WALK_PENDING, check
from content.paths import follow

Scope: TypeAlias = Literal["block", "entity", "all"]
Bytes: TypeAlias = tuple[int, int | None]  # entity-bytes: from and to, both may count from the end; None is "*"
T = TypeVar("T")


class Want(NamedTuple):
    """A block that is needed next, and whether it belongs into the CAR at this place."""

    cid: CID
    write: bool


Wants: TypeAlias = Generator[Want, Block, T]


def car(
    root: CID,
    segments: Sequence[str],
    scope: Scope = "all",
    entity_bytes: Bytes | None = None,
    dups: bool = False,
    seen: int = CAR_SEEN,
) -> Wants[None]:
    """The blocks of this CAR. `entity_bytes` asks for the entity, also where scope says "all". `seen`: how many blocks
    may be remembered where there are no doubles. Raises as follow()."""
    pen = _Pen(dups, seen)
    place = yield from pen.writing(follow(root, segments))
    if scope == "all" and entity_bytes is None:
        yield from _all(place.cid, pen)
        return
    block = yield from pen.ask(place.cid)
    if scope == "block":
        return
    unixfs = None if place.rest or place.cid.codec != DAG_PB else _unixfs(block.data)
    if unixfs is None:
        return
    node, data = unixfs
    if data.kind == FILE:
        yield from _file(place.cid, node, data, entity_bytes, pen)
    elif data.kind == SHARD:
        yield from _shards(place.cid, node, data, pen)


@dataclass(slots=True)
class _Span:
    """The bytes [first, stop) of a file, or all of it, blocks without bytes included."""

    first: int
    stop: int
    all: bool

    def meets(self, offset: int, size: int) -> bool:
        return self.all or (size > 0 and offset < self.stop and offset + size > self.first)

    def holds(self, offset: int, size: int) -> bool:
        return self.all or (offset >= self.first and offset + size <= self.stop)


class _Pen:
    """Asks for blocks and says which are written: every one with doubles, without them each once.

    A block is remembered by its codec and 16 bytes of its hash, in one of two sets, so a million cost 85 MiB. (Two
    blocks that share 128 bits of sha2-256 would take 2^64 tries to find, and spoil their own maker's CAR alone.)
    """

    def __init__(self, dups: bool, seen: int) -> None:
        self._dups = dups
        self._most = seen
        self._part: set[int] = set()  # written, and some of what is below was not
        self._whole: set[int] = set()  # written, or about to be; and so is all that is below

    def done(self, cid: CID) -> bool:
        """Whether nothing is left to write at and below this block."""
        return bool(self._whole) and _key(cid) in self._whole

    def whole(self, cid: CID) -> None:
        """All that is below this block, which was asked for, is written when its turn comes."""
        if not self._dups and cid.hash_code != IDENTITY:
            self._part.discard(_key(cid))
            self._whole.add(_key(cid))

    def ask(self, cid: CID) -> Wants[Block]:
        if cid.hash_code == IDENTITY:
            return Block(cid, cid.digest)
        write = self._dups or self._note(_key(cid))
        block = yield Want(cid, write)
        if block.cid is not cid and block.cid.multihash != cid.multihash:
            raise BadBlock(str(cid), f"the block of {block.cid} was handed in its place")
        return block

    def _note(self, key: int) -> bool:
        """Whether this is the first time, from now on it is not."""
        if key in self._part or key in self._whole:
            return False
        check("blocks of a CAR without doubles", len(self._part) + len(self._whole) + 1, self._most)
        self._part.add(key)
        return True

    def writing(self, walk: Walk[T]) -> Wants[T]:
        """A walk, every block of it written."""
        try:
            wanted = next(walk)
            while True:
                block = yield from self.ask(wanted)
                wanted = walk.send(block)
        except StopIteration as done:
            result: T = done.value
            return result


def _all(root: CID, pen: _Pen) -> Wants[None]:
    """Everything at and below this block, whatever its codec."""
    pending = [root]
    while pending:
        cid = pending.pop()
        if pen.done(cid) or (cid.codec == RAW and cid.hash_code == IDENTITY):
            continue
        block = yield from pen.ask(cid)
        pen.whole(cid)
        if cid.codec != RAW:
            pending += reversed(ipld.links(cid.codec, block.data))
            check("links that wait", len(pending), WALK_PENDING)


def _file(cid: CID, node: PBNode, data: Data, wanted: Bytes | None, pen: _Pen) -> Wants[None]:
    """The blocks that hold these bytes of a file whose root was written, and the nodes above them."""
    size = file_size(cid, node, data)
    span = _span(wanted, size)
    pending: list[tuple[CID, int, int, int]] = []  # block, its offset, its size as its parent says, depth
    _open(pending, cid, node, data, 0, 0, span, pen)
    while pending:
        at, offset, promised, depth = pending.pop()
        if pen.done(at):
            continue
        check("depth of a file", depth, DAG_DEPTH)
        block = yield from pen.ask(at)
        if at.codec == RAW:
            pen.whole(at)
            found = len(block.data)
        else:
            unixfs = _unixfs(block.data) if at.codec == DAG_PB else None
            if unixfs is None:
                raise BadNode(f"{at} is no part of a file")
            found = file_size(at, *unixfs)
            _open(pending, at, *unixfs, offset, depth, span, pen)
        if found != promised:
            raise BadNode(f"file node {at}: {found} bytes, its parent says {promised}")


def _open(
    pending: list[tuple[CID, int, int, int]],
    cid: CID,
    node: PBNode,
    data: Data,
    offset: int,
    depth: int,
    span: _Span,
    pen: _Pen,
) -> None:
    """Let the children of a file node that hold wanted bytes wait, the first on top."""
    inline = len(data.data or b"")
    if span.holds(offset, inline + sum(data.blocksizes)):
        pen.whole(cid)
    at, children = offset + inline, []
    for link, size in zip(node.links, data.blocksizes, strict=True):
        if span.meets(at, size):
            children.append((link.cid, at, size, depth + 1))
        at += size
    pending += reversed(children)
    check("links that wait", len(pending), WALK_PENDING)


def _span(wanted: Bytes | None, size: int) -> _Span:
    """Which bytes an entity-bytes parameter names in a file of this size: none where it lies outside."""
    if wanted is None:
        return _Span(0, size, True)
    first, last = wanted
    if first < 0:
        first = max(0, size + first)
    if last is None:
        return _Span(first, size, first == 0)
    stop = min(size, (size + last if last < 0 else last) + 1)
    return _Span(first, stop, False) if first < stop else _Span(0, 0, False)


def _shards(cid: CID, node: PBNode, data: Data, pen: _Pen) -> Wants[None]:
    """All nodes of a HAMT whose root was written, none of its entries."""
    shard = read_shard(cid, node, data)
    pending = [(row[2], shard.bits) for row in reversed(shard.rows) if not row[1]]
    while pending:
        at, used = pending.pop()
        if pen.done(at):
            continue
        below = yield from pen.writing(ask_shard(at, shard.bits, used))
        pen.whole(at)
        pending += [(row[2], used + shard.bits) for row in reversed(below.rows) if not row[1]]
        check("links that wait", len(pending), WALK_PENDING)


def _unixfs(data: bytes) -> tuple[PBNode, Data] | None:
    """A dag-pb node as UnixFS, None where its data is none. Raises BadNode where it is no dag-pb."""
    node = decode(data)
    try:
        return None if node.data is None else (node, decode_data(node.data))
    except BadNode:
        return None


def _key(cid: CID) -> int:
    return int.from_bytes(cid.digest[:16], "big") << 16 | cid.codec
