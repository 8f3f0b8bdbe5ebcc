"""What hangs together: the links of a block, and everything below a root.

Here lives what garbage collection, completeness and export stand on. Not here: what nodes mean to a visitor
(content/walk). Only the codecs we keep are read: raw, dag-pb, DAG-CBOR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import libipld

from content.asking import Walk, ask
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, RAW
from content.dagpb import decode
from content.errors import BadCID, BadNode
from content.limits import RELEASE_ENTRIES


def links(block: Block) -> list[CID]:
    """The links of a block of any codec we keep, in order, doubles and all. Raises BadNode."""
    return _links_of(block.cid.codec, block.data)


def reachable(
    roots: Iterable[CID],
    found: Callable[[CID], object],
    *,
    enter: Callable[[CID], bool] | None = None,
    ask_leaves: bool = False,
) -> Walk[None]:
    """Report every CID at or below the roots to `found`, once each, depth first, parents before children.

    That is everything a root pins: from a Release its Index nodes, each Asset's file and encodings, and the Root with
    all folders and files below; from a Catalog all of that for every site (`previous` is text, so history is not).
    Raw blocks have no links: they are reported without being asked for, so garbage collection reads no file bytes.
    An identity CID holds its own bytes: it is neither reported nor asked for, but its links are followed.

    `enter(cid)` False: this CID is not reported, not asked for, and nothing below it is looked at through it. With the
    set of a store's CIDs known complete it makes a cheap walk; see also `missing`.
    `ask_leaves` True: raw blocks are asked for too, so a driver sees each block once, in CAR order (export).
    """
    seen: set[bytes] = set()
    stack = list(roots)[::-1]
    while stack:
        cid = stack.pop().v1  # by whole CID, not by multihash: the same bytes have links as dag-pb, and none as raw
        if cid in seen:
            continue
        seen.add(cid)
        if enter is not None and not enter(cid):
            continue
        if cid.hash_code != IDENTITY:
            found(cid)
        if cid.codec != RAW:
            block = yield from ask(cid)
            stack += reversed(_links_of(cid.codec, block.data))
        elif ask_leaves:
            yield from ask(cid)


def missing(roots: Iterable[CID], have: Callable[[CID], bool], most: int = RELEASE_ENTRIES) -> Walk[list[CID]]:
    """Which blocks at or below the roots the store lacks, at most so many. Asks only for blocks that `have` affirms.

    What stands below a lacking block cannot be known: an empty list proves completeness, another is a first answer.
    """
    lacking: list[CID] = []

    def enter(cid: CID) -> bool:
        if cid.hash_code == IDENTITY or have(cid):
            return True
        if len(lacking) < most:
            lacking.append(cid)
        return False

    yield from reachable(roots, lambda cid: None, enter=enter)
    return lacking


def _links_of(codec: int, data: bytes) -> list[CID]:
    if codec == RAW:
        return []
    if codec == DAG_PB:
        return [link.cid for link in decode(data).links]
    if codec != DAG_CBOR:
        raise BadNode(f"codec 0x{codec:x}: its links are unknown")
    try:
        stack: list[Any] = [libipld.decode_dag_cbor(data)]
    except Exception as error:  # libipld raises ValueError, and others, on malformed input
        raise BadNode(f"not DAG-CBOR: {error}") from error
    found: list[CID] = []
    while stack:
        value = stack.pop()
        if isinstance(value, bytes):
            try:
                found.append(CID.from_bytes(value))
            except (
                BadCID
            ) as error:  # a link of another hash; as plain bytes it has no place in our blocks (content/cbor)
                raise BadNode(f"a link we cannot follow: {error}") from error
        elif isinstance(value, dict):
            stack += reversed(value.values())
        elif isinstance(value, list):
            stack += reversed(value)
    return found
