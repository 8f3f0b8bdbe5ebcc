"""Indexes of releases at the origin: their rows, and how two of them differ; each node fetched once and proved.

Here lives reading them node by node, so that a comparison asks only for the branches that differ. Not here: what rows
mean (content/release), or what becomes of a difference (rim/changes, rim/returning).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from content import tree
from content.block import Block
from content.cid import CID
from content.errors import ContentError
from content.walk import Walk, drive
from rim.client import Origin
from rim.exits import Failed

Result = TypeVar("Result")
Difference = list[tuple[str, Any, Any]]  # path, row before, row after; None where the path is not


def read_index(origin: Origin, walk: Walk[Result], made: Mapping[CID, bytes] | None = None) -> Result:
    """Run a walk over Indexes; `made` are nodes that are here. Raises Rejected, or Failed where a node is damaged."""
    here = made or {}

    def get(cid: CID) -> Block:
        data = here.get(cid)
        return Block(cid, origin.call("GET", f"/ipfs/{cid}?format=raw").body if data is None else data)

    try:
        return drive(walk, get)
    except ContentError as error:
        raise Failed(f"the origin's Index cannot be read: {error}", "run `rim origin fsck` there") from error


def differences(origin: Origin, before: CID | None, after: CID, made: Mapping[CID, bytes]) -> Difference:
    """The rows that differ between two Indexes (None: an empty one), by path."""
    if before is None:
        return [(path, None, row) for path, row in read_index(origin, tree.rows(after), made)]
    return read_index(origin, tree.diff(before, after), made)
