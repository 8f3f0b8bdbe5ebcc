"""Reading DAGs: generators that yield the CID they need, are sent its Block, and return what was asked.

Here lives the meaning of verified nodes, without knowing where blocks come from: an edge drives these with its loader,
the origin with its store, a test with a dict. Not here: any I/O, building (content/unixfs), the Index (content/tree).

Every block is verified but its author may still be an enemy: sizes may lie, shards may loop, folders may double without
end. So loops are iterative where depth is the author's, sizes are compared with what the parent said, and the nodes
looked at are counted. What does not hold is BadNode or LimitExceeded, never a wrong answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import libipld

from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, RAW
from content.dagpb import DIRECTORY, FILE, RAW_DATA, SHARD, SYMLINK, Data, PBNode, decode, decode_data
from content.errors import BadBlock, BadCID, BadNode, NotFound
from content.limits import (
    BLOCKS_BEFORE_FIRST_BYTE,
    DAG_DEPTH,
    FILE_LEAVES,
    HAMT_FANOUT_MAX,
    RELEASE_ENTRIES,
    check,
)
from content.murmur import MURMUR3_X64_64, murmur3

T = TypeVar("T")
Walk: TypeAlias = Generator[CID, Block, T]
Kind: TypeAlias = Literal["file", "directory", "symlink"]

_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """What a CID is. `size` counts file bytes (0 for anything else); `target` is a symlink's, as written."""

    cid: CID
    kind: Kind
    size: int
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """File bytes [start, stop) are the bytes [skip, skip + stop - start) of this leaf."""

    cid: CID
    start: int
    stop: int
    skip: int
    size: int | None = None  # of the whole leaf, as its parent says; None where the file is one leaf without parent

    def cut(self, block: Block) -> bytes:
        """This leaf's part of the file. Raises BadNode when the leaf is not as long as its parent said."""
        data = leaf_bytes(_as(self.cid, block))
        end = self.skip + self.stop - self.start
        if end > len(data) or (self.size is not None and len(data) != self.size):
            raise BadNode(
                f"leaf {self.cid}: {len(data)} bytes, {end if self.size is None else self.size} were promised"
            )
        return data if end - self.skip == len(data) else data[self.skip : end]


def drive(walk: Walk[T], get: Callable[[CID], Block]) -> T:
    """Run a walk to its end over a synchronous source of blocks."""
    try:
        wanted = next(walk)
        while True:
            wanted = walk.send(get(wanted))
    except StopIteration as done:
        result: T = done.value
        return result


def links(block: Block) -> list[CID]:
    """The links of a block of any codec we keep, in order, doubles and all. Raises BadNode."""
    return _links_of(block.cid.codec, block.data)


def stat(cid: CID) -> Walk[Entry]:
    """What this CID is: asks for the one block."""
    block = yield from _ask(cid)
    if cid.codec == RAW:
        return Entry(cid, "file", len(block.data))
    node, data = _unixfs(cid, block)
    if data.kind in (DIRECTORY, SHARD):
        return Entry(cid, "directory", 0)
    if data.kind == SYMLINK:
        return Entry(cid, "symlink", 0, _text(data.data or b"", "symlink target"))
    return Entry(cid, "file", _file_size(cid, node, data))


def find(root: CID, segments: Sequence[str]) -> Walk[CID]:
    """The CID at this path, through HAMTs too, without asking for its block. Raises NotFound."""
    check("depth of a path", len(segments), DAG_DEPTH)
    at = root
    for depth, name in enumerate(segments):
        child = None if name in ("", ".", "..") else (yield from _child(at, name))
        if child is None:
            raise NotFound("/" + "/".join(segments[: depth + 1]))
        at = child
    return at


def resolve(root: CID, segments: Sequence[str]) -> Walk[Entry]:
    """The entry at this path. Symlinks are returned, not followed. Raises NotFound."""
    cid = yield from find(root, segments)
    return (yield from stat(cid))


