"""Reader: the blocks of one request, from the loader, each looked at before it counts.

Here lives the driving of walks under the gateway's rules: no control block, nothing denied, and with only-if-cached
nothing that is not here. Not here: where blocks come from (edge/cache/loader), which roots are shown
(edge/gateway/access), what is denied (edge/denials).
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import suppress
from typing import Any, TypeVar, cast

from content.block import Block
from content.cbor import is_control
from content.cid import CID, IDENTITY, RAW
from content.denylists import Denied
from content.errors import NotFound
from content.limits import BLOCKS_BEFORE_FIRST_BYTE, KiB, check
from content.walk import Walk
from edge.cache.loaded import farthest
from edge.cache.loader import Loader, Source
from edge.denials import Denials
from edge.http.outcome import OF_SOURCE, Outcome

T = TypeVar("T")
_SLICE = 8  # blocks of a walk between two breaths of the event loop: each may be a folder's node of a thousand rows
_LARGE = 64 * KiB  # a node above this is read in a thread: one of 2 MiB holds 45,000 links, and takes 0.3 s of a core


class NotHeld(Exception):
    """It is not here, and nobody else may be asked."""


class Reader:
    """Brings blocks for one request."""

    def __init__(self, loader: Loader, denials: Denials, *, held_only: bool = False, inline_only: bool = False) -> None:
        """`inline_only`: nothing but what identity CIDs hold."""
        self.loader = loader
        self._denials = denials
        self._held_only = held_only
        self._inline_only = inline_only
        self._seen: set[Source] = set()

    @property
    def outcome(self) -> Outcome:
        """Where the farthest of the blocks came from."""
        return OF_SOURCE[farthest(self._seen)]

    async def block(self, cid: CID) -> Block:
        """The block. Raises Unavailable, Denied, NotHeld, or NotFound for what is in no mode shown."""
        if (refusal := self._denials.refusal(cid)) is not None:
            raise Denied(cid, refusal)
        if cid.hash_code == IDENTITY:
            return Block(cid, cid.digest)
        if self._inline_only:
            raise NotFound(f"{cid} (which is shown only below what is published or pinned)")
        if self._held_only:
            loaded = await self.loader.held(cid)
            if loaded is None:
                raise NotHeld(str(cid))
        else:
            loaded = await self.loader.get(cid)
        if cid.is_control and is_control(loaded.block.data):
            raise NotFound(str(cid))
        self._seen.add(loaded.source)
        return loaded.block

    async def run(self, walk: Walk[T], limit: int = BLOCKS_BEFORE_FIRST_BYTE) -> T:
        """Drive a walk to its end. Raises as `block` does, and what the walk raises."""
        asked = 0
        try:
            cid = next(walk)
            while True:
                asked += 1
                check("blocks looked at before the first byte", asked, limit)
                if asked % _SLICE == 0:
                    await asyncio.sleep(0)
                ended, cid = await send(walk, await self.block(cid))
                if ended:
                    return cast(T, cid)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            end(walk)


async def send(walk: Generator[Any, Block, Any], block: Block) -> tuple[bool, Any]:
    """Hand a walk its block: whether it has ended, and its result or what it says next. What is long to read is read in
    a thread: else a folder of thousands would make this process take itself for one that stood still (edge/pause)."""
    if len(block.data) > _LARGE and block.cid.codec != RAW:
        return await asyncio.to_thread(_step, walk, block)
    return _step(walk, block)


def end(walk: Generator[Any, Block, Any]) -> None:
    """End a walk. One whose reader has left while a thread was in it ends with that step: it cannot be closed, and the
    leaving must not turn into an error of ours."""
    with suppress(ValueError):
        walk.close()


def _step(walk: Generator[Any, Block, Any], block: Block) -> tuple[bool, Any]:
    """(StopIteration cannot pass through a future.)"""
    try:
        return False, walk.send(block)
    except StopIteration as end:
        return True, end.value
