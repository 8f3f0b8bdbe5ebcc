"""A house: a ring of edges without their public side, in one loop, around an origin that counts and can misbehave.

Here live loaders behind real private listeners, on real sockets, with a clock that the play moves. Not here: whole
edges (tests/kit/nodes), what goes wrong at one asked (tests/kit/evilpeer), or on the way (tests/kit/toxics).

    async with house(tmp_path, "eu", "eu", "us", blocks=[...]) as stage:   # nodes a, b, c
        await source(stage.nodes["a"], block)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content.block import Block
from content.cid import CID
from edge.cache.disk import DiskTier
from edge.cache.loader import Loader, Source
from edge.cache.memory import Memory
from edge.control.admin import Private, private_app
from edge.control.metrics import Value
from edge.http.listener import Listener, bind
from edge.peers.budget import Budgets
from edge.peers.client import PeerClient
from edge.peers.heat import Heat
from edge.peers.members import Members
from edge.peers.mirrors import Mirrors
from edge.peers.ring import Member, Ring
from edge.standing import Standing
from tests.kit.evilpeer import EvilPeer

MiB = 1 << 20
PATIENT = Budgets(connect=10, silence=30, doubt=45, headers=60, stall=60, total=120)  # nothing here is about time


@dataclass
class Node:
    """One edge without its public side."""

    name: str
    region: str
    loader: Loader
    private: Private
    listener: Listener
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)  # (tier, or held), cid
    chains: list[str] = field(default_factory=list)  # CDN-Loop of each question

    @property
    def url(self) -> str:
        return self.listener.url

    @property
    def member(self) -> Member:
        return Member(self.name, self.url, self.region)

    async def kill(self) -> None:
        """Stop listening and break off what is open, as a dead process would."""
        server = self.listener._server
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            if (transport := getattr(connection, "transport", None)) is not None:
                transport.abort()
        for task in server.server_state.tasks:
            task.cancel()
        await self.listener.stop()

    async def close(self) -> None:
        await self.loader.close()
        await self.loader.disk.close()
        await self.loader.client.close()
        await self.kill()


@dataclass
class House:
    """What a scene plays with."""

    origin: EvilPeer
    nodes: dict[str, Node]
    now: list[float]

    def left_origin(self) -> Counter[str]:
        """How often each block was asked of the origin."""
        return Counter(asked.cid for asked in self.origin.asked)

    def owner(self, cid: CID, region: str = "eu") -> Node:
        return self.order(cid, region)[0]

    def order(self, cid: CID, region: str = "eu") -> list[Node]:
        """The nodes of a region, best owner of this block first."""
        ring = next(iter(self.nodes.values())).loader.ring
        return [self.nodes[member.name] for member in ring.order(cid.store_key, region)]

    def others(self, *not_these: Node) -> list[Node]:
        return [node for node in self.nodes.values() if node not in not_these]


async def _node(name: str, region: str, folder: Path, origin: str, now: list[float]) -> Node:
    def clock() -> float:
        return now[0]

    disk = DiskTier(folder / name, 64 * MiB)
    await disk.open()
    loader = Loader(
        node=name,
        region=region,
        memory=Memory(64 * MiB),
        disk=disk,
        client=PeerClient(name),
        members=Members(clock),
        origin=origin,
        clock=clock,
        peer_budgets=PATIENT,
        origin_budgets=PATIENT,
    )
    loader.sources.mirrors = Mirrors(Heat(clock), clock, node=name)
    standing = Standing()
    standing.join()
    private = Private(
        node=name,
        token=None,
        open=True,
        loader=loader,
        sequence=lambda: 0,
        standing=standing,
        values=_no_values,
        status=_nothing,
        explain=_no_explanation,
        mirrors=loader.sources.mirrors,
    )
    app = private_app(private)

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        fields = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        if scope["path"].startswith("/ipfs/"):
            held = fields.get("cache-control") == "only-if-cached"
            tier = "held" if held else fields.get("rim-tier", "")
            node.asked[tier, scope["path"].removeprefix("/ipfs/")] += 1
            node.chains.append(fields.get("cdn-loop", ""))
        await app(scope, receive, send)

    listener = Listener(counting, bind("127.0.0.1", 0))
    node = Node(name, region, loader, private, listener)
    await listener.start()
    return node


async def _no_values() -> Mapping[str, Value]:
    return {}


async def _nothing() -> dict[str, Any]:
    return {}


async def _no_explanation(url: str) -> dict[str, Any]:
    return {}


@contextlib.asynccontextmanager
async def house(folder: Path, *regions: str, blocks: list[Block]) -> AsyncIterator[House]:
    """One node per given region (named a, b, c …) and an origin that holds the blocks."""
    now = [1000.0]
    async with EvilPeer({block.cid: block for block in blocks}) as origin:
        nodes = {
            name: await _node(name, region, folder, origin.url, now)
            for name, region in zip("abcdefghij", regions, strict=False)
        }
        ring = Ring(node.member for node in nodes.values())
        for node in nodes.values():
            node.loader.ring = ring
        try:
            yield House(origin, nodes, now)
        finally:
            origin.release()
            for node in nodes.values():
                await node.close()


def play(folder: Path, scene: Callable[[House], Awaitable[None]], *regions: str, blocks: list[Block]) -> None:
    """Run a scene in a house."""

    async def run() -> None:
        async with house(folder, *regions, blocks=blocks) as stage:
            await scene(stage)

    asyncio.run(run())


async def source(node: Node, block: Block, tier: int = 0) -> Source:
    """Ask a node for a block; it must be the right one."""
    loaded = await node.loader.get(block.cid, tier)
    assert loaded.block == block
    return loaded.source
