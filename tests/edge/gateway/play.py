"""What the gateway's plays need: an edge with gateway hosts, content in its origin, and names that stand fast.

Not here: the official suite (tests/conformance), which asks for far more than these plays; they show what it does not
ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from content import unixfs
from content.block import Block
from content.cid import CID
from edge.gateway.hosts import parse_hosts
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import Got, edge, fetch

HOSTS = "gw.test, paths.test;paths"
Play = Callable[["Stage"], Awaitable[None]]


class Stage:
    """An edge with one site (`demo`), and its origin."""

    def __init__(self, node: Node, origin: TinyOrigin, world: World) -> None:
        self.node = node
        self.origin = origin
        self.world = world

    def folder(self, files: Mapping[str, bytes | str], *, public: bool = True) -> CID:
        """A folder at the origin, published elsewhere or pinned there."""
        emit = self.world.store.emit
        nodes = {
            path: unixfs.symlink(content, emit) if isinstance(content, str) else unixfs.file(content, emit)
            for path, content in files.items()
        }
        return self.keep(unixfs.root(nodes, emit).cid, public=public)

    def block(self, codec: int, data: bytes, *, public: bool = True) -> CID:
        block = Block.make(codec, data)
        self.world.store.emit(block)
        return self.keep(block.cid, public=public)

    def keep(self, cid: CID, *, public: bool = True) -> CID:
        if public:
            self.origin.public.add(cid.v1)
        return cid

    async def get(self, host: str, path: str, method: str = "GET", **headers: str) -> Got:
        return await fetch(self.node, path, host, method, **headers)


def play(folder: Path, act: Play, **fields: Any) -> None:
    """Run a play."""
    names = {"dnslinks": fields.pop("dnslinks", ""), "resolvers": ("off",)}

    async def run() -> None:
        world = World()
        world.publish("demo", {"index.html": b"<h1>site</h1>", "ipfs/x.txt": b"of the site"})
        settings = {"gateway_hosts": parse_hosts(HOSTS), **names, **fields}
        async with edge(folder, world, **settings) as (node, origin):
            await act(Stage(node, origin, world))

    asyncio.run(run())
