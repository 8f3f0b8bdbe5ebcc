"""A UnixFS file or folder as a TAR archive (path gateway, `?format=tar`), block by block.

Here lives the walk that wants blocks and gives bytes. Not here: HTTP, or folders of ours alone (content/walk.files).

`tar(cid)` yields either a CID, and is sent its block, or a Chunk of the archive, and is sent nothing:

    step = next(walk)
    while True:  # until StopIteration
        if isinstance(step, CID):
            step = walk.send(get(step))
        else:
            write(step.data)
            step = next(walk)

The first Chunk comes when the top is read and its names are checked, so what is refused there can still be an error.
What raises later (BadNode, LimitExceeded, Outside) ends a stream that has begun: it must break, not end.

The top entry is named by its CID, as Kubo does it. Modes and times are fixed, so one CID is one archive, byte for byte.
Entries are written as their parents name them; a name with ".." or "/" that stays below the top is written where it
leads, one that would leave it is refused (Outside). Such names and symlinks in one archive are refused too: together
they could make an extractor write through a link. A length in a header is what the blocks below then have to add up to.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from content.asking import ask, ask_unixfs, file_size, unixfs
from content.block import Block
from content.cid import CID, DAG_PB, RAW
from content.dagpb import DIRECTORY, FILE, RAW_DATA, SYMLINK, Data, PBNode
from content.errors import BadNode, ContentError
from content.hamt import Shard, ask_shard, read_shard, slot_of
from content.limits import DAG_DEPTH, PATH_BYTES, RELEASE_ENTRIES, WALK_PENDING, check

_UNIT = 512  # a TAR is made of these
_END = bytes(2 * _UNIT)
_MODES = {tarfile.REGTYPE: 0o644, tarfile.DIRTYPE: 0o755, tarfile.SYMTYPE: 0o777}


class Outside(ContentError):
    """A name that leads out of the archive, or that an extractor could be led out by."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the archive, in order."""

    data: bytes


Steps: TypeAlias = Generator["CID | Chunk", Block, None]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A child that waits: its folder's path, its name, and how deep it is."""

    folder: str
    name: str
    cid: CID
    depth: int


@dataclass(frozen=True, slots=True)
class _Below:
    """A HAMT node that waits: the bits of the hash that lead to it, and so many."""

    folder: str
    cid: CID
    bits: int
    place: int
    used: int
    depth: int


def tar(cid: CID) -> Steps:
    """The archive of this file, symlink or folder. Raises BadNode, LimitExceeded, Outside."""
    yield from _Archive(str(cid)).run(cid)


