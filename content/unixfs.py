"""UnixFS as we make it: files, symlinks and folders under the profile `unixfs-v1-2025` (IPIP-499), bit for bit Kubo's.

Here lives building only; blocks go out through `emit` as they are made, children first, so nothing is held but links.
Not here: reading (content/walk), bytes of nodes (content/dagpb), or the file system (rim/publisher).

The profile: CIDv1, sha2-256, raw leaves, chunks of 1 MiB, 1024 links per file node, balanced; a folder whose block
would be over 256 KiB becomes a HAMT of fan-out 256. No mode, no mtime. `ipfs add` is the test's oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from content.block import Block
from content.cid import CID, DAG_PB, RAW
from content.dagpb import DIRECTORY, FILE, SHARD, SYMLINK, Data, encode_data, encode_link, encode_node
from content.errors import ContentError
from content.limits import (
    BLOCK_MADE,
    HAMT_FANOUT,
    HAMT_THRESHOLD,
    NAME_BYTES,
    NODE_LINKS,
    PATH_BYTES,
    RELEASE_ENTRIES,
    check,
)
from content.murmur import MURMUR3_X64_64, murmur3

Emit: TypeAlias = Callable[[Block], None]

_EMPTY_DIRECTORY = encode_data(Data(DIRECTORY))
_HASH_BITS = 64
_SLOT_BITS = HAMT_FANOUT.bit_length() - 1


class BadPath(ContentError):
    """A path that no folder can hold: an empty or dotted segment, or a file where a folder must be."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a folder needs to know of an entry: `size` in file bytes, `tsize` all bytes of its DAG."""

    cid: CID
    size: int
    tsize: int


class FileBuilder:
    """A file from chunks in order. Holds one chunk and at most 1024 links per level, however large the file is."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._levels: list[list[Node]] = [[]]
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk: exactly 1 MiB, but for the last. Raises ValueError otherwise."""
        if not chunk:
            return
        if self._ended or len(chunk) > BLOCK_MADE:
            raise ValueError(f"a chunk is {BLOCK_MADE} bytes, and only the last may be shorter")
        self._ended = len(chunk) < BLOCK_MADE
        self._push(0, _leaf(chunk, self._emit))

    def finish(self) -> Node:
        """The file. No chunk at all is the empty raw leaf."""
        if self._levels == [[]]:
            return _leaf(b"", self._emit)
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            self._close(level)  # also where one link is left: a balanced tree has all leaves at one depth
            level += 1
        return self._levels[level][0]

    def _push(self, level: int, node: Node) -> None:
        if level == len(self._levels):
            self._levels.append([])
        if len(self._levels[level]) == NODE_LINKS:
            self._close(level)
        self._levels[level].append(node)

    def _close(self, level: int) -> None:
        children, self._levels[level] = self._levels[level], []
        self._push(level + 1, _inner(children, self._emit))


def file(data: bytes, emit: Emit) -> Node:
    """A file whose bytes are all at hand."""
    if len(data) <= BLOCK_MADE:
        return _leaf(data, emit)
    builder = FileBuilder(emit)
    for at in range(0, len(data), BLOCK_MADE):
        builder.feed(data[at : at + BLOCK_MADE])
    return builder.finish()


