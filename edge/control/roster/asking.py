"""Asking: one member's word for itself, `GET /api/v1/member`.

Here live the question, its bounds, and the reading of what comes. What a member says is believed of itself alone: its
name, region, weight, version and state, and the key by which a member with two addresses is known to be one. It says
nothing of time. Not here: what becomes of it (listed, addressed), the answering (edge/control/admin).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

from edge.peers.ring import Member
from edge.peers.states import State

PATH = "/api/v1/member"
TIMEOUT = aiohttp.ClientTimeout(total=2.0, sock_connect=1.0)
AT_ONCE = 64  # members asked at a time
BODY_MAX = 4 * 1024
VERSION_CHARS = 40
WEIGHT_LEAST, WEIGHT_MOST = 1e-6, 1e6  # of one that says it of itself; the sum of a region's must be a number


class RosterTrouble(Exception):
    """Nobody could say who is in the ring. The text says why."""


@dataclass(frozen=True, slots=True)
class About:
    """What a node says of itself. `key`: its public key as in receipts; empty where it has none."""

    member: Member
    key: str = ""


Ask = Callable[[str], Awaitable[About | None]]


class Asker:
    """Asks. The session is asked for at each question: a pool is made inside its loop."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession], token: str | None) -> None:
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def about(self, url: str) -> About | None:
        """What the node at this URL says of itself; None when it says nothing that can be read, or nothing in time."""
        try:
            async with self._session().get(
                url + PATH, headers=self._headers, timeout=TIMEOUT, allow_redirects=False
            ) as response:
                if response.status != 200:
                    return None
                return read(url, json.loads(await bounded(response, BODY_MAX)))
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


async def all_about(ask: Ask, urls: Iterable[str]) -> dict[str, About]:
    """What those say who answer, so many at a time."""
    places = asyncio.Semaphore(AT_ONCE)
    found: dict[str, About] = {}

    async def one(url: str) -> None:
        async with places:
            if (about := await ask(url)) is not None:
                found[url] = about

    await asyncio.gather(*(one(url) for url in urls))
    return found


def read(url: str, told: Any) -> About:
    """A member's word. Raises ValueError, KeyError, TypeError for what is none."""
    if not isinstance(told, dict):  # whatever else answers at that address
        raise ValueError(f"{url}: no object in its answer")
    key = told.get("key")
    return About(member(told, url), key if isinstance(key, str) else "")


def member(row: dict[str, Any], url: str) -> Member:
    """A member as JSON has it, in its own words or the register's. Raises ValueError, KeyError, TypeError."""
    name, region, version = str(row["name"]), str(row.get("region") or "local"), str(row.get("version") or "")
    state = row.get("state")
    said = State.read(state if isinstance(state, str) else None)
    weight = row.get("weight") or 1.0
    if not WEIGHT_LEAST <= weight <= WEIGHT_MOST:  # before it becomes a float: an int may be larger than any
        raise ValueError(f"member {name}: its weight is not {WEIGHT_LEAST:g} to {WEIGHT_MOST:g}")
    return Member(name, url, region, float(weight), version[:VERSION_CHARS], said)


async def bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, and never more of it than this. Raises ValueError."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most:
            response.close()
            raise ValueError(f"a body above {most:,} bytes")
    return bytes(body)
