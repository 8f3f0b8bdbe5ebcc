"""Plans: the attics and bases of the commits that are expected next, made while nobody waits.

Between commit 1 and commit 2 it is known what commit 2 will do to them, and there is time; what the release's manifest
lists is read then, too. And once another release is live, it is known which one a rollback would most likely go to: the
one before, or the one just left. So activation and rollback cost the same for ten files and for a hundred thousand.
Whatever turns out otherwise, as after a purge or a restart, is computed at the commit, as ever.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeGuard

from content.block import Block
from content.catalog import Site
from content.cid import CID
from content.errors import ContentError
from origin import attic, bases, changes
from origin.errors import OriginError
from origin.reading import Absent, read
from origin.retention import Quotas
from origin.signing import Signing
from origin.store import Store

PLANS_MAX = 256  # each holds the new nodes of two trees
log = logging.getLogger("rim.origin")


@dataclass(frozen=True, slots=True)
class _Plan:
    old: Site
    new: Site
    followed: Site
    blocks: list[Block]


class Plans:
    """How attic and bases follow a change of a site: from a plan where one fits."""

    def __init__(self, store: Store, signing: Signing) -> None:
        self._store = store
        self._signing = signing
        self.quotas = Quotas(store)
        self._plans: dict[tuple[str, CID], _Plan] = {}  # by site, and what would be live
        self._making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)  # by site: none is made twice
        self.used = 0

    def __repr__(self) -> str:
        return f"<Plans {len(self._plans)}>"

    def prepare(self, staged: Site, now: int) -> None:
        """Plan the activation of what is staged. In a thread; that it fails is no harm."""
        if staged.next is not None and staged.rollout is None:
            active = changes.activate(staged, staged.next.release, changes.live_of(staged), now)
            self._plan(staged, self.quotas.fit(active))

    def ready(self, old: Site, new: Site) -> None:
        """See that there is a plan for this change, which is to be committed next: commits stand in one line, and what
        is large must not be worked out at its head. In a thread."""
        if old.live != new.live:
            self._plan(old, new)

    def prepare_rollbacks(self, site: Site, left: CID | None, now: int) -> None:
        """Plan the rollbacks to the release before the live one and to the one that was just left. In a thread."""
        kept = [item.release for item in site.retained]
        live = changes.live_of(site)
        at = kept.index(live) + 1 if live in kept else len(kept)
        for target in dict.fromkeys([*kept[at : at + 1], *(release for release in kept if release == left)]):
            self._plan(site, changes.rollback(site, str(target), now))

    def _plan(self, old: Site, new: Site) -> None:
        assert new.live is not None
        with self._making[new.name]:
            if self._fits(self._plans.get((new.name, new.live.release)), old, new):
                return
            self._signing.prepare(new.live.release)
            try:
                blocks: list[Block] = []
                after = self._follow(old, new, blocks.append)
            except Absent as absent:  # the site went on meanwhile, and a release that this is about is gone
                log.debug("plan for site %s: %s", old.name, absent)
                return
            except (OriginError, ContentError):
                log.exception("plan for site %s", old.name)
                return
            while len(self._plans) >= PLANS_MAX:
                self._plans.pop(next(iter(self._plans)), None)
            self._plans[new.name, new.live.release] = _Plan(old, new, after, blocks)

    @staticmethod
    def _fits(plan: _Plan | None, old: Site, new: Site) -> TypeGuard[_Plan]:
        return plan is not None and plan.old == old and plan.new == new

    def follow(self, old: Site, new: Site, emit: Callable[[Block], None]) -> Site:
        """`new` with the attic and the bases it has after `old` became it."""
        plan = self._plans.pop((new.name, new.live.release), None) if new.live is not None else None
        if not self._fits(plan, old, new):
            return self._follow(old, new, emit)
        self.used += 1
        for block in plan.blocks:
            emit(block)
        return plan.followed

    def _follow(self, old: Site, new: Site, emit: Callable[[Block], None]) -> Site:
        kept = read(self._store, attic.follow(old, new, emit))
        return replace(new, attic=kept, bases=read(self._store, bases.follow(old, new, emit)))
