"""Bases: what visitors may have in their caches that a delta can begin from (RFC 9842).

Here lives how a site's `bases` follow a change of it, from the differences alone: the cost is that of what changed.
Not here: the tree's form (content/bases), which files are delta-coded (content/deltas), serving (edge). Walks: they
ask for Release and tree blocks, and give new nodes to `emit`.

They are the delta-coded files of live and of the releases before it, each path by itself: of one path they are a
function of its rows in those few releases and of the floors. So what is to be known of a change is only which paths it
touches; these are worked out as they were and as they are. A purge takes out what it covers, but for what live holds:
that is never below a floor.

`None` means that they were never made (a site of an older version): then all of them are made, at the next commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from content import bases, tree
from content.asking import Walk, ask
from content.block import Block
from content.catalog import Retained, Site
from content.cid import CID
from content.deltas import BASE_RELEASES, control_for, is_delta_coded, is_fresh
from content.errors import BadNode
from content.headers import HeaderTable
from content.release import Asset, Release

Row = Any  # an Asset row as the tree holds it


def follow(old: Site, new: Site, emit: Callable[[Block], None]) -> Walk[CID | None]:
    """The bases after `old` became `new`."""
    if new.live is None:
        return new.bases
    before, after = _chosen(old) if new.bases is not None else (), _chosen(new)
    if before == after and new.floors == old.floors:
        return new.bases
    root = new.bases or tree.EMPTY.cid
    sources = yield from _sources({*before, *after})
    was, now = ([sources[item] for item in chosen] for chosen in (before, after))
    touched = yield from _touched(was, now)
    if new.floors != old.floors:
        touched |= yield from _covered(root, old, new)
    for source in sources.values():
        yield from source.read(touched)
    changes: dict[str, Row | None] = dict.fromkeys(_values(old, was, touched))
    changes |= _values(new, now, touched)
    return (yield from tree.update(root, changes, emit)) if changes else root


@dataclass(slots=True)
class _Source:
    """A release whose files may be bases. `controls`: what its `_headers` say of Cache-Control, as values. `rows`: of
    the paths that are looked at."""

    item: Retained
    index: CID
    controls: Sequence[Any]
    table: HeaderTable
    rows: dict[str, Row] = field(default_factory=dict)

    def read(self, paths: Iterable[str]) -> Walk[None]:
        self.rows = yield from tree.select(self.index, paths)

    def base(self, path: str, row: Row | None) -> Asset | None:
        """The file in this row of it, if that is a base."""
        if row is None or not (self.controls or row.get("imm")):  # nothing else stays fresh by itself: most pages
            return None
        asset = Asset.from_row(row)
        fresh = asset.immutable
        if self.controls:
            fresh = is_fresh(control_for(self.table, path, asset.immutable), asset.immutable)
        return asset if is_delta_coded(asset, fresh) else None


def _chosen(site: Site) -> tuple[Retained, ...]:
    """Live, and the last releases beside it, newest first."""
    if site.live is None:
        return ()
    beside = [item for item in site.retained if item.release != site.live.release][:BASE_RELEASES]
    return (site.live, *sorted(beside, key=lambda item: -item.generation))


def _sources(items: Iterable[Retained]) -> Walk[dict[Retained, _Source]]:
    found = {}
    for item in items:
        block = yield from ask(item.release)
        release = Release.from_block(block)
        controls = _controls(release.rules.headers)
        try:
            table = HeaderTable.from_value(controls)
        except BadNode:  # of a version with another grammar: no reason to refuse a commit
            controls, table = [], HeaderTable(())
        found[item] = _Source(item, release.index, controls, table)
    return found


def _controls(headers: Any) -> list[Any]:
    """The lines about Cache-Control of the rules' value: releases that differ in others alone are compared by rows."""
    try:
        rows = [[source, [op for op in ops if op[0].lower() == "cache-control"], 0] for source, ops, _ in headers or []]
    except (TypeError, ValueError, IndexError, AttributeError):
        return []
    return [row for row in rows if row[1]]


def _touched(was: Sequence[_Source], now: Sequence[_Source]) -> Walk[set[str]]:
    """The paths whose rows may change with the releases that are looked at.

    Live before is compared with live now. Of the others, one that left or came is compared with the next newer one that
    stayed: where both have the same row, that one speaks for it; where none stayed, live does.
    """
    live = now[0]
    touched = yield from _differing(was[0] if was else None, live)
    before, after = ({source.item: source for source in beside[1:]} for beside in (was, now))
    stayed = [after[item] for item in before.keys() & after.keys()]
    for item in before.keys() ^ after.keys():
        source = before.get(item) or after[item]
        newer = [other for other in stayed if other.item.generation > item.generation]
        beside = min(newer, key=lambda other: other.item.generation, default=live)
        touched |= yield from _differing(source, beside)
    return touched


def _differing(a: _Source | None, b: _Source) -> Walk[set[str]]:
    """The paths that are a base in one of them, and not the same one in the other."""
    if a is None:
        return {path for path, row in (yield from tree.rows(b.index)) if b.base(path, row)}
    if a.controls == b.controls:
        rows = yield from tree.diff(a.index, b.index)
        return {path for path, was, now in rows if a.base(path, was) or b.base(path, now)}
    held_a = {path: row for path, row in (yield from tree.rows(a.index)) if a.base(path, row)}
    held_b = {path: row for path, row in (yield from tree.rows(b.index)) if b.base(path, row)}
    return {path for path in held_a.keys() | held_b.keys() if held_a.get(path) != held_b.get(path)}


def _covered(root: CID, old: Site, new: Site) -> Walk[set[str]]:
    """The paths of bases that a purge takes: what live holds stays."""
    found = set()
    for key, row in (yield from tree.rows(root)):
        base = bases.read(key, row)
        if base.generation is not None and new.floor_of(base.path, base.asset.tags) > old.generation:
            found.add(base.path)
    return found


def _values(site: Site, sources: Sequence[_Source], paths: Iterable[str]) -> dict[str, Row]:
    """The rows of the tree for these paths. The first release that has a content under a path gives the row."""
    found: dict[str, Row] = {}
    for path in paths:
        last: _Source | None = None
        asset: Asset | None = None
        for source in sources:
            row = source.rows.get(path)
            if last is None or row != last.rows.get(path) or source.controls != last.controls:  # most are the same
                last, asset = source, source.base(path, row)
            if asset is None or (key := bases.key(asset.sha256, path)) is None or key in found:
                continue
            generation = None if source.item == site.live else source.item.generation
            if generation is None or site.floor_of(path, asset.tags) <= generation:
                found[key] = bases.value(row, generation)
    return found
