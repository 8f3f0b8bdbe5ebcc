"""Bodies: the bytes of a choice, out of the loader, with the first verified block at hand before anything is promised.

Here lives the opening of a body: a whole, one range, or the parts of several, of which only the blocks that hold them
are read. Not here: the choice and the framing of parts (edge/http), the sending (edge/app).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from content import walk
from content.asking import ask
from content.cid import CID, RAW
from content.errors import BadNode, LimitExceeded
from content.limits import KiB, MiB
from content.walk import Leaf, Walk
from edge.cache.loaded import farthest
from edge.cache.loader import Loader, Source
from edge.http.answer import Choice
from edge.http.outcome import OF_SOURCE, Outcome
from edge.http.parts import Part

READY_LEAVES = 1_024  # blocks of a file that the hot path may send by itself: 1 GiB, and 200 KiB to know it by
# A body's leaves are listed a stretch at a time: a file of 1 TiB in three blocks has a million, which took 300 MiB and
# 14 s before its first byte (seen).
STRETCH = 256 * MiB
STRETCH_LEAVES = 16_384
STRETCH_LEAST = 16 * KiB  # which has no more leaves than that, for each holds a byte
PARTS_LEAVES = 65_536  # of all ranges of one answer together, which are listed at once: 64 GiB as we chunk it


@dataclass(frozen=True, slots=True)
class Opened:
    """The chosen bytes, where the first of them came from, and what the whole file consists of, where that is told
    without asking for more: raw blocks below one node."""

    body: AsyncGenerator[bytes, None] | bytes
    outcome: Outcome
    leaves: Sequence[Leaf] = ()


async def open_body(loader: Loader, choice: Choice) -> Opened:
    """Begin to read the chosen bytes. Raises Unavailable, Denied where it is known now that a block is, and BadNode
    where what is found is not as long as the index says."""
    if choice.body is None:
        return Opened(b"", Outcome.HIT)
    if choice.body.codec == RAW:
        loaded = await loader.get(choice.body)
        data = loaded.block.data
        if len(data) != choice.size:
            raise BadNode(f"{choice.body}: {len(data)} bytes, the index says {choice.size}")
        return Opened(cut(choice, data), OF_SOURCE[loaded.source])
    leaves, whole = await loader.run(
        _plan(choice.body, choice.size, [(part.start, part.stop) for part in choice.parts])
    )
    if not choice.parts:
        leaves, length = await _stretch(loader, choice.body, choice.start, choice.stop, STRETCH)
    for leaf in (*whole, *leaves[:READY_LEAVES]):
        loader.check(leaf.cid)
    seen: set[Source] = set()
    if choice.parts or choice.start + length >= choice.stop:
        pieces = loader.read(leaves, seen=seen)
    else:
        pieces = _stretches(loader, choice.body, leaves, (choice.start, choice.stop), length, seen)
    first = await anext(pieces, b"")
    body = _chain(first, pieces)
    if choice.parts:
        body = _framed(choice.parts, choice.tail, body)
    return Opened(body, OF_SOURCE[farthest(seen)], whole)


def cut(choice: Choice, data: bytes) -> bytes:
    """The chosen part or parts of bytes that are all at hand; none where the choice has no body."""
    if choice.body is None:
        return b""
    if choice.parts:
        return b"".join((*(part.prefix + data[part.start : part.stop] for part in choice.parts), choice.tail))
    return data if choice.stop - choice.start == choice.size else data[choice.start : choice.stop]


def _plan(cid: CID, size: int, spans: Sequence[tuple[int, int]]) -> Walk[tuple[list[Leaf], list[Leaf]]]:
    """The leaves that hold these spans, one after another, of a file that must be `size` bytes long; and all its leaves
    where the top node names them."""
    entry = yield from walk.stat(cid)
    if entry.kind != "file" or entry.size != size:
        raise BadNode(f"{cid}: a {entry.kind} of {entry.size} bytes, the index says a file of {size}")
    found: list[Leaf] = []
    for start, stop in spans:
        found += yield from walk.leaves(cid, start, stop, PARTS_LEAVES - len(found))
    below = walk.links((yield from ask(cid)))
    if len(below) > READY_LEAVES or any(link.codec != RAW for link in below):
        return found, []
    return found, (yield from walk.leaves(cid, 0, size))


async def _stretch(loader: Loader, cid: CID, start: int, stop: int, length: int) -> tuple[list[Leaf], int]:
    """The leaves of the next so many bytes, or of fewer where leaves are small; and how many bytes that is."""
    while True:
        try:
            return await loader.run(walk.leaves(cid, start, min(stop, start + length), STRETCH_LEAVES)), length
        except LimitExceeded:
            if length <= STRETCH_LEAST:
                raise
            length //= 4


async def _stretches(
    loader: Loader, cid: CID, leaves: list[Leaf], span: tuple[int, int], length: int, seen: set[Source]
) -> AsyncGenerator[bytes, None]:
    """A long body, its leaves listed as it goes on. `leaves`: of its first `length` bytes."""
    at, stop = span
    while True:
        async with aclosing(loader.read(leaves, seen=seen)) as pieces:
            async for piece in pieces:
                yield piece
        at += length
        if at >= stop:
            return
        leaves, length = await _stretch(loader, cid, at, stop, length)


async def _chain(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


async def _framed(
    parts: Sequence[Part], tail: bytes, pieces: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """Each part behind its prefix, then the tail. A piece is of one part: leaves are listed part by part."""
    async with aclosing(pieces):
        for part in parts:
            yield part.prefix
            due = part.stop - part.start
            while due > 0:
                piece = await anext(pieces)
                due -= len(piece)
                yield piece
        yield tail
