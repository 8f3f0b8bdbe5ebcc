"""Long answers from memory: files of many blocks, written by the protocol itself as the client takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from content.cid import CID, RAW
from content.limits import MiB
from edge.cache.sheet import IS_THERE
from edge.http.limits import LIMITS, Limits
from edge.http.protocol import Protocol
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import edge, fetch, wire

LONG = b"".join(bytes((number,)) * MiB for number in range(4)) + b"tail"
HOT = b"hot " * 100
WINDOW = 16 * 1024
Play = Callable[[Node, TinyOrigin], Awaitable[None]]


def play(folder: Path, act: Play, limits: Limits = LIMITS) -> None:
    """Run a play against an edge where /long.bin (five blocks) and /hot.txt are ready hits."""

    async def run() -> None:
        world = World()
        world.publish("demo", {"long.bin": LONG, "hot.txt": HOT, "cold.txt": b"cold"})
        async with edge(folder, world, limits, memory_bytes=1 << 27) as (node, origin):
            for path in ("/long.bin", "/hot.txt"):
                await fetch(node, path)
            await act(node, origin)

    asyncio.run(run())


def deaf(node: Node) -> None:
    """From now on the app answers nothing."""
    node.public._server.config.loaded_app = None


def block(number: int) -> CID:
    return CID.of(RAW, LONG[number * MiB : (number + 1) * MiB])


def test_a_long_hit_never_enters_the_app(tmp_path: Path) -> None:
    """Whole, HEAD, 304 and ranges across blocks, on one connection; what is pipelined behind waits its turn."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        deaf(node)
        async with wire(node) as c:
            got = await c.get("/long.bin")
            assert (got.status, got.outcome) == (200, "memory")
            assert got.body == LONG
            head = await c.get("/long.bin", "HEAD")
            assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
            assert (await c.get("/long.bin", If_None_Match=got.headers["etag"])).status == 304
            for start, stop in ((0, 1), (MiB - 2, MiB + 2), (10, 3 * MiB + 7), (4 * MiB, len(LONG))):
                part = await c.get("/long.bin", Range=f"bytes={start}-{stop - 1}")
                assert (part.status, part.body) == (206, LONG[start:stop])
            await c.send((c.request("/long.bin") + c.request("/hot.txt")) * 3)
            for _ in range(3):
                assert (await c.read()).body == LONG
                assert (await c.read()).body == HOT

    play(tmp_path, act)


def test_long_hits_from_sealed_memory_are_the_same_bytes(tmp_path: Path) -> None:
    """On the loop that edges run on: whole and in ranges, read fast and slowly, with requests queued behind."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        for _ in range(2):
            assert (await fetch(node, "/long.bin")).body == LONG
        async with wire(node) as fast, wire(node, window=WINDOW) as slow:
            await slow.send(slow.request("/long.bin") + slow.request("/hot.txt"))
            for start, stop in ((0, len(LONG)), (1, len(LONG) - 1), (MiB - 1, 3 * MiB + 1)):
                part = await fast.get("/long.bin", Range=f"bytes={start}-{stop - 1}")
                assert part.body == LONG[start:stop]
            assert (await slow.read()).body == LONG
            assert (await slow.read()).body == HOT
        assert node.memory.sheets == (4 * MiB if IS_THERE else 0)

    async def run() -> None:
        world = World()
        world.publish("demo", {"long.bin": LONG, "hot.txt": HOT})
        async with edge(tmp_path, world, memory_bytes=1 << 27) as (node, origin):
            for path in ("/long.bin", "/hot.txt"):
                await fetch(node, path)
            await act(node, origin)

    uvloop.run(run())


def test_who_asks_for_ranges_alone_is_answered_from_memory_too(tmp_path: Path) -> None:
    """A player never asks for the whole: what the file consists of is known from its first range on."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        node.answers.clear()
        async with wire(node) as c:
            for _ in range(2):
                part = await c.get("/long.bin", Range=f"bytes={MiB}-{MiB + 9}")
                assert (part.status, part.body) == (206, LONG[MiB : MiB + 10])
                deaf(node)
            across = await c.get("/long.bin", Range=f"bytes={MiB - 5}-{MiB + 4}")
            assert across.body == LONG[MiB - 5 : MiB + 5]

    play(tmp_path, act)


