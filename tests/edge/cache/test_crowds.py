"""Crowds, deaths and disagreement in rings of real nodes: each block leaves the origin once, and nobody waits in a
circle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, RAW
from content.unixfs import FileBuilder
from content.walk import leaves
from edge.cache import ladder
from edge.cache.loader import Source, Unavailable
from edge.peers.client import PeerClient
from edge.peers.latency import LEAST
from edge.peers.members import ORIGIN
from edge.peers.ring import Ring
from edge.peers.shares import Shares
from edge.peers.words import chain_of
from tests.kit.house import House, MiB, Node, play, source

BLOCKS = [Block.make(RAW, b"crowded %d " % number * 50) for number in range(30)]
TWO_REGIONS = ("eu", "eu", "eu", "eu", "us", "us", "us", "us")


def file_of(size: int) -> tuple[CID, int, list[Block]]:
    blocks: list[Block] = []
    builder = FileBuilder(blocks.append)
    for number in range(0, size, MiB):
        builder.feed(number.to_bytes(8, "big") * (MiB // 8))
    return builder.finish().cid, size, blocks


async def read(node: Node, cid: CID, size: int) -> int:
    """Read a whole file as a visitor's answer does; how many bytes came."""
    rows = await node.loader.run(leaves(cid, 0, size))
    pieces: AsyncIterator[bytes] = node.loader.read(rows)
    return sum([len(piece) async for piece in pieces])


async def until_asked(stage: House) -> None:
    while not stage.origin.asked:
        await asyncio.sleep(0.001)


def know_latencies(stage: House) -> None:
    """As if the ring were warm: it is known what is late, so hedges are sent."""
    for node in stage.nodes.values():
        for region in ("eu", "us"):
            for _ in range(LEAST):
                node.loader.sources.asker.latencies(region).add(0.001)


@pytest.mark.parametrize("warm", [False, True], ids=["cold ring", "warm ring, slow origin"])
def test_a_thousand_on_one_cold_object_are_one_fetch_of_each_block(tmp_path: Path, warm: bool) -> None:
    """8 MiB over 8 nodes in 2 regions, 1,000 readers: each block leaves the origin exactly once. Also where the ring
    knows what late is, and every owner is: its hedges fetch nothing."""
    cid, size, blocks = file_of(8 * MiB)

    async def scene(stage: House) -> None:
        if warm:
            know_latencies(stage)
            stage.origin.trick = "wait"
        crowd = [asyncio.create_task(read(node, cid, size)) for _ in range(125) for node in stage.nodes.values()]
        await until_asked(stage)
        if warm:
            for _ in range(300):  # all owners are late by then, and hedged
                await asyncio.sleep(0.001)
            stage.origin.release()
        assert set(await asyncio.gather(*crowd)) == {size}
        assert stage.left_origin() == {str(block.cid): 1 for block in blocks}

    play(tmp_path, scene, *TWO_REGIONS, blocks=blocks)


def test_a_killed_filler_costs_at_most_one_more_fetch(tmp_path: Path) -> None:
    """The owner dies in the middle of its fill: all who waited for it agree on the next in order."""
    block = BLOCKS[0]

    async def scene(stage: House) -> None:
        stage.origin.trick = "wait"
        owner = stage.owner(block.cid)
        crowd = [asyncio.create_task(source(node, block)) for node in stage.others(owner) for _ in range(50)]
        await until_asked(stage)
        while sum(owner.asked.values()) < 3:
            await asyncio.sleep(0.001)
        await owner.kill()
        stage.origin.release()
        assert set(await asyncio.gather(*crowd)) <= {Source.PEER, Source.ORIGIN}
        assert sum(stage.left_origin().values()) <= 2

    play(tmp_path, scene, "eu", "eu", "eu", "eu", blocks=BLOCKS)


def test_the_chain_names_each_node_that_a_question_came_through(tmp_path: Path) -> None:
    """Asker, owner in its region, home owner: two edges between it and the origin, and each appends itself."""

    async def scene(stage: House) -> None:
        ring = stage.nodes["a"].loader.ring
        for block in BLOCKS:
            asker = stage.nodes["a"]
            owner, home = stage.owner(block.cid), ring.home_region(block.cid.store_key)
            if home != "us" or owner is asker:
                continue
            await source(asker, block)
            far = stage.owner(block.cid, "us")
            assert chain_of(owner.chains[-1]) == (asker.name,)
            assert chain_of(far.chains[-1]) == (asker.name, owner.name)
            assert chain_of(stage.origin.asked[-1].headers["cdn-loop"]) == (asker.name, owner.name, far.name)
            return
        raise AssertionError("no block of the table has its home afar")

    play(tmp_path, scene, "eu", "eu", "us", blocks=BLOCKS)


