"""dag-pb and the UnixFS message: one reading per block, whichever way it is read, and written as it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from content import dagpb
from content.block import Block
from content.cid import CID, DAG_PB, RAW
from content.dagpb import DIRECTORY, FILE, SHARD, Data, PBLink, PBNode
from content.errors import BadNode, ContentError
from content.murmur import MURMUR3_X64_64
from content.walk import links

T = TypeVar("T")

STEPS = (500, 300)


def check(data: bytes, thorough: bool) -> None:
    (_message if data[:1] == b"\x01" else _node)(data[1:])


def _node(data: bytes) -> None:
    fast = _outcome(lambda: dagpb.decode(data))
    assert fast == _outcome(lambda: _decode_slowly(data)), "the fast way through a link reads another node"
    if not isinstance(fast, PBNode):
        return
    names = [link.name.encode() for link in fast.links]
    written = dagpb.encode_node(
        (dagpb.encode_link(n, link.cid, link.tsize) for n, link in zip(names, fast.links, strict=True)), fast.data
    )
    assert dagpb.decode(written) == fast
    if len(written) == len(data) and names == sorted(names) and data[:1] != b"\x0a":
        assert written == data, "two spellings of one length"
    assert links(Block.make(DAG_PB, data)) == [link.cid for link in fast.links]
    if fast.data is not None:
        _message(fast.data)


def _decode_slowly(data: bytes) -> PBNode:
    fast, dagpb._decode_link = dagpb._decode_link, dagpb._decode_any_link
    try:
        return dagpb.decode(data)
    finally:
        dagpb._decode_link = fast


def _outcome(read: Callable[[], T]) -> T | str:
    try:
        return read()
    except ContentError as error:
        return type(error).__name__


def _message(data: bytes) -> None:
    try:
        found = dagpb.decode_data(data)
    except BadNode:
        return
    written = dagpb.encode_data(found)
    assert dagpb.decode_data(written) == found
    assert len(found.blocksizes) <= len(data)
    assert all(0 <= size < 2**64 for size in found.blocksizes)


def seeds() -> Iterator[bytes]:
    leaf = Block.make(RAW, b"hello")
    yield b"\x00" + dagpb.encode([PBLink("a", leaf.cid, 5)], dagpb.encode_data(Data(DIRECTORY)))
    yield b"\x00" + dagpb.encode([PBLink("a", leaf.cid, 5), PBLink("b", leaf.cid, 2**40)], None)
    yield b"\x00" + dagpb.encode([], dagpb.encode_data(Data(FILE, b"inline", 6)))
    yield b"\x00\x0a\x02\x08\x01" + dagpb.encode_link(b"", leaf.cid, 5)
    yield b"\x00" + dagpb.encode_link(b"n" * 3, CID(CID.of(DAG_PB, b"")[2:]), 300)
    yield b"\x00" + dagpb.encode_link(b"x", CID(b"\x01\x55\x00\x03abc"), 3)
    yield b"\x01" + dagpb.encode_data(Data(FILE, None, 300, (256, 44)))
    yield b"\x01" + dagpb.encode_data(Data(SHARD, b"\x01", hash_type=MURMUR3_X64_64, fanout=256))
    yield b"\x01\x08\x02\x22\x03\xac\x02\x01\x38\x01\x45\x00\x00\x00\x00"
    yield b"\x01\x08\x02\x18" + b"\xff" * 9 + b"\x01"
