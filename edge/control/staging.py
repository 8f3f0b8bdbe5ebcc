"""Staging: when a Head shows a release that is coming, warm it and tell the origin how that went.

Here lives one task per site and release. Not here: what is fetched (edge/control/warm), how it is told
(edge/control/report).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from content.cid import CID
from edge.control.report import Reporter
from edge.control.warm import Staged, Warmer
from edge.site.view import SiteView


class Stager:
    """Follows the views' `next`."""

    def __init__(
        self, warmer: Warmer, reporter: Reporter, on_warm: Callable[[Staged], None] = lambda staged: None
    ) -> None:
        self._warmer = warmer
        self._reporter = reporter
        self._on_warm = on_warm
        self._tasks: dict[str, tuple[tuple[CID, int], asyncio.Task[None]]] = {}

    def follow(self, views: Iterable[SiteView]) -> None:
        """Warm what is new among the coming releases; stop warming what is not coming any more."""
        coming = {view.site.name: view for view in views if view.next is not None}
        for name in [name for name in self._tasks if name not in coming]:
            self._tasks.pop(name)[1].cancel()
        for name, view in coming.items():
            assert view.next is not None
            key = (view.next.cid, view.next.generation)
            known = self._tasks.get(name)
            if known is None or known[0] != key:
                if known is not None:
                    known[1].cancel()
                self._tasks[name] = key, asyncio.create_task(self._stage(view))

    async def _stage(self, view: SiteView) -> None:
        assert view.next is not None
        staged = await self._warmer.warm(view.site.name, view.live, view.next)
        self._on_warm(staged)
        await self._reporter.send([staged])

    async def close(self) -> None:
        """Stop all warming."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
