"""Keeping step after a purge: what came back from one that was late goes again, and the receipt waits for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from content.block import Block
from content.cid import CID, RAW
from edge.cache.disk import DiskTier
from edge.cache.loader import Loader
from edge.cache.memory import Memory
from edge.peers.client import PeerClient
from edge.peers.members import Members
from edge.peers.shares import Shares
from edge.processes import board
from edge.processes.board import Board, Row
from edge.processes.unison import Unison

BLOCK = Block.make(RAW, b"covered by the purge")


class Stage:
    """Process 0 of two, with a real memory, and the other's row in the test's hand."""

    def __init__(self, folder: Path) -> None:
        descriptor, bells = board.make(2)
        self.other = Board(descriptor, bells, 2)
        self.memory: Memory[CID, Block] = Memory(1 << 20)
        self.loader = Loader(
            node="edge-1",
            region="local",
            memory=self.memory,
            disk=DiskTier(folder, 1 << 20),
            client=PeerClient("edge-1"),
            members=Members(),
            origin=None,
        )
        self.loader.sources.shares = Shares(0, ("http://127.0.0.1:1", "http://127.0.0.1:2"))
        self.told: list[int] = []
        self.unison = Unison(Board(descriptor, bells, 0), self.loader, lambda: True, self._tell)

    async def _tell(self) -> None:
        self.told.append(self.unison.board.cleared)

    def have(self) -> None:
        self.memory.put(BLOCK.cid, BLOCK, 100)


def play(folder: Path, acts: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage = Stage(folder)
        work = asyncio.create_task(stage.unison.run())
        try:
            await acts(stage)
        finally:
            work.cancel()
            stage.unison.close()

    asyncio.run(run())


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not ready():
            await asyncio.sleep(0.001)


def test_the_receipt_is_that_of_the_last(tmp_path: Path) -> None:
    """A block that came back from the late one is dropped when that one has forgotten it too, before the receipt."""

    async def acts(stage: Stage) -> None:
        stage.other.write(Row(2, 1, 1))
        stage.unison.begin(1)
        await until(lambda: stage.told == [1])
        stage.have()
        await stage.loader.forget([BLOCK.cid])
        assert BLOCK.cid not in stage.memory
        stage.have()  # from the other, which has not heard yet
        stage.unison.stored(2)
        await asyncio.sleep(0)
        assert (stage.unison.board.forgot, stage.unison.board.cleared, stage.told) == (1, 1, [1])
        assert BLOCK.cid in stage.memory
        stage.other.write(Row(2, 2, 1))
        await until(lambda: stage.unison.board.rows()[0].cleared == 2)
        assert BLOCK.cid not in stage.memory
        assert (stage.unison.board.cleared, stage.told) == (1, [1])  # the other has not said so of itself
        stage.other.write(Row(2, 2, 2))
        await until(lambda: stage.told == [1, 2])

    play(tmp_path, acts)


def test_who_starts_ahead_of_another_keeps_nothing_that_came_before_that_one_was_there(tmp_path: Path) -> None:
    """It does not know what the purge between was about: all of its memory goes once."""

    async def acts(stage: Stage) -> None:
        stage.other.write(Row(2, 1, 1))
        stage.unison.begin(3)
        stage.have()
        await until(lambda: stage.told == [1])
        assert BLOCK.cid in stage.memory
        stage.other.write(Row(2, 3, 3))
        await until(lambda: stage.told == [1, 3])
        assert BLOCK.cid not in stage.memory

    play(tmp_path, acts)


def test_a_row_outlives_its_process_and_passes_on(tmp_path: Path) -> None:
    """One that died keeps back the receipt, in its successor's row too, until that has written; a free row does not."""

    async def acts(stage: Stage) -> None:
        stage.other.write(Row(2, 1, 1))
        stage.unison.begin(1)
        stage.unison.stored(2)
        stage.other.hand_over(2, 3)
        assert (stage.unison.board.forgot, stage.unison.board.cleared) == (1, 1)
        stage.other.put(3, Row(4, 2, 2))
        await until(lambda: stage.told[-1:] == [2])
        stage.other.put(3, Row())
        assert stage.unison.board.cleared == 2

    play(tmp_path, acts)
