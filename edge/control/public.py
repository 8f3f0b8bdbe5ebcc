"""Public: asks the origin whether anybody may read what a root reaches.

Here lives the asking. Not here: for how long an answer is believed (edge/gateway/access).
"""

from __future__ import annotations

import logging

import aiohttp

from content.cid import CID
from edge.gateway.access import CannotTell
from edge.peers.client import PeerClient

logger = logging.getLogger("rim.edge")
_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=1)


class PublicRoots:
    """One origin's answers."""

    def __init__(self, origin: str, token: str | None, client: PeerClient) -> None:
        self._origin = origin
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = client

    async def ask(self, root: CID) -> bool:
        """Whether a public release or a pin reaches it. Raises CannotTell."""
        url = f"{self._origin}/api/v1/public/{root}"
        try:
            async with self._client.session.get(url, headers=self._headers, timeout=_TIMEOUT) as response:
                response.raise_for_status()
                answer = await response.json()
                return bool(answer["public"])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("the origin could not be asked about %s: %s", root, error or type(error).__name__)
            raise CannotTell(f"the origin could not be asked about {root}") from error
