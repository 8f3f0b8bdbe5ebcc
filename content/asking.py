"""Walks: generators that yield the CID they need, are sent its Block, and return what was asked.

Here lives what all readers of DAGs share: asking for a block and reading it as UnixFS. Who runs a walk decides where
blocks come from: an edge drives it with its loader, the origin with its store, a test with a dict. Not here: what is
asked (content/walk, content/leaves, content/reach), or any I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from content.block import Block
from content.cid import CID, DAG_PB, IDENTITY
from content.dagpb import FILE, RAW_DATA, Data, PBNode, decode, decode_data
from content.errors import BadBlock, BadNode

T = TypeVar("T")
Walk: TypeAlias = Generator[CID, Block, T]


def drive(walk: Walk[T], get: Callable[[CID], Block]) -> T:
    """Run a walk to its end over a synchronous source of blocks."""
    try:
        wanted = next(walk)
        while True:
            wanted = walk.send(get(wanted))
    except StopIteration as done:
        result: T = done.value
        return result


def ask(cid: CID) -> Walk[Block]:
    """The block of this CID; an identity CID is its own. Whoever answers with another's bytes is stopped here."""
    if cid.hash_code == IDENTITY:
        return Block(cid, cid.digest)
    block = yield cid
    if block.cid is not cid and block.cid.multihash != cid.multihash:
        raise BadBlock(str(cid), f"the block of {block.cid} was handed in its place")
    return block


def under(cid: CID, block: Block) -> Block:
    """The block under the codec it was asked for: stores key by multihash and may hold it under another."""
    return block if block.cid == cid else Block(cid, block.data)


def ask_unixfs(cid: CID) -> Walk[tuple[PBNode, Data]]:
    """The UnixFS node of this CID. One of another codec is refused without asking for it."""
    if cid.codec != DAG_PB:
        raise BadNode(f"{cid} is not UnixFS (codec 0x{cid.codec:x})")
    block = yield from ask(cid)
    return unixfs(cid, block.data)


def unixfs(cid: CID, data: bytes) -> tuple[PBNode, Data]:
    """These bytes as the UnixFS node they are. Raises BadNode."""
    node = decode(data)
    if node.data is None:
        raise BadNode(f"{cid} is dag-pb without UnixFS data")
    return node, decode_data(node.data)


def file_size(cid: CID, node: PBNode, data: Data) -> int:
    """The file bytes at and below this node, where its own fields agree about them."""
    if data.kind not in (FILE, RAW_DATA):
        raise BadNode(f"{cid} is no file")
    if len(node.links) != len(data.blocksizes):
        raise BadNode(f"file node {cid}: {len(node.links)} links, {len(data.blocksizes)} blocksizes")
    total = len(data.data or b"") + sum(data.blocksizes)
    if data.filesize is not None and data.filesize != total:
        raise BadNode(f"file node {cid}: filesize {data.filesize}, its parts are {total} bytes")
    return total
