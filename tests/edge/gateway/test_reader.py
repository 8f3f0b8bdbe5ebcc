"""The driving of walks: what happens to one whose reader leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, DAG_PB
from content.limits import KiB
from edge.gateway.reader import Reader
from tests.edge.gateway.play import Stage, play


def test_a_reader_that_leaves_while_a_large_node_is_read(tmp_path: Path) -> None:
    """The walk is in a thread then, and cannot be closed: the leaving is a leaving all the same, and no error."""
    begun, gate = threading.Event(), threading.Event()

    def walk(cid: CID) -> Generator[CID, Block, None]:
        yield cid
        begun.set()
        gate.wait(20)

    async def act(stage: Stage) -> None:
        cid = stage.block(DAG_PB, bytes(512 * KiB))
        task = asyncio.create_task(Reader(stage.node.loader, stage.node.denials).run(walk(cid)))
        async with asyncio.timeout(20):
            await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.set()

    play(tmp_path, act)
