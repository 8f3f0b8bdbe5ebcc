"""Judging a Head: what is refused, by which reason, and which keys are believed after which."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import car, ipns
from content.block import Block
from content.catalog import Catalog
from content.cid import CID, RAW
from edge.config import EdgeConfig
from edge.control.stored import CONTROL, HeadStore, StoredHead
from edge.control.trust import Handover, Trust
from edge.node import Node
from tests.edge.control.play import new_world, offered, play, play_before_an_edge, take, until
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import config_of, fetch, running


def refused_heads() -> list[tuple[str, Callable[[World], None]]]:
    """Reason → what the World then signs."""

    def lower(world: World) -> None:
        world.sign(sequence=world.sequence - 1)

    def fork(world: World) -> None:
        world.publish("demo", {"index.html": b"forged"})
        world.sign(sequence=world.sequence)

    def signature(world: World) -> None:
        world.publish("demo", {"index.html": b"forged"})
        world.sign(key=Ed25519PrivateKey.generate())

    def expired(world: World) -> None:
        world.publish("demo", {"index.html": b"late"})
        world.sign(hours=-1)

    def broken(world: World) -> None:
        world.publish("demo", {"index.html": b"forged"})
        world.sign()
        world.head = ipns.create(world.key, f"/ipfs/{CID.of(RAW, b'x')}", world.sequence, time.time() + 3600, 60)

    return [(act.__name__, act) for act in (lower, fork, signature, expired, broken)]


@pytest.mark.parametrize(("reason", "sign"), refused_heads(), ids=[row[0] for row in refused_heads()])
def test_a_head_that_is_not_to_be_believed(tmp_path: Path, reason: str, sign: Callable[[World], None]) -> None:
    """It is refused and counted by reason, the old one stays; the next good one is taken."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        good = world.sequence
        sign(world)
        blocks = world.car()
        assert not await node.follower.take(offered(blocks))
        assert node.follower.judge.refused == {reason: 1}
        assert (node.follower.sequence, (await fetch(node, "/")).body) == (good, b"one")
        world.publish("demo", {"index.html": b"good"})
        world.sign(sequence=good + 10)
        assert await take(node, world)
        assert (await fetch(node, "/")).body == b"good"

    play(tmp_path, act)


def test_a_lower_sequence_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    """The highest sequence seen is durable, even should control.car be lost."""

    async def run() -> None:
        world = new_world()
        world.sign(sequence=5000)
        origin = await TinyOrigin(world).start()
        async with running(config_of(tmp_path, origin)):
            await origin.serving(5000)
        (tmp_path / "edge-1" / CONTROL).write_bytes(b"rot")
        world.sign(sequence=4000)
        async with running(config_of(tmp_path, origin), wait=False) as node:
            await until(lambda: node.follower.judge.refused["lower"] > 0)
            assert node.follower.sequence == 0
            assert (await fetch(node, "/")).status == 421
            world.sign(sequence=5000)
            await until(lambda: node.follower.sequence == 5000)
            assert (await fetch(node, "/")).body == b"one"
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_the_head_of_another_origin_is_not_served(tmp_path: Path) -> None:
    """A state folder whose Head no trusted key signed: the edge begins anew."""

    async def run() -> None:
        old, new = new_world(), World()
        new.publish("demo", {"index.html": b"new origin"})
        for world in (old, new):
            world.sign()
        first, second = await TinyOrigin(old).start(), await TinyOrigin(new).start()
        async with running(config_of(tmp_path, first)):
            await first.serving(old.sequence)
        async with running(config_of(tmp_path, second)) as node:
            await second.serving(new.sequence)
            assert (await fetch(node, "/")).body == b"new origin"
        await first.stop()
        await second.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_named_successor_is_trusted(tmp_path: Path) -> None:
    """A Catalog names the next key: its Heads are believed from then on, after a restart too; others never."""

    async def run() -> None:
        world = new_world()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
        successor = Ed25519PrivateKey.generate()
        world.successor = ipns.name_of(successor.public_key())
        world.sign()
        async with running(config) as node:
            await origin.serving(world.sequence)
            assert node.follower.trust.names[-1] == world.successor
        world.key, world.successor = successor, None
        world.publish("demo", {"index.html": b"by the successor"})
        world.sign()
        async with running(config) as node:
            await origin.serving(world.sequence)
            assert (await fetch(node, "/")).body == b"by the successor"
        async with running(config) as node:
            assert (await fetch(node, "/")).body == b"by the successor"
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("fresh", [False, True])
def test_a_last_word_hands_over_though_its_world_is_gone(tmp_path: Path, fresh: bool) -> None:
    """A node slept through a rotation (or is new and was told the old name), and what the old key's last Catalog names
    was collected since: the successor is trusted all the same, and its Head taken."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        if not fresh:
            async with running(config):
                await origin.serving(world.sequence)
        successor = Ed25519PrivateKey.generate()
        old, world.successor = world.name, ipns.name_of(successor.public_key())
        world.publish("demo", {"index.html": b"while it slept"})
        world.sign()
        gone = Catalog.from_block(world.store.get(world.catalog_cid)).sites
        origin.lacking = {gone}
        record = Block.make(RAW, world.head)
        origin.last_words[old] = car.write(
            (record.cid, world.catalog_cid), (record, world.store.get(world.catalog_cid))
        )
        world.key, world.successor = successor, None
        world.publish("demo", {"index.html": b"by the successor"})
        world.sign()
        async with running(config) as node:
            await origin.serving(world.sequence)
            assert (await fetch(node, "/")).body == b"by the successor"
            assert node.follower.sequence == world.sequence

    play_before_an_edge(tmp_path, act)


def test_a_successor_is_believed_from_the_named_catalog_only(tmp_path: Path) -> None:
    """A true record beside another Catalog, which names a stranger's key: nothing is trusted."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        head = world.sign(sequence=world.sequence + 5)
        stranger = ipns.name_of(Ed25519PrivateKey.generate().public_key())
        block = replace(Catalog.from_block(world.store.get(world.catalog_cid)), successor=stranger).to_block()
        assert not await node.follower.take(StoredHead(head, block.cid, (block,)))
        assert node.follower.judge.refused["broken"] == 1
        assert stranger not in node.follower.trust.names

    play(tmp_path, act)


