"""Handover: hot blocks go from who leaves to who owns them next, and from neighbours to who joins.

Here live both ends of it: telling successors and asking neighbours, and pulling. Not here: which blocks (edge/control/
hot), when (edge/node), how one block is asked for (edge/peers/client).

Nobody pushes: who is to have a block asks for it, only-if-cached, so a word about it is a hint that costs no more than
a few questions, of a member that is known here, within a budget. Whatever comes is verified as ever. Nothing waits for
any of it longer than its bound: who joins alone, or beside neighbours that are silent, is ready within ASK_WITHIN.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from content.cid import CID
from content.denylists import Denied
from content.errors import BadCID
from content.limits import KiB, MiB
from edge.cache.loader import Loader
from edge.control.hot import Hot
from edge.control.roster.asking import bounded
from edge.peers.client import TRUE_ANSWERS, PeerClient, PeerError
from edge.peers.ring import Member

KEYS = 1_024  # blocks named in one word
NEIGHBOURS = 4  # asked by who joins
ASK_WITHIN = 1.0  # s that a neighbour has to say what is hot
WITHIN = 5.0  # s that pulling may take, of either kind
AT_ONCE = 8  # questions under way
ANSWER_MAX = 128 * KiB  # 1,024 CIDs and their quotes
BUDGET = 256 * MiB  # of blocks pulled at one time ...
DISK_SHARE = 8  # ... and at most 1/8 of the disk's budget
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


@dataclass(slots=True)
class Handover:
    """One node's part in it, on either side."""

    me: Member
    loader: Loader
    client: PeerClient
    hot: Hot
    token: str | None
    pulled: Counter[str] = field(default_factory=Counter)  # blocks, by what for: handover, join

    async def give(self) -> None:
        """Tell who comes after us what is hot, and wait until they have it, or their time is over."""
        ring = self.loader.ring
        after = await self.hot.after(self.me.name, ring, self.me.region, KEYS)
        members = {member.name: member for member in ring.members}
        told = (self._tell(members[name], keys) for name, keys in after.items())
        await asyncio.gather(*told)

    async def take(self, node: str, keys: Iterable[CID]) -> int | None:
        """Pull these from a member that leaves; how many came. None: nobody of that name is known here."""
        member = self._known(node)
        return None if member is None else await self._pull(member, list(keys)[:KEYS], "handover")

    async def join(self) -> None:
        """Pull what the neighbours know to be hot and is to be ours. Bounded; what cannot be had is not needed."""
        ring = self.loader.ring
        # In an order of one's own: of a ring that starts at once, all would ask the same few
        order = ring.order(self.me.name.encode(), self.me.region)
        beside = [one for one in order if one.name != self.me.name][:NEIGHBOURS]
        told = await asyncio.gather(*(self._ask(one) for one in beside))
        lists = [(one, keys) for one, keys in zip(beside, told, strict=False) if keys]
        seen: set[CID] = set()
        wanted = []
        for one, keys in lists:
            wanted.append((one, [cid for cid in keys if cid not in seen]))
            seen.update(keys)
        await asyncio.gather(*(self._pull(one, keys, "join") for one, keys in wanted))

    def _known(self, node: str) -> Member | None:
        members = (*self.loader.ring.members, *self.loader.sources.holding)
        return next((one for one in members if one.name == node and node != self.me.name), None)

    async def _pull(self, member: Member, keys: Sequence[CID], why: str) -> int:
        """Ask for what is not here yet, in this order, until time or budget is over; how many came."""
        before = self.pulled[why]
        left = min(BUDGET, self.loader.disk.budget // DISK_SHARE)
        rest = iter(keys)

        async def work() -> None:
            nonlocal left
            for cid in rest:
                if left <= 0 or (size := await self._pull_one(member, cid)) is None:
                    return
                left -= size
                self.pulled[why] += size > 0

        workers = [asyncio.ensure_future(work()) for _ in range(AT_ONCE)]
        _, late = await asyncio.wait(workers, timeout=WITHIN)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return self.pulled[why] - before

    async def _pull_one(self, member: Member, cid: CID) -> int | None:
        """The bytes that came; 0: it is here, is not there, or is denied. None: the member is not to be asked on."""
        try:
            if await self.loader.held(cid) is not None:
                return 0
            block = await self.client.fetch(member.url, cid, only_if_cached=True)
        except Denied:
            return 0
        except PeerError as error:
            return 0 if error.fault in TRUE_ANSWERS else None
        self.loader.keep(block)
        return len(block.data)

    async def _tell(self, member: Member, keys: Sequence[CID]) -> None:
        body = json.dumps({"node": self.me.name, "keys": [str(cid) for cid in keys]})
        await self._said(member, "POST", "/api/v1/handover", WITHIN + ASK_WITHIN, data=body)

    async def _ask(self, member: Member) -> list[CID]:
        asked = {"for": self.me.name, "region": self.me.region, "weight": f"{self.me.weight:g}", "limit": str(KEYS)}
        said = await self._said(member, "GET", "/api/v1/hot", ASK_WITHIN, params=asked)
        return cids_of(said.get("keys") if isinstance(said, dict) else None)

    async def _said(self, member: Member, method: str, path: str, seconds: float, **what: Any) -> Any:
        """The JSON that it answers; None when it answers nothing, or nothing in time."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=ASK_WITHIN)
        headers = _HEADERS | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            async with self.client.session.request(
                method, member.url + path, headers=headers, timeout=timeout, allow_redirects=False, **what
            ) as response:
                return json.loads(await bounded(response, ANSWER_MAX)) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError):
            return None


def cids_of(names: Any) -> list[CID]:
    """Content blocks by these names, as many as one word may have. What is no such name is passed over."""
    found: list[CID] = []
    for name in names[:KEYS] if isinstance(names, list) else ():
        try:
            cid = CID.parse(name) if isinstance(name, str) else None
        except BadCID:
            continue
        if cid is not None and not cid.is_control:
            found.append(cid)
    return found
