"""Staging: what has to hold before a release becomes `next`, and the two commits of a publish.

Here lives the order of the checks: is it a Release, is all of it here, is its Root the tree of its Index, does it leave
immutable paths alone, does the quota allow it, has nobody come in between. Not here: each check (origin/check), what
the commit does to the Site (origin/changes), making it durable (origin/catalog).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from content.catalog import Site, check_site_name
from content.cid import CID
from content.errors import ContentError
from origin import changes, check, quota
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
class Staging:
    """The door through which releases come."""

    store: Store
    catalog: Catalog
    leases: Leases
    collector: Collector
    proofs: check.Proofs
    planning: set[asyncio.Task[None]] = field(default_factory=set)

    async def stage(
        self, token: Token, name: str, release: CID, expected: CID | None, lease: str | None, force: bool
    ) -> dict[str, int]:
        """Commit 1."""
        check_site_name(name)
        if lease is not None:
            self._check_owner(token, lease)
        async with self.collector.hold(release):
            await asyncio.to_thread(self._prove, token, name, release, expected, force)

            def change(draft: Draft) -> Site:
                site = draft.site(name, or_new=True)
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

    async def activate(self, name: str, release: CID, expected: CID | None) -> dict[str, int]:
        """Commit 2."""

        def change(draft: Draft) -> Site:
            return draft.put(changes.activate(draft.site(name), release, expected, int(time.time())))

        return _answer(await self.catalog.submit(change))

    async def rollback(self, name: str, wanted: str | None) -> dict[str, Any]:
        def change(draft: Draft) -> Site:
            return draft.put(changes.rollback(draft.site(name), wanted, int(time.time())))

        done = await self.catalog.submit(change)
        return {**_answer(done), "release": str(changes.live_of(done.value))}

    async def purge(self, name: str, floors: list[tuple[str, str]]) -> dict[str, int]:
        return _answer(await self.catalog.submit(lambda draft: draft.put(changes.purge(draft.site(name), floors))))

    def _prove(self, token: Token, name: str, cid: CID, expected: CID | None, force: bool) -> None:
        """Everything that can be known before the commit. Raises why not."""
        world = self.catalog.world
        site = world.sites.get(name) or changes.create(name)
        changes.stage(site, cid, expected, 0)  # a race that is lost already costs no walk
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
        if not force:
            self._check_immutable(site, rows)
        quota.check_stage(token, world, self.store, name, release.size)

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
