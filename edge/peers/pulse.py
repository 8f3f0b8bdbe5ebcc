"""Pulse: whether a node is alive at this moment, asked of the node itself.

Here lives the question for its health, `GET /healthz`: one at a time per node, however many want to know, and on a
connection of its own, so that whatever is wrong with the open ones is no matter. Not here: when it is asked
(edge/peers/silence, edge/peers/doubts), or what is made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

TIMEOUT = 0.8  # s, from a question's silence budget to that of its head; and two trips, for the connection and the rest
WELL = 0.25  # s within which a healthy node answers, whatever else it waits for, and however loaded; and two trips


class Pulses:
    """Asks. Make it inside the running loop; close it there."""

    def __init__(self, ssl: aiohttp.Fingerprint | bool = True, strain: Callable[[], float] = lambda: 0.0) -> None:
        """`strain`: as edge/peers/strain; an answer may come later by twice as much."""
        self._ssl = ssl
        self._strain = strain
        self._session: aiohttp.ClientSession | None = None
        self._asked: dict[str, asyncio.Task[bool]] = {}

    async def of(self, url: str, trip: float = 0.0) -> bool:
        """Whether the node at `url` answers now, whatever it says; it has 0.8 s. `trip`: s there and back."""
        task = self._asked.get(url)
        if task is None:
            task = self._asked[url] = asyncio.get_running_loop().create_task(self._beat(url, TIMEOUT + 2 * trip))
            task.add_done_callback(lambda _: self._asked.pop(url, None))
        await asyncio.wait((task,))  # not `await task`: who leaves takes nobody along
        return not task.cancelled() and task.result()

    async def takes(self, url: str, trip: float = 0.0) -> float | None:
        """How long it takes to answer; None when it does not. A question that is under way already is no measure."""
        if (task := self._asked.get(url)) is not None:
            await asyncio.wait((task,))
        loop = asyncio.get_running_loop()
        since = loop.time()
        return loop.time() - since if await self.of(url, trip) else None

    async def _beat(self, url: str, seconds: float) -> bool:
        strained, loop = self._strain(), asyncio.get_running_loop()
        since, beat = loop.time(), loop.create_task(self.beat(url))
        try:
            while not beat.done():
                left = since + seconds + 2 * max(0.0, self._strain() - strained) - loop.time()
                if left <= 0:
                    return False
                await asyncio.wait((beat,), timeout=left)
            return beat.result()
        finally:
            beat.cancel()

    async def beat(self, url: str) -> bool:
        """One question over the wire, however long it takes."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=10, ssl=self._ssl)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            )
        try:
            async with self._session.get(f"{url.rstrip('/')}/healthz", allow_redirects=False):
                return True
        except (aiohttp.ClientError, OSError, ValueError):
            return False

    async def close(self) -> None:
        """Ask no more."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        if asked:
            await asyncio.wait(asked)
        if self._session is not None:
            await self._session.close()