def test_rings_that_disagree_never_wait_in_a_circle(tmp_path: Path) -> None:
    """Each node has another list: none knows all, one knows itself alone, regions differ. All bytes come; a question
    passes at most two edges."""

    async def scene(stage: House) -> None:
        everybody = [node.member for node in stage.nodes.values()]
        for number, node in enumerate(stage.nodes.values()):
            node.loader.ring = Ring(everybody[number : number + 1 + number % 3] or everybody[:1])
        await asyncio.gather(*(source(node, block) for block in BLOCKS for node in stage.nodes.values()))
        chains = [chain_of(asked.headers["cdn-loop"]) for asked in stage.origin.asked]
        assert max(map(len, chains)) <= 3
        assert all(len(set(chain)) == len(chain) for chain in chains)
        assert max(stage.left_origin().values()) <= len(stage.nodes)

    play(tmp_path, scene, "eu", "us", "eu", "us", "ap", blocks=BLOCKS)


def test_processes_of_one_machine_never_wait_for_each_others_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has as many fills under way as it may, all of blocks that the other owns: they come, the origin is asked by
    their owners."""
    monkeypatch.setattr(ladder, "FILLS", 2)

    async def scene(stage: House) -> None:
        nodes = list(stage.nodes.values())
        urls = tuple(node.url for node in nodes)
        for index, node in enumerate(nodes):
            node.loader.ring = Ring([node.member])
            node.loader.sources.shares = Shares(index, urls)
            node.loader.sources.inner = PeerClient(f"process {index}")
            node.private.tiers = ("0", "1", "2")
        foreign = [
            (node, block)
            for node in nodes
            for block in BLOCKS
            if not node.loader.sources.shares.is_mine(block.cid.store_key)
        ]
        async with asyncio.timeout(20):
            found = await asyncio.gather(*(source(node, block) for node, block in foreign))
        assert set(found) == {Source.ORIGIN}
        assert set(stage.left_origin().values()) == {1}
        for node in nodes:
            assert node.loader.members.ejected() == ()
            await node.loader.sources.inner.close()

    play(tmp_path, scene, "eu", "eu", blocks=BLOCKS)


def test_a_busy_origin_is_told_all_the_way_down(tmp_path: Path) -> None:
    """It says 503 and for how long; the home owner, the owner and the asker give up on that block, and the asker's
    visitor is told. Of many blocks each node asked it once, and leaves it alone from then on."""

    async def scene(stage: House) -> None:
        stage.origin.trick = "resting"
        for node in stage.nodes.values():
            with pytest.raises(Unavailable) as caught:
                await node.loader.get(BLOCKS[0].cid)
            assert caught.value.rest is not None
            assert 1 <= caught.value.rest <= 1.5 * 7 + 3
        assert len(stage.origin.asked) == 1
        for block in BLOCKS[1:]:
            with pytest.raises(Unavailable):
                await stage.nodes["a"].loader.get(block.cid)
        asked = len(stage.origin.asked)
        assert asked <= len(stage.nodes)
        assert all(node.loader.members.ejected() == () for node in stage.nodes.values())
        stage.origin.trick = "honest"
        stage.now[0] += 60
        for node in stage.nodes.values():
            await source(node, BLOCKS[0])
        assert len(stage.origin.asked) == asked + 1

    play(tmp_path, scene, "eu", "eu", "us", "us", blocks=BLOCKS)


def test_what_a_resting_origin_cannot_give_comes_from_who_holds_it(tmp_path: Path) -> None:
    """Rest is for the origin alone: a block that lies anywhere in the ring is found."""

    async def scene(stage: House) -> None:
        holder, asker = stage.nodes["a"], stage.nodes["b"]
        for block in BLOCKS[:10]:
            await source(holder, block)
        for node in stage.nodes.values():
            node.loader.members.rest(ORIGIN, 60)
        for block in BLOCKS[:10]:
            assert await source(asker, block) in (Source.PEER, Source.MEMORY)

    play(tmp_path, scene, "eu", "eu", "eu", blocks=BLOCKS)


def test_who_joins_or_leaves_fills_nothing_for_others(tmp_path: Path) -> None:
    """Asked to fill, it gives what it holds, else says no; it never asks on another's behalf."""

    async def scene(stage: House) -> None:
        owner, other = stage.order(BLOCKS[0].cid)
        owner.private.fills = lambda: False
        assert await source(other, BLOCKS[0]) is Source.ORIGIN
        assert not owner.loader.counts.loaded
        mine = next(block for block in BLOCKS[1:] if stage.owner(block.cid) is owner)
        await source(owner, mine)
        assert await source(other, mine) is Source.PEER

    play(tmp_path, scene, "eu", "eu", blocks=BLOCKS)


