"""Asks: what the origin passes on to this edge, answered.

Here lives one task for each question: explaining an answer, or sending rows of the tap in batches until nobody reads
them any more. Not here: how this edge hears of a question (edge/control/asking), the account (edge/explain), the rows
(edge/control/tap).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from edge.control.identity import Identity
from edge.control.tap import Filter, Looker, Tap
from edge.peers.client import PeerClient

ASKS_MAX = 64  # answered at once; the origin keeps fewer open
BATCH_SECONDS = 0.25
BATCH_ROWS = 500  # a body is at most 1 MiB there
BATCH_BYTES = 512 * 1024
QUIET_SECONDS = 5.0  # without rows, after which an empty batch asks whether anybody still reads
GIVE_UP_SECONDS = 30.0  # without the origin, after which a tail ends
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=2)
logger = logging.getLogger("rim.edge")

Row = dict[str, Any]


class Over(Exception):
    """The question is no longer open."""


@dataclass(slots=True)
class Answerer:
    """Answers for one edge."""

    region: str
    origin: str
    token: str | None
    client: PeerClient
    identity: Identity
    sequence: Callable[[], int]
    catalog: Callable[[], str]
    explain: Callable[[str], Awaitable[Row]]
    tap: Tap
    pass_on: Callable[[str], None] = lambda ask: None  # a tail, to the other processes of this machine
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def hear(self, ids: Iterable[str], passed_on: bool = False) -> None:
        """These questions are open. Nothing waits for their answers here."""
        for ask in ids:
            if len(self._tasks) < ASKS_MAX:
                task = asyncio.create_task(self._answer(ask, passed_on))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, ask: str, passed_on: bool) -> None:
        try:
            question = await self._question(ask)
            here = question.get("edge") in (None, self.identity.node) and question.get("region") in (None, self.region)
            if question["kind"] == "explain":
                await self._say(ask, [await self.explain(str(question["url"]))], done=True)
            elif question["kind"] == "tail" and here:
                if not passed_on:
                    self.pass_on(ask)
                wanted = Filter.of(question)  # what happens to all processes of an edge is told by one
                with self.tap.look(replace(wanted, events=wanted.events and not passed_on)) as looker:
                    await self._tail(ask, looker)
            else:
                await self._say(ask, [], done=True)
        except Over:
            return
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, ValueError) as error:
            logger.warning("a question of the origin was not answered: %s", error or type(error).__name__)

    async def _tail(self, ask: str, looker: Looker) -> None:
        """Send rows as they come, until the origin says that nobody reads them, or has been away for long."""
        now = asyncio.get_running_loop().time
        said = heard = now()
        rows: list[Row] = []
        lost = 0
        while now() - heard < GIVE_UP_SECONDS:
            await asyncio.sleep(BATCH_SECONDS)
            if not rows:
                rows, more = looker.take(BATCH_ROWS)
                lost += more
            if not rows and not lost and now() - said < QUIET_SECONDS:
                continue
            try:
                await self._say(ask, _fitting(rows), lost=lost)
            except (aiohttp.ClientError, TimeoutError, OSError):
                continue  # the same rows again; what comes meanwhile waits in the ring buffer
            rows, lost = rows[len(_fitting(rows)) :], 0
            said = heard = now()

    async def _question(self, ask: str) -> Row:
        url = f"{self.origin}/api/v1/asks/{ask}"
        async with self.client.session.get(url, headers=self._authorization, timeout=_TIMEOUT) as response:
            _check(response)
            question: Row = await response.json()
            return question

    async def _say(self, ask: str, rows: Sequence[Row], *, done: bool = False, lost: int = 0) -> None:
        sequence, catalog = self.sequence(), self.catalog()
        body = {"node": self.identity.node, "region": self.region, "sequence": sequence, "catalog": catalog}
        data = json.dumps({**body, "rows": list(rows), "done": done, "lost": lost}).encode()
        headers = self._authorization | self.identity.headers(sequence, catalog, data)
        headers["Content-Type"] = "application/json"
        url = f"{self.origin}/api/v1/asks/{ask}/answers"
        async with self.client.session.post(url, data=data, headers=headers, timeout=_TIMEOUT) as response:
            _check(response)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status in (400, 403, 404, 410, 413):
        raise Over
    response.raise_for_status()


def _fitting(rows: Sequence[Row]) -> Sequence[Row]:
    """As many of them as one body may hold; at least one."""
    size = 0
    for number, row in enumerate(rows):
        size += len(json.dumps(row))
        if size > BATCH_BYTES:
            return rows[: max(1, number)]
    return rows
