"""The loading order over real sockets: rings of in-process nodes, an origin that counts, and liars among the peers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, DAG_CBOR, RAW
from content.errors import BadNode, LimitExceeded
from content.unixfs import FileBuilder
from content.walk import Leaf, Walk, leaves, links
from edge.cache.absence import ABSENT_FOR, ABSENT_MAX
from edge.cache.loader import WINDOW, Source, Unavailable
from edge.peers.client import Budgets, Fault
from edge.peers.members import ORIGIN
from edge.peers.ring import Member, Ring
from tests.kit.evilpeer import LIES, EvilPeer
from tests.kit.house import House, MiB, Node, house, source
from tests.kit.house import play as in_house

BLOCKS = [Block.make(RAW, b"block %d " % number * 50) for number in range(60)]


def play(folder: Path, scene: Callable[[House], Awaitable[None]], *regions: str, blocks: list[Block] = BLOCKS) -> None:
    in_house(folder, scene, *regions, blocks=blocks)


# The order.


def test_origin_then_memory_then_disk_then_peer(tmp_path: Path) -> None:
    """Each tier answers when those before it cannot, and fills them."""

    async def scene(stage: House) -> None:
        block = BLOCKS[0]
        owner = stage.owner(block.cid)
        (other, *_) = stage.others(owner)
        assert await source(owner, block) is Source.ORIGIN
        assert await source(owner, block) is Source.MEMORY
        owner.loader.memory.clear()
        assert await source(owner, block) is Source.DISK
        assert await source(owner, block) is Source.MEMORY
        assert await source(other, block) is Source.PEER
        assert await source(other, block) is Source.MEMORY
        assert stage.left_origin() == {str(block.cid): 1}
        assert owner.loader.counts.loaded == {Source.ORIGIN: 1, Source.MEMORY: 3, Source.DISK: 1}
        assert other.loader.counts.bytes[Source.PEER] == len(block.data)

    play(tmp_path, scene, "eu", "eu", "eu")


@pytest.mark.parametrize("regions", [("eu",), ("eu",) * 3, ("eu", "eu", "us", "us"), ("eu", "us", "ap")])
def test_each_block_leaves_the_origin_once(tmp_path: Path, regions: tuple[str, ...]) -> None:
    """All nodes ask for all blocks at once, many times over; the origin sends each block exactly once."""

    async def scene(stage: House) -> None:
        asks = [source(node, block) for block in BLOCKS for node in stage.nodes.values() for _ in range(5)]
        await asyncio.gather(*asks)
        assert stage.left_origin() == dict.fromkeys((str(block.cid) for block in BLOCKS), 1)

    play(tmp_path, scene, *regions)


def test_a_block_enters_a_region_once_and_at_most_two_edges_stand_between(tmp_path: Path) -> None:
    """Region owner asks home owner asks origin: a question carries its rung and only climbs."""

    async def scene(stage: House) -> None:
        for block in BLOCKS:
            await asyncio.gather(*(source(node, block) for node in stage.nodes.values()))
        for block in BLOCKS:
            home = stage.owner(block.cid, stage.nodes["a"].loader.ring.home_region(block.cid.store_key) or "")
            for node in stage.nodes.values():
                from_afar = node.asked["2", str(block.cid)]
                assert from_afar == (node is home)  # the other region's owner, once
                if node is not stage.owner(block.cid, node.region):
                    assert node.asked["1", str(block.cid)] == 0

    play(tmp_path, scene, "eu", "eu", "eu", "us", "us", "us")


def test_a_question_from_a_peer_is_never_asked_downwards(tmp_path: Path) -> None:
    """At tier 1 no region owner is asked, at tier 2 nobody but the origin, whoever owns the block."""

    async def scene(stage: House) -> None:
        for block in BLOCKS:
            owner = stage.owner(block.cid)
            for node in stage.others(owner):
                await source(node, block, tier=2)
                await source(node, block, tier=1)
            assert sum(owner.asked.values()) == 0

    play(tmp_path, scene, "eu", "eu", "eu")


def test_two_rings_that_disagree_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each takes the other for the owner: both ask at once, both are answered."""

    async def scene(stage: House) -> None:
        a, b = stage.nodes["a"], stage.nodes["b"]
        a.loader.ring = Ring([Member("b", b.url, "eu")])
        b.loader.ring = Ring([Member("a", a.url, "eu")])
        await asyncio.gather(*(source(node, block) for block in BLOCKS for node in (a, b)))
        assert max(stage.left_origin().values()) <= 2
        assert all(tier == "1" for node in (a, b) for tier, _ in node.asked)

    play(tmp_path, scene, "eu", "eu")