def list_dir(cid: CID) -> Walk[dict[str, tuple[CID, int]]]:
    """A folder's entries, name → (CID, tsize); a HAMT is flattened. Raises BadNode on what is no folder.

    Strict, because two readers must never see two folders in one CID: a name twice, a name that is no path segment
    and a HAMT entry that a lookup would not find are refused.
    """
    block = yield from _ask(cid)
    node, data = _unixfs(cid, block)
    entries: dict[str, tuple[CID, int]] = {}
    if data.kind == DIRECTORY:
        for link in node.links:
            _add(entries, link.name, link.cid, link.tsize)
        return entries
    shards = [(_shard(cid, node, data), 0, 0)]  # with the bits consumed above it, and how many
    while shards:
        shard, prefix, used = shards.pop()
        for slot, rest, child, tsize in shard.rows:
            path, bits = prefix << shard.bits | slot, used + shard.bits
            if rest:
                if murmur3(rest.encode()) >> _HASH_BITS - bits != path:
                    raise BadNode(f"HAMT {cid}: {rest!r} stands where no lookup finds it")
                _add(entries, rest, child, tsize)
            else:
                below = yield from _ask_shard(child, shard.bits, bits)
                shards.append((below, path, bits))
    return entries


def leaves(cid: CID, start: int, stop: int) -> Walk[list[Leaf]]:
    """The leaves that hold the file's bytes [start, stop). Asks for inner nodes only, none outside the range.

    Raises BadNode where sizes contradict each other; what a raw leaf weighs, `Leaf.cut` checks when it is there.
    """
    if stop <= start:
        return []
    if cid.codec == RAW:
        return [Leaf(cid, start, stop, start)]
    found: list[Leaf] = []
    asked = 0
    stack: list[tuple[CID, int, int | None, int]] = [(cid, 0, None, 0)]  # node, its offset, its promised size, depth
    while stack:
        at, offset, size, depth = stack.pop()
        if at.codec == RAW:
            assert size is not None  # only the top has no parent, and it is not raw
            found.append(_leaf(at, offset, offset + size, size, start, stop))
            check("leaves of one answer", len(found), FILE_LEAVES)
            continue
        asked += 1
        check("nodes looked at before the first byte", asked, BLOCKS_BEFORE_FIRST_BYTE)
        check("depth of a file", depth, DAG_DEPTH)
        block = yield from _ask(at)
        node, data = _unixfs(at, block)
        total = _file_size(at, node, data)
        if size is not None and total != size:
            raise BadNode(f"file node {at}: {total} bytes, its parent says {size}")
        if size is None and stop > total:
            raise BadNode(f"file {cid}: {total} bytes, {stop} were asked for")
        inline = len(data.data or b"")
        if inline and offset < stop and offset + inline > start:
            found.append(_leaf(at, offset, offset + inline, inline, start, stop))
        stack += reversed(_children(node, data, offset + inline, start, stop, depth + 1))
    return found


def leaf_bytes(block: Block) -> bytes:
    """The file bytes that this block itself holds: a raw leaf, or the data of a UnixFS File or Raw node."""
    if block.cid.codec == RAW:
        return block.data
    _, data = _unixfs(block.cid, block)
    if data.kind not in (FILE, RAW_DATA):
        raise BadNode(f"{block.cid} is no file")
    return data.data or b""


def read_file(cid: CID) -> Walk[bytes]:
    """All bytes of a file, at once: for small files. Raises BadNode on a folder or symlink."""
    entry = yield from stat(cid)
    if entry.kind != "file":
        raise BadNode(f"{cid} is a {entry.kind}, not a file")
    parts = []
    for leaf in (yield from leaves(cid, 0, entry.size)):
        block = yield from _ask(leaf.cid)
        parts.append(leaf.cut(block))
    return b"".join(parts)


def files(root: CID) -> Walk[list[tuple[str, Entry]]]:
    """Every file and symlink of a Root as ("/a/b", Entry), sorted by path; empty folders do not show.

    Raw leaves are not asked for: their size is the tsize of their link, which whoever needs proof compares with the
    bytes. A folder that doubles at each level (a bomb) ends at 1,000,000 entries, folders counted.
    """
    found: list[tuple[str, Entry]] = []
    count = 0
    folders: list[tuple[str, CID, int]] = [("", root, 0)]
    while folders:
        path, cid, depth = folders.pop()
        check("depth of a folder", depth, DAG_DEPTH)
        entries = yield from list_dir(cid)
        count += len(entries)
        check("entries of a release", count, RELEASE_ENTRIES)
        for name, (child, tsize) in entries.items():
            entry = Entry(child, "file", tsize) if child.codec == RAW else (yield from stat(child))
            if entry.kind == "directory":
                folders.append((f"{path}/{name}", child, depth + 1))
            else:
                found.append((f"{path}/{name}", entry))
    found.sort(key=lambda pair: pair[0])  # by code point, which for UTF-8 is by byte
    return found


