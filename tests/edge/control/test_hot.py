"""Hot: the order in which blocks change hands, and that making it holds nobody up."""

from __future__ import annotations

import asyncio

from content.block import Block
from content.cid import CID, DAG_CBOR, RAW
from edge.cache.memory import Memory
from edge.control.hot import SCAN, SCANNED, Hot
from edge.peers.heat import Heat


def memory_of(count: int) -> tuple[Memory[CID, Block], list[CID]]:
    memory: Memory[CID, Block] = Memory(1 << 40)
    blocks = [Block.make(RAW, b"%d" % number) for number in range(count)]
    for block in blocks:
        memory.put(block.cid, block, len(block.data))
    return memory, [block.cid for block in blocks]


def test_what_others_ask_for_comes_first_then_what_was_used_then_the_newest() -> None:
    """Each once, and no control block among them."""
    memory, cids = memory_of(6)
    control = Block.make(DAG_CBOR, b"\xa0")
    memory.put(control.cid, control, 1)
    heat = Heat()
    heat.hit(cids[0].store_key)
    heat.hit(control.cid.store_key)
    for used in (cids[0], cids[2]):
        memory.get(used)
    hot = Hot(memory, heat)
    order = [cids[0], cids[2], cids[5], cids[4], cids[3], cids[1]]
    assert asyncio.run(hot.hottest(10)) == order
    assert asyncio.run(hot.hottest(3)) == order[:3]


def test_a_large_memory_holds_nobody_up() -> None:
    """So many of its blocks are looked at, and others have their turn in between."""
    memory, cids = memory_of(SCANNED + SCAN)

    async def run() -> list[CID]:
        making, turns = asyncio.create_task(Hot(memory, Heat()).hottest(len(cids))), 0
        while not making.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= SCANNED // SCAN
        return making.result()

    assert asyncio.run(run()) == cids[: SCAN - 1 : -1]
