"""Attic: the immutable paths of retained releases that live lacks, so that a browser with yesterday's page finds its
chunks.

Here lives how the attic follows a change of a site, from the differences alone: the cost is that of what changed, not
of the site or of how many releases it keeps. Not here: serving from it (edge/site), or the change itself
(origin/changes). Walks: they ask for Release and tree blocks, and give new nodes to `emit`.

What a purge covers leaves the attic for good: every row in it is older than the floor that comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from content import tree
from content.asking import Walk, ask
from content.block import Block
from content.catalog import Retained, Site
from content.cid import CID
from content.release import Release

Row = Any  # an Asset row as the tree holds it
Changes = dict[str, Row | None]


def follow(old: Site, new: Site, emit: Callable[[Block], None]) -> Walk[CID | None]:
    """The attic after `old` became `new`; None when it is empty."""
    changes: Changes = {}
    if new.live is None or (new.live == old.live and new.floors == old.floors and new.kept == old.kept):
        return new.attic
    attic = new.attic or tree.EMPTY.cid
    yield from _leave(old, new, changes)
    yield from _move(old, new, changes)
    yield from _join(old, new, changes)
    if new.floors != old.floors:
        for key, row in (yield from _rows(attic)):
            if new.floor_of(key, _tags(row)) > old.generation:
                changes[key] = None
    if not changes:
        return new.attic
    attic = yield from tree.update(attic, changes, emit)
    return None if attic == tree.EMPTY.cid else attic


def _move(old: Site, new: Site, changes: Changes) -> Walk[None]:
    """What live lost goes in, what live has comes out."""
    if old.live is None or new.live is None or old.live.release == new.live.release:
        return
    before = yield from _index(old.live)
    after = yield from _index(new.live)
    retained = any(item.release == old.live.release for item in new.retained)
    for key, was, now in (yield from tree.diff(before, after)):
        if now is not None:
            changes[key] = None
        elif retained and _keeps(new, key, was, old.live.generation):
            changes[key] = was
        elif was is not None and was.get(
            "imm"
        ):  # purged since, or not retained (it was rolled back to); a newer release may have it
            changes[key] = yield from _elsewhere(new, key)


def _leave(old: Site, new: Site, changes: Changes) -> Walk[None]:
    """Rows of releases that are no longer retained go, unless another retained release has the path too.

    A release that leaves is compared with the one kept beside it, so only what the two do not share is looked at.
    """
    kept = {item.release for item in new.kept}
    gone = [item for item in old.kept if item.release not in kept]
    if not gone or not new.retained:
        return
    beside = yield from _index(new.retained[-1])
    for item in gone:
        index = yield from _index(item)
        for key, was, now in (yield from tree.diff(index, beside)):
            if was is not None and was.get("imm") and was != now:
                changes[key] = yield from _elsewhere(new, key)


def _join(old: Site, new: Site, changes: Changes) -> Walk[None]:
    """A release that is rolled out is kept without ever having been live: its immutable paths come in."""
    assert new.live is not None
    known = {item.release for item in (*old.kept, *((old.live,) if old.live else ()), new.live)}
    joined = [item for item in new.kept if item.release not in known]
    if not joined:
        return
    live = yield from _index(new.live)
    for item in joined:
        index = yield from _index(item)
        for key, was, now in (yield from tree.diff(live, index)):
            if was is None and now is not None and now.get("imm"):
                changes[key] = yield from _elsewhere(new, key)


def _elsewhere(site: Site, key: str) -> Walk[Row | None]:
    """The newest row of this path among the retained releases, if live lacks it and no purge covers it."""
    assert site.live is not None
    live = yield from _index(site.live)
    if (yield from tree.get(live, key)) is not None:
        return None
    for item in site.kept:
        index = yield from _index(item)
        row = yield from tree.get(index, key)
        if row is not None:
            return row if _keeps(site, key, row, item.generation) else None
    return None


def _keeps(site: Site, key: str, row: Row, generation: int) -> bool:
    return bool(row.get("imm")) and site.floor_of(key, _tags(row)) <= generation


def _tags(row: Row) -> tuple[str, ...]:
    return tuple(row.get("tags", ()))


def _index(item: Retained) -> Walk[CID]:
    block = yield from ask(item.release)
    return Release.from_block(block).index


def _rows(root: CID) -> Walk[Iterable[tuple[str, Row]]]:
    return [] if root == tree.EMPTY.cid else (yield from tree.rows(root))
