"""DAGs of every kind in small: what the tests of CARs, paths and TARs walk. Not here: what they say about them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from content import dagpb, ipld, unixfs
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY, RAW
from content.dagpb import FILE, SHARD, Data, PBLink
from content.limits import HAMT_FANOUT
from content.murmur import MURMUR3_X64_64, murmur3
from content.unixfs import Node
from tests.content.folders import Blocks

CHUNK = 256
LEAF = Block.make(RAW, b"leaf")


def node(blocks: Blocks, links: list[PBLink], data: Data | None) -> CID:
    """A dag-pb node as it is told, honest or not."""
    block = Block.make(DAG_PB, dagpb.encode(links, None if data is None else dagpb.encode_data(data)))
    blocks.emit(block)
    return block.cid


def file(blocks: Blocks, data: bytes, *, chunk: int = CHUNK, links: int = 3, raw: bool = True) -> Node:
    """A file of small chunks and few links a node, so that a kilobyte is a deep tree; leaves raw or dag-pb."""
    level: list[Node] = []
    for at in range(0, len(data), chunk):
        piece = data[at : at + chunk]
        if raw:
            level.append(unixfs.file(piece, blocks.emit))
        else:
            level.append(Node(node(blocks, [], Data(FILE, piece, len(piece))), len(piece), len(piece)))
    while len(level) > 1:
        level = [_inner(blocks, level[at : at + links]) for at in range(0, len(level), links)]
    return level[0]


def _inner(blocks: Blocks, below: list[Node]) -> Node:
    sizes = tuple(part.size for part in below)
    cid = node(blocks, [PBLink("", part.cid, part.tsize) for part in below], Data(FILE, None, sum(sizes), sizes))
    return Node(cid, sum(sizes), sum(part.tsize for part in below) + len(blocks[cid].data))


def hamt(blocks: Blocks, entries: dict[str, Node], used: int = 0) -> Node:
    """A HAMT however few its entries are."""
    slots: dict[int, dict[str, Node]] = {}
    for name, entry in entries.items():
        slots.setdefault(murmur3(name.encode()) >> 56 - used & HAMT_FANOUT - 1, {})[name] = entry
    links = []
    for slot in sorted(slots):
        inside = slots[slot]
        ((name, below),) = inside.items() if len(inside) == 1 else (("", hamt(blocks, inside, used + 8)),)
        links.append(PBLink(f"{slot:02X}{name}", below.cid, below.tsize))
    bitmap = sum(1 << slot for slot in slots)
    payload = bitmap.to_bytes((bitmap.bit_length() + 7) // 8, "big")
    cid = node(blocks, links, Data(SHARD, payload, hash_type=MURMUR3_X64_64, fanout=HAMT_FANOUT))
    return Node(cid, 0, len(blocks[cid].data) + sum(link.tsize for link in links))


def doubling(blocks: Blocks, levels: int) -> CID:
    """A file that names its one child twice, level over level: 2^levels times the leaf."""
    blocks.emit(LEAF)
    below, size = LEAF.cid, len(LEAF.data)
    for _ in range(levels):
        below = node(blocks, [PBLink("", below, 1)] * 2, Data(FILE, None, size * 2, (size, size)))
        size *= 2
    return below


def of(blocks: Blocks, codec: int, value: ipld.Value) -> Node:
    """A node of DAG-CBOR or DAG-JSON."""
    block = Block.make(codec, ipld.encode(codec, value))
    blocks.emit(block)
    return Node(block.cid, 0, len(block.data))


@dataclass(frozen=True)
class Zoo:
    """One folder that holds every kind."""

    root: CID
    blocks: Blocks
    files: dict[str, bytes] = field(default_factory=dict)


def zoo(entries: int = 600) -> Zoo:
    """Files small, doubled, deep, of equal chunks, of old leaves; a HAMT; documents; identity; a symlink."""
    dice = random.Random(5)
    blocks = Blocks()
    small, big, old = b"a small file\n", dice.randbytes(5000), dice.randbytes(1500)
    equal = bytes(range(256)) * 12
    leaf = unixfs.file(small, blocks.emit)
    inline = CID(bytes((1, RAW, IDENTITY, 6)) + b"inline")
    many = {f"file {number}.txt": unixfs.file(b"%d\n" % (number % 40), blocks.emit) for number in range(entries)}
    many["big"] = file(blocks, big)
    wide = hamt(blocks, many)
    document = {
        "files": {"single": leaf.cid, "many": [leaf.cid, {"big": many["big"].cid}, inline], "wide": wide.cid},
        "number": 5,
        "nothing": None,
        "bytes": b"\xff" * 40,
    }
    inner = unixfs.directory(
        {"again.txt": leaf, "equal": file(blocks, equal), "none": unixfs.directory({}, blocks.emit)}, blocks.emit
    )
    root = unixfs.directory(
        {
            "small.txt": leaf,
            "copy.txt": leaf,
            "big": many["big"],
            "old": file(blocks, old, raw=False),
            "equal": file(blocks, equal),
            "inline": Node(inline, 6, 6),
            "empty": unixfs.file(b"", blocks.emit),
            "empty-node": Node(node(blocks, [], Data(FILE, None, 0)), 0, 4),
            "wide": wide,
            "inner": inner,
            "same-as-inner": inner,
            "link": unixfs.symlink("inner/again.txt", blocks.emit),
            "document": of(blocks, DAG_CBOR, document),
            "document.json": of(blocks, DAG_JSON, document),
            "named": Node(node(blocks, [PBLink("a", leaf.cid, 1), PBLink("b", wide.cid, 1)], None), 0, 9),
            "ünï çødé": leaf,
        },
        blocks.emit,
    )
    contents = {"small.txt": small, "big": big, "old": old, "equal": equal, "inline": b"inline", "empty": b""}
    return Zoo(root.cid, blocks, contents)
