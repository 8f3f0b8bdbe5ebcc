"""Where a file's bytes stand: its leaves, by range, and what each one gives.

Here lives the walk through file nodes, which asks for inner nodes only; whoever serves fetches the leaves itself, in
the order and window it likes. Not here: finding a file (content/walk), Range headers (edge/http/ranges).
"""

from __future__ import annotations

from dataclasses import dataclass

from content.asking import Walk, ask_unixfs, file_size, under, unixfs
from content.block import Block
from content.cid import CID, DAG_PB, RAW
from content.dagpb import FILE, RAW_DATA, Data, PBNode
from content.errors import BadNode
from content.limits import BLOCKS_BEFORE_FIRST_BYTE, DAG_DEPTH, FILE_LEAVES, check


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
        data = leaf_bytes(under(self.cid, block))
        end = self.skip + self.stop - self.start
        if end > len(data) or (self.size is not None and len(data) != self.size):
            raise BadNode(
                f"leaf {self.cid}: {len(data)} bytes, {end if self.size is None else self.size} were promised"
            )
        return data if end - self.skip == len(data) else data[self.skip : end]


def leaves(cid: CID, start: int, stop: int, most: int | None = None) -> Walk[list[Leaf]]:
    """The leaves that hold the file's bytes [start, stop), at most so many (else LimitExceeded). Asks for inner nodes
    only, none outside the range.

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
            check("leaves of one answer", len(found), FILE_LEAVES if most is None else most)
            continue
        asked += 1
        check("nodes looked at before the first byte", asked, BLOCKS_BEFORE_FIRST_BYTE)
        check("depth of a file", depth, DAG_DEPTH)
        node, data = yield from ask_unixfs(at)
        total = file_size(at, node, data)
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
    if block.cid.codec != DAG_PB:
        raise BadNode(f"{block.cid} is no file")
    _, data = unixfs(block.cid, block.data)
    if data.kind not in (FILE, RAW_DATA):
        raise BadNode(f"{block.cid} is no file")
    return data.data or b""


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
