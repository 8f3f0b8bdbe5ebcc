"""What plays of the Head share: an edge on a real socket before a tiny origin, and disks that are full or slow.

Not here: what is expected of them.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from content import car
from edge.config import EdgeConfig
from edge.control.stored import StoredHead
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import config_of, edge

Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]
Starts = Callable[[EdgeConfig, TinyOrigin, World], Awaitable[None]]


def new_world() -> World:
    world = World()
    world.publish("demo", {"index.html": b"one", "same.txt": b"same", "chunk-aaaaaaa1.js": b"chunk one"})
    return world


def play(folder: Path, act: Play, **fields: Any) -> None:
    async def run() -> None:
        world = new_world()
        async with edge(folder, world, **fields) as (node, origin):
            await origin.serving(world.sequence)
            await act(node, origin, world)

    asyncio.run(asyncio.wait_for(run(), 60))


def play_before_an_edge(folder: Path, act: Starts) -> None:
    """An origin with a signed Head; the play starts the edge by itself, once or again and again."""

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        try:
            await act(config_of(folder, origin), origin, world)
        finally:
            await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def no_room(*_: Any) -> None:
    """A store's `save` on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


class SlowDisk:
    """A store's `save` that says when it has begun, and goes on when it is told to."""

    def __init__(self, save: Callable[[StoredHead], None]) -> None:
        self._save = save
        self.begun, self.go = threading.Event(), threading.Event()
        self.order: list[str] = []

    def __call__(self, head: StoredHead) -> None:
        self.order.append("begun")
        self.begun.set()
        assert self.go.wait(30)
        self._save(head)
        self.order.append("ended")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def offered(data: bytes) -> StoredHead:
    """What an origin's CAR offers."""
    return StoredHead.from_blocks(*car.read(data))


async def take(node: Node, world: World) -> bool:
    """What the World has signed last, past the waiting request."""
    return await node.follower.take(offered(world.car()))


async def publish_and_take(node: Node, world: World, body: bytes) -> None:
    world.publish("demo", {"index.html": body})
    world.sign()
    await take(node, world)
