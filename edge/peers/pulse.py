"""Pulse: whether a node is alive at this moment, asked of the node itself.

Here lives the question for its health, `GET /healthz`: one at a time per node, however many want to know, and on a
connection of its own, so that whatever is wrong with the open ones is no matter. Not here: when it is asked
(edge/peers/silence, edge/peers/doubts), or what is made of it.
"""

from __future__ import annotations

import asyncio

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=0.8, sock_connect=0.3)  # from a question's silence budget to that of its head


class Pulses:
    """Asks. Make it inside the running loop; close it there."""

    def __init__(self, ssl: aiohttp.Fingerprint | bool = True) -> None:
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self._asked: dict[str, asyncio.Task[bool]] = {}

    async def of(self, url: str) -> bool:
        """Whether the node at `url` answers now, whatever it says; it has 0.8 s."""
        task = self._asked.get(url)
        if task is None:
            task = self._asked[url] = asyncio.get_running_loop().create_task(self.beat(url))
            task.add_done_callback(lambda _: self._asked.pop(url, None))
        await asyncio.wait((task,))  # not `await task`: who leaves takes nobody along
        return not task.cancelled() and task.result()

    async def beat(self, url: str) -> bool:
        """One question over the wire."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=10, ssl=self._ssl)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
        try:
            async with self._session.get(f"{url.rstrip('/')}/healthz", timeout=TIMEOUT, allow_redirects=False):
                return True
        except (aiohttp.ClientError, OSError, ValueError):  # a TimeoutError is an OSError
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
