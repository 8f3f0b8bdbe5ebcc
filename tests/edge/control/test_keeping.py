"""Keeping the Head: it is durable before it is served, on full and slow disks too, and a restart goes on from it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge.config import EdgeConfig
from edge.control import stored
from edge.control.stored import CONTROL, HEAD, RESERVE, HeadStore, Unkept
from edge.node import Node
from tests.edge.control.play import (
    SlowDisk,
    no_room,
    play,
    play_before_an_edge,
    publish_and_take,
    take,
    until,
)
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import fetch, running


def test_a_restarted_edge_serves_before_it_speaks(tmp_path: Path) -> None:
    """The origin dead, the edge restarted: what it holds it serves at once, from its disk."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        async with running(config) as node:
            assert (await fetch(node, "/")).body == b"one"
        await origin.stop()
        async with running(config) as node:
            got = await fetch(node, "/")
            assert (got.body, got.outcome) == (b"one", "disk")
            assert (await fetch(node, "/same.txt")).status == 504

    play_before_an_edge(tmp_path, act)


@pytest.mark.parametrize("rot", [b"", b"rot", None])
def test_a_damaged_store_is_a_cold_start(tmp_path: Path, rot: bytes | None) -> None:
    """control.car empty, rotten or cut: nothing is served from it, and the origin heals it."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        async with running(config):
            await origin.serving(world.sequence)
        file = config.state / CONTROL
        whole = file.read_bytes()
        file.write_bytes(whole[:-10] if rot is None else rot)
        async with running(config) as node:
            await until(lambda: node.follower.sequence == world.sequence)
            assert file.read_bytes() == whole

    play_before_an_edge(tmp_path, act)


def test_the_head_is_durable_before_it_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of the swap the new record lies on disk."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        seen: list[bool] = []
        swap = node.router.swap

        def spy(views: Any) -> None:
            stored = HeadStore(node.config.state).load()
            seen.append(stored is not None and stored.record == world.head)
            swap(views)

        monkeypatch.setattr(node.router, "swap", spy)
        world.publish("demo", {"index.html": b"two"})
        await origin.serving(await origin.sign())
        assert seen == [True]

    play(tmp_path, act)


def test_a_head_that_is_given_up_while_it_is_stored_does_not_come_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A confirmation has two seconds, and a disk may need more: the next Head waits for the thread that still writes,
    which would put the older one in its place, after the receipt for the newer."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        slow = SlowDisk(node.follower.keeping.store.save)
        monkeypatch.setattr(node.follower.keeping.store, "save", slow)
        first = asyncio.create_task(publish_and_take(node, world, b"two"))
        await asyncio.to_thread(slow.begun.wait, 30)
        first.cancel()
        second = asyncio.create_task(publish_and_take(node, world, b"three"))
        while not node.follower._taking._waiters:
            await asyncio.sleep(0)
        assert slow.order == ["begun"]
        slow.go.set()
        await asyncio.gather(first, second, return_exceptions=True)
        assert slow.order == ["begun", "ended", "begun", "ended"]
        assert (stored := HeadStore(node.config.state).load()) is not None
        assert stored.record == world.head

    play(tmp_path, act)


def test_a_write_that_is_given_up_twice_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A confirmation's time is over while a slow disk writes, and then another pause begins: the next Head still waits
    for the thread, which writes to the same names."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        slow = SlowDisk(node.follower.keeping.store.save)
        monkeypatch.setattr(node.follower.keeping.store, "save", slow)
        first = asyncio.create_task(publish_and_take(node, world, b"two"))
        await asyncio.to_thread(slow.begun.wait, 30)
        second = asyncio.create_task(publish_and_take(node, world, b"three"))
        for _ in range(3):
            first.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        assert slow.order == ["begun"]
        slow.go.set()
        await asyncio.gather(first, second, return_exceptions=True)
        assert slow.order == ["begun", "ended", "begun", "ended"]

    play(tmp_path, act)


def test_a_full_disk_gets_no_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Head cannot be stored: it is served, but the origin is told of the stored one until it can be."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        old, save = world.sequence, node.follower.keeping.store.save
        monkeypatch.setattr(node.follower.keeping.store, "save", no_room)
        world.publish("demo", {"index.html": b"two"})
        new = await origin.sign()
        await until(lambda: node.follower.sequence == new)
        assert (await fetch(node, "/")).body == b"two"
        assert node.follower.stored == old
        assert node.numbers.values()["rim_head_unstored_total"] > 0
        monkeypatch.setattr(node.follower.keeping.store, "save", save)
        await origin.serving(new)
        assert node.follower.stored == new

    play(tmp_path, act)


@pytest.mark.parametrize("stops", [False, True])
def test_a_head_that_found_no_room_is_stored_when_there_is_some_without_the_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    """A full disk, a new Head, the origin dies, the disk has room again: the edge stores what it serves by itself, or
    at the latest when it stops; started anew it goes on from there. (Found by the chaos run, seed 4204.)"""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        async with running(config) as node:
            await origin.serving(world.sequence)
            save = node.follower.keeping.store.save
            monkeypatch.setattr(node.follower.keeping.store, "save", no_room)
            world.publish("demo", {"index.html": b"two"})
            sequence = await origin.sign()
            await until(lambda: node.follower.sequence == sequence)
            await origin.stop()
            if stops:
                await until(lambda: node.follower.counts.errors > 0)
            monkeypatch.setattr(node.follower.keeping.store, "save", save)
            if not stops:
                await until(lambda: node.follower.stored == sequence)
        async with running(config) as node:
            assert node.follower.stored == sequence
            assert node.follower.sequence == sequence

    play_before_an_edge(tmp_path, act)


def test_a_renewal_that_found_no_room_is_stored_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is owed and the sequence is durable, so the origin has nothing to say: the edge sees to it by itself."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        save = node.follower.keeping.store.save
        monkeypatch.setattr(node.follower.keeping.store, "save", no_room)
        world.sign(sequence=world.sequence, hours=99)
        await take(node, world)
        assert (node.config.state / HEAD).read_bytes() != world.head
        monkeypatch.setattr(node.follower.keeping.store, "save", save)
        await origin.stop()  # ends the waiting request
        await until(lambda: (node.config.state / HEAD).read_bytes() == world.head)

    play(tmp_path, act)


def test_a_full_disk_has_room_for_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space is left but the reserve: the Head is stored in its place, and the reserve is there again."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        reserve, real = node.config.state / RESERVE, stored.replace_files
        assert reserve.stat().st_size >= 1 << 20

        def full(*files: Any) -> None:
            if reserve.exists():
                no_room()
            real(*files)

        monkeypatch.setattr(stored, "replace_files", full)
        world.publish("demo", {"index.html": b"two"})
        await origin.serving(await origin.sign())
        assert node.follower.stored == world.sequence
        assert reserve.exists()

    play(tmp_path, act)


def test_who_gives_up_his_place_stores_what_he_has_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk has room again before the place goes to another process: that one starts with what was shown."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        store, save = node.follower.keeping.store, node.follower.keeping.store.save
        monkeypatch.setattr(store, "save", no_room)
        await publish_and_take(node, world, b"two")
        monkeypatch.setattr(store, "save", save)
        await node.follower.store_in(Unkept(node.config.state))
        assert (kept := store.load()) is not None
        assert kept.record == world.head

    play(tmp_path, act)
