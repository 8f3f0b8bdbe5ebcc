"""Hot: which of the blocks held here are asked for most, and whose they would be.

Here live the order of heat and the dividing among members. Not here: counting (edge/peers/heat, the marks of
edge/cache/memory), or sending anything anywhere (edge/control/handover).

Two things tell: how often others ask for a block (heat), and whether memory has answered it again since it came.
Control blocks are not among them: they come with the Head. All of it is a look at so many blocks at most, in slices: a
memory may hold a million, and whoever leaves or is asked still answers visitors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from content.block import Block
from content.cid import CID, DAG_PB, RAW
from edge.cache.memory import Memory
from edge.peers.heat import Heat
from edge.peers.ring import Member, Ring

LOOKED = 8_192  # blocks whose owner is looked up for one list
SCANNED = 32_768  # blocks of memory, the newest, among which those that were used are looked for
SCAN = 1_024  # of them between two breaths of the event loop
SLICE = 128  # owners looked up between two; in a large ring each costs 0.1 ms
_CONTENT = b"b"


class Hot:
    """The blocks of one node, hottest first."""

    def __init__(self, memory: Memory[CID, Block], heat: Heat) -> None:
        self._memory = memory
        self._heat = heat

    async def hottest(self, limit: int) -> list[CID]:
        """So many at most. What others ask for comes first, then what memory was asked for again, the newest first,
        then the rest of memory."""
        found: dict[CID, None] = {}
        rest: list[CID] = []
        for number, (key, _) in enumerate(self._heat.hottest(limit)):
            if number % SCAN == 0:
                await asyncio.sleep(0)
            if (cid := self._named(key)) is not None:
                found[cid] = None
        for number, cid in enumerate(reversed(list(self._memory)[-SCANNED:]), 1):
            if number % SCAN == 0:
                await asyncio.sleep(0)
            if len(found) >= limit:
                break
            if not cid.is_control and (slot := self._memory.slot(cid)) is not None:
                if slot.mark:
                    found[cid] = None
                else:
                    rest.append(cid)
        return list(dict.fromkeys((*found, *rest)))[:limit]

    async def of(self, member: Member, ring: Ring, limit: int) -> list[CID]:
        """Those that this member would own in its region, if the ring had it. `ring`: without it, or with it."""
        others = [other for other in ring.members if other.name != member.name]
        whole = Ring([*others, member])
        hottest = await self.hottest(LOOKED)
        mine = [cid async for cid, owner in _owned(hottest, whole, member.region) if owner == member.name]
        return mine[:limit]

    async def after(self, name: str, ring: Ring, region: str, limit: int) -> dict[str, list[CID]]:
        """Those that this member owns, by who in its region owns them when it has gone."""
        rest = Ring([other for other in ring.members if other.name != name])
        found: dict[str, list[CID]] = {}
        async for cid, owner in _owned(await self.hottest(LOOKED), rest, region):
            if ring.order(cid.store_key, region)[:1] and ring.order(cid.store_key, region)[0].name == name:
                keys = found.setdefault(owner, [])
                if len(keys) < limit:
                    keys.append(cid)
        return found

    def _named(self, key: bytes) -> CID | None:
        """A block of this key, by the codec that memory holds it under; on disk any will do."""
        if key[:1] != _CONTENT:
            return None
        raw, node = (CID(bytes((1, codec)) + key[1:]) for codec in (RAW, DAG_PB))
        return node if node in self._memory else raw


async def _owned(cids: list[CID], ring: Ring, region: str) -> AsyncIterator[tuple[CID, str]]:
    """Each with its owner in this region; none where the region has nobody."""
    for number, cid in enumerate(cids, 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        if order := ring.order(cid.store_key, region):
            yield cid, order[0].name
