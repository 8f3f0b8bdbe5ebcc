"""Staging: what has to hold before a release becomes `next`, and the two commits of a publish.

Here lives the order of the checks: is it a Release, is all of it here, is its Root the tree of its Index, does it leave
immutable paths alone, does the quota allow it, has nobody come in between. Not here: each check (origin/check), what
the commit does to the Site (origin/changes, origin/trials), making it durable (origin/catalog).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from content.catalog import Alias, Site, check_site_name
from content.cid import CID
from content.errors import ContentError
from origin import changes, check, quota, trials
from origin.catalog import Catalog, Done
from origin.errors import Conflict, Missing, Unprocessable
from origin.gc import Collector
from origin.leases import Leases
from origin.reading import Absent
from origin.store import Store
from origin.tokens import Token
from origin.world import Draft

PATHS_NAMED = 100  # of the paths that a refusal lists


@dataclass(frozen=True, slots=True)
class Wish:
    """What a publish asks of the site itself, in the same commit that makes its release live. None: as it is."""

    hosts: tuple[str, ...] | None = None
    settings: dict[str, Any] | None = None  # what is given is set, a value of None takes a setting away

    def grant(self, draft: Draft, site: Site) -> Site:
        """The site as wished; no change where it is so already."""
        if self.hosts is None and self.settings is None:
            return site
        merged = {**site.settings, **(self.settings or {})}
        kept = {key: value for key, value in merged.items() if value is not None}
        if (self.hosts is None or self.hosts == site.hosts) and kept == dict(site.settings):
            return site
        return changes.configure(site, self.hosts, kept)


NO_WISH = Wish()


@dataclass(frozen=True, slots=True)
class Staging:
    """The door through which releases come."""

    store: Store
    catalog: Catalog
    leases: Leases
    collector: Collector
    proofs: check.Proofs
    planning: set[asyncio.Task[None]] = field(default_factory=set)

    async def stage(
        self,
        token: Token,
        name: str,
        release: CID,
        expected: CID | None,
        lease: str | None,
        force: bool,
        wish: Wish = NO_WISH,
    ) -> dict[str, int]:
        """Commit 1. What is wished is tried here and granted by commit 2, so that a host of another site is refused
        before anything has moved."""
        check_site_name(name)
        if lease is not None:
            self._check_owner(token, lease)
        async with self.collector.hold(release):
            await asyncio.to_thread(self._prove, token, name, release, expected, force)

            def change(draft: Draft) -> Site:
                site = draft.site(name, or_new=True)
                draft.check_hosts(wish.grant(draft, site))
                return draft.put(changes.stage(site, release, expected, int(time.time())))

            done = await self.catalog.submit(change)
        if lease is not None:
            self.leases.close(lease)  # from here on `next` keeps the blocks
        planning = asyncio.create_task(asyncio.to_thread(self.catalog.plans.prepare, done.value, int(time.time())))
        self.planning.add(planning)  # while nodes warm; kept here, or the loop would forget it
        planning.add_done_callback(self.planning.discard)
        return _answer(done)

    def _check_owner(self, token: Token, lease_id: str) -> None:
        """A stage ends its lease, so that must be the token's own. One that is over is none: it has nothing to end."""
        with suppress(Missing):
            quota.owner(token, self.leases.get(lease_id))

    async def activate(self, name: str, release: CID, expected: CID | None, wish: Wish = NO_WISH) -> dict[str, int]:
        """Commit 2."""

        def change(draft: Draft) -> Site:
            active = changes.activate(draft.site(name), release, expected, int(time.time()))
            return draft.put(wish.grant(draft, self.catalog.plans.quotas.fit(active)))

        return _answer(await self.catalog.submit(change))

    async def rollback(self, name: str, wanted: str | None) -> dict[str, Any]:
        def change(draft: Draft) -> Site:
            return draft.put(changes.rollback(draft.site(name), wanted, int(time.time())))

        done = await self.catalog.submit(change)
        return {**_answer(done), "release": str(changes.live_of(done.value))}

    async def purge(
        self, name: str, floors: list[tuple[str, str]], soft: bool = False, browsers: bool = False
    ) -> dict[str, int]:
        def change(draft: Draft) -> Site:
            site = draft.site(name)
            return draft.put(changes.purge(site, floors, soft=soft, browsers=browsers, now=int(time.time())))

        return _answer(await self.catalog.submit(change))

    async def preview(self, token: Token, name: str, alias: str, wanted: Alias, lease: str | None) -> dict[str, int]:
        """A release under a name of its own: one commit, for nobody who visits the live site sees anything of it."""
        check_site_name(name)
        if lease is not None:
            self._check_owner(token, lease)
        async with self.collector.hold(wanted.release):
            await asyncio.to_thread(self._prove_preview, token, name, alias, wanted)

            def change(draft: Draft) -> Site:
                return draft.put(trials.preview(draft.site(name, or_new=True), alias, wanted))

            done = await self.catalog.submit(change)
        if lease is not None:
            self.leases.close(lease)
        return _answer(done)

    async def drop_preview(self, name: str, alias: str) -> dict[str, int]:
        return _answer(await self.catalog.submit(lambda draft: draft.put(trials.drop_preview(draft.site(name), alias))))

    async def roll_out(self, name: str, wanted: str, share: int) -> dict[str, Any]:
        def change(draft: Draft) -> Site:
            return draft.put(trials.roll_out(draft.site(name), wanted, share, int(time.time())))

        world = self.catalog.world
        site = world.site(name)
        release = trials.roll_out(site, wanted, share, int(time.time())).rollout
        if release is not None and site.live is not None:
            await asyncio.to_thread(self._prove_beside, site, release.item.release)
        done = await self.catalog.submit(change)
        running = done.value.rollout
        return {**_answer(done), "release": None if running is None else str(running.item.release), "share": share}

    async def abort(self, name: str) -> dict[str, int]:
        return _answer(await self.catalog.submit(lambda draft: draft.put(trials.abort(draft.site(name)))))

    async def expire(self, now: int) -> int:
        """Take away what is over, on all sites; how many sites that changed."""
        due = [name for name, site in self.catalog.world.sites.items() if trials.expire(site, now) is not site]
        for name in due:
            await self._expire(name, now)
        return len(due)

    async def _expire(self, name: str, now: int) -> None:
        await self.catalog.submit(lambda draft: draft.put(trials.expire(draft.site(name), now)))

    def _prove_preview(self, token: Token, name: str, alias: str, wanted: Alias) -> None:
        site = self.catalog.world.sites.get(name) or changes.create(name)
        trials.preview(site, alias, wanted)
        self._prove_whole(token, name, site, wanted.release)

    def _prove_beside(self, site: Site, cid: CID) -> None:
        """A rollout shares the site's hosts: an immutable path must mean the same bytes for all visitors."""
        assert site.live is not None
        base, release = (check.release_of(self.store, item) for item in (site.live.release, cid))
        self._check_immutable(site, check.compare(self.store, base, release))

    def _prove(self, token: Token, name: str, cid: CID, expected: CID | None, force: bool) -> None:
        """Everything that can be known before the commit. Raises why not."""
        site = self.catalog.world.sites.get(name) or changes.create(name)
        changes.stage(site, cid, expected, 0)  # a race that is lost already costs no walk
        rows = self._prove_whole(token, name, site, cid)
        if not force:
            self._check_immutable(site, rows)

    def _prove_whole(self, token: Token, name: str, site: Site, cid: CID) -> check.Difference:
        """That all of it is here and holds together, and that the token's quota has room for it."""
        try:
            lacking = self.proofs.lacking(cid)
            if lacking:
                raise Conflict(
                    f"{len(lacking)} blocks of this release are not here; upload them and stage again",
                    "incomplete",
                    missing=[str(missing) for missing in lacking],
                )
            release = check.release_of(self.store, cid)
            base = None if site.live is None else check.release_of(self.store, site.live.release)
            rows = check.compare(self.store, base, release)
        except Absent as absent:
            raise Conflict(str(absent), "incomplete", missing=[str(absent.cid)]) from absent
        except ContentError as error:
            raise Unprocessable(f"this release does not read: {error}", "bad_release") from error
        quota.check_stage(token, self.catalog.world, self.store, name, release.size)
        return rows

    def _check_immutable(self, site: Site, rows: check.Difference) -> None:
        paths = check.overwritten(self.store, rows, site.attic)
        if paths:
            raise Conflict(
                f"{paths[0]} was served as immutable: browsers keep its old bytes for a year and would not see new "
                "ones. Give the file another name, or use --force",
                "immutable_changed",
                paths=paths[:PATHS_NAMED],
            )


def _answer(done: Done[Site]) -> dict[str, int]:
    return {"sequence": done.sequence, "generation": done.value.generation}
