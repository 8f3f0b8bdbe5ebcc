"""Staging: what has to hold before a release becomes `next`, and the two commits of a publish.

Here lives the order of the checks: is it a Release, is all of it here, is its Root the tree of its Index, does it leave
immutable paths alone, does the quota allow it, has nobody come in between. Not here: each check (origin/check), what
the commit does to the Site (origin/changes), previews and rollouts (origin/showing), or making it durable
(origin/catalog).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from content.catalog import Site, check_site_name
from content.cid import CID
from content.errors import ContentError
from origin import changes, check, quota
from origin.catalog import Catalog, Done
from origin.denials import Denials
from origin.errors import Conflict, Missing, OriginError, Unprocessable
from origin.gc import Collector, pin_name
from origin.leases import Leases
from origin.log import By, Entry
from origin.reading import Absent
from origin.store import Store
from origin.tokens import Token
from origin.world import Draft

PLAN_AFTER = 1.0  # s from a commit until rollbacks are planned: edges come for the Head first
PATHS_NAMED = 100  # of the paths that a refusal lists
FLOORS_TOLD = 100  # of a purge, in its line of the log


@dataclass(frozen=True, slots=True)
class Wish:
    """What a publish asks of the site itself, in the same commit that makes its release live. None: as it is."""

    hosts: tuple[str, ...] | None = None
    settings: dict[str, Any] | None = None  # what is given is set, a value of None takes a setting away

    def grant(self, site: Site) -> Site:
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
    denials: Denials
    planning: set[asyncio.Task[None]] = field(default_factory=set)

    async def stage(
        self,
        token: Token,
        name: str,
        release: CID,
        expected: CID | None,
        lease: str | None,
        force: bool,
        by: By,
        wish: Wish = NO_WISH,
    ) -> dict[str, int]:
        """Commit 1. What is wished is tried here and granted by commit 2, so that a host of another site is refused
        before anything has moved."""
        check_site_name(name)
        if lease is not None:
            self.check_owner(token, lease)
        async with self.collector.hold(release):
            await asyncio.to_thread(self._prove, token, name, release, expected, force)
            await asyncio.to_thread(self.keep, name, release)

            def change(draft: Draft) -> Site:
                site = draft.site(name, or_new=True)
                draft.check_hosts(wish.grant(site))
                draft.note(self.entry("stage", site, release, by))
                return draft.put(changes.stage(site, release, expected, int(time.time())))

            done = await self.catalog.submit(change)
        if lease is not None:
            self.leases.close(lease)  # from here on `next` keeps the blocks
        self._plan(self.catalog.plans.prepare, done.value, int(time.time()))  # while nodes warm
        return answer(done)

    def _plan(self, prepare: Callable[..., None], *arguments: object, pause: float = 0.0) -> None:
        async def plan() -> None:
            await asyncio.sleep(pause)
            await asyncio.to_thread(prepare, *arguments)

        planning = asyncio.create_task(plan())
        self.planning.add(planning)  # kept here, or the loop would forget it
        planning.add_done_callback(self.planning.discard)

    def check_owner(self, token: Token, lease_id: str) -> None:
        """A stage ends its lease, so that must be the token's own. One that is over is none: it has nothing to end."""
        with suppress(Missing):
            quota.owner(token, self.leases.get(lease_id))

    async def activate(
        self, name: str, release: CID, expected: CID | None, by: By, wish: Wish = NO_WISH
    ) -> dict[str, int]:
        """Commit 2."""
        left: list[CID | None] = []

        def active(site: Site) -> Site:
            live = changes.activate(site, release, expected, int(time.time()))
            return wish.grant(self.catalog.plans.quotas.fit(live))

        def change(draft: Draft) -> Site:
            site = draft.site(name)
            left.append(changes.live_of(site))
            draft.note(self.entry("activate", site, release, by))
            return draft.put(active(site))

        await asyncio.to_thread(self._make_ready, name, active)
        done = await self.catalog.submit(change)
        self._plan(self.catalog.plans.prepare_rollbacks, done.value, left[-1], int(time.time()), pause=PLAN_AFTER)
        return answer(done)

    def _make_ready(self, name: str, change: Callable[[Site], Site]) -> None:
        """Plan what is about to be committed. Why it is refused, if it is, the commit says."""
        site = self.catalog.world.sites.get(name)
        if site is not None:
            with suppress(OriginError, ContentError, Absent):
                self.catalog.plans.ready(site, change(site))

    async def rollback(self, name: str, wanted: str | None, by: By) -> dict[str, Any]:
        left: list[CID | None] = []

        def change(draft: Draft) -> Site:
            site = draft.site(name)
            left.append(changes.live_of(site))
            rolled = changes.rollback(site, wanted, int(time.time()))
            draft.note(Entry(name, "rollback", moved(site, changes.live_of(rolled)), by))
            return draft.put(rolled)

        done = await self.catalog.submit(change)
        self._plan(self.catalog.plans.prepare_rollbacks, done.value, left[-1], int(time.time()), pause=PLAN_AFTER)
        return {**answer(done), "release": str(changes.live_of(done.value))}

    async def purge(
        self, name: str, floors: list[tuple[str, str]], by: By, soft: bool = False, browsers: bool = False
    ) -> dict[str, int]:
        def change(draft: Draft) -> Site:
            site = draft.site(name)
            purged = draft.put(changes.purge(site, floors, soft=soft, browsers=browsers, now=int(time.time())))
            told: dict[str, Any] = {"floors": [list(floor) for floor in floors[:FLOORS_TOLD]]}
            if len(floors) > FLOORS_TOLD:
                told["more"] = len(floors) - FLOORS_TOLD
            told["generation"] = purged.generation
            told |= {how: True for how, meant in (("soft", soft), ("browsers", browsers)) if meant}
            draft.note(Entry(name, "purge", told, by))
            return purged

        return answer(await self.catalog.submit(change))

    def entry(self, action: str, site: Site, cid: CID, by: By, **more: Any) -> Entry:
        """The line of a publish's commit: author and message are the Release's, where the client gave none."""
        release = check.release_of(self.store, cid)
        told = By(by.author or release.author, by.message or release.message, by.token)
        return Entry(site.name, action, {**moved(site, cid), **more}, told)

    def _prove(self, token: Token, name: str, cid: CID, expected: CID | None, force: bool) -> None:
        """Everything that can be known before the commit. Raises why not."""
        site = self.catalog.world.sites.get(name) or changes.create(name)
        changes.stage(site, cid, expected, 0)  # a race that is lost already costs no walk
        rows = self.prove_whole(token, name, site, cid)
        if not force:
            self.check_immutable(site, rows)

    def prove_whole(self, token: Token, name: str, site: Site, cid: CID) -> check.Difference:
        """That all of it is here and holds together, and that the token's quota has room for it."""
        try:
            lacking = self.proofs.lacking(cid)
            if lacking:
                raise _incomplete(lacking)
            release = check.release_of(self.store, cid)
            base = None if site.live is None else check.release_of(self.store, site.live.release)
            check.check_rules(release)
            check.check_manifest(self.store, release)
            rows = check.compare(self.store, base, release)
            self.denials.check_release(release, base, rows)
        except Absent as absent:
            raise _incomplete([absent.cid]) from absent
        except ContentError as error:
            raise Unprocessable(f"this release does not read: {error}", "bad_release") from error
        quota.check_stage(token, self.catalog.world, self.store, name, release.size)
        return rows

    def keep(self, name: str, release: CID) -> None:
        """Have the store keep all of it by itself, before the commit that relies on that. In a thread. Should the
        commit not come, the next collection finds that nobody wants it."""
        site = self.catalog.world.sites.get(name)
        try:
            self.store.pin(release, pin_name(name), None if site is None else changes.live_of(site))
        except Absent as absent:  # it was here when it was proved
            raise _incomplete(self.proofs.lacking(release) or [absent.cid]) from absent

    def check_immutable(self, site: Site, rows: check.Difference) -> None:
        """Raises Conflict where a path that was served as immutable would get other bytes."""
        paths = check.overwritten(self.store, rows, site.attic)
        if paths:
            raise Conflict(
                f"{paths[0]} was served as immutable: browsers keep its old bytes for a year and would not see new "
                "ones. Give the file another name, or use --force",
                "immutable_changed",
                paths=paths[:PATHS_NAMED],
            )


def _incomplete(lacking: list[CID]) -> Conflict:
    return Conflict(
        f"{len(lacking)} blocks of this release are not here; upload them and stage again",
        "incomplete",
        missing=[str(missing) for missing in lacking],
    )


def moved(site: Site, release: CID | None) -> dict[str, Any]:
    """What a line of the log says of a move."""
    live = changes.live_of(site)
    return {"release": str(release), "previous": None if live is None else str(live)}


def answer(done: Done[Site]) -> dict[str, int]:
    """Where a commit has led."""
    return {"sequence": done.sequence, "generation": done.value.generation}
