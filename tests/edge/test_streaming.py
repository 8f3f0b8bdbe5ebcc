"""Misses stream, over the wire: an origin that holds blocks back, visitors that read on, follow, leave or stand still.

Not here: where blocks come from (tests/edge/cache/test_loader), memory over a file (tests/stories/test_long_files).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from content.cid import CID, RAW
from edge.cache.loader import WINDOW
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import edge, fetch, wire

MiB = 1 << 20
BLOCKS = 24
FILE = b"".join(b"%07d\n" % number for number in range(BLOCKS * MiB // 8))
Play = Callable[[Node, TinyOrigin], Awaitable[None]]


def leaf(number: int) -> CID:
    return CID.of(RAW, FILE[number * MiB : (number + 1) * MiB])


def play(folder: Path, act: Play) -> None:
    async def run() -> None:
        world = World()
        world.publish("demo", {"long.bin": FILE})
        async with edge(folder, world) as (node, origin), asyncio.timeout(60):
            await act(node, origin)

    asyncio.run(run())


def hold(origin: TinyOrigin, numbers: Iterable[int]) -> asyncio.Event:
    """Have the origin keep these blocks back until the event is set."""
    gate = asyncio.Event()
    origin.after.update({leaf(number): gate for number in numbers})
    return gate


async def asked(origin: TinyOrigin, *numbers: int) -> None:
    """Wait until the origin has been asked for these blocks."""
    while not all(origin.asked[str(leaf(number))] for number in numbers):
        await asyncio.sleep(0.005)


def leaves_asked(origin: TinyOrigin) -> list[int]:
    return [origin.asked[str(leaf(number))] for number in range(BLOCKS)]


def test_the_first_byte_leaves_with_the_first_block(tmp_path: Path) -> None:
    """The second block is held back: the head and the whole first block are there, and not a byte more."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        gate = hold(origin, range(1, BLOCKS))
        async with wire(node) as visitor:
            await visitor.send(visitor.request("/long.bin"))
            assert b" 200 " in await visitor.reader.readuntil(b"\r\n\r\n")
            assert await visitor.reader.readexactly(MiB) == FILE[:MiB]
            await asked(origin, 1)
            assert not visitor.reader._buffer  # type: ignore[attr-defined]
            gate.set()
            assert await visitor.reader.readexactly(len(FILE) - MiB) == FILE[MiB:]

    play(tmp_path, act)


def test_followers_read_along_from_any_offset(tmp_path: Path) -> None:
    """Two are stopped half-way; who asks for the end gets it, who asks for what is held waits with them, and in the
    end each block has left the origin once."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        gate = hold(origin, [9])
        async with wire(node) as first, wire(node) as second:
            for visitor in (first, second):
                await visitor.send(visitor.request("/long.bin"))
                await visitor.reader.readuntil(b"\r\n\r\n")
                assert await visitor.reader.readexactly(9 * MiB) == FILE[: 9 * MiB]
            late = await fetch(node, "/long.bin", Range=f"bytes={20 * MiB - 5}-{20 * MiB + 4}")
            assert (late.status, late.body) == (206, FILE[20 * MiB - 5 : 20 * MiB + 5])
            within = asyncio.create_task(fetch(node, "/long.bin", Range=f"bytes={9 * MiB + 7}-{9 * MiB + 7}"))
            gate.set()
            assert (await within).body == FILE[9 * MiB + 7 : 9 * MiB + 8]
            for visitor in (first, second):
                assert await visitor.reader.readexactly((BLOCKS - 9) * MiB) == FILE[9 * MiB :]
        assert leaves_asked(origin) == [1] * BLOCKS

    play(tmp_path, act)


def test_who_leaves_takes_nobody_along(tmp_path: Path) -> None:
    """He who asked first goes while a block is under way; he who waits for the same block gets all."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        gate = hold(origin, [3])
        async with wire(node) as second:
            async with wire(node) as first:
                for visitor in (first, second):
                    await visitor.send(visitor.request("/long.bin"))
                    await visitor.reader.readuntil(b"\r\n\r\n")
                await asked(origin, 3)
            gate.set()
            assert await second.reader.readexactly(len(FILE)) == FILE
        assert leaves_asked(origin) == [1] * BLOCKS

    play(tmp_path, act)


def test_a_window_is_read_ahead_at_once_and_no_more(tmp_path: Path) -> None:
    """A block is late, and a window of those behind it is asked for meanwhile, all at once; the one after is not."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        gate = hold(origin, range(7, BLOCKS))
        async with wire(node) as visitor:
            await visitor.send(visitor.request("/long.bin"))
            await visitor.reader.readuntil(b"\r\n\r\n")
            assert await visitor.reader.readexactly(7 * MiB) == FILE[: 7 * MiB]
            await asked(origin, *range(7, 7 + WINDOW))
            other = await fetch(node, "/long.bin", Range="bytes=0-0")  # the edge has had turns enough to ask for more
            assert other.body == FILE[:1]
            assert leaves_asked(origin) == [1] * (7 + WINDOW) + [0] * (BLOCKS - 7 - WINDOW)
            gate.set()
            assert await visitor.reader.readexactly(len(FILE) - 7 * MiB) == FILE[7 * MiB :]

    play(tmp_path, act)


def test_who_does_not_read_holds_the_window_and_no_more(tmp_path: Path) -> None:
    """A visitor that takes nothing in: what the sockets hold, and a window, has been fetched; then nothing."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node, window=4096) as visitor:
            visitor.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await visitor.send(visitor.request("/long.bin"))
            await asked(origin, 0)
            seen = [0]
            while len(node.loader.flight) or seen[-1] < sum(leaves_asked(origin)):
                seen.append(sum(leaves_asked(origin)))
                for _ in range(20):  # turns for the edge, in which it could ask for more
                    assert (await fetch(node, "/long.bin", Range="bytes=0-0")).status == 206
            assert seen[-1] <= 1 + WINDOW + 6  # the kernel's buffers for a connection of loopback are of up to 6 MiB

    play(tmp_path, act)


def test_a_known_file_that_has_left_memory_is_a_miss_again(tmp_path: Path) -> None:
    """Its answer waits ready, its blocks do not: it streams as the first time, and without its first block it is a
    refusal and no half answer."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        leaves = [leaf(number) for number in range(BLOCKS)]
        for outcome in ("origin", "memory"):
            got = await fetch(node, "/long.bin")
            assert (got.body == FILE, got.outcome) == (True, outcome)
        await node.loader.forget(leaves)
        origin.lacking.add(leaf(0))
        assert (await fetch(node, "/long.bin")).status == 502
        assert (await fetch(node, "/long.bin", Range=f"bytes={MiB}-{MiB}")).outcome == "origin"
        await node.loader.reread(leaves)
        got = await fetch(node, "/long.bin", Range=f"bytes={MiB}-{MiB}")
        assert (got.body, got.outcome) == (FILE[MiB : MiB + 1], "disk")

    play(tmp_path, act)
