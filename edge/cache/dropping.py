"""Dropping: blocks are taken away again, off the disk and out of memory.

Here lives what a purge, a denial and other processes of this machine ask for. Not here: why (edge/control), or how a
block comes (edge/cache/ladder).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from content.asking import unixfs
from content.block import Block
from content.cid import CID, DAG_PB, RAW, SHA2_256
from content.dagpb import FILE, RAW_DATA
from content.denylists import Denied
from content.errors import ContentError
from content.walk import links
from edge.cache.ladder import Ladder
from edge.cache.loaded import Loaded, Unavailable

SLICE = 64  # blocks looked at between two breaths of the event loop
DROPS = 4_096  # blocks dropped from memory between two


class Dropping(Ladder):
    """A ladder whose blocks can be taken away."""

    async def take_away(self, cids: Iterable[CID]) -> None:
        """What is denied from now on, off the disk and out of memory, under every codec. Of a file its blocks too; what
        a folder names may well be others' also, and stays."""
        doomed: list[CID] = []
        for cid in cids:
            spellings = _spellings(cid)
            doomed += spellings
            held = await self._from_here(spellings[0])  # as dag-pb, which a file of several blocks is
            doomed += [] if held is None else await self._with_parts(_parts(held.block))
        await self.disk.remove(doomed)
        await self._drop_twice(doomed)

    async def scrub(self) -> None:
        """Take what is denied by now out of memory, where a long answer that is under way would go on with it. What
        lies on the disk is never given out, and leaves it with time."""
        for number, cid in enumerate(self.memory, 1):
            if self._is_denied(cid):
                self.memory.drop(cid)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    async def forget(self, cids: Iterable[CID]) -> None:
        """Take files off the disk and out of memory (a purge, a denied CID); in this order, or who reads the disk
        meanwhile would bring them back into memory."""
        doomed = await self._with_parts(cids)
        await self.disk.remove(doomed)
        await self._drop_twice(doomed)

    async def reread(self, cids: Iterable[CID]) -> None:
        """Take files out of memory alone (a soft purge): the next who asks has them read and proved again."""
        await self._drop_twice(await self._with_parts(cids))

    def forget_memory(self) -> None:
        """Drop everything from memory, where it is not known what must go."""
        self._drops += 1
        self.memory.clear()
        self._again = None

    def take_again(self) -> frozenset[CID] | None:
        """What was dropped since this was last asked, and may have come back from a process of this machine that had
        not dropped it yet; None: everything."""
        again, self._again = self._again, set()
        return None if again is None else frozenset(again)

    async def drop_again(self, again: frozenset[CID] | None) -> None:
        """Drop it from memory once more, now that all processes have."""
        if again is None:
            self._drops += 1
            self.memory.clear()
        else:
            await self._drop(again)

    async def _drop_twice(self, cids: Iterable[CID]) -> None:
        cids = list(cids)
        await self._drop(cids)
        if self.sources.shares.count > 1 and self._again is not None:
            self._again.update(cids)

    async def _with_parts(self, cids: Iterable[CID]) -> list[CID]:
        """These files' blocks, those below them too as far as nodes that lie here tell. Nobody is asked for a node:
        a purge must not wait for others, and of a file whose node is not here there is most likely nothing. But where
        processes share a disk: its owner may have taken the node away already, and the parts be ours to take. Raises
        Unavailable."""
        found: dict[CID, None] = {}
        for top in cids:
            below = [top]
            while below:
                cid = below.pop()
                if cid in found:
                    continue
                found[cid] = None
                if cid.codec == RAW:
                    continue
                if (loaded := await self._from_here(cid) or await self._from_others(cid)) is not None:
                    below += links(loaded.block)
        return list(found)

    async def _from_others(self, cid: CID) -> Loaded | None:
        """A node that another process of this machine may have taken away; None where nobody has it any more."""
        try:
            return await self.get(cid) if self.sources.shares.count > 1 else None
        except Denied:
            return None
        except Unavailable as error:
            if error.absent:
                return None
            raise

    async def _drop(self, cids: Iterable[CID]) -> None:
        self._drops += 1
        for number, cid in enumerate(cids, 1):
            self.memory.drop(cid)
            if number % DROPS == 0:
                await asyncio.sleep(0)


def _spellings(cid: CID) -> list[CID]:
    """A multihash under each codec and version that memory may hold it under."""
    multihash = cid.multihash
    forms = [CID(bytes((1, codec)) + multihash) for codec in (DAG_PB, RAW)]
    return [*forms, CID(multihash)] if cid.hash_code == SHA2_256 else forms


def _parts(block: Block) -> list[CID]:
    """The blocks of a file below its top; none of anything else."""
    try:
        _, data = unixfs(block.cid, block.data)
    except ContentError:
        return []
    return links(block) if data.kind in (FILE, RAW_DATA) else []
