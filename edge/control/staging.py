"""Staging: when a Head shows a release that is coming, warm it and tell the origin how that went.

Here lives one task per site and release. Not here: what is fetched (edge/control/warm), how it is told
(edge/control/report).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from content.cid import CID
from edge.control.report import Reporter
from edge.control.warm import Staged, Warmer
from edge.site.view import SiteView


class Stager:
    """Follows the views' `next`. Where several processes are one edge, one of them speaks: `others` waits for what came
    of a release with each other one."""

    def __init__(
        self,
        warmer: Warmer,
        reporter: Reporter,
        on_warm: Callable[[Staged], None] = lambda staged: None,
        *,
        speaks: Callable[[], bool] = lambda: True,
        others: Callable[[str, str], Awaitable[list[Staged]]] | None = None,
    ) -> None:
        self._warmer = warmer
        self._reporter = reporter
        self._on_warm = on_warm
        self._speaks = speaks
        self._others = others
        self._tasks: dict[str, tuple[tuple[CID, int], asyncio.Task[None]]] = {}
        self._came: dict[str, Staged] = {}  # site → what came of the last release
        self._done = asyncio.Event()  # replaced whenever one is warm

    def follow(self, views: Iterable[SiteView]) -> None:
        """Warm what is new among the coming releases; stop warming what is not coming any more."""
        coming = {view.site.name: view for view in views if view.next is not None}
        for name in [name for name in self._tasks if name not in coming]:
            self._tasks.pop(name)[1].cancel()
            self._came.pop(name, None)
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
        self._came[staged.site] = staged
        self._done.set()
        self._done = asyncio.Event()
        if self._speaks():
            others = [] if self._others is None else await self._others(staged.site, staged.release)
            await self._reporter.send([_together([staged, *others])])

    async def came_of(self, site: str, release: str, seconds: float) -> Staged | None:
        """What came of warming this release here; waits for it so long. None: it is not warm yet."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (staged := self._came.get(site)) is None or staged.release != release:
                    await self._done.wait()
                return staged
        return None

    async def close(self) -> None:
        """Stop all warming."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _together(parts: list[Staged]) -> Staged:
    """What came of it with all processes of an edge."""
    failed = next((part for part in parts if not part.ok), parts[0])
    blocks, size = sum(part.blocks for part in parts), sum(part.bytes for part in parts)
    return replace(failed, blocks=blocks, bytes=size, ms=max(part.ms for part in parts))