def test_only_if_cached_asks_nobody(tmp_path: Path) -> None:
    """held() looks at memory and disk."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        assert await node.loader.held(BLOCKS[0].cid) is None
        await source(node, BLOCKS[0])
        assert (await node.loader.held(BLOCKS[0].cid)) is not None
        assert len(stage.origin.asked) == 1

    play(tmp_path, scene, "eu")


def test_a_forgotten_block_is_fetched_anew(tmp_path: Path) -> None:
    """After forget() neither memory nor disk knows it."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        await source(node, BLOCKS[0])
        await node.loader.forget([BLOCKS[0].cid])
        assert await source(node, BLOCKS[0]) is Source.ORIGIN

    play(tmp_path, scene, "eu")


def test_an_identity_cid_is_its_own_source(tmp_path: Path) -> None:
    """Nobody is asked for what the name says."""

    async def scene(stage: House) -> None:
        loaded = await stage.nodes["a"].loader.get(CID(bytes((1, RAW, 0, 2)) + b"hi"))
        assert loaded.block.data == b"hi"
        assert not stage.origin.asked

    play(tmp_path, scene, "eu")


# Deaths and lies.


@pytest.mark.parametrize("dead", ["a", "b", "c"])
def test_any_one_edge_dead_all_blocks_still_come(tmp_path: Path, dead: str) -> None:
    """The next in the order takes the dead one's place, and each block still leaves the origin once."""

    async def scene(stage: House) -> None:
        await stage.nodes[dead].kill()
        alive = stage.others(stage.nodes[dead])
        for block in BLOCKS:  # one after the other, or several find out at once that it is dead
            for node in alive:
                await source(node, block)
        assert max(stage.left_origin().values()) == 1
        assert all(node.loader.members.ejected() == (dead,) for node in alive)

    play(tmp_path, scene, "eu", "eu", "eu")


@pytest.mark.parametrize("dead", ["a", "b", "c"])
def test_origin_and_one_edge_dead_what_was_seen_anywhere_still_comes(tmp_path: Path, dead: str) -> None:
    """Without origin others are asked for what they hold, whoever owns it."""

    async def scene(stage: House) -> None:
        alive = stage.others(stage.nodes[dead])
        for number, block in enumerate(BLOCKS):
            await source(alive[number % 2], block)
        await stage.origin.stop()
        await stage.nodes[dead].kill()
        for block in BLOCKS:
            for node in alive:
                assert await source(node, block) is not Source.ORIGIN

    play(tmp_path, scene, "eu", "eu", "eu")


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_owner_is_asked_never_believed_and_put_out(tmp_path: Path, lie: str) -> None:
    """One lie ejects it; the block comes from elsewhere; nothing false enters a tier."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        async with EvilPeer({block.cid: block for block in BLOCKS}, lie) as liar:
            node.loader.ring = Ring([Member("a", node.url, "eu"), Member("liar", liar.url, "eu")])
            for block in BLOCKS:
                assert await source(node, block) is Source.ORIGIN
            assert liar.played[lie] == 1
            assert node.loader.members.ejected() == ("liar",)
            assert sum(node.loader.client.counts.faults.values()) == 1
            for block in BLOCKS:
                assert (await node.loader.disk.get(block.cid)) == block

    play(tmp_path, scene, "eu")


def test_a_liar_that_repents_is_let_in_again_by_one_probe(tmp_path: Path) -> None:
    """When its time is over one question goes to it, and after an honest answer all others."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        async with EvilPeer({block.cid: block for block in BLOCKS}, "html") as liar:
            node.loader.ring = Ring([Member("liar", liar.url, "eu")])
            assert await source(node, BLOCKS[0]) is Source.ORIGIN
            liar.trick = "honest"
            assert await source(node, BLOCKS[1]) is Source.ORIGIN
            stage.now[0] += 60
            assert await source(node, BLOCKS[2]) is Source.PEER
            assert node.loader.members.ejected() == ()

    play(tmp_path, scene, "eu")


