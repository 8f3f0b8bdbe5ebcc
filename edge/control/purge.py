"""Purge: which blocks must be fetched, or read, and proved anew because a purge has covered them.

Here lives the comparison of a site as it was with what is served now, as walks. Not here: hiding what old releases hold
(edge/site/view and the origin's attic and bases do), or the taking away itself (edge/cache/loader: forget, reread).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from content import tree
from content.catalog import Floor, Site
from content.cbor import link
from content.cid import CID
from content.errors import BadNode
from content.walk import Walk
from edge.site.view import SiteView


def purged(old: Site, new: SiteView) -> Walk[set[CID]]:
    """The CIDs of live files and encodings that new floors cover."""
    return (yield from _live(new, _since(old, new)))


def lost(old: Site, new: SiteView) -> Walk[set[CID]]:
    """The CIDs that attic and bases lost with new floors. This reads trees of a Head that may be long gone."""
    doomed: set[CID] = set()
    if _since(old, new):
        for before, after in ((old.attic, new.site.attic), (old.bases, new.site.bases)):
            if before is None:
                continue  # nothing to lose: what is there now need not be read for that
            for _, was, now in (yield from tree.diff(before, after or tree.EMPTY.cid)):
                if was is not None and now is None:
                    _add(doomed, was)
    return doomed


def softened(old: Site, new: SiteView) -> Walk[set[CID]]:
    """The CIDs of live files and encodings that new soft floors cover: they stay, but are read and proved again."""
    return (yield from _live(new, [floor for floor in new.site.soft if floor not in old.soft]))


def _since(old: Site, new: SiteView) -> list[Floor]:
    return [floor for floor in new.site.floors if floor not in old.floors]


def _live(view: SiteView, floors: Sequence[Floor]) -> Walk[set[CID]]:
    covered: set[CID] = set()
    if view.live is not None:
        for floor in floors:
            rows = yield from _covered(view.live.release.index, floor)
            for _, row in rows:
                if floor.kind != "tag" or floor.value in row.get("tags", ()):
                    _add(covered, row)
    return covered


def _covered(index: CID, floor: Floor) -> Walk[list[tuple[str, tree.Value]]]:
    if floor.kind == "path":
        value = yield from tree.get(index, floor.value)
        return [] if value is None else [(floor.value, value)]
    return (yield from tree.rows(index, floor.value if floor.kind == "prefix" else ""))


def _add(doomed: set[CID], row: Any) -> None:
    """The CIDs of a row, and nothing else of it: a purge may cover a hundred thousand. Raises BadNode."""
    try:
        doomed.add(link(row["cid"]))
        for encoding in row.get("enc", {}).values():
            doomed.add(link(encoding[0]))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadNode(f"asset row: {error!r}") from error
