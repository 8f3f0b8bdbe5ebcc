"""A whole edge whose disk is full: what visitors ask for again is there after a restart with the origin dead."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import config_of, fetch, running

SIZE = 40_000
MiB = 1 << 20


def test_a_file_asked_for_twice_survives_on_a_full_disk_and_one_asked_for_once_does_not(tmp_path: Path) -> None:
    """The second answer comes from memory, which the disk tier never sees; it is told when it decides."""
    files = {f"{number}.bin": random.Random(number).randbytes(SIZE) for number in range(100)}
    world = World()
    world.publish("demo", {"index.html": b"home", **files})
    world.sign()

    async def run() -> None:
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin, cache_bytes=2 * MiB, memory_bytes=64 * MiB)
        async with running(config) as node:
            for name, data in files.items():
                assert (await fetch(node, f"/{name}")).body == data
                if name in ("0.bin", "70.bin"):
                    assert (await fetch(node, f"/{name}")).body == data
            await node.disk.settled()
            assert node.disk.counts.on_probation > 30
            assert node.disk.used <= 2 * MiB
        await origin.stop()
        async with running(config) as node:
            await node.disk.ready()
            for name in ("0.bin", "70.bin"):
                assert (await fetch(node, f"/{name}")).body == files[name]
            assert (await fetch(node, "/71.bin")).status == 504
            assert (await fetch(node, "/40.bin")).body == files["40.bin"]  # came while there was room

    asyncio.run(run())
