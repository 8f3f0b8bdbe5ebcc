"""Bodies: the bytes of a choice, out of the loader, with the first verified block at hand before anything is promised.

Here lives the opening of a body. Not here: the choice (edge/http/answer), the sending (edge/app).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from content import walk
from content.cid import CID, RAW
from content.errors import BadNode
from content.walk import Leaf, Walk
from edge.cache.loader import Loader, Source
from edge.http.answer import Choice
from edge.http.outcome import OF_SOURCE, Outcome

_FARTHEST = (Source.GATEWAY, Source.ORIGIN, Source.PEER, Source.DISK, Source.MEMORY)


@dataclass(frozen=True, slots=True)
class Opened:
    """The chosen bytes, where the first of them came from, and what a file of more than one block consists of."""

    body: AsyncGenerator[bytes, None] | bytes
    outcome: Outcome
    leaves: Sequence[Leaf] = ()


async def open_body(loader: Loader, choice: Choice) -> Opened:
    """Begin to read the chosen bytes. Raises Unavailable, and BadNode where what is found is not as long as the index
    says."""
    if choice.body is None:
        return Opened(b"", Outcome.HIT)
    if choice.body.codec == RAW:
        loaded = await loader.get(choice.body)
        data = loaded.block.data
        if len(data) != choice.size:
            raise BadNode(f"{choice.body}: {len(data)} bytes, the index says {choice.size}")
        whole = choice.stop - choice.start == choice.size
        return Opened(data if whole else data[choice.start : choice.stop], OF_SOURCE[loaded.source])
    leaves = await loader.run(_plan(choice.body, choice.size, choice.start, choice.stop))
    seen: set[Source] = set()
    pieces = loader.read(leaves, seen=seen)
    first = await anext(pieces, b"")
    source = next((source for source in _FARTHEST if source in seen), Source.MEMORY)
    return Opened(_chain(first, pieces), OF_SOURCE[source], leaves)


def _plan(cid: CID, size: int, start: int, stop: int) -> Walk[list[Leaf]]:
    """The leaves that hold [start, stop) of a file that must be `size` bytes long."""
    entry = yield from walk.stat(cid)
    if entry.kind != "file" or entry.size != size:
        raise BadNode(f"{cid}: a {entry.kind} of {entry.size} bytes, the index says a file of {size}")
    return (yield from walk.leaves(cid, start, stop))


async def _chain(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece
