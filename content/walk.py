"""Reading a Root: what a CID is, what a path names, what a folder holds.

Here lives the meaning of verified nodes, and the door to all walks: the names of content/asking, content/leaves and
content/reach are given on from here, so a reader of DAGs imports this module alone. Not here: any I/O, building
(content/unixfs), the Index (content/tree).

Every block is verified but its author may still be an enemy: sizes may lie, shards may loop, folders may double without
end. So loops are iterative where depth is the author's, sizes are compared with what the parent said, and the nodes
looked at are counted. What does not hold is BadNode or LimitExceeded, never a wrong answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from content.asking import Walk, ask, ask_unixfs, drive, file_size
from content.cid import CID, RAW
from content.dagpb import DIRECTORY, SHARD, SYMLINK
from content.errors import BadNode, NotFound
from content.hamt import ask_shard, lookup, read_shard, slot_of
from content.leaves import Leaf, leaf_bytes, leaves
from content.limits import DAG_DEPTH, PATH_BYTES, RELEASE_ENTRIES, check
from content.reach import links, missing, reachable

__all__ = [
    "Entry",
    "Kind",
    "Leaf",
    "Walk",
    "drive",
    "files",
    "find",
    "leaf_bytes",
    "leaves",
    "links",
    "list_dir",
    "missing",
    "reachable",
    "read_file",
    "resolve",
    "stat",
]

Kind: TypeAlias = Literal["file", "directory", "symlink"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a CID is. `size` counts file bytes (0 for anything else); `target` is a symlink's, as written."""

    cid: CID
    kind: Kind
    size: int
    target: str | None = None


def stat(cid: CID) -> Walk[Entry]:
    """What this CID is: asks for the one block."""
    if cid.codec == RAW:
        block = yield from ask(cid)
        return Entry(cid, "file", len(block.data))
    node, data = yield from ask_unixfs(cid)
    if data.kind in (DIRECTORY, SHARD):
        return Entry(cid, "directory", 0)
    if data.kind == SYMLINK:
        return Entry(cid, "symlink", 0, _text(data.data or b"", "symlink target"))
    return Entry(cid, "file", file_size(cid, node, data))


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


def list_dir(cid: CID, most: int = RELEASE_ENTRIES) -> Walk[dict[str, tuple[CID, int]]]:
    """A folder's entries, name → (CID, tsize); a HAMT is flattened. Raises BadNode on what is no folder, LimitExceeded
    past `most` entries.

    Strict, because two readers must never see two folders in one CID: a name twice, a name that is no path segment
    and a HAMT entry that a lookup would not find are refused.
    """
    node, data = yield from ask_unixfs(cid)
    entries: dict[str, tuple[CID, int]] = {}
    if data.kind == DIRECTORY:
        for link in node.links:
            _add(entries, link.name, link.cid, link.tsize)
        check("entries of a folder", len(entries), most)
        return entries
    shard, path, used = read_shard(cid, node, data), 0, 0  # path: the hash bits that lead here, so many of them
    below: list[tuple[CID, int, int]] = []
    while True:
        for slot, name, child, tsize in shard.rows:
            place, bits = path << shard.bits | slot, used + shard.bits
            if not name:
                below.append((child, place, bits))
            elif slot_of(name, bits) == place:
                _add(entries, name, child, tsize)
            else:
                raise BadNode(f"HAMT {cid}: {name!r} stands where no lookup finds it")
        check("entries of a folder", len(entries), most)
        if not below:
            return entries
        at, path, used = below.pop()
        shard = yield from ask_shard(at, shard.bits, used)


def read_file(cid: CID) -> Walk[bytes]:
    """All bytes of a file, at once: for small files. Raises BadNode on a folder or symlink."""
    entry = yield from stat(cid)
    if entry.kind != "file":
        raise BadNode(f"{cid} is a {entry.kind}, not a file")
    parts = []
    for leaf in (yield from leaves(cid, 0, entry.size)):
        block = yield from ask(leaf.cid)
        parts.append(leaf.cut(block))
    return b"".join(parts)


def files(root: CID) -> Walk[list[tuple[str, Entry]]]:
    """Every file and symlink of a Root as ("/a/b", Entry), sorted by path; empty folders do not show.

    Raw leaves are not asked for: their size is the tsize of their link, which whoever needs proof compares with the
    bytes. A folder that doubles at each level (a bomb) ends at 1,000,000 entries, folders counted.
    """
    found: list[tuple[str, Entry]] = []
    known: dict[CID, Entry] = {}
    count = 0
    folders: list[tuple[str, CID, int]] = [("", root, 0)]
    while folders:
        path, cid, depth = folders.pop()
        check("depth of a folder", depth, DAG_DEPTH)
        entries = yield from list_dir(cid)
        count += len(entries)
        check("entries of a release", count, RELEASE_ENTRIES)
        above = len(path.encode()) + 1
        for name, (child, tsize) in entries.items():
            check("bytes of a path", above + len(name.encode()), PATH_BYTES)
            if child.codec == RAW:
                entry = Entry(child, "file", tsize)
            else:
                entry = known.get(child) or (yield from stat(child))
                known[child] = entry
            if entry.kind == "directory":
                folders.append((f"{path}/{name}", child, depth + 1))
            else:
                found.append((f"{path}/{name}", entry))
    found.sort(key=lambda pair: pair[0])  # by code point, which for UTF-8 is by byte
    return found


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadNode(f"{what} is not UTF-8") from error


def _add(entries: dict[str, tuple[CID, int]], name: str, cid: CID, tsize: int) -> None:
    if name in ("", ".", "..") or "/" in name or name in entries:
        raise BadNode(f"directory entry {name[:80]!r} is doubled or no name")
    entries[name] = (cid, tsize)


def _child(cid: CID, name: str) -> Walk[CID | None]:
    """The entry of this name, None where there is none (or where there is no folder)."""
    if cid.codec == RAW:
        return None
    node, data = yield from ask_unixfs(cid)
    if data.kind == DIRECTORY:
        return next((link.cid for link in node.links if link.name == name), None)
    return (yield from lookup(cid, node, data, name)) if data.kind == SHARD else None
