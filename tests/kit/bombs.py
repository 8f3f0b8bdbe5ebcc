"""Hostile DAGs: blocks that are each well formed and proved, and mean harm together.

Here live builders; what is too long to hold is made on demand from its end. Not here: who serves them (tests/edge/
origin, tests/kit/evilpeer), what must become of them (tests/faults/test_hostile_content).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import libipld

from content import dagpb
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.dagpb import DIRECTORY, FILE, SHARD, Data
from content.hamt import HASH_BITS
from content.murmur import MURMUR3_X64_64, murmur3

Emit = Callable[[Block], None]


def leaf(data: bytes, emit: Emit) -> CID:
    block = Block.make(RAW, data)
    emit(block)
    return block.cid


def node(rows: Iterable[tuple[bytes, CID, int]], data: Data, emit: Emit) -> CID:
    """A UnixFS node of these links (name, CID, tsize) and this message, whatever they say."""
    links = (dagpb.encode_link(name, cid, tsize) for name, cid, tsize in rows)
    block = Block.make(DAG_PB, dagpb.encode_node(links, dagpb.encode_data(data)))
    emit(block)
    return block.cid


def file_node(children: Sequence[CID], sizes: Sequence[int], emit: Emit, said: int | None = None) -> CID:
    """A file of these parts, each as long as is said here."""
    total = sum(sizes) if said is None else said
    return node([(b"", child, 1) for child in children], Data(FILE, None, total, tuple(sizes)), emit)


def doubling_file(levels: int, emit: Emit) -> CID:
    """2^levels bytes in levels + 1 blocks."""
    at = leaf(b"x", emit)
    for level in range(levels):
        at = file_node((at, at), (1 << level, 1 << level), emit)
    return at


def doubling_folder(levels: int, emit: Emit) -> CID:
    """2^levels files in levels + 1 blocks."""
    at = leaf(b"x", emit)
    for _ in range(levels):
        at = node([(b"a", at, 1), (b"b", at, 1)], Data(DIRECTORY), emit)
    return at


def shard(
    names: Sequence[bytes],
    emit: Emit,
    *,
    fanout: int = 256,
    used: int = 8,
    wrong: int = 0,
    extra: int = 0,
    hash_type: int = MURMUR3_X64_64,
    below: CID | None = None,
) -> CID:
    """One HAMT node with these names. `wrong` is put over each slot, `extra` over the bitmap; `below` stands in place
    of all entries."""
    bits = max(1, fanout.bit_length() - 1)
    width, rows = len(f"{max(1, fanout) - 1:X}"), {}
    entry = leaf(b"an entry", emit)
    for name in names:
        slot = (murmur3(name) >> HASH_BITS - used & (1 << bits) - 1) ^ wrong
        rows[slot] = (f"{slot:0{width}X}".encode() + (b"" if below else name), below or entry, 8)
    bitmap = sum(1 << slot for slot in rows) ^ extra
    data = Data(SHARD, bitmap.to_bytes(fanout // 8 or 1, "big"), hash_type=hash_type, fanout=fanout)
    return node([rows[slot] for slot in sorted(rows)], data, emit)


def nested_cbor(depth: int) -> Block:
    """DAG-CBOR of nothing but arrays in arrays."""
    return Block.make(DAG_CBOR, b"\x81" * depth)


def linked_cbor(cid: CID) -> Block:
    return Block.make(DAG_CBOR, libipld.encode_dag_cbor({"next": cid}))


@dataclass
class Chain:
    """A million nodes, each the only child of the next, from a seed: known by its digests, made when asked for."""

    depth: int
    kind: str = "file"  # or folder, cbor
    seed: bytes = b"the end of it"
    asked: int = 0
    _index: dict[bytes, int] = field(default_factory=dict)
    _digests: list[bytes] = field(default_factory=list)

    KEPT = 30_000  # digests from the top on: nobody may get farther

    def __post_init__(self) -> None:
        bottom = Block.make(RAW, self.seed)
        before, after = self._around(bottom.cid)
        first = self._write(bottom.cid)
        digest = sha256(first).digest()
        digests = [bottom.cid.digest, digest]
        for n in range(self.depth - 1):
            digest = sha256(before + digest + after).digest()
            if n > self.depth - self.KEPT:
                digests.append(digest)
        self._digests = digests
        self._before, self._after, self._bottom = before, after, bottom
        self._index = {digest: n for n, digest in enumerate(digests)}
        self.top = CID.of_digest(DAG_CBOR if self.kind == "cbor" else DAG_PB, digest)

    def get(self, cid: CID) -> Block | None:
        """The block of this CID, if it is of the chain and not too far from the top."""
        at = self._index.get(cid.digest)
        if at is None:
            return None
        self.asked += 1
        if at == 0:
            return self._bottom
        if at == 1 and self.depth > 1:
            return Block(cid, self._write(self._bottom.cid))
        data = self._before + self._digests[at - 1] + self._after
        return Block(cid, data) if sha256(data).digest() == cid.digest else None

    def _write(self, child: CID) -> bytes:
        if self.kind == "cbor":
            return linked_cbor(child).data
        size = len(self.seed)
        if self.kind == "folder":
            return dagpb.encode_node([dagpb.encode_link(b"a", child, 1)], dagpb.encode_data(Data(DIRECTORY)))
        message = dagpb.encode_data(Data(FILE, None, size, (size,)))
        return dagpb.encode_node([dagpb.encode_link(b"", child, 1)], message)

    def _around(self, bottom: CID) -> tuple[bytes, bytes]:
        """What stands before and after the digest of the child in every node but the lowest."""
        child = CID.of_digest(DAG_CBOR if self.kind == "cbor" else DAG_PB, bytes(range(32)))
        before, _, after = self._write(child).partition(child.digest)
        return before, after