def test_what_is_nowhere_is_asked_once_on_each_rung(tmp_path: Path) -> None:
    """Visitors of an open gateway make up CIDs: a hundred who want the same are one question to its owner and one to
    its home owner, and each who was told no asks the origin itself: no node is believed that there is nothing."""

    async def scene(stage: House) -> None:
        ring = stage.nodes["a"].loader.ring
        made_up = (CID.of(RAW, b"made up %d" % number) for number in range(1000))
        cid = next(
            cid
            for cid in made_up
            if ring.home_region(cid.store_key) == "us" and stage.owner(cid) is not stage.nodes["a"]
        )
        crowd = [stage.nodes["a"].loader.get(cid) for _ in range(100)]
        ends = await asyncio.gather(*crowd, return_exceptions=True)
        assert all(isinstance(end, Unavailable) and end.absent for end in ends)
        assert stage.owner(cid).asked == {("1", str(cid)): 1}
        assert stage.owner(cid, "us").asked == {("2", str(cid)): 1}
        assert sum(sum(node.asked.values()) for node in stage.nodes.values()) == 2
        assert stage.left_origin() == {str(cid): 3}

    play(tmp_path, scene, "eu", "eu", "us", "us", blocks=BLOCKS)


# Mirrors.


def test_a_hot_block_is_read_from_mirrors_and_filled_by_its_owner_alone(tmp_path: Path) -> None:
    """The owner says that reads may be spread: a mirror that lacks the block gets it behind its answer, and gives it
    to the next. The origin has sent it once, whoever was asked."""
    block = BLOCKS[0]
    key = block.cid.store_key

    async def scene(stage: House) -> None:
        order = stage.order(block.cid)
        owner, mirrors, asker = order[0], order[1:-1], order[-1]
        assert owner.loader.sources.mirrors is not None
        owner.loader.sources.mirrors.heat.hit(key, 35.0)  # as after so many questions: four are enough for them
        reads = asker.loader.sources.mirror_reads
        for _ in range(200):
            assert await source(asker, block) is Source.PEER
            await asker.loader.forget([block.cid])
            stage.now[0] += 0.5
            if reads["miss"] and reads["hit"]:
                break
        assert reads["miss"] >= 1
        assert reads["hit"] >= 1
        held = [mirror for mirror in mirrors if mirror.loader.memory.peek(block.cid)]
        assert held
        assert stage.left_origin() == {str(block.cid): 1}
        assert all(node.asked["1", str(block.cid)] == 0 for node in order[1:])  # none but the owner was asked to fill

    play(tmp_path, scene, *("eu",) * 9, blocks=BLOCKS)


def test_a_dead_mirror_costs_nothing_but_a_question(tmp_path: Path) -> None:
    """Its owner is asked in its place."""
    block = BLOCKS[0]

    async def scene(stage: House) -> None:
        order = stage.order(block.cid)
        asker = order[-1]
        await source(order[0], block)
        assert asker.loader.sources.mirrors is not None
        for mirror in order[1:4]:
            await mirror.kill()
        for _ in range(40):
            asker.loader.sources.mirrors.learned(block.cid.store_key, 4)
            assert await source(asker, block) is Source.PEER
            await asker.loader.forget([block.cid])
        assert stage.left_origin() == {str(block.cid): 1}
        assert asker.loader.sources.mirror_reads["failed"] >= 1

    play(tmp_path, scene, *("eu",) * 6, blocks=BLOCKS)


def test_what_a_mirror_fetches_behind_is_bounded(tmp_path: Path) -> None:
    """A crowd of mirror reads of blocks that a node lacks: sixteen at once, one per block, and no more."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        stage.origin.trick = "wait"
        for block in BLOCKS:
            node.loader.fetch_behind(block.cid)
            node.loader.fetch_behind(block.cid)
        while len(stage.origin.asked) < 16:
            await asyncio.sleep(0.001)
        stage.origin.release()
        while node.loader._behind:
            await asyncio.sleep(0.001)
        assert sorted(stage.left_origin().values()) == [1] * 16

    play(tmp_path, scene, "eu", blocks=BLOCKS)
