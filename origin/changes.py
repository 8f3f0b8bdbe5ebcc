"""Changes: what a commit does to one Site, as pure functions from Site to Site.

Here live stage, activate, rollback, purge, configure and the worker's switch with their compare-and-swap. Every change
makes the next generation. Not here: previews and rollouts (origin/trials), what is retained (origin/retention), attic
and bases (origin/attic, origin/bases), signing and storing (origin/catalog), or the proof that a release is whole
(origin/check), which comes before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from content.catalog import Floor, Retained, Site, check_host, check_settings, check_site_name
from content.cid import CID
from content.limits import FLOORS_MAX
from origin.errors import BadRequest, Conflict, Missing
from origin.retention import check_retention, retain

HOSTS_MAX = 100
WORKER = "worker"  # the setting: "off" is what Site.has_worker_off reads
PREFIX_MIN = 4  # characters of a release that name it
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
        check_retention(settings)
        _check_dnslink(settings)
        changed = replace(changed, settings=check_settings(_switched_as(site, settings)))
    return site if changed == site and site.generation else following(changed)


def _switched_as(site: Site, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """These settings, and the switch of the service worker as it stands. It is the operator's in an emergency: a file
    that is published the minute after says nothing of it, and must not turn it."""
    have = {key: site.settings[key] for key in (WORKER,) if key in site.settings}
    if WORKER in settings and settings[WORKER] != site.settings.get(WORKER):
        raise BadRequest("settings: the service worker is switched by `rim sw off` and `rim sw on` alone")
    return {**settings, **have}


def switch_worker(site: Site, on: bool) -> Site:
    """Whether browsers get the service worker of the releases that have one. The same again is no change."""
    if on != site.has_worker_off:
        return site
    kept = {key: value for key, value in site.settings.items() if key != WORKER}
    return following(site, settings=check_settings(kept if on else {**kept, WORKER: "off"}))


def _check_dnslink(settings: Mapping[str, Any]) -> None:
    domain = settings.get("dnslink")
    if domain is None:
        return
    if not isinstance(domain, str) or "." not in check_host(domain):
        raise BadRequest("settings: dnslink is a domain, e.g. www.example.org")


def stage(site: Site, release: CID, expected: CID | None, now: int) -> Site:
    """Commit 1: this release is `next`. Staging what is staged is no change, so a lost answer can be repeated."""
    _expect(site, expected)
    if site.next is not None and site.next.release == release:
        return site
    return following(site, next=Retained(release, site.generation + 1, now))


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
    if site.rollout is not None and site.rollout.item.release != release:
        raise Conflict(
            f"site {site.name!r} is rolling another release out to some of its visitors: promote it or abort it first",
            "rollout_running",
            rollout=str(site.rollout.item.release),
        )
    retained = (site.next, *(kept for kept in site.retained if kept.release != release))
    tried = tuple(kept for kept in site.tried if kept.release != release)
    kept = retain(retained, release, now, site.settings)
    return following(site, live=site.next, next=None, rollout=None, tried=tried, retained=kept)


def rollback(site: Site, wanted: str | None, now: int) -> Site:
    """Another retained release is live; None: the one before. The order of releases stays, so it can go on further.
    A rollout ends with it: who goes back wants one release everywhere."""
    target = find(site, wanted) if wanted is not None else _previous(site)
    if live_of(site) == target.release and site.rollout is None:
        return site
    kept = retain(site.retained, target.release, now, site.settings)
    return following(site, live=target, next=None, rollout=None, retained=kept)


def purge(
    site: Site, floors: Iterable[tuple[str, str]], *, soft: bool = False, browsers: bool = False, now: int = 0
) -> Site:
    """Leave floors (kind, value) at the generation this makes. `soft`: what is held is only read and proved again.
    `browsers`: the next documents ask each visitor's browser to clear its cache of the site."""
    generation = site.generation + 1
    floors = list(floors)
    changed = site
    if floors and soft:
        changed = replace(changed, soft=_raised(site.soft, floors, generation))
    elif floors:
        changed = replace(changed, floors=_raised(site.floors, floors, generation))
    return following(changed, browsers=(generation, now) if browsers else site.browsers)


def _raised(have: Iterable[Floor], floors: Iterable[tuple[str, str]], generation: int) -> tuple[Floor, ...]:
    """Too many fold into one for the whole site: purging more than was asked costs a refetch, purging less would break
    a promise."""
    kept = {(floor.kind, floor.value): floor for floor in have}
    for kind, value in floors:
        kept[kind, value] = Floor(kind, value, generation)
    if (("site", "") in kept and kept["site", ""].generation == generation) or len(kept) > FLOORS_MAX:
        kept = {("site", ""): Floor("site", "", generation)}
    return tuple(kept.values())


def live_of(site: Site) -> CID | None:
    return None if site.live is None else site.live.release


def following(site: Site, **fields: Any) -> Site:
    """The site with these fields, one generation on."""
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


def find(site: Site, wanted: str) -> Retained:
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
