"""Changes: what a commit does to one Site, as pure functions from Site to Site.

Here live stage, activate, rollback, purge and configure with their compare-and-swap, and what is retained. Every change
makes the next generation. Not here: the attic (origin/attic), signing and storing (origin/catalog), or the proof that a
release is whole (origin/check), which comes before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from content.catalog import Floor, Retained, Site, check_host, check_settings, check_site_name
from content.cid import CID
from content.limits import FLOORS_MAX, RETAINED_DAYS, RETAINED_LAST, RETAINED_MAX
from origin.errors import BadRequest, Conflict, Missing

HOSTS_MAX = 100
PREFIX_MIN = 4  # characters of a release that name it
_DAY = 86_400
_COMMON = len("bafyrei")  # every release starts so: base32, CIDv1, dag-cbor, sha2-256


def create(name: str) -> Site:
    return Site(check_site_name(name))


def configure(site: Site, hosts: Iterable[str] | None, settings: Mapping[str, Any] | None) -> Site:
    """Set hosts and settings (None: as they are). The same again is no change and makes no generation."""
    changed = site
    if hosts is not None:
        names = tuple(dict.fromkeys(check_host(host) for host in hosts))
        if len(names) > HOSTS_MAX:
            raise BadRequest(f"{len(names)} hosts; a site has at most {HOSTS_MAX}")
        changed = replace(changed, hosts=names)
    if settings is not None:
        changed = replace(changed, settings=check_settings(settings))
    return site if changed == site and site.generation else _next(changed)


def stage(site: Site, release: CID, expected: CID | None, now: int) -> Site:
    """Commit 1: this release is `next`. Staging what is staged is no change, so a lost answer can be repeated."""
    _expect(site, expected)
    if site.next is not None and site.next.release == release:
        return site
    return _next(site, next=Retained(release, site.generation + 1, now))


def activate(site: Site, release: CID, expected: CID | None, now: int) -> Site:
    """Commit 2: `next` is live. Activating what is live already is no change."""
    if live_of(site) == release:
        return site
    _expect(site, expected)
    if site.next is None or site.next.release != release:
        raise Conflict(
            f"another publish of {site.name!r} came in between: what is staged is not this release; publish again",
            "lost_race",
            next=None if site.next is None else str(site.next.release),
        )
    retained = (site.next, *(kept for kept in site.retained if kept.release != release))
    return _next(site, live=site.next, next=None, retained=retain(retained, release, now))


def rollback(site: Site, wanted: str | None, now: int) -> Site:
    """Another retained release is live; None: the one before. The order of releases stays, so it can go on further."""
    target = _find(site, wanted) if wanted is not None else _previous(site)
    if live_of(site) == target.release:
        return site
    return _next(site, live=target, next=None, retained=retain(site.retained, target.release, now))


def purge(site: Site, floors: Iterable[tuple[str, str]]) -> Site:
    """Leave floors (kind, value) at the generation this makes. Too many fold into one for the whole site: purging more
    than was asked costs a refetch, purging less would break a promise."""
    generation = site.generation + 1
    kept = {(floor.kind, floor.value): floor for floor in site.floors}
    for kind, value in floors:
        kept[kind, value] = Floor(kind, value, generation)
    if (("site", "") in kept and kept["site", ""].generation == generation) or len(kept) > FLOORS_MAX:
        kept = {("site", ""): Floor("site", "", generation)}
    return _next(site, floors=tuple(kept.values()))


def retain(releases: Iterable[Retained], live: CID, now: int) -> tuple[Retained, ...]:
    """What is kept, newest first: the last 20, or younger than 30 days, never more than 200; and live in any case."""
    kept: list[Retained] = []
    for rank, item in enumerate(releases):
        young = now - item.time < RETAINED_DAYS * _DAY
        if item.release == live or ((rank < RETAINED_LAST or young) and len(kept) < RETAINED_MAX):
            kept.append(item)
    while len(kept) > RETAINED_MAX:  # live came late: the oldest other one goes
        kept.remove(next(item for item in reversed(kept) if item.release != live))
    return tuple(kept)


def live_of(site: Site) -> CID | None:
    return None if site.live is None else site.live.release


def _next(site: Site, **fields: Any) -> Site:
    return replace(site, generation=site.generation + 1, **fields)


def _expect(site: Site, expected: CID | None) -> None:
    live = live_of(site)
    if live != expected:
        raise Conflict(
            f"site {site.name!r} has changed since this publish began; look at it and publish again",
            "lost_race",
            live=None if live is None else str(live),
        )


def _previous(site: Site) -> Retained:
    live = live_of(site)
    releases = [item.release for item in site.retained]
    at = releases.index(live) + 1 if live in releases else 0
    if at >= len(releases):
        raise Conflict(f"site {site.name!r} has no release before the live one", "no_previous")
    return site.retained[at]


def _find(site: Site, wanted: str) -> Retained:
    """The retained release whose name starts so (the letters that all releases share may be left out)."""
    if len(wanted) < PREFIX_MIN:
        raise BadRequest(f"release {wanted!r}: at least {PREFIX_MIN} characters")
    found = [item for item in site.retained if _starts(str(item.release), wanted)]
    if len(found) != 1:
        what = "no retained release" if not found else f"{len(found)} retained releases"
        raise Missing(f"{what} of {site.name!r} named {wanted!r}", "no_release")
    return found[0]


def _starts(name: str, wanted: str) -> bool:
    return name.startswith(wanted) or name.startswith(wanted, _COMMON)
