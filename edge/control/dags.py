"""Dags: paths and CARs on the private listener, the part of the trustless gateway beyond single blocks.

Here lives their driving over whatever gives blocks. Not here: routes and who may (edge/control/admin), what a request
asks (content/trustless), which blocks belong into a CAR (content/carwalk).

A CAR that cannot go on is cut: what raises ends the answer without its last chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from content import car
from content.asking import Walk, ask
from content.block import Block
from content.carwalk import Wants
from content.carwalk import car as blocks_of_car
from content.cid import CID
from content.limits import BLOCKS_BEFORE_FIRST_BYTE, KiB, check
from content.paths import Place, follow
from content.trustless import Terms

PIECE = 256 * KiB  # of a CAR, gathered before it is sent
SLICE = 64  # blocks between two breaths of the event loop: those in memory cost no wait
T = TypeVar("T")
Get: TypeAlias = Callable[[CID], Awaitable[Block]]


async def find(get: Get, root: CID, segments: Sequence[str]) -> tuple[Place, Block]:
    """Where a path ends, and the block there. Raises NotFound, BadNode, LimitExceeded, and what `get` does."""
    place = await _run(follow(root, segments), get)
    return place, await _run(ask(place.cid), get)


async def _run(walk: Walk[T], get: Get) -> T:
    asked = 0
    try:
        wanted = next(walk)
        while True:
            asked += 1
            check("nodes looked at before the first byte", asked, BLOCKS_BEFORE_FIRST_BYTE)
            wanted = walk.send(await get(wanted))
    except StopIteration as done:
        result: T = done.value
        return result


async def pieces(get: Get, root: CID, segments: Sequence[str], terms: Terms, top: CID) -> AsyncIterator[bytes]:
    """The CAR, piece by piece. Raises what breaks it."""
    walk: Wants[None] = blocks_of_car(root, segments, terms.scope, terms.bytes, terms.dups)
    parts, size, asked = [car.header([top])], 0, 0
    try:
        want = next(walk)
        while True:
            block = await get(want.cid)
            asked += 1
            if asked % SLICE == 0:
                await asyncio.sleep(0)
            if want.write:
                parts.append(car.section(want.cid, block.data))
                size += len(parts[-1])
            if size >= PIECE:
                yield b"".join(parts)
                parts, size = [], 0
            want = walk.send(block)
    except StopIteration:
        yield b"".join(parts)
