"""Paths through any DAG: UnixFS folders, links and fields of DAG-CBOR and DAG-JSON, named links of plain dag-pb.

Here lives `follow`, what gateways resolve a content path with. Not here: paths inside a Root alone (content/walk.find,
which sites use and which must not leave UnixFS), `/ipns/` (whoever knows names), symlinks (they are not followed), or
percent-decoding and "..", which are HTTP's.

`Place.rest` is what is left of the path inside the last block: fields that are no links. A gateway answers it with 501
(path gateway spec; Kubo), a CAR with the block. A field that is not there is NotFound. `Place.passed` names the block
reached at the root and at each segment, for X-Ipfs-Roots: a segment inside a block repeats that block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from content import dagpb, ipld
from content.asking import Walk, ask
from content.block import Block
from content.cid import CBOR, CID, DAG_CBOR, DAG_JSON, DAG_PB, JSON
from content.dagpb import DIRECTORY, SHARD, Data, PBNode
from content.errors import BadNode, NotFound
from content.hamt import lookup
from content.ipld import Value
from content.limits import DAG_DEPTH, check

_FIELDS = (DAG_CBOR, DAG_JSON, CBOR, JSON)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path ends: the block, the fields left inside it, and the blocks at the root and at each segment."""

    cid: CID
    rest: tuple[str, ...]
    passed: tuple[CID, ...]


def follow(root: CID, segments: Sequence[str]) -> Walk[Place]:
    """Where this path ends. Asks for blocks on the way, not for the last. Raises NotFound, BadNode, LimitExceeded."""
    check("depth of a path", len(segments), DAG_DEPTH)
    at, passed = root, [root]
    here = 0  # the segments before this one are behind us
    while here < len(segments):
        if at.codec == DAG_PB:
            child = yield from _named(at, segments[here])
            steps = 1
        elif at.codec in _FIELDS:
            block = yield from ask(at)
            child, steps = _field(at, block, segments[here:])
            if child is None:
                return Place(at, tuple(segments[here:]), (*passed, *(at,) * steps))
        else:
            child, steps = None, 1  # raw bytes, or what we know nothing of, hold no names
        if child is None:
            raise NotFound("/" + "/".join(segments[: here + 1]))
        passed += [at] * (steps - 1) + [child]
        at, here = child, here + steps
    return Place(at, (), tuple(passed))


def _named(cid: CID, name: str) -> Walk[CID | None]:
    """The entry of this name in a folder, or the first link of this name in dag-pb that is no UnixFS."""
    block = yield from ask(cid)
    node = dagpb.decode(block.data)
    data = _unixfs(node)
    if data is not None and data.kind == SHARD:
        return (yield from lookup(cid, node, data, name))
    if data is not None and (data.kind != DIRECTORY or name in ("", ".", "..")):
        return None
    return next((link.cid for link in node.links if link.name == name), None)


def _unixfs(node: PBNode) -> Data | None:
    """The UnixFS message of a node, None where it is none: then its links have names all the same."""
    try:
        return None if node.data is None else dagpb.decode_data(node.data)
    except BadNode:
        return None


def _field(cid: CID, block: Block, segments: Sequence[str]) -> tuple[CID | None, int]:
    """The first link on this way into a node's value and the segments spent on it; None where the way ends inside."""
    value = ipld.decode(cid.codec, block.data, canonical=False)
    for depth, name in enumerate(segments):
        found = _member(value, name)
        if found is None:
            raise NotFound("/" + "/".join(segments[: depth + 1]))
        (value,) = found
        if isinstance(value, CID):
            return value, depth + 1
    return None, len(segments)


def _member(value: Value, name: str) -> tuple[Value] | None:
    """The member of this name or index, in a tuple, as it may be null."""
    if isinstance(value, dict):
        return (value[name],) if name in value else None
    if isinstance(value, list) and name.isascii() and name.isdigit() and (name == "0" or name[0] != "0"):
        return (value[int(name)],) if len(name) < 10 and int(name) < len(value) else None
    return None
