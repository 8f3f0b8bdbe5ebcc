"""Showing: the commits of previews and rollouts, with what has to hold before each.

Here lives their order of checks. Not here: what they do to the Site (origin/trials), the proofs and the publish whose
release they show (origin/staging).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from content.catalog import WHOLE, Alias, Site, check_site_name
from content.cid import CID
from origin import changes, check, trials
from origin.log import By, Entry
from origin.staging import Staging, answer
from origin.tokens import Token
from origin.world import Draft


@dataclass(frozen=True, slots=True)
class Showing:
    """The door of releases that some see before all do."""

    staging: Staging

    async def preview(
        self, token: Token, name: str, alias: str, wanted: Alias, lease: str | None, by: By
    ) -> dict[str, int]:
        """A release under a name of its own: one commit, for nobody who visits the live site sees anything of it."""
        check_site_name(name)
        staging = self.staging
        if lease is not None:
            staging.check_owner(token, lease)
        async with staging.collector.hold(wanted.release):
            await asyncio.to_thread(self._prove_preview, token, name, alias, wanted)
            await asyncio.to_thread(staging.keep, name, wanted.release)

            def change(draft: Draft) -> Site:
                site = draft.site(name, or_new=True)
                draft.note(staging.entry("preview", site, wanted.release, by, preview=alias, expires=wanted.expires))
                return draft.put(trials.preview(site, alias, wanted))

            done = await staging.catalog.submit(change)
        if lease is not None:
            staging.leases.close(lease)
        return answer(done)

    async def drop_preview(self, name: str, alias: str, by: By) -> dict[str, int]:
        def change(draft: Draft) -> Site:
            draft.note(Entry(name, "drop preview", {"preview": alias}, by))
            return draft.put(trials.drop_preview(draft.site(name), alias))

        return answer(await self.staging.catalog.submit(change))

    async def roll_out(self, name: str, wanted: str, share: int, by: By) -> dict[str, Any]:
        """`share`: of WHOLE."""
        staging, now = self.staging, int(time.time())
        site = staging.catalog.world.site(name)
        planned = trials.roll_out(site, wanted, share, now).rollout
        if planned is not None:
            await asyncio.to_thread(self._prove_beside, site, planned.item.release)

        def change(draft: Draft) -> Site:
            site = draft.site(name)
            rolled = trials.roll_out(site, wanted, share, now)
            if rolled.rollout is not None:
                percent = share * 100 / WHOLE
                draft.note(staging.entry("rollout", site, rolled.rollout.item.release, by, percent=percent))
            return draft.put(rolled)

        done = await staging.catalog.submit(change)
        running = done.value.rollout
        release = None if running is None else str(running.item.release)
        return {**answer(done), "release": release, "percent": share * 100 / WHOLE}

    async def abort(self, name: str, by: By) -> dict[str, int]:
        def change(draft: Draft) -> Site:
            site = draft.site(name)
            release = None if site.rollout is None else str(site.rollout.item.release)
            draft.note(Entry(name, "abort rollout", {"release": release}, by))
            return draft.put(trials.abort(site))

        return answer(await self.staging.catalog.submit(change))

    async def expire(self, now: int) -> int:
        """Take away what is over, on all sites; how many sites that changed."""
        sites = self.staging.catalog.world.sites
        due = [name for name, site in sites.items() if trials.expire(site, now) is not site]
        for name in due:
            await self._expire(name, now)
        return len(due)

    async def _expire(self, name: str, now: int) -> None:
        def change(draft: Draft) -> Site:
            site = draft.site(name)
            left = trials.expire(site, now)
            draft.note(Entry(name, "expire", {"previews": sorted(site.aliases.keys() - left.aliases.keys())}))
            return draft.put(left)

        await self.staging.catalog.submit(change)

    def _prove_preview(self, token: Token, name: str, alias: str, wanted: Alias) -> None:
        site = self.staging.catalog.world.sites.get(name) or changes.create(name)
        trials.preview(site, alias, wanted)
        self.staging.prove_whole(token, name, site, wanted.release)

    def _prove_beside(self, site: Site, cid: CID) -> None:
        """A rollout shares the site's hosts: an immutable path must mean the same bytes for all visitors."""
        assert site.live is not None
        base, release = (check.release_of(self.staging.store, item) for item in (site.live.release, cid))
        self.staging.check_immutable(site, check.compare(self.staging.store, base, release))
