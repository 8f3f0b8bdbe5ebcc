"""A small origin for the edge's tests, on a real socket: it tells what a World says, and does as a play wishes.

Here lives what the real origin never would: forks, lies, silence. Plays of a whole use the real one (tests/stories).
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

from aiohttp import web

from content.cid import CID, RAW
from tests.edge.sites import World

TOKEN = "node-token-of-the-tests"


class TinyOrigin:
    """Serves the World's newest signed Head and its blocks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: Counter[str] = Counter()  # CIDs
        self.head_requests: list[dict[str, str]] = []
        self.reports: list[dict[str, Any]] = []
        self.reported = asyncio.Condition()
        self.moved = asyncio.Condition()
        self.says: int | None = None  # the sequence on its answers, and that there is nothing new
        self.mute = False  # takes connections and never answers
        self.lacking: set[CID] = set()
        self.busy: int | None = None  # s after which blocks may be asked for again
        self.turned_away, self.turns_away = 0, math.inf
        self.public: set[CID] = set()  # what a public release or a pin reaches, as the real one would find out
        self.asked_public: Counter[str] = Counter()
        self.knows_public = True  # else it fails when it is asked
        self.last_words: dict[str, bytes] = {}  # a key rotated away → the CAR that answers who still asks by it
        self.held: asyncio.Event | None = None  # when set to an Event, content blocks wait for it
        self.after: dict[CID, asyncio.Event] = {}
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> TinyOrigin:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_get("/api/v1/head", self._head)
        app.router.add_post("/api/v1/report", self._report)
        app.router.add_get("/api/v1/public/{cid}", self._public)
        app.router.add_get("/ipfs/{cid}", self._block)
        app.router.add_get("/ipns/{name}", self._record)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def announce(self) -> None:
        """A new Head is there: wake the waiting requests."""
        async with self.moved:
            self.moved.notify_all()

    async def sign(self, **arguments: Any) -> int:
        """Sign the World as it is, and announce it."""
        self.world.sign(**arguments)
        await self.announce()
        return self.world.sequence

    async def serving(self, sequence: int, node: str | None = None) -> None:
        """Wait until a node has said on its waiting request that it serves this sequence."""
        async with self.reported:
            await self.reported.wait_for(
                lambda: any(
                    int(query["since"]) >= sequence and node in (None, query["node"]) for query in self.head_requests
                )
            )

    async def staged(self, release: CID) -> dict[str, Any]:
        """Wait for a node's report on this release."""

        def rows() -> list[dict[str, Any]]:
            return [row for report in self.reports for row in report["staged"] if row["release"] == str(release)]

        async with self.reported:
            await self.reported.wait_for(rows)
        return rows()[0]

    async def _head(self, request: web.Request) -> web.Response:
        self._check(request)
        async with self.reported:
            self.head_requests.append(dict(request.query))
            self.reported.notify_all()
        while self.mute:
            await asyncio.sleep(3600)
        since = int(request.query["since"])
        if self.says is not None:
            await asyncio.sleep(0.01)
            return web.Response(status=204, headers={"Rim-Sequence": str(self.says)})
        if last := self.last_words.get(request.query["key"]):
            return web.Response(body=last, content_type="application/vnd.ipld.car")
        try:
            async with asyncio.timeout(float(request.query["wait"])), self.moved:
                await self.moved.wait_for(lambda: self.world.sequence > since)
        except TimeoutError:
            return web.Response(status=204)
        return web.Response(body=self.world.car(), content_type="application/vnd.ipld.car")

    async def _report(self, request: web.Request) -> web.Response:
        self._check(request)
        async with self.reported:
            self.reports.append(await request.json())
            self.reported.notify_all()
        return web.json_response({})

    async def _record(self, request: web.Request) -> web.Response:
        return web.Response(body=self.world.head, content_type="application/vnd.ipfs.ipns-record")

    async def _public(self, request: web.Request) -> web.Response:
        self._check(request)
        cid = CID.parse(request.match_info["cid"])
        self.asked_public[str(cid)] += 1
        if not self.knows_public:
            return web.Response(status=503)
        return web.json_response({"public": cid in self.public})

    async def _block(self, request: web.Request) -> web.Response:
        self._check(request)
        cid = CID.parse(request.match_info["cid"])
        self.asked[str(cid)] += 1
        if gate := self.after.get(cid):
            await gate.wait()
        if self.busy is not None and cid.codec == RAW and self.turned_away < self.turns_away:
            self.turned_away += 1
            return web.Response(status=503, headers={"Retry-After": str(self.busy)})
        block = self.world.store.blocks.get(cid.store_key)
        if block is None or cid in self.lacking:
            return web.Response(status=404)
        return web.Response(body=block.data, content_type="application/vnd.ipld.raw")

    def _check(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized
