"""Registered: members in the origin's register, `GET /api/v1/ring`.

Here lives the waiting request. It is signed as the one for the Head is, so it is also this edge's sign of life: it ends
within 10 s, for the register counts who was silent for 15 s as gone. An edge that finds itself missing says again where
it is. A register that has been up for less than 20 s knows too little to take anyone out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from edge.control.identity import Identity
from edge.control.roster.asking import RosterTrouble, bounded, member
from edge.control.roster.listing import Listing
from edge.peers.ring import Member

WAIT = 10.0  # s that a request waits, at most
PATIENCE = 5.0  # s beyond that until it counts as dead
CONNECT = 2.0
YOUNG = 20.0  # s
REST = 0.4  # s between two requests: a ring that starts is a change per edge
ANSWER_MAX = 4 * 1024 * 1024  # bytes; 4,096 members are a quarter of it
TEXT = 300  # characters of a refusal


class Registered:
    """Asks one origin. `speaks`: whether this process is the edge's voice; `tell` sends its report."""

    def __init__(
        self,
        *,
        origin: str,
        token: str | None,
        session: Callable[[], aiohttp.ClientSession],
        identity: Identity,
        speaks: Callable[[], bool],
        sequence: Callable[[], int],
        catalog: Callable[[], str],
        tell: Callable[[], Awaitable[bool]],
        jitter: random.Random | None = None,
    ) -> None:
        self._url = f"{origin}/api/v1/ring"
        self._token = token
        self._session = session
        self._identity = identity
        self._speaks = speaks
        self._sequence = sequence
        self._catalog = catalog
        self._tell = tell
        self._jitter = jitter or random.Random()  # noqa: S311 (spreads questions, guards nothing)
        self._generation = 0

    async def look(self) -> Listing:
        own, speaks = self._identity.node, self._speaks()
        told = await self._ask(speaks)
        try:
            self._generation, up = int(told["generation"]), float(told.get("up", 0.0))
            rows = [row for row in map(_member, told["members"]) if row is not None]
        except (ValueError, KeyError, TypeError) as error:
            raise RosterTrouble(f"{self._url}: {error!r} in its answer") from error
        ourselves = next((row for row in rows if row.name == own), None)
        if ourselves is None and speaks:
            await self._tell()
        others = tuple(row for row in rows if row.name != own)
        # Nobody at all, not even we, is no list: an origin that hears nobody has lost them, and not they each other
        return Listing(others, REST * self._jitter.uniform(0.5, 1.0), adds=up < YOUNG or not rows)

    def hurry(self, url: str) -> None:
        """What becomes of a member the register says by itself."""

    async def _ask(self, speaks: bool) -> dict[str, Any]:
        wait = WAIT * self._jitter.uniform(0.6, 1.0)
        query = {"since": str(self._generation), "wait": f"{wait:.2f}"}
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if speaks:
            sequence, catalog = self._sequence(), self._catalog()
            query |= {"node": self._identity.node, "serves": str(sequence), "key": catalog}
            headers |= self._identity.headers(sequence, catalog)
        timeout = aiohttp.ClientTimeout(total=wait + PATIENCE, sock_connect=CONNECT)
        try:
            async with self._session().get(
                self._url, params=query, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise RosterTrouble(f"{self._url}: {response.status} {(await response.text())[:TEXT]}")
                told = json.loads(await bounded(response, ANSWER_MAX))
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            raise RosterTrouble(f"{self._url}: {error or type(error).__name__}") from error
        if not isinstance(told, dict):
            raise RosterTrouble(f"{self._url}: no object in its answer")
        return told


def _member(row: Any) -> Member | None:
    """A row of the register; None for one that this version cannot read."""
    try:
        return member(row, str(row["url"]).rstrip("/"))
    except (ValueError, KeyError, TypeError):
        return None
