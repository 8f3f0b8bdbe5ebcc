"""Where a block comes from when three processes are one edge: three nodes in this process, placed as a parent would.

Each play asks one of them for a block that another owns, and looks at what the origin was asked and who wrote what.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from content import unixfs
from content.cid import CID, RAW
from content.walk import links
from edge.cache.loader import Source, Unavailable
from edge.node import Node
from edge.peers.shares import share_of
from edge.processes.folders import level
from edge.processes.holding import Holding
from edge.processes.place import Place
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import config_of, fetch

COUNT = 3
FILES = {f"f{number}.txt": b"file %d " % number * 50 for number in range(24)}


@dataclass
class Edge:
    """The nodes, by index, and their origin."""

    nodes: list[Node]
    origin: TinyOrigin

    def owned_by(self, index: int, number: int = 0) -> tuple[str, CID]:
        """A file whose one block this process owns."""
        cids = {name: CID.of(RAW, data) for name, data in FILES.items()}
        return [(name, cid) for name, cid in cids.items() if share_of(cid.store_key, COUNT) == index][number]

    def writers(self, cid: CID) -> list[int]:
        return [index for index, node in enumerate(self.nodes) if cid in node.loader.disk]

    async def shut(self, index: int) -> None:
        """Let nobody reach this process any more."""
        await asyncio.gather(*(listener.stop() for listener in self.nodes[index].part.listeners))


def own(place: Place, channel: int) -> Place:
    """With descriptors of its own, as a process would have."""
    dup = os.dup
    return replace(
        place,
        public=tuple(map(dup, place.public)),
        private=dup(place.private),
        inner=dup(place.inner),
        channel=channel,
    )


@asynccontextmanager
async def processes(folder: Path) -> AsyncIterator[Edge]:
    world = World()
    world.publish("demo", {"index.html": b"home", **FILES})
    world.sign()
    async with AsyncExitStack() as stack:
        origin = await TinyOrigin(world).start()
        stack.push_async_callback(origin.stop)
        config = config_of(folder, origin, processes=COUNT)
        config.state.mkdir()
        level(config.state, COUNT, lambda record: 0)
        holding = Holding(config)
        stack.callback(holding.close)
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        stack.enter_context(theirs)
        nodes = []
        for index in range(COUNT):
            node = Node(config, place=own(holding.place(index, 2 * index, theirs.fileno()), theirs.fileno()))
            await node.start()
            stack.push_async_callback(node.stop)
            nodes.append(node)
        for node in nodes:
            await node.ready()
        yield Edge(nodes, origin)


def play(folder: Path, acts: Callable[[Edge], Awaitable[None]]) -> None:
    async def run() -> None:
        async with processes(folder) as edge:
            await acts(edge)

    asyncio.run(run())


def test_its_owner_fetches_and_keeps_it_whoever_is_asked(tmp_path: Path) -> None:
    """The origin is asked once; one process writes; each says where the edge had it from; all read it from disk."""

    async def acts(edge: Edge) -> None:
        name, cid = edge.owned_by(2)
        loaded = await asyncio.gather(*(edge.nodes[index].loader.get(cid) for index in (0, 1, 1, 0)))
        assert Source.ORIGIN in {one.source for one in loaded} <= {Source.ORIGIN, Source.MEMORY}
        assert edge.origin.asked[str(cid)] == 1
        assert edge.nodes[2].loader.counts.loaded[Source.ORIGIN] >= 1
        assert edge.nodes[0].loader.counts.loaded[Source.PROCESS] == 1
        await edge.nodes[2].loader.disk.put(loaded[0].block)
        assert edge.writers(cid) == [2]
        edge.nodes[0].memory.clear()
        await edge.shut(2)
        assert (await edge.nodes[0].loader.get(cid)).source is Source.DISK
        assert (await fetch(edge.nodes[1], f"/{name}")).body == FILES[name]

    play(tmp_path, acts)


def test_without_its_owner_a_process_goes_the_way_itself_and_writes_nothing(tmp_path: Path) -> None:
    """A process that cannot be reached costs its visitors nothing, and nobody writes where another will."""

    async def acts(edge: Edge) -> None:
        _, cid = edge.owned_by(1)
        await edge.shut(1)
        assert (await edge.nodes[0].loader.get(cid)).source is Source.ORIGIN
        assert edge.writers(cid) == []
        assert edge.nodes[0].disk.counts.skipped == 0

    play(tmp_path, acts)


def test_what_the_origin_has_not_is_asked_for_once(tmp_path: Path) -> None:
    """The owner's no is the edge's: nobody goes the same way again."""

    async def acts(edge: Edge) -> None:
        _, cid = edge.owned_by(0)
        edge.origin.lacking.add(cid)
        for index in (1, 2):
            with pytest.raises(Unavailable) as found:
                await edge.nodes[index].loader.get(cid)
            assert found.value.absent
        assert edge.origin.asked[str(cid)] == 1

    play(tmp_path, acts)


def test_a_purge_reaches_the_parts_of_a_file_whose_node_another_has_taken_away(tmp_path: Path) -> None:
    """Three processes hold a long file's blocks, each its own. One after the other carries out the purge; nothing of it
    is left. With a node that nobody has any more, there is nothing to do."""

    async def acts(edge: Edge) -> None:
        store = edge.origin.world.store
        top = unixfs.file(os.urandom(9 << 20), store.emit).cid
        parts = [top, *links(store.get(top))]
        for cid in parts:
            loaded = await edge.nodes[share_of(cid.store_key, COUNT)].loader.get(cid)
            await edge.nodes[share_of(cid.store_key, COUNT)].loader.disk.put(loaded.block)
        assert {len(edge.writers(cid)) for cid in parts} == {1}
        first = share_of(top.store_key, COUNT)
        for index in (first, *(index for index in range(COUNT) if index != first)):
            await edge.nodes[index].loader.forget([top])
        assert [cid for cid in parts[1:] if edge.writers(cid)] == []
        gone = unixfs.file(os.urandom(3 << 20), store.emit).cid
        edge.origin.lacking.add(gone)
        await edge.nodes[0].loader.forget([gone])

    play(tmp_path, acts)


def test_the_inner_listener_is_for_those_who_know_the_secret(tmp_path: Path) -> None:
    """A content block on loopback, open to all on the private listener, is not open here; nor is anything else."""

    async def acts(edge: Edge) -> None:
        _, cid = edge.owned_by(0)
        place = edge.nodes[0].part.place
        assert place is not None
        for path in (f"/ipfs/{cid}?format=raw", "/metrics", "/api/v1/numbers", "/api/v1/staged/demo/x"):
            async with edge.nodes[0].client.session.get(place.urls[0] + path) as response:
                assert response.status == 401, path

    play(tmp_path, acts)


def test_a_part_that_is_given_up_is_read_on_and_asked_of_its_next_owner(tmp_path: Path) -> None:
    """After its release a process answers from what lies there, and asks whoever has its place for the rest."""

    async def acts(edge: Edge) -> None:
        (_, cid), (_, cold) = edge.owned_by(1), edge.owned_by(1, 1)
        loaded = await edge.nodes[1].loader.get(cid)
        await edge.nodes[1].loader.disk.put(loaded.block)
        await edge.nodes[1].release()
        edge.nodes[1].memory.clear()
        assert (await edge.nodes[1].loader.get(cid)).source is Source.DISK
        assert (await edge.nodes[1].loader.get(cold)).source is Source.ORIGIN  # its place is empty: the way is its own
        assert cold not in edge.nodes[1].loader.disk

    play(tmp_path, acts)