class _Archive:
    def __init__(self, top: str) -> None:
        self._top = top
        self._pending: list[_Entry | _Below] = []
        self._entries = 0
        self._odd = self._linked = False  # a name with ".." or "/" was met; a symlink was

    def run(self, cid: CID) -> Steps:
        yield from self._entry(self._top, cid, 0)
        while self._pending:
            item = self._pending.pop()
            if isinstance(item, _Below):
                shard = yield from ask_shard(item.cid, item.bits, item.used)
                self._wait_shard(item, shard)
            else:
                yield from self._entry(self._path(item), item.cid, item.depth)
        yield Chunk(_END)

    def _path(self, item: _Entry) -> str:
        """Where this entry goes. Its name has passed _odd_or_not."""
        path = f"{item.folder}/{item.name}"
        return posixpath.normpath(path) if _is_odd(item.name) else path

    def _entry(self, path: str, cid: CID, depth: int) -> Steps:
        self._entries += 1
        check("entries of a TAR", self._entries, RELEASE_ENTRIES)
        check("depth of a folder", depth, DAG_DEPTH)
        check("bytes of a path", len(path.encode()), PATH_BYTES)
        if cid.codec == RAW:
            block = yield from ask(cid)
            yield Chunk(_header(path, tarfile.REGTYPE, len(block.data)) + block.data + _padding(len(block.data)))
            return
        node, data = yield from ask_unixfs(cid)
        if data.kind in (FILE, RAW_DATA):
            yield from _file(path, cid, node, data)
        elif data.kind == SYMLINK:
            self._linked = True
            self._check_mix()
            yield Chunk(_header(path, tarfile.SYMTYPE, 0, _target(cid, data)))
        elif data.kind == DIRECTORY:
            self._wait(_Entry(path, link.name, link.cid, depth + 1) for link in node.links)
            if len({link.name for link in node.links}) != len(node.links):
                raise BadNode(f"folder {cid}: a name twice")
            yield Chunk(_header(path, tarfile.DIRTYPE, 0))
        else:
            shard = read_shard(cid, node, data)
            self._wait_shard(_Below(path, cid, 0, 0, 0, depth), shard)
            yield Chunk(_header(path, tarfile.DIRTYPE, 0))

    def _wait_shard(self, at: _Below, shard: Shard) -> None:
        waiting: list[_Entry | _Below] = []
        for slot, name, child, _ in shard.rows:
            place, used = at.place << shard.bits | slot, at.used + shard.bits
            if not name:
                waiting.append(_Below(at.folder, child, shard.bits, place, used, at.depth))
            elif slot_of(name, used) == place:
                waiting.append(_Entry(at.folder, name, child, at.depth + 1))
            else:
                raise BadNode(f"HAMT {at.cid}: {name[:80]!r} stands where no lookup finds it")
        self._wait(waiting)

    def _wait(self, items: Iterable[_Entry | _Below]) -> None:
        """Put these on the stack, the first on top, names checked before anything of them is written."""
        waiting = list(items)
        for item in waiting:
            if isinstance(item, _Entry) and _is_odd(item.name):
                self._odd = True
                self._check_mix()
                if not posixpath.normpath(f"{item.folder}/{item.name}").startswith(self._top + "/"):
                    raise Outside(f"entry {item.name[:80]!r} of {item.folder} leads out of the archive: use a CAR")
        self._pending += reversed(waiting)
        check("entries that wait", len(self._pending), WALK_PENDING)

    def _check_mix(self) -> None:
        if self._odd and self._linked:
            raise Outside('symlinks and names with "/" or ".." in one archive could lead out of it: use a CAR')


def _file(path: str, cid: CID, node: PBNode, data: Data) -> Steps:
    """Header and bytes of a file of many blocks, each as it comes. No more and no less than the header says."""
    size = file_size(cid, node, data)
    yield Chunk(_header(path, tarfile.REGTYPE, size))
    pending: list[tuple[CID, int, int]] = []  # block, its size as its parent says, depth
    inline, below = _parts(node, data, 1)
    while True:
        if inline:
            yield Chunk(inline)
        pending += reversed(below)
        check("links that wait", len(pending), WALK_PENDING)
        if not pending:
            break
        at, promised, depth = pending.pop()
        check("depth of a file", depth, DAG_DEPTH)
        block = yield from ask(at)
        if at.codec == RAW:
            found, inline, below = len(block.data), block.data, []
        elif at.codec == DAG_PB:
            node, data = unixfs(at, block.data)
            found = file_size(at, node, data)
            inline, below = _parts(node, data, depth + 1)
        else:
            raise BadNode(f"{at} is no part of a file")
        if found != promised:
            raise BadNode(f"file node {at}: {found} bytes, its parent says {promised}")
    yield Chunk(_padding(size))


def _parts(node: PBNode, data: Data, depth: int) -> tuple[bytes, list[tuple[CID, int, int]]]:
    """A file node's own bytes, and its children that hold any (empty ones could be doubled without end)."""
    sizes = zip(node.links, data.blocksizes, strict=True)
    return data.data or b"", [(link.cid, size, depth) for link, size in sizes if size]


def _is_odd(name: str) -> bool:
    if "\0" in name:
        raise Outside(f"entry {name[:80]!r}: a name with a zero byte")
    return "/" in name or name in ("", ".", "..")


def _target(cid: CID, data: Data) -> str:
    try:
        target = (data.data or b"").decode()
    except UnicodeDecodeError as error:
        raise BadNode(f"symlink {cid}: its target is not UTF-8") from error
    if not target or "\0" in target:
        raise BadNode(f"symlink {cid}: {target[:80]!r} is no target")
    return target


def _header(path: str, kind: bytes, size: int, target: str = "") -> bytes:
    """A ustar header, behind a pax one where the name, the target or the size asks for it."""
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.size, info.linkname = kind, _MODES[kind], size, target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % _UNIT)
