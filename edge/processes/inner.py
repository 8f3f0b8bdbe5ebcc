"""Inner: what the processes of one edge ask each other, beside blocks.

Here live the routes of the inner listener (loopback, for who knows the parent's secret) and the asking. Not here:
blocks (the routes of edge/control/admin, asked by edge/cache/sources), sums (edge/processes/totals).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge.control.admin import Private
from edge.control.asks import Answerer
from edge.control.refused import Refused
from edge.control.staging import Stager
from edge.control.warm import Staged
from edge.peers.client import PeerClient
from edge.peers.shares import Shares

logger = logging.getLogger("rim.edge")
WAIT = 10.0  # s that a question for a warm release waits at the asked
AGAIN = 0.2  # s before a process that did not answer is asked again
PATIENCE = 1.0  # s for numbers: one that stands still must not hold up a scrape
_JSON = {"Cache-Control": "no-store", "Content-Type": "application/json"}


class Inner:
    """Asks the other processes."""

    def __init__(self, shares: Shares, client: PeerClient, secret: str) -> None:
        self.shares = shares
        self._client = client
        self._headers = {"Authorization": f"Bearer {secret}"}

    async def ask(self, index: int, method: str, path: str, seconds: float) -> Any:
        """The JSON that it answers; None when it answers nothing, or nothing in time."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        url = self.shares.urls[index] + path
        try:
            async with self._client.session.request(
                method, url, headers=self._headers, timeout=timeout, allow_redirects=False
            ) as response:
                return json.loads(await response.read()) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def numbers(self) -> dict[int, dict[str, Any] | None]:
        """What each of the others counts and holds; None: it did not answer."""
        others = self.shares.others
        asked = (self.ask(index, "GET", "/api/v1/numbers", PATIENCE) for index in others)
        return dict(zip(others, await asyncio.gather(*asked), strict=True))

    async def staged(self, site: str, release: str) -> list[Staged]:
        """What came of warming a release with each of the others; waits for all of them."""
        return await asyncio.gather(*(self._staged(index, site, release) for index in self.shares.others))

    async def _staged(self, index: int, site: str, release: str) -> Staged:
        path = f"/api/v1/staged/{site}/{release}"
        while True:
            if told := await self.ask(index, "GET", path, WAIT + PATIENCE):
                return Staged(**told)
            await asyncio.sleep(AGAIN)

    async def tail(self, ask: str) -> None:
        """Have all others answer this question of the origin too."""
        await asyncio.gather(
            *(self.ask(index, "POST", f"/api/v1/tail/{ask}", PATIENCE) for index in self.shares.others)
        )


def routes(
    private: Private, numbers: Callable[[], Awaitable[dict[str, Any]]], stager: Stager, answerer: Answerer
) -> list[Route]:
    """What this process answers the others."""

    async def show_numbers(request: Request) -> Response:
        private.authorize(request)
        return Response(json.dumps(await numbers()), headers=_JSON)

    async def show_staged(request: Request) -> Response:
        private.authorize(request)
        staged = await stager.came_of(request.path_params["site"], request.path_params["release"], WAIT)
        if staged is None:
            raise Refused(404, "not_warm", "this release is not warm here yet: ask again")
        return JSONResponse(staged.to_json(), headers=_JSON)

    async def take_tail(request: Request) -> Response:
        private.authorize(request)
        answerer.hear([request.path_params["ask"]], passed_on=True)
        return JSONResponse({}, headers=_JSON)

    return [
        Route("/api/v1/numbers", show_numbers),
        Route("/api/v1/staged/{site}/{release}", show_staged),
        Route("/api/v1/tail/{ask}", take_tail, methods=["POST"]),
    ]
