"""Report: what this edge tells the origin of itself, beside the sequence on its waiting request.

Here lives the sending, with a few tries. Not here: what there is to tell (edge/control/warm).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from edge.control.identity import Identity
from edge.control.warm import Staged
from edge.peers.client import PeerClient

logger = logging.getLogger("rim.edge")
TRIES = 4
PAUSE = 0.5  # s after the first failure; doubles
GOODBYE = 0.5  # s that a stop waits for the origin to take it
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=2)


@dataclass(slots=True)
class Reporter:
    """Tells the origin. A report that cannot be delivered is dropped: gates have deadlines of their own."""

    node: str
    region: str
    origin: str
    token: str | None
    client: PeerClient
    sequence: Callable[[], int]
    public: Callable[[], str | None]
    catalog: Callable[[], str]  # the name whose Heads are followed
    identity: Identity
    gateway: str | None = None  # the base URL under which browsers reach this edge's gateway
    about: Callable[[], Mapping[str, object]] = dict  # how peers reach it, its weight, version and state
    failed: int = 0

    async def send(self, staged: Sequence[Staged] = ()) -> bool:
        """Tell what was staged, and where this edge is. Whether the origin took it."""
        pause = PAUSE
        for left in reversed(range(TRIES)):
            try:
                await self._post(staged)
                return True
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if not left:
                    logger.warning("the origin could not be told: %s", error or type(error).__name__)
            await asyncio.sleep(pause * bool(left))
            pause *= 2
        self.failed += 1
        return False

    async def leave(self) -> None:
        """Say goodbye, so that nobody waits for this edge; one that cannot be said is noticed within a day."""
        try:
            async with asyncio.timeout(GOODBYE):
                await self._post((), leaving=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("goodbye: %s", error or type(error).__name__)

    async def _post(self, staged: Sequence[Staged], leaving: bool = False) -> None:
        sequence, catalog = self.sequence(), self.catalog()
        body: dict[str, object] = {
            "node": self.node,
            "region": self.region,
            "public": self.public(),
            "gateway": self.gateway,
            "sequence": sequence,
            "catalog": catalog,
            "staged": [row.to_json() for row in staged],
            **self.about(),
        }
        if leaving:
            body["leaving"] = True
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | self.identity.headers(sequence, catalog, data)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        url = f"{self.origin}/api/v1/report"
        async with self.client.session.post(url, data=data, headers=headers, timeout=_TIMEOUT) as response:
            response.raise_for_status()
