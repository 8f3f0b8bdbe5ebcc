"""Batches: how blocks are held in Kubo before a release names them.

Here lives the lease node: a DAG-CBOR block that links every block of one upload batch. Imported together with them as
the root of the CAR, it is pinned in the same breath, so that Kubo's own collection never finds them loose. Not here:
when it may go (store/kubo/keeping).

Every link and every block is sent as raw, whatever it is: Kubo keeps bytes by their multihash alone, so nothing is lost
by it, a pin of the node goes no deeper than the batch, and a block that does not decode breaks nobody's import.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence

from content import car
from content.block import Block
from content.cbor import decode, encode, link, typed
from content.cid import CID, IDENTITY, RAW
from content.limits import MiB

BATCH_BLOCKS = 16_384  # links of one node: 700 KB, and 2 MiB is the most that Kubo takes in one block
BATCH_BYTES = 16 * MiB  # of one import
_CONTENT, _CONTROL = b"b", b"c"  # the rooms of content.cid.CID.store_key


def split(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Batches of at most so many blocks and bytes. Identity CIDs hold their own bytes and are left out."""
    batch: list[Block] = []
    size = 0
    for block in blocks:
        if block.cid.hash_code == IDENTITY:
            continue
        if batch and (len(batch) == BATCH_BLOCKS or size + len(block.data) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(block)
        size += len(block.data)
    if batch:
        yield batch


def node_of(keys: Iterable[bytes]) -> Block:
    """The lease node over the blocks of these keys. No two are the same: each is one pin, made and let go of once."""
    rooms: dict[bytes, list[CID]] = {_CONTENT: [], _CONTROL: []}
    for key in keys:
        rooms[key[:1]].append(raw(key))
    return encode(
        {
            "kind": "lease",
            "v": 1,
            "nonce": secrets.token_hex(8),
            "content": rooms[_CONTENT],
            "control": rooms[_CONTROL],
        }
    )


def keys_of(node: Block) -> list[bytes]:
    """The store keys of what a lease node holds. Raises BadNode."""
    value = decode(node.data, "lease")
    content, control = (typed(value.get(room), list, room) for room in ("content", "control"))
    return [_CONTENT + link(cid).multihash for cid in content] + [_CONTROL + link(cid).multihash for cid in control]


def car_of(node: Block, blocks: Sequence[Block]) -> list[bytes]:
    """The CAR that brings blocks and their lease node, which is its root."""
    parts = [car.header([node.cid])]
    parts += [car.section(raw(block.cid.store_key), block.data) for block in blocks]
    return [*parts, car.section(node.cid, node.data)]


def raw(key: bytes) -> CID:
    """The bytes under this store key, as raw."""
    return CID(bytes((1, RAW)) + key[1:])