@pytest.mark.parametrize("trick", ["hang", "hang_in_body", "reset", "busy", "forbidden"])
def test_a_sick_peer_is_passed_by_and_costs_its_budget_three_times(tmp_path: Path, trick: str) -> None:
    """Three faults in a row put it out; every block comes all the same."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        node.loader.sources.peer_budgets = Budgets(connect=10, headers=0.1, stall=0.1, total=60)
        async with EvilPeer({block.cid: block for block in BLOCKS}, trick) as sick:
            node.loader.ring = Ring([Member("sick", sick.url, "eu")])
            for block in BLOCKS[:10]:
                assert await source(node, block) is Source.ORIGIN
            assert node.loader.members.ejected() == ("sick",)
            assert sum(node.loader.client.counts.faults.values()) == 3

    play(tmp_path, scene, "eu")


def test_an_origin_that_lies_is_never_believed(tmp_path: Path) -> None:
    """No source is trusted: without another one the block is unavailable."""

    async def scene(stage: House) -> None:
        stage.origin.trick = "another_block"
        node = stage.nodes["a"]
        with pytest.raises(Unavailable) as caught:
            await node.loader.get(BLOCKS[0].cid)
        assert not caught.value.absent
        assert node.loader.client.counts.faults == {Fault.WRONG_BYTES: 1}
        assert ORIGIN in node.loader.members.ejected()

    play(tmp_path, scene, "eu")


def test_a_dead_origin_is_left_alone_and_found_again(tmp_path: Path) -> None:
    """After three refusals it is not asked for each block; when it is back a probe finds it, within seconds."""

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        await stage.origin.stop()
        for block in BLOCKS[:20]:
            with pytest.raises(Unavailable):
                await node.loader.get(block.cid)
        assert node.loader.client.counts.faults == {Fault.REFUSED: 3}
        await stage.origin.start()
        stage.now[0] += 5
        for block in BLOCKS[:20]:
            assert await source(node, block) is Source.ORIGIN

    play(tmp_path, scene, "eu")


def test_an_origin_that_rested_is_asked_again_though_all_had_told_each_other(tmp_path: Path) -> None:
    """Each node rests for what the origin asked of it, and not for what it hears: told on, a little longer each time, a
    rest of 7 s had no end."""

    async def scene(stage: House) -> None:
        blocks = iter(BLOCKS)

        async def asked_of_all() -> list[Source | None]:
            async def one(node: Node) -> Source | None:
                try:
                    return await source(node, next(blocks))
                except Unavailable:
                    return None

            return [await one(node) for node in stage.nodes.values()]

        stage.origin.trick = "resting"
        for _ in range(3):
            await asked_of_all()
        assert 1 <= len(stage.origin.asked) <= len(stage.nodes)
        stage.origin.trick = "honest"
        for _ in range(7):
            stage.now[0] += 1.5
            await asked_of_all()
        assert None not in [*await asked_of_all(), *await asked_of_all()]
        assert not any(node.loader.members.ejected() for node in stage.nodes.values())

    in_house(tmp_path, scene, "eu", "eu", "eu", blocks=BLOCKS)


def test_nobody_has_it_is_remembered_for_a_second(tmp_path: Path) -> None:
    """A hundred asks for a block that is nowhere are one question; a second later it is asked again."""

    async def scene(stage: House) -> None:
        node, missing = stage.nodes["a"], Block.make(RAW, b"nowhere")
        for _ in range(100):
            with pytest.raises(Unavailable) as caught:
                await node.loader.get(missing.cid)
            assert caught.value.absent
        assert len(stage.origin.asked) == 1
        assert node.loader.counts.absent_hits == 99
        stage.origin.tricks[str(missing.cid)] = "honest"
        stage.origin.blocks = {missing.cid: missing}
        stage.now[0] += ABSENT_FOR
        assert await source(node, missing) is Source.ORIGIN

    play(tmp_path, scene, "eu")


def test_what_is_nowhere_is_remembered_in_bounds(tmp_path: Path) -> None:
    """A scan over made-up CIDs fills no memory."""

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        for number in range(ABSENT_MAX // 500 + 2):
            made_up = (CID.of(RAW, b"%d %d" % (number, each)) for each in range(500))
            await asyncio.gather(*(loader.get(cid) for cid in made_up), return_exceptions=True)
        assert len(loader._absent) == ABSENT_MAX

    async def run() -> None:
        async with house(tmp_path, "eu", blocks=BLOCKS) as stage:
            stage.nodes["a"].loader.sources.origin = None
            await scene(stage)

    asyncio.run(run())


# Outside gateways.


def test_gateways_come_last_and_only_for_content(tmp_path: Path) -> None:
    """A control block is never asked of an outside gateway."""
    control = Block.make(DAG_CBOR, b"\xa1ax\x01")

    async def scene(stage: House) -> None:
        node = stage.nodes["a"]
        async with EvilPeer({control.cid: control, BLOCKS[1].cid: BLOCKS[1]}) as gateway:
            node.loader.sources.gateways = (gateway.url,)
            assert await source(node, BLOCKS[0]) is Source.ORIGIN
            assert await source(node, BLOCKS[1]) is Source.GATEWAY
            with pytest.raises(Unavailable):
                await node.loader.get(control.cid)
            assert [asked.cid for asked in gateway.asked] == [str(BLOCKS[1].cid)]
            assert "cdn-loop" not in gateway.asked[0].headers

    play(tmp_path, scene, "eu", blocks=BLOCKS[:1])


# Crowds.


def test_a_thousand_on_one_cold_block_are_one_fill_and_leavers_hurt_nobody(tmp_path: Path) -> None:
    """Half of them give up; the others get the block; the origin sent it once."""

    async def scene(stage: House) -> None:
        block = BLOCKS[0]
        stage.origin.tricks[str(block.cid)] = "wait"
        crowd = [asyncio.create_task(source(node, block)) for _ in range(250) for node in stage.nodes.values()]
        while not stage.origin.asked:
            await asyncio.sleep(0)
        for leaver in crowd[::2]:
            leaver.cancel()
        await asyncio.wait(crowd[::2])
        stage.origin.release()
        await asyncio.gather(*crowd[1::2])
        assert stage.left_origin() == {str(block.cid): 1}

    play(tmp_path, scene, "eu", "eu", "us", "us")


# Walks and files.


def file_of(size: int, first: int = 0) -> tuple[CID, bytes, list[Block]]:
    data = b"".join(b"%07d\n" % number for number in range(first, first + size // 8 + 1))[:size]
    blocks: list[Block] = []
    builder = FileBuilder(blocks.append)
    for start in range(0, size, MiB):
        builder.feed(data[start : start + MiB])
    return builder.finish().cid, data, blocks


def test_a_file_is_read_ahead_in_order_and_in_a_window(tmp_path: Path) -> None:
    """Bytes come in order whatever order the blocks come in, and no more than the window is under way."""
    cid, data, blocks = file_of(12 * MiB + 5)

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        stage.origin.trick = "wait"
        stage.origin.release()
        parts: list[bytes] = []
        seen: set[Source] = set()
        rows = await loader.run(leaves(cid, 3, len(data)), seen=seen)
        reading = loader.read(rows, seen=seen)
        async for piece in reading:
            parts.append(piece)
            assert len(stage.origin.asked) <= len(parts) + 1 + WINDOW
        assert b"".join(parts) == data[3:]
        assert seen == {Source.ORIGIN}
        assert await loader.run(leaves(cid, MiB - 1, MiB + 1)) is not None
        again = [piece async for piece in loader.read(rows)]
        assert b"".join(again) == data[3:]
        assert len(stage.origin.asked) == len(blocks)

    play(tmp_path, scene, "eu", blocks=blocks)


def test_slow_readers_are_read_one_block_for_once_they_are_many(tmp_path: Path) -> None:
    """They stop after their third piece, each of a file of its own: the first have a window each, the others a block,
    and misses are begun."""
    files = [file_of(12 * MiB, number) for number in range(16)]

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        pressure = loader.pressure
        readers = [loader.read(await loader.run(leaves(cid, 0, len(data)))) for cid, data, _ in files]
        for reader in readers:
            for _ in range(3):
                await anext(reader)
        assert 16 * MiB <= pressure.ahead < 32 * MiB, "which is where misses would be turned away"
        assert pressure.admit() is None
        for reader in readers:
            await reader.aclose()
        assert pressure.ahead == 0

    play(tmp_path, scene, "eu", blocks=[block for *_, blocks in files for block in blocks])


def test_what_a_crowd_waits_for_together_is_counted_once(tmp_path: Path) -> None:
    """A hundred slow readers of one file, cold: its bytes lie in memory once, and another's miss is begun."""
    cid, data, blocks = file_of(12 * MiB)

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        rows = await loader.run(leaves(cid, 0, len(data)))
        readers = [loader.read(rows) for _ in range(100)]
        for _ in range(4):
            await asyncio.gather(*(anext(reader) for reader in readers))
        assert WINDOW * MiB <= loader.pressure.ahead <= 12 * MiB
        assert loader.pressure.admit() is None
        for reader in readers:
            await reader.aclose()
        assert loader.pressure.ahead == 0

    play(tmp_path, scene, "eu", blocks=blocks)


