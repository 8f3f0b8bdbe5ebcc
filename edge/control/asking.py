"""Asking: the origin's side of following the Head, as requests.

Here lives the waiting request and the one for a renewed record, with their budgets. What they bring is only parsed
here, block by verified block; whether it is to be believed is judged in edge/control/judging.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from content import car
from content.limits import MiB
from edge.control.identity import Identity
from edge.control.stored import StoredHead
from edge.peers.client import PeerClient

PATIENCE = 10.0  # s beyond the waiting until a request counts as dead
CONNECT = 2.0
ANSWER_MAX = 256 * MiB  # of one CAR of control blocks; the Catalog of 10,000 sites is a tenth of it
_NUMBER = re.compile(r"[0-9]{1,19}\Z")
_ASK = re.compile(r"[0-9a-f]{16}\Z")
TEXT = 600  # characters of a refusal that are told: the origin's sentence names two keys
RECORD_READ = 64 * 1024  # of which 10 KiB may be a record


class HeadError(Exception):
    """The origin could not be asked, or answered with something else than a Head."""


@dataclass(slots=True)
class HeadClient:
    """Asks one origin on behalf of one node."""

    origin: str
    node: str
    region: str
    token: str | None
    client: PeerClient
    identity: Identity
    on_ask: Callable[[list[str]], None] = lambda ids: None  # questions that the origin passes on
    # What is reported when so much is stored here; None: nothing, another process speaks for this node
    reports: Callable[[int], int | None] = lambda stored: stored
    contact: float | None = None  # when it last answered, of the loop's clock
    sequence: int | None = None  # what it was at then, if it said so

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def newer_than(self, sequence: int, key: str, wait: float) -> StoredHead | None:
        """Wait for a Head above this sequence, which is also the report that we serve it, unless `reports` says
        otherwise; None: there is none.

        `key` is the name whose Heads are looked for: so the origin can tell a node that slept through a rotation.
        """
        query = {"since": str(sequence), "wait": f"{wait:g}", "region": self.region, "key": key}
        headers = self._headers
        if (reported := self.reports(sequence)) is not None:
            query["node"] = self.node
            headers = headers | self.identity.headers(reported, key)
            if reported != sequence:
                query["serves"] = str(reported)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=wait + PATIENCE)
        url = f"{self.origin}/api/v1/head"
        async with self.client.session.get(url, params=query, headers=headers, timeout=timeout) as response:
            if response.status not in (200, 204):
                raise HeadError(f"{url}: {response.status} {(await response.text())[:TEXT]}")
            self.contact = asyncio.get_running_loop().time()
            said = response.headers.get("Rim-Sequence", "")
            self.sequence = int(said) if _NUMBER.match(said) else None
            if reported is not None and (asked := response.headers.get("Rim-Ask")):
                self.on_ask([ask.strip() for ask in asked.split(",") if _ASK.match(ask.strip())])
            return None if response.status == 204 else await self._read(response)

    async def record(self, name: str) -> bytes:
        """The record of this name now. A renewal keeps the sequence, so the waiting request does not tell of it."""
        url = f"{self.origin}/ipns/{name}?format=ipns-record"
        timeout = aiohttp.ClientTimeout(total=PATIENCE, sock_connect=CONNECT)
        async with self.client.session.get(url, headers=self._headers, timeout=timeout) as response:
            if response.status != 200:
                raise HeadError(f"{url}: {response.status}")
            return await response.content.read(RECORD_READ)

    def contact_age(self) -> float:
        """Seconds since the origin last answered; without end while it never has."""
        return float("inf") if self.contact is None else asyncio.get_running_loop().time() - self.contact

    async def _read(self, response: aiohttp.ClientResponse) -> StoredHead:
        reader, blocks, size = car.Reader(), [], 0
        async for piece in response.content.iter_any():
            size += len(piece)
            if size > ANSWER_MAX:
                raise HeadError(f"{size} bytes of control blocks")
            blocks += reader.feed(piece)
        reader.finish()
        return StoredHead.from_blocks(reader.roots, blocks)