def reachable(
    roots: Iterable[CID],
    found: Callable[[CID], object],
    *,
    enter: Callable[[CID], bool] | None = None,
    ask_leaves: bool = False,
) -> Walk[None]:
    """Report every CID at or below the roots to `found`, once each, depth first, parents before children.

    That is everything a root pins: from a Release its Index nodes, each Asset's file and encodings, and the Root with
    all folders and files below; from a Catalog all of that for every site (`previous` is text, so history is not).
    Raw blocks have no links: they are reported without being asked for, so garbage collection reads no file bytes.
    An identity CID holds its own bytes: it is neither reported nor asked for, but its links are followed.

    `enter(cid)` False: this CID is not reported, not asked for, and nothing below it is looked at through it. With the
    set of a store's CIDs known complete it makes a cheap walk; see also `missing`.
    `ask_leaves` True: raw blocks are asked for too, so a driver sees each block once, in CAR order (export).
    """
    seen: set[bytes] = set()
    stack = list(roots)[::-1]
    while stack:
        cid = stack.pop().v1  # by whole CID, not by multihash: the same bytes have links as dag-pb, and none as raw
        if cid in seen:
            continue
        seen.add(cid)
        if enter is not None and not enter(cid):
            continue
        if cid.hash_code != IDENTITY:
            found(cid)
        if cid.codec != RAW:
            block = yield from _ask(cid)
            stack += reversed(_links_of(cid.codec, block.data))
        elif ask_leaves:
            yield from _ask(cid)


def missing(roots: Iterable[CID], have: Callable[[CID], bool], most: int = RELEASE_ENTRIES) -> Walk[list[CID]]:
    """Which blocks at or below the roots the store lacks, at most so many. Asks only for blocks that `have` affirms.

    What stands below a lacking block cannot be known: an empty list proves completeness, another is a first answer.
    """
    lacking: list[CID] = []

    def enter(cid: CID) -> bool:
        if cid.hash_code == IDENTITY or have(cid):
            return True
        if len(lacking) < most:
            lacking.append(cid)
        return False

    yield from reachable(roots, lambda cid: None, enter=enter)
    return lacking


@dataclass(frozen=True, slots=True)
class _Shard:
    """One HAMT node, checked: rows are (slot, entry's name or "" for a shard below, CID, tsize)."""

    bits: int
    rows: list[tuple[int, str, CID, int]]


def _ask(cid: CID) -> Walk[Block]:
    """The block of this CID; an identity CID is its own. Whoever answers with another's bytes is stopped here."""
    if cid.hash_code == IDENTITY:
        return Block(cid, cid.digest)
    block = yield cid
    if block.cid is not cid and block.cid.multihash != cid.multihash:
        raise BadBlock(str(cid), f"the block of {block.cid} was handed in its place")
    return block


def _as(cid: CID, block: Block) -> Block:
    """The block under the codec it was asked for: stores key by multihash and may hold it under another."""
    return block if block.cid == cid else Block(cid, block.data)


def _unixfs(cid: CID, block: Block) -> tuple[PBNode, Data]:
    if cid.codec != DAG_PB:
        raise BadNode(f"{cid} is not UnixFS (codec 0x{cid.codec:x})")
    node = decode(block.data)
    if node.data is None:
        raise BadNode(f"{cid} is dag-pb without UnixFS data")
    return node, decode_data(node.data)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadNode(f"{what} is not UTF-8") from error


def _links_of(codec: int, data: bytes) -> list[CID]:
    if codec == RAW:
        return []
    if codec == DAG_PB:
        return [link.cid for link in decode(data).links]
    if codec != DAG_CBOR:
        raise BadNode(f"codec 0x{codec:x}: its links are unknown")
    try:
        stack: list[Any] = [libipld.decode_dag_cbor(data)]
    except Exception as error:  # libipld raises ValueError, and others, on malformed input
        raise BadNode(f"not DAG-CBOR: {error}") from error
    found: list[CID] = []
    while stack:
        value = stack.pop()
        if isinstance(value, bytes):
            try:
                found.append(CID.from_bytes(value))
            except (
                BadCID
            ) as error:  # a link of another hash; as plain bytes it has no place in our blocks (content/cbor)
                raise BadNode(f"a link we cannot follow: {error}") from error
        elif isinstance(value, dict):
            stack += reversed(value.values())
        elif isinstance(value, list):
            stack += reversed(value)
    return found


