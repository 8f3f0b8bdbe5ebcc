"""A hop between one edge and the origin that tells old news: Heads replayed, doubled or held back, sequences made up.

Here lives an HTTP hop in a thread of its own; of blocks it tells the truth. Hints are all it can spoil: what a node
believes it has to verify, and go no way back for it. Not here: spoilt connections (tests/kit/toxics), lying peers
(tests/kit/evilpeer).
"""

from __future__ import annotations

import asyncio
import random

import aiohttp
from aiohttp import web

from tests.kit.proxy import HOP_BY_HOP
from tests.kit.threaded import Threaded

_HEAD = "/api/v1/head"
_KEPT = 16
Told = tuple[int, dict[str, str], bytes]


class Hop(Threaded):
    """Forwards to `upstream`. `mode`: honest, or a kind of fault of the schedule."""

    def __init__(self, upstream: str, seed: int) -> None:
        super().__init__()
        self.upstream, self.mode, self.url = upstream, "honest", ""
        self.played = 0  # answers that were not the origin's of now
        self._rng = random.Random(seed)
        self._heads: list[Told] = []

    async def _serve(self) -> None:
        timeout = aiohttp.ClientTimeout(total=90)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as self._session:
            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{tail:.*}", self._answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        is_head = request.path == _HEAD
        if is_head and self.mode == "old_heads" and self._heads and self._rng.random() < 0.8:
            await asyncio.sleep(0.02)
            return self._say(self._rng.choice(self._heads))
        if is_head and self.mode == "lost_hints":
            await asyncio.sleep(0.5)
            return self._say((204, {}, b""))
        told = await self._forward(request)
        if is_head and told[0] == 200:
            self._heads = [*self._heads, told][-_KEPT:]
        if self.mode == "false_hints":
            self.played += 1
            told[1]["Rim-Sequence"] = self._rng.choice(("0", "-5", "nonsense", str(1 << 62), str(1 << 70)))
        return web.Response(status=told[0], headers=told[1], body=told[2])

    def _say(self, told: Told) -> web.Response:
        self.played += 1
        return web.Response(status=told[0], headers=told[1], body=told[2])

    async def _forward(self, request: web.Request) -> Told:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        data = await request.read()
        url = self.upstream + request.raw_path
        try:
            async with self._session.request(request.method, url, headers=headers, data=data or None) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
                return answer.status, kept, await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway from None