def file_tsize(size: int) -> int:
    """The tsize of every file of this many bytes: the layout depends on nothing else, so no block need be read."""
    tail = size % BLOCK_MADE
    level = [Node(_NO_CID, BLOCK_MADE, BLOCK_MADE)] * (size // BLOCK_MADE)
    if tail or not level:
        level.append(Node(_NO_CID, tail, tail))
    while len(level) > 1:
        level = [_inner(level[at : at + NODE_LINKS], _nowhere) for at in range(0, len(level), NODE_LINKS)]
    return level[0].tsize


def symlink(target: str, emit: Emit) -> Node:
    """A symlink, target as written. Its file size is 0: it has no bytes of its own to serve."""
    block = Block.make(DAG_PB, encode_node((), encode_data(Data(SYMLINK, target.encode()))))
    emit(block)
    return Node(block.cid, 0, len(block.data))


def directory(entries: Mapping[str, Node], emit: Emit) -> Node:
    """A folder of these entries (names, not paths): one block, or a HAMT where that block would be over 256 KiB."""
    named = sorted((name.encode(), node) for name, node in entries.items())
    data = encode_node((encode_link(name, node.cid, node.tsize) for name, node in named), _EMPTY_DIRECTORY)
    if len(data) > HAMT_THRESHOLD:
        return _shard([(murmur3(name), name, node) for name, node in named], _HASH_BITS, emit)
    return _finish(data, (node for _, node in named), emit)


def root(
    entries: Mapping[str, Node], emit: Emit, dirs: Iterable[str] = (), found: Callable[[str, Node], None] | None = None
) -> Node:
    """The folder of these paths ("a/b/c.txt"; a leading slash is dropped); `dirs` names folders that may be empty.
    Each folder and its path ("" the top) go to `found`.

    Raises BadPath, or LimitExceeded above 1,000,000 entries, 1,024 bytes of path or 255 of a name.
    """
    check("entries of a release", len(entries), RELEASE_ENTRIES)
    folders: dict[str, dict[str, Node]] = {"": {}}
    for path in dirs:
        _open(folders, path.strip("/"))
    for path, node in entries.items():
        parent, _, name = path.removeprefix("/").rpartition("/")
        _check_name(path, name)
        _open(folders, parent)[name] = node
    for path in sorted(folders, key=lambda path: path.count("/") if path else -1, reverse=True):
        node = directory(folders.pop(path), emit)
        if found is not None:
            found(path, node)
        if not path:
            break
        parent, _, name = path.rpartition("/")
        if name in folders[parent]:
            raise BadPath(f"{path!r} is both a file and a folder")
        folders[parent][name] = node
    return node


def _open(folders: dict[str, dict[str, Node]], path: str) -> dict[str, Node]:
    """The entries of this folder, made with its parents where they are new."""
    found = folders.get(path)
    at = path
    while at and at not in folders:
        parent, _, name = at.rpartition("/")
        _check_name(path, name)
        folders[at] = {}
        at = parent
    return folders[path] if found is None else found


def _check_name(path: str, name: str) -> None:
    if name in ("", ".", ".."):
        raise BadPath(f"{path!r}: a name may not be {name!r}")
    check("bytes of a path", len(path.encode()), PATH_BYTES)
    check("bytes of a name", len(name.encode()), NAME_BYTES)


def _leaf(data: bytes, emit: Emit) -> Node:
    block = Block.make(RAW, data)
    emit(block)
    return Node(block.cid, len(data), len(data))


def _inner(children: list[Node], emit: Emit) -> Node:
    sizes = tuple(child.size for child in children)
    payload = encode_data(Data(FILE, filesize=sum(sizes), blocksizes=sizes))
    data = encode_node((encode_link(b"", child.cid, child.tsize) for child in children), payload)
    return _finish(data, children, emit)


def _shard(entries: list[tuple[int, bytes, Node]], bits: int, emit: Emit) -> Node:
    """One HAMT node; `bits` are left of each name's hash. At most eight deep, so recursion is bounded."""
    if bits < _SLOT_BITS:
        raise ContentError(f"names {entries[0][1]!r} and {entries[1][1]!r} collide in all 64 bits of murmur3")
    bits -= _SLOT_BITS
    slots: dict[int, list[tuple[int, bytes, Node]]] = {}
    for entry in entries:
        slots.setdefault(entry[0] >> bits & HAMT_FANOUT - 1, []).append(entry)
    links, children, bitmap = [], [], 0
    for slot in sorted(slots):
        inside = slots[slot]
        name, node = (inside[0][1], inside[0][2]) if len(inside) == 1 else (b"", _shard(inside, bits, emit))
        links.append(encode_link(b"%02X%b" % (slot, name), node.cid, node.tsize))
        children.append(node)
        bitmap |= 1 << slot
    payload = bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "big")
    data = encode_data(Data(SHARD, payload, hash_type=MURMUR3_X64_64, fanout=HAMT_FANOUT))
    return _finish(encode_node(links, data), children, emit)


def _finish(data: bytes, children: Iterable[Node], emit: Emit) -> Node:
    block = Block.make(DAG_PB, data)
    emit(block)
    size = tsize = 0
    for child in children:
        size += child.size
        tsize += child.tsize
    return Node(block.cid, size, tsize + len(data))


def _nowhere(block: Block) -> None:
    """An Emit for sizes alone."""


_NO_CID = CID.of(RAW, b"")  # of the length that all have
