"""HAMT directories as they are read: one shard at a time, checked (UnixFS spec; CVE-2023-23625, CVE-2023-23631).

Here lives the shape of a shard and the way to one name. Not here: building one (content/unixfs), or listing all names
(content/walk).
"""

from __future__ import annotations

from dataclasses import dataclass

from content.asking import Walk, ask_unixfs
from content.cid import CID
from content.dagpb import SHARD, Data, PBNode
from content.errors import BadNode
from content.limits import HAMT_FANOUT_MAX
from content.murmur import MURMUR3_X64_64, murmur3

HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Shard:
    """One HAMT node, checked: rows are (slot, entry's name or "" for a shard below, CID, tsize)."""

    bits: int
    rows: list[tuple[int, str, CID, int]]


def slot_of(name: str, used: int) -> int:
    """The first `used` bits of the name's hash: the slots it passes. (Lone surrogates hash too, and match nothing.)"""
    return murmur3(name.encode(errors="surrogatepass")) >> HASH_BITS - used


def ask_shard(cid: CID, bits: int, used: int) -> Walk[Shard]:
    """The shard below one of this width, `used` bits of the hash down."""
    if used + bits > HASH_BITS:
        raise BadNode(f"HAMT {cid} is deeper than the hash is long")
    node, data = yield from ask_unixfs(cid)
    shard = read_shard(cid, node, data)
    if shard.bits != bits or not shard.rows:
        raise BadNode(f"HAMT {cid} is empty, or of another fan-out than its parent")
    return shard


def lookup(cid: CID, node: PBNode, data: Data, name: str) -> Walk[CID | None]:
    """The entry of this name below this HAMT node, None where there is none. Asks for the shards on the way."""
    shard, used = read_shard(cid, node, data), 0
    while True:
        used += shard.bits
        slot = slot_of(name, used) & (1 << shard.bits) - 1
        row = next((row for row in shard.rows if row[0] == slot), None)
        if row is None or row[1]:
            return row[2] if row is not None and row[1] == name else None
        shard = yield from ask_shard(row[2], shard.bits, used)


def read_shard(cid: CID, node: PBNode, data: Data) -> Shard:
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
    return Shard(fanout.bit_length() - 1, rows)


def _slot(text: str, width: int) -> int | None:
    """A slot number in upper-case hex of exactly this width (int() alone would take signs, spaces and underscores)."""
    if len(text) != width or not all(char in "0123456789ABCDEF" for char in text):
        return None
    return int(text, 16)