def test_a_key_that_has_handed_over_is_believed_no_more(tmp_path: Path) -> None:
    """The old key leaked, which is why it was rotated: what it signs from then on is refused and counted, on the real
    wire, after a restart too; and so is a successor that it names. The new key goes on."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        leaked, successor = world.key, Ed25519PrivateKey.generate()
        async with running(config) as node:
            await origin.serving(world.sequence)
            world.successor = ipns.name_of(successor.public_key())
            await origin.serving(await origin.sign())
            world.key, world.successor = successor, None
            world.publish("demo", {"index.html": b"by the successor"})
            good = await origin.sign()
            await origin.serving(good)
        shown = b"by the successor"
        for number in (1, 2):
            async with running(config) as node:
                forged = World()
                forged.key, forged.store = leaked, world.store
                forged.publish("demo", {"index.html": b"forged"})
                forged.successor = ipns.name_of(Ed25519PrivateKey.generate().public_key()) if number == 1 else None
                forged.sign(sequence=good + 100 * number)
                origin.world = forged
                await origin.announce()
                await until(lambda node=node: node.follower.judge.refused["retired"] > 0)
                assert (await fetch(node, "/")).body == shown
                assert forged.successor not in node.follower.trust.names
                origin.world, shown = world, b"round %d" % number
                world.publish("demo", {"index.html": shown})
                good = await origin.sign(sequence=good + 1)
                await origin.serving(good)
                assert (await fetch(node, "/")).body == shown

    play_before_an_edge(tmp_path, act)


def test_a_forged_successor_is_refused(tmp_path: Path) -> None:
    """A stranger's Catalog that names the stranger's key, signed by it: neither is believed."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        forged = World()
        forged.store = world.store
        forged.publish("demo", {"index.html": b"forged"})
        forged.successor = forged.name
        forged.sign(sequence=world.sequence + 100)
        origin.world = forged
        await origin.announce()
        await until(lambda: node.follower.judge.refused["signature"] > 1)
        assert (await fetch(node, "/")).body == b"one"
        assert node.follower.trust.names == (world.name,)
        assert node.follower.following == world.name

    play(tmp_path, act)


def names_of(count: int) -> list[str]:
    return [ipns.name_of(Ed25519PrivateKey.generate().public_key()) for _ in range(count)]


def test_whom_a_chain_of_handovers_makes_believed(tmp_path: Path) -> None:
    """Whoever follows from a configured key, and nobody that another catalog's keys have named."""
    a, b, c, d = names_of(4)
    chain = (Handover(a, b, 5), Handover(b, c, 9))
    for configured, believed in (([a], {a, b, c}), ([b], {b, c}), ([c], {c}), ([d], {d}), ([d, a], {a, b, c, d})):
        trust = Trust(configured)
        trust.handovers = chain
        assert set(trust.names) == believed
    store = HeadStore(tmp_path)
    store.trust(chain)
    assert store.trusted() == chain
    (tmp_path / "trusted").write_text(f"{b}\nrubbish\n{a} {b} {c} 5\n\n", encoding="ascii")
    assert store.trusted() == (Handover("", b, 0),), "as an earlier Rim wrote it"
    trust = Trust([a])
    trust.handovers = store.trusted()
    assert trust.names == (a, b)
