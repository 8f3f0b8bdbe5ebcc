"""Plans: the attic of the commit that is expected next, made while nodes warm.

Between commit 1 and commit 2 it is known what commit 2 will do to the attic, and there is time. So activation costs the
same for ten files and for a hundred thousand. Whatever turns out otherwise is computed at the commit, as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from content.block import Block
from content.catalog import Site
from content.cid import CID
from content.errors import ContentError
from origin import attic, changes
from origin.errors import OriginError
from origin.reading import Absent, read
from origin.retention import Quotas
from origin.store import Store

PLANS_MAX = 256  # each holds the new nodes of one attic
log = logging.getLogger("rim.origin")


@dataclass(frozen=True, slots=True)
class _Plan:
    old: Site
    new: Site
    attic: CID | None
    blocks: list[Block]


class Plans:
    """How the attic follows a change of a site: from a plan where one fits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.quotas = Quotas(store)
        self._plans: dict[str, _Plan] = {}
        self.used = 0

    def __repr__(self) -> str:
        return f"<Plans {len(self._plans)}>"

    def prepare(self, staged: Site, now: int) -> None:
        """Plan the activation of what is staged. In a thread; that it fails is no harm."""
        if staged.next is None or staged.live is None:
            return
        try:
            active = self.quotas.fit(changes.activate(staged, staged.next.release, staged.live.release, now))
            blocks: list[Block] = []
            after = read(self._store, attic.follow(staged, active, blocks.append))
        except (OriginError, ContentError, Absent):
            log.exception("plan for site %s", staged.name)
            return
        while len(self._plans) >= PLANS_MAX:
            self._plans.pop(next(iter(self._plans)), None)
        self._plans[staged.name] = _Plan(staged, active, after, blocks)

    def follow(self, old: Site, new: Site, emit: Callable[[Block], None]) -> CID | None:
        """The attic after `old` became `new`."""
        plan = self._plans.pop(new.name, None)
        if plan is None or plan.old != old or plan.new != new:
            return read(self._store, attic.follow(old, new, emit))
        self.used += 1
        for block in plan.blocks:
            emit(block)
        return plan.attic