def test_a_miss_behind_a_long_hit_waits(tmp_path: Path) -> None:
    """Order holds where the app answers what follows."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(c.request("/long.bin") + c.request("/cold.txt") + c.request("/hot.txt"))
            assert [(await c.read()).body for _ in range(3)] == [LONG, b"cold", HOT]

    play(tmp_path, act)


def test_a_block_that_left_memory_meanwhile_is_brought_back(tmp_path: Path) -> None:
    """Half of it is in the socket when the rest is evicted: it comes from the disk, and nobody sees a difference."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        while len(node.disk) < 5 or node.disk._waiting:
            await asyncio.sleep(0.01)
        async with wire(node, window=WINDOW) as c:
            await _stuck(node, c)
            for number in range(5):
                node.memory.drop(block(number))
            node.memory.drop(CID.of(RAW, b"tail"))
            c.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert (await c.read()).body == LONG
            assert (await c.get("/hot.txt")).body == HOT
        assert node.answers.counts.broken == 0

    play(tmp_path, act)


def test_what_cannot_be_brought_back_ends_in_a_cut(tmp_path: Path) -> None:
    """The rest is nowhere: the connection is cut, so no client takes what it has for the whole."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node, window=WINDOW) as c:
            await _stuck(node, c)
            await origin.stop()
            cids = [block(number) for number in range(4)] + [CID.of(RAW, b"tail")]
            await node.disk.remove(cids)
            for cid in cids:
                node.memory.drop(cid)
            c.writer.transport.resume_reading()  # type: ignore[attr-defined]
            got = await c.read()
            assert not got.whole
            assert LONG.startswith(got.body)
        assert node.answers.counts.broken == 1

    play(tmp_path, act)


def test_a_long_answer_is_not_written_ahead(tmp_path: Path) -> None:
    """A client that reads nothing makes us keep one block; when it takes nothing for long it is cut off."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node, window=WINDOW) as c:
            c.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await c.send(c.request("/long.bin") * 50)
            most = 0
            while connections := list(node.public._server.server_state.connections):
                most = max(most, *(p.transport.get_write_buffer_size() for p in connections if p.transport))
                await asyncio.sleep(0.01)
            assert 0 < most <= MiB + 4096

    play(tmp_path, act, Limits(write_stall=0.5))


def test_who_has_said_all_gets_the_long_answer(tmp_path: Path) -> None:
    """A FIN after the requests: all of them are answered, then the connection ends."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node) as c:
            await c.send(c.request("/long.bin") + c.request("/hot.txt") + c.request("/cold.txt"))
            c.writer.write_eof()
            assert [(await c.read()).body for _ in range(3)] == [LONG, HOT, b"cold"]
            assert await asyncio.wait_for(c.is_closed(), 10)

    play(tmp_path, act)


def test_a_long_answer_under_way_is_finished_at_the_end(tmp_path: Path) -> None:
    """The listener stops: what is being written goes out whole, then the connection ends."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        async with wire(node, window=WINDOW) as c:
            await _stuck(node, c)
            stopping = asyncio.create_task(node.public.stop())
            while not node.public._server.should_exit:
                await asyncio.sleep(0.005)
            c.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert (await c.read()).body == LONG
            assert await asyncio.wait_for(c.is_closed(), 10)
            await stopping

    play(tmp_path, act)


async def _stuck(node: Node, c: object) -> None:
    """Ask for the long file and read nothing, until its writing has stopped for that."""
    c.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await c.send(c.request("/long.bin"))  # type: ignore[attr-defined]

    def is_stuck() -> bool:
        connections = node.public._server.server_state.connections
        return any(isinstance(p, Protocol) and p._pour is not None and p.flow.write_paused for p in connections)

    while not is_stuck():
        await asyncio.sleep(0.005)
