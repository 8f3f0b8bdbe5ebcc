"""A counting reverse proxy: stands between edges and an origin and keeps the list of blocks that left it.

Here lives a real HTTP hop on loopback that changes nothing it carries. Not here: faults (tests/kit/evilpeer, chaos).
"""

from __future__ import annotations

from collections import Counter

import aiohttp
from aiohttp import web

from tests.kit.threaded import Threaded

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}


class CountingProxy(Threaded):
    """Forwards to `upstream`; `blocks[cid]` counts the answers of 200 that carried that block's bytes."""

    def __init__(self, upstream: str, host: str = "127.0.0.1") -> None:
        super().__init__()
        self.host = host
        self.upstream = upstream.rstrip("/")
        self.blocks: Counter[str] = Counter()
        self.url = ""

    def content_blocks(self) -> Counter[str]:
        """The counts of content blocks alone (control blocks are DAG-CBOR: `bafyrei…`)."""
        return Counter({cid: n for cid, n in self.blocks.items() if not cid.startswith("bafyrei")})

    async def _serve(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as self._session:
            app = web.Application(client_max_size=1 << 30)
            app.router.add_route("*", "/{tail:.*}", self._forward)
            runner = web.AppRunner(app, shutdown_timeout=0.5, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, self.host, 0)
            await site.start()
            port = runner.addresses[0][1]
            self.url = f"http://{self.host}:{port}"
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        body = await request.read()
        try:
            async with self._session.request(
                request.method,
                self.upstream + request.raw_path,
                headers=headers,
                data=body or None,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway from None
        path = request.path
        if request.method == "GET" and path.startswith("/ipfs/") and answer.status == 200:
            self.blocks[path.removeprefix("/ipfs/")] += 1
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP}
        return web.Response(status=answer.status, headers=kept, body=content)