def _file_size(cid: CID, node: PBNode, data: Data) -> int:
    """The file bytes at and below this node, where its own fields agree about them."""
    if data.kind not in (FILE, RAW_DATA):
        raise BadNode(f"{cid} is no file")
    if len(node.links) != len(data.blocksizes):
        raise BadNode(f"file node {cid}: {len(node.links)} links, {len(data.blocksizes)} blocksizes")
    total = len(data.data or b"") + sum(data.blocksizes)
    if data.filesize is not None and data.filesize != total:
        raise BadNode(f"file node {cid}: filesize {data.filesize}, its parts are {total} bytes")
    return total


def _children(
    node: PBNode, data: Data, offset: int, start: int, stop: int, depth: int
) -> list[tuple[CID, int, int | None, int]]:
    """The children of a file node that hold bytes of [start, stop). Empty ones never do, so they cost nothing."""
    children: list[tuple[CID, int, int | None, int]] = []
    for link, size in zip(node.links, data.blocksizes, strict=True):
        if size and offset < stop and offset + size > start:
            children.append((link.cid, offset, size, depth))
        offset += size
    return children


def _leaf(cid: CID, first: int, end: int, size: int, start: int, stop: int) -> Leaf:
    low = max(first, start)
    return Leaf(cid, low, min(end, stop), low - first, size)


def _add(entries: dict[str, tuple[CID, int]], name: str, cid: CID, tsize: int) -> None:
    if name in ("", ".", "..") or "/" in name or name in entries:
        raise BadNode(f"directory entry {name[:80]!r} is doubled or no name")
    entries[name] = (cid, tsize)


def _child(cid: CID, name: str) -> Walk[CID | None]:
    """The entry of this name, None where there is none (or where there is no folder)."""
    if cid.codec == RAW:
        return None
    block = yield from _ask(cid)
    node, data = _unixfs(cid, block)
    if data.kind == DIRECTORY:
        return next((link.cid for link in node.links if link.name == name), None)
    if data.kind != SHARD:
        return None
    shard, used, place = _shard(cid, node, data), 0, murmur3(name.encode())
    while True:
        used += shard.bits
        slot = place >> _HASH_BITS - used & (1 << shard.bits) - 1
        row = next((row for row in shard.rows if row[0] == slot), None)
        if row is None or row[1]:
            return row[2] if row is not None and row[1] == name else None
        shard = yield from _ask_shard(row[2], shard.bits, used)


def _ask_shard(cid: CID, bits: int, used: int) -> Walk[_Shard]:
    """The shard below one of this width, `used` bits of the hash down."""
    if used + bits > _HASH_BITS:
        raise BadNode(f"HAMT {cid} is deeper than the hash is long")
    block = yield from _ask(cid)
    shard = _shard(cid, *_unixfs(cid, block))
    if shard.bits != bits or not shard.rows:
        raise BadNode(f"HAMT {cid} is empty, or of another fan-out than its parent")
    return shard


def _shard(cid: CID, node: PBNode, data: Data) -> _Shard:
    """Check a HAMT node: fan-out, hash, and that bitmap and links say the same. Raises BadNode."""
    fanout, bitmap = data.fanout or 0, data.data or b""
    if data.kind != SHARD:
        raise BadNode(f"{cid} is no folder")
    if not 8 <= fanout <= HAMT_FANOUT_MAX or fanout & fanout - 1:
        raise BadNode(f"HAMT {cid}: fan-out {fanout}")
    if data.hash_type != MURMUR3_X64_64:
        raise BadNode(f"HAMT {cid}: hash type {data.hash_type}")
    if len(bitmap) * 8 > fanout:
        raise BadNode(f"HAMT {cid}: a bitmap of {len(bitmap)} bytes for fan-out {fanout}")
    taken, seen, width, rows = int.from_bytes(bitmap, "big"), 0, len(f"{fanout - 1:X}"), []
    for link in node.links:
        slot = _slot(link.name[:width], width)
        if slot is None or slot >= fanout or seen >> slot & 1:
            raise BadNode(f"HAMT {cid}: link name {link.name[:80]!r}")
        seen |= 1 << slot
        rows.append((slot, link.name[width:], link.cid, link.tsize))
    if seen != taken:
        raise BadNode(f"HAMT {cid}: bitmap and links differ")
    return _Shard(fanout.bit_length() - 1, rows)


def _slot(text: str, width: int) -> int | None:
    """A slot number in upper-case hex of exactly this width (int() alone would take signs, spaces and underscores)."""
    if len(text) != width or not all(char in "0123456789ABCDEF" for char in text):
        return None
    return int(text, 16)
