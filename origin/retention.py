"""Retention: which releases a site goes on keeping.

Here lives the choice, by count and age, and by a quota of bytes where the site has one. Not here: the rest of a commit
(origin/changes), or taking blocks away (origin/gc).

A site's settings may hold `retention`: {"last": n, "days": n, "bytes": n}. A release stays while it is among the last n
or younger than so many days, and never more than 200 of them; live stays in any case. Under a quota the oldest go until
what the kept ones hold together fits: a block that two of them share is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from content import tree
from content.asking import Walk, ask
from content.catalog import Retained, Site
from content.cid import CID
from content.limits import RETAINED_DAYS, RETAINED_LAST, RETAINED_MAX
from content.release import Asset, Release
from origin.errors import BadRequest
from origin.reading import read
from origin.store import Store

_DAY = 86_400
_WEIGHTS = 4_096  # pairs of releases whose difference in bytes is remembered
_SPANS = {"last": (1, RETAINED_MAX), "days": (0, 3_650), "bytes": (1, 2**62)}


def check_retention(settings: Mapping[str, Any]) -> None:
    """Raises BadRequest where a site's `retention` is of no known form."""
    wanted = settings.get("retention", {})
    if not isinstance(wanted, Mapping) or not wanted.keys() <= _SPANS.keys():
        raise BadRequest(f"retention: an object with {', '.join(_SPANS)}")
    for key, value in wanted.items():
        least, most = _SPANS[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadRequest(f"retention.{key}: a whole number from {least} to {most:,}")


def retain(
    releases: Iterable[Retained], live: CID, now: int, settings: Mapping[str, Any] | None = None
) -> tuple[Retained, ...]:
    """What is kept, newest first: the last 20, or younger than 30 days, never more than 200; and live in any case."""
    wanted = (settings or {}).get("retention", {})
    last, days = wanted.get("last", RETAINED_LAST), wanted.get("days", RETAINED_DAYS)
    kept: list[Retained] = []
    for rank, item in enumerate(releases):
        young = now - item.time < days * _DAY
        if item.release == live or ((rank < last or young) and len(kept) < RETAINED_MAX):
            kept.append(item)
    while len(kept) > RETAINED_MAX:  # live came late: the oldest other one goes
        kept.remove(next(item for item in reversed(kept) if item.release != live))
    return tuple(kept)


class Quotas:
    """Holds sites to their quota of bytes. What releases weigh beside each other is remembered: it never changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._weights: dict[tuple[CID | None, CID], int] = {}

    def __repr__(self) -> str:
        return f"<Quotas {len(self._weights)} weights>"

    def fit(self, site: Site) -> Site:
        """The site with as many of its retained releases as its quota allows, newest first. Raises Absent."""
        quota = site.settings.get("retention", {}).get("bytes")
        if quota is None or site.live is None:
            return site
        newer = site.live.release
        used, wanted = self._weight(None, newer), {newer}
        for item in site.retained:
            if item.release in wanted:
                continue
            used += self._weight(newer, item.release)
            if used > quota:
                break
            wanted.add(item.release)
            newer = item.release
        return replace(site, retained=tuple(item for item in site.retained if item.release in wanted))

    def _weight(self, newer: CID | None, release: CID) -> int:
        """Bytes of files and encodings that this release has and the newer one lacks, by their paths."""
        known = self._weights.get((newer, release))
        if known is None:
            if len(self._weights) >= _WEIGHTS:
                self._weights.clear()
            known = self._weights[newer, release] = read(self._store, _added(newer, release))
        return known


def _added(newer: CID | None, release: CID) -> Walk[int]:
    index = yield from _index(release)
    base = tree.EMPTY.cid if newer is None else (yield from _index(newer))
    rows = yield from tree.diff(base, index)
    return sum(_bytes(row) for _, _, row in rows if row is not None)


def _bytes(row: Any) -> int:
    asset = Asset.from_row(row)
    return asset.size + sum(encoding.size for encoding in asset.encodings.values())


def _index(release: CID) -> Walk[CID]:
    block = yield from ask(release)
    return Release.from_block(block).index
