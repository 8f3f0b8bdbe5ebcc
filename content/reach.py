"""What hangs together: the links of a block, and everything below a root.

Here lives what garbage collection, completeness and export stand on. Not here: what nodes mean to a visitor
(content/walk), the codecs (content/ipld).

DAG-CBOR is read by libipld first, which is native: walks go through Indexes of a million files. It cannot tell a link
from bytes, so a node where some bytes are no CID, or one that stands nowhere behind tag 42, is somebody else's and is
read again by content/ipld.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import libipld

from content import ipld
from content.asking import Walk, ask
from content.block import Block
from content.cid import CID, DAG_CBOR, IDENTITY, RAW
from content.errors import BadCID
from content.limits import RELEASE_ENTRIES

_SEEN = 34  # bytes of a link that are compared: all of a CIDv0, and all of a CIDv1 but the end of its hash
_TAGGED = re.compile(rb"\xd8\x2a\x58.\0(?=(.{%d}))" % _SEEN, re.DOTALL)  # tag 42, bytes of 24 to 255, binary


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
    if codec != DAG_CBOR:
        return ipld.links(codec, data)
    try:
        stack: list[Any] = [libipld.decode_dag_cbor(data)]
    except Exception:  # libipld raises ValueError, and others, on malformed input; of somebody else's node the reader
        return ipld.links(codec, data)  # that is not canonical about order says more
    found: list[CID] = []
    tagged = set(_TAGGED.findall(data))
    while stack:
        value = stack.pop()
        if isinstance(value, bytes):
            try:
                found.append(CID.from_bytes(value))
            except BadCID:
                return ipld.links(codec, data)
            if value[:_SEEN] not in tagged:
                return ipld.links(codec, data)
        elif isinstance(value, dict):
            stack += reversed(value.values())
        elif isinstance(value, list):
            stack += reversed(value)
    return found