def test_a_window_is_asked_of_its_owners_at_once(tmp_path: Path) -> None:
    """Nobody answers, and yet all owners of the window's blocks have been asked."""
    cid, data, blocks = file_of(20 * MiB)

    async def scene(stage: House) -> None:
        reader = stage.nodes["d"]
        rows = await reader.loader.run(leaves(cid, 0, len(data)))
        async with contextlib.aclosing(reader.loader.read(rows)) as reading:
            for _ in range(4):  # the window is open then
                await anext(reading)
            stage.origin.trick = "wait"
            rest = asyncio.create_task(_joined(reading))
            window = [row.cid for row in rows[4 : 4 + WINDOW]]
            theirs = [(stage.owner(cid), str(cid)) for cid in window if stage.owner(cid) is not reader]
            assert len({owner.name for owner, _ in theirs}) > 1
            while not all(owner.asked["1", cid] for owner, cid in theirs):
                await asyncio.sleep(0.001)
            assert not rest.done()
            stage.origin.release()
            assert await rest == data[4 * MiB :]

    play(tmp_path, scene, "eu", "eu", "eu", "eu", blocks=blocks)


async def _joined(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def test_one_byte_of_a_long_file_costs_one_leaf(tmp_path: Path) -> None:
    """A range reads the root and the leaf that holds it."""
    cid, data, blocks = file_of(6 * MiB)

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        rows = await loader.run(leaves(cid, 5 * MiB, 5 * MiB + 1))
        assert [piece async for piece in loader.read(rows)] == [data[5 * MiB : 5 * MiB + 1]]
        assert len(stage.origin.asked) == 2

    play(tmp_path, scene, "eu", blocks=blocks)


def test_a_reader_who_leaves_early_leaves_nothing_behind(tmp_path: Path) -> None:
    """Blocks that were under way land in the cache; no task, no complaint is left."""
    cid, data, blocks = file_of(10 * MiB)

    async def scene(stage: House) -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        loader = stage.nodes["a"].loader
        rows = await loader.run(leaves(cid, 0, len(data)))
        async with contextlib.aclosing(loader.read(rows)) as reading:
            async for _ in reading:
                stage.origin.trick = "reset"
                break
        while len(loader.flight):
            await asyncio.sleep(0.001)
        assert not complaints

    play(tmp_path, scene, "eu", blocks=blocks)


def test_a_leaf_that_is_missing_ends_the_reading_with_an_error(tmp_path: Path) -> None:
    """Never a clean end before the end."""
    cid, data, blocks = file_of(3 * MiB)
    gone = next(block for block in blocks if block.data == data[MiB : 2 * MiB])

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        rows = await loader.run(leaves(cid, 0, len(data)))
        reading = loader.read(rows)
        assert await anext(reading) == data[:MiB]
        with pytest.raises(Unavailable):
            await anext(reading)

    play(tmp_path, scene, "eu", blocks=[block for block in blocks if block != gone])


def test_a_leaf_shorter_than_its_parent_says_is_refused(tmp_path: Path) -> None:
    """A verified DAG may still lie about sizes."""
    size = len(BLOCKS[0].data)

    async def scene(stage: House) -> None:
        reading = stage.nodes["a"].loader.read([Leaf(BLOCKS[0].cid, 0, size + 1, 0)])
        with pytest.raises(BadNode):
            await anext(reading)

    play(tmp_path, scene, "eu")


def test_a_leaf_longer_than_its_parent_says_is_refused(tmp_path: Path) -> None:
    """It was cut to what its parent says, and sent as if the file were whole: other readers of it refuse that."""
    size = len(BLOCKS[0].data)

    async def scene(stage: House) -> None:
        reading = stage.nodes["a"].loader.read([Leaf(BLOCKS[0].cid, 0, size - 1, 0, size - 1)])
        with pytest.raises(BadNode):
            await anext(reading)

    play(tmp_path, scene, "eu")


def forever(cid: CID) -> Walk[None]:
    while True:
        links((yield cid))


def test_a_walk_without_end_is_stopped(tmp_path: Path) -> None:
    """Nodes looked at before the first byte are bounded; at the limit it still runs, past it it does not."""

    async def scene(stage: House) -> None:
        loader = stage.nodes["a"].loader
        with pytest.raises(LimitExceeded):
            await loader.run(forever(BLOCKS[0].cid), limit=100)
        assert loader.counts.loaded[Source.MEMORY] == 99

    play(tmp_path, scene, "eu")


def test_a_walk_is_told_nothing_false_and_closed_when_it_fails(tmp_path: Path) -> None:
    """Unavailable goes to the caller; the walk's own cleanup runs."""
    closed: list[bool] = []

    def walk() -> Walk[None]:
        try:
            yield CID.of(RAW, b"nowhere")
        finally:
            closed.append(True)

    async def scene(stage: House) -> None:
        with pytest.raises(Unavailable):
            await stage.nodes["a"].loader.run(walk())
        assert closed == [True]

    play(tmp_path, scene, "eu")
