"""Trials: releases that some see before all do. Pure functions from Site to Site, as in origin/changes.

Here live previews (a release under a name of its own, with an end and perhaps a password) and rollouts (a release that
a share of the visitors gets). Neither moves live. Not here: staging and going live (origin/changes), who gets what on a
request (edge/site).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from content.catalog import WHOLE, Alias, Retained, Rollout, Site, check_alias
from content.cid import CID
from content.errors import ContentError
from content.limits import ALIASES_MAX, TRIED_MAX
from content.password import Password
from origin.changes import find, following
from origin.errors import BadRequest, Conflict, Missing

_DAY = 86_400
TRIED_DAYS = 30  # that the chunks of a release that was rolled out stay reachable


def preview(site: Site, name: str, alias: Alias) -> Site:
    """This name shows this release. Raises BadName, BadRequest, Conflict. The same again is no change."""
    check_alias(name, site.name)
    if alias.password is not None:
        try:
            Password.parse(alias.password)
        except ContentError as error:
            raise BadRequest(f"password: {error}") from error
    if alias.expires is not None and alias.expires <= alias.time:
        raise BadRequest("expires: that moment is over")
    old = site.aliases.get(name)
    if old is None and len(site.aliases) >= ALIASES_MAX:
        raise Conflict(f"site {site.name!r} has {ALIASES_MAX} previews; remove some", "too_many_previews")
    before = None if old is None else old.before if old.release == alias.release else old.release
    wanted = replace(alias, generation=site.generation + 1, before=before)
    same = old is not None and replace(wanted, generation=old.generation, time=old.time) == old
    if old is not None and same and not _is_purged(site, old.generation):
        return site
    return following(site, aliases={**site.aliases, name: wanted})


def _is_purged(site: Site, generation: int) -> bool:
    """Whether a purge has come since: then to show the same again is to show it anew."""
    return any(floor.generation > generation for floor in site.floors)


def drop_preview(site: Site, name: str) -> Site:
    """The name shows nothing any more. Raises Missing."""
    if name not in site.aliases:
        raise no_preview(site, name)
    return following(site, aliases={key: alias for key, alias in site.aliases.items() if key != name})


def expire(site: Site, now: int) -> Site:
    """Without the previews whose time is over, and without the trials that nobody can have open any more."""
    aliases = {name: alias for name, alias in site.aliases.items() if alias.expires is None or alias.expires > now}
    running = None if site.rollout is None else site.rollout.item.release
    tried = tuple(item for item in site.tried if item.release == running or now - item.time < TRIED_DAYS * _DAY)
    if len(aliases) == len(site.aliases) and tried == site.tried:
        return site
    return following(site, aliases=aliases, tried=tried)


def preview_of(site: Site, name: str, now: int) -> Alias:
    """The preview of this name, if its time is not over. Raises Missing, Conflict."""
    alias = site.aliases.get(name)
    if alias is None:
        raise no_preview(site, name)
    if alias.expires is not None and alias.expires <= now:
        raise Conflict(f"preview {name!r} of {site.name!r} has expired; publish it again", "preview_expired")
    return alias


def no_preview(site: Site, name: str) -> Missing:
    known: Mapping[str, Alias] = site.aliases
    there = f"; there are: {', '.join(sorted(known))}" if known else ""
    return Missing(f"no preview {name!r} of {site.name!r}{there}", "no_preview")


def roll_out(site: Site, wanted: str, share: int, now: int) -> Site:
    """A share (of WHOLE) of the visitors gets this release: a preview's by its name, or a retained one's."""
    if site.live is None:
        raise Conflict(f"site {site.name!r} has nothing live that a rollout could take the place of", "nothing_live")
    if not 0 < share <= WHOLE:
        raise BadRequest("percent: above 0, and 100 at most")
    running = site.rollout
    if running is not None and wanted == str(running.item.release):
        release = running.item.release  # its preview may be gone: what is under way can be widened all the same
    else:
        release = preview_of(site, wanted, now).release if wanted in site.aliases else _release(site, wanted)
    if release == site.live.release:
        raise Conflict(f"{wanted} of {site.name!r} is live already", "is_live")
    if running is not None and running.item.release == release and not _is_purged(site, running.item.generation):
        return site if running.share == share else following(site, rollout=replace(running, share=share))
    item = Retained(release, site.generation + 1, now)
    tried = (item, *(kept for kept in site.tried if kept.release != release))
    return following(site, rollout=Rollout(item, share), tried=tried[:TRIED_MAX])


def abort(site: Site) -> Site:
    """All visitors get live again; what was rolled out still lends its chunks to the tabs that have it."""
    if site.rollout is None:
        raise Conflict(f"site {site.name!r} has no rollout", "no_rollout")
    return following(site, rollout=None)


def _release(site: Site, wanted: str) -> CID:
    try:
        return find(site, wanted).release
    except (Missing, BadRequest) as error:
        raise Missing(f"{error.message}; and no preview of that name", "no_release") from error
