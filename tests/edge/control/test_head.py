"""Following the Head: what is taken, what survives, and in which order."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.config import EdgeConfig
from edge.control.stored import HEAD
from edge.node import Node
from tests.edge.control.play import new_world, play, play_before_an_edge, take, until
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import edge, fetch, running


def test_a_flip_is_seen_whole(tmp_path: Path) -> None:
    """A new Head changes what every path answers, hot or not, and keeps what has not changed in memory."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for path in ("/", "/same.txt", "/chunk-aaaaaaa1.js"):
            await fetch(node, path)
        world.publish("demo", {"index.html": b"two", "same.txt": b"same", "chunk-bbbbbbb2.js": b"chunk two"})
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/")).body == b"two"
        assert (await fetch(node, "/same.txt")).outcome == "memory"
        assert (await fetch(node, "/chunk-bbbbbbb2.js")).body == b"chunk two"
        assert (await fetch(node, "/chunk-aaaaaaa1.js")).status == 404

    play(tmp_path, act)


def test_next_lends_its_chunks_and_nothing_else(tmp_path: Path) -> None:
    """Between the two commits the coming release's chunks answer, its pages do not; then it is live at once."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        files = {"index.html": b"two", "new.html": b"new", "chunk-bbbbbbb2.js": b"chunk two"}
        staged = world.publish("demo", files, stage_only=True)
        await origin.serving(await origin.sign())
        got = await fetch(node, "/chunk-bbbbbbb2.js")
        assert (got.status, got.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert (await fetch(node, "/new.html")).status == 404
        assert (await fetch(node, "/")).body == b"one"
        assert staged.next is not None
        report = await origin.staged(staged.next.release)
        assert (report["site"], report["ok"]) == ("demo", True)
        world.activate("demo")
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/new.html")).body == b"new"

    play(tmp_path, act)


def test_a_renewal_keeps_the_sequence(tmp_path: Path) -> None:
    """Same sequence and value with a later end is taken and stored, and nothing is swapped; an earlier end is not."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        swaps = node.follower.counts.swaps
        world.sign(sequence=world.sequence, hours=99)
        await take(node, world)
        assert node.follower.seconds_left > 98 * 3600
        assert (node.config.state / HEAD).read_bytes() == world.head
        world.sign(sequence=world.sequence, hours=10)
        await take(node, world)
        assert node.follower.seconds_left > 98 * 3600
        assert (node.follower.counts.swaps, node.follower.judge.refused) == (swaps, {})

    play(tmp_path, act)


def test_a_head_near_its_end_is_renewed(tmp_path: Path) -> None:
    """When little of the record is left and nothing new comes, the record alone is fetched."""

    async def run() -> None:
        world = new_world()
        world.sign(hours=1)
        async with edge(tmp_path, world) as (node, origin):
            await origin.serving(world.sequence)
            world.sign(sequence=world.sequence, hours=48)
            node.follower.hint(world.sequence + 1)  # ends the waiting request
            world.sites["demo"] = replace(world.sites["demo"])
            await node.follower._renew()
            assert node.follower.seconds_left > 47 * 3600

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_head_past_its_end_is_served_as_stale(tmp_path: Path) -> None:
    """The origin away, the record over: answers go on, say so, and are counted."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, "/")
        await origin.stop()
        node.follower.clock = lambda: time.time() + 49 * 3600
        await until(lambda: node.answers.is_stale)
        for path in ("/", "/"):
            got = await fetch(node, path)
            assert (got.status, got.body, got.outcome) == (200, b"one", "stale")
        assert node.numbers.values()["rim_head_stale"] == 1
        assert node.answers.counts.outcomes["stale"] == 2  # type: ignore[index]

    play(tmp_path, act)


def test_an_origin_that_went_back_is_told_of(tmp_path: Path) -> None:
    """Its answers say a lower sequence than what is served: that is counted once, served on, and over with a commit."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        events: list[str] = []
        node.follower.on_event = lambda name, site=None, **detail: events.append(name)
        assert not node.follower.is_ahead
        origin.says = world.sequence - 10
        node.follower.hint(world.sequence + 1)  # ends the waiting request
        await origin.announce()
        await until(lambda: node.follower.is_ahead)
        node.follower.hint(world.sequence + 2)
        asked = len(origin.head_requests)
        await until(lambda: len(origin.head_requests) > asked + 1)
        assert events.count("origin behind") == 1
        assert (await fetch(node, "/")).body == b"one"
        origin.says = None
        world.publish("demo", {"index.html": b"two"})
        await origin.serving(await origin.sign())
        assert not node.follower.is_ahead

    play(tmp_path, act)


