"""Purge: which blocks must be fetched and proved anew because a purge has covered them.

Here lives the comparison of two views of a site, as a walk. Not here: hiding what old releases hold (edge/site/view and
the origin's attic do), or the taking away itself (edge/cache/loader.forget).
"""

from __future__ import annotations

from content import tree
from content.catalog import Floor
from content.cid import CID
from content.release import Asset
from content.walk import Walk
from edge.site.view import SiteView


def purged(old: SiteView, new: SiteView) -> Walk[set[CID]]:
    """The CIDs (of files and encodings) that new floors cover: live ones, and those that the attic lost."""
    floors = [floor for floor in new.site.floors if floor not in old.site.floors]
    doomed: set[CID] = set()
    if not floors:
        return doomed
    if new.live is not None:
        for floor in floors:
            rows = yield from _covered(new.live.release.index, floor)
            for _, value in rows:
                asset = Asset.from_row(value)
                if floor.kind != "tag" or floor.value in asset.tags:
                    doomed |= _cids(asset)
    if old.site.attic is not None:
        changes = yield from tree.diff(old.site.attic, new.site.attic) if new.site.attic else _all(old.site.attic)
        for _, before, after in changes:
            if before is not None and after is None:
                doomed |= _cids(Asset.from_row(before))
    return doomed


def _covered(index: CID, floor: Floor) -> Walk[list[tuple[str, tree.Value]]]:
    if floor.kind == "path":
        value = yield from tree.get(index, floor.value)
        return [] if value is None else [(floor.value, value)]
    return (yield from tree.rows(index, floor.value if floor.kind == "prefix" else ""))


def _all(root: CID) -> Walk[list[tuple[str, tree.Value | None, tree.Value | None]]]:
    rows = yield from tree.rows(root)
    return [(key, value, None) for key, value in rows]


def _cids(asset: Asset) -> set[CID]:
    return {asset.cid, *(encoding.cid for encoding in asset.encodings.values())}