def test_a_hint_ends_the_waiting(tmp_path: Path) -> None:
    """The waiting request hangs on a mute origin; a peer knows of a newer Head: the edge asks anew at once."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        asked = len(origin.head_requests)
        world.publish("demo", {"index.html": b"two"})
        world.sign()  # not announced: the waiting request stays as it is
        node.follower.hint(world.sequence)
        await until(lambda: len(origin.head_requests) > asked)
        await origin.serving(world.sequence)
        assert (await fetch(node, "/")).body == b"two"
        before = len(origin.head_requests)
        for _ in range(5):
            node.follower.hint(world.sequence)  # known already
        await asyncio.sleep(0)
        assert len(origin.head_requests) == before

    play(tmp_path, act)


def test_a_fetch_from_a_newer_node_is_a_hint(tmp_path: Path) -> None:
    """Rim-Sequence on a peer's answer makes an edge look."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert node.client.on_sequence is not None
        node.client.on_sequence(world.sequence + 7)
        asked = len(origin.head_requests)
        await until(lambda: len(origin.head_requests) > asked)

    play(tmp_path, act)


def test_an_edge_starts_without_its_origin(tmp_path: Path) -> None:
    """Nothing stored, nobody there: it is alive but not ready; when the origin comes, it follows by itself."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        await origin.stop()
        async with running(config, wait=False) as node:
            assert (await fetch(node, "/")).status == 421
            assert not node.follower.ready.is_set()
            await until(lambda: node.follower.counts.errors > 0)
            await origin.start()
            await asyncio.wait_for(node.ready(), 20)
            assert (await fetch(node, "/")).body == b"one"

    play_before_an_edge(tmp_path, act)


def test_an_origin_that_insists_is_not_asked_in_a_loop(tmp_path: Path) -> None:
    """Every answer is a Head of another key: each is refused, and the edge backs off between them."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        world.key = Ed25519PrivateKey.generate()
        world.sign()
        async with running(config, wait=False) as node:
            await until(lambda: node.follower.judge.refused["signature"] >= 2)
            begun, asked = asyncio.get_running_loop().time(), len(origin.head_requests)
            await until(lambda: len(origin.head_requests) >= asked + 2)
            assert asyncio.get_running_loop().time() - begun > 0.1
            assert not node.follower.ready.is_set()

    play_before_an_edge(tmp_path, act)


def test_many_sites_share_what_did_not_change(tmp_path: Path) -> None:
    """One site of 200 changes: its view is new, the others are the same objects."""

    async def run() -> None:
        world = World()
        for number in range(200):
            world.publish(f"site-{number}", {"index.html": b"%d" % number})
        async with edge(tmp_path, world) as (node, origin):
            before = dict(node.router.sites)
            world.publish("site-7", {"index.html": b"changed"})
            await origin.serving(await origin.sign())
            after = node.router.sites
            assert [name for name in before if before[name] is not after[name]] == ["site-7"]
            assert (await fetch(node, "/", "site-7.localhost")).body == b"changed"
            assert (await fetch(node, "/", "site-8.localhost")).body == b"8"
            del world.sites["site-8"]
            await origin.serving(await origin.sign())
            assert (await fetch(node, "/", "site-8.localhost")).status == 421

    asyncio.run(asyncio.wait_for(run(), 60))
