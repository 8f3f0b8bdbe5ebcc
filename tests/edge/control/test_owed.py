"""Purges that a Head brings: what they reach, and what an edge owes that cannot carry one out yet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from content.catalog import Site
from content.cid import CID, RAW
from content.release import Release
from edge.config import EdgeConfig
from edge.control.stored import CONTROL, StoredHead, Unkept
from edge.node import Node
from tests.edge.control.play import (
    SlowDisk,
    no_room,
    offered,
    play,
    play_before_an_edge,
    publish_and_take,
    take,
    until,
)
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import fetch, running

PURGES = [("path", "/same.txt"), ("prefix", "/sa"), ("site", "")]


@pytest.mark.parametrize(("kind", "value"), PURGES)
def test_a_purged_live_path_is_fetched_anew(tmp_path: Path, kind: str, value: str) -> None:
    """After the receipt a purged path is not in memory nor on disk: it is fetched and proved before it answers."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        cid = CID.of(RAW, b"same")
        assert (await fetch(node, "/same.txt")).status == 200
        assert await node.disk.put((await node.loader.get(cid)).block)
        world.purge("demo", kind, value)
        await origin.serving(await origin.sign())
        assert cid not in node.memory
        assert cid not in node.disk
        got = await fetch(node, "/same.txt")
        assert (got.body, got.outcome) == (b"same", "origin")
        assert origin.asked[str(cid)] == 2

    play(tmp_path, act)


@pytest.mark.parametrize(("kind", "value"), PURGES)
def test_a_soft_purge_has_what_is_held_read_and_proved_again(tmp_path: Path, kind: str, value: str) -> None:
    """It leaves memory and stays on disk; nobody is asked for it."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        cid = CID.of(RAW, b"same")
        assert (await fetch(node, "/same.txt")).status == 200
        assert await node.disk.put((await node.loader.get(cid)).block)
        world.purge("demo", kind, value, soft=True)
        await origin.serving(await origin.sign())
        assert cid not in node.memory
        got = await fetch(node, "/same.txt")
        assert (got.body, got.outcome) == (b"same", "disk")
        assert origin.asked[str(cid)] == 1

    play(tmp_path, act)


@pytest.mark.parametrize("soft", [False, True])
def test_a_purge_of_a_long_file_reaches_each_of_its_blocks(tmp_path: Path, soft: bool) -> None:
    """A file of four blocks and the node above them: all five leave memory; the disk too, unless it is soft."""
    data = b"".join(bytes([number]) * (1 << 20) for number in range(3)) + b"end"
    leaves = [CID.of(RAW, data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20)]

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        world.publish("demo", {"big.bin": data})
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/big.bin")).body == data
        for leaf in leaves:
            assert await node.disk.put((await node.loader.get(leaf)).block)
        world.purge("demo", "path", "/big.bin", soft=soft)
        await origin.serving(await origin.sign())
        assert [leaf in node.memory for leaf in leaves] == [False] * 4
        assert [leaf in node.disk for leaf in leaves] == [soft] * 4
        assert (await fetch(node, "/big.bin")).body == data
        assert [origin.asked[str(leaf)] for leaf in leaves] == [1 if soft else 2] * 4

    play(tmp_path, act)


def test_a_purge_of_one_path_cools_no_other(tmp_path: Path) -> None:
    """What the floor does not cover stays at hand."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, "/")
        world.purge("demo", "path", "/same.txt")
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/")).outcome == "memory"

    play(tmp_path, act)


def test_what_was_purged_is_gone_before_the_head_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge killed once the new Head is durable starts on it: the purged blocks must not lie there still."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        cid = CID.of(RAW, b"same")
        assert (await fetch(node, "/same.txt")).status == 200
        assert await node.disk.put((await node.loader.get(cid)).block)
        held: list[bool] = []
        save = node.follower.keeping.store.save

        def spy(head: StoredHead) -> None:
            held.append(cid in node.disk or cid in node.memory)
            save(head)

        monkeypatch.setattr(node.follower.keeping.store, "save", spy)
        world.purge("demo", "path", "/same.txt")
        await origin.serving(await origin.sign())
        assert held == [False]

    play(tmp_path, act)


def _index(world: World, site: Site) -> CID:
    """The Index of what is live."""
    assert site.live is not None
    return Release.from_block(world.store.get(site.live.release)).index


def _owe(origin: TinyOrigin, world: World, files: dict[str, bytes]) -> CID:
    """Publish these files with a purge of /same.txt, and their Index out of reach; sign, and tell nobody."""
    index = _index(world, world.publish("demo", files))
    origin.lacking.add(index)
    world.purge("demo", "path", "/same.txt")
    world.sign()
    return index


def test_a_purge_that_cannot_be_carried_out_yet_has_no_receipt(tmp_path: Path) -> None:
    """The Index that says what to forget is out of reach: the Head is served, told of only when all is forgotten."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        before = node.follower.stored
        files = {"index.html": b"one", "same.txt": b"new", "fresh.txt": b"fresh"}
        _owe(origin, world, files)
        await origin.announce()
        sequence = world.sequence
        await until(lambda: node.follower.sequence == sequence)
        assert node.follower.stored == before
        assert len(node.memory) == 0
        origin.lacking.clear()
        await origin.serving(sequence)
        assert (await fetch(node, "/same.txt")).body == b"new"

    play(tmp_path, act)


def test_a_head_whose_purge_is_still_owed_outlives_a_restart(tmp_path: Path) -> None:
    """A purge names an Index out of reach, the origin dies, the edge is started anew: it goes on with the Head that it
    has shown, not with the one before, and gives its receipt only when the purge is done."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        async with running(config) as node:
            assert (await fetch(node, "/same.txt")).body == b"same"
            files = {"index.html": b"two", "same.txt": b"same", "fresh.txt": b"fresh"}
            _owe(origin, world, files)
            await origin.announce()
            sequence = world.sequence
            await until(lambda: node.follower.sequence == sequence)
        await origin.stop()
        async with running(config) as node:
            assert (node.follower.sequence, node.follower.stored) == (sequence, 0)
        await origin.start()
        origin.lacking.clear()
        async with running(config) as node:
            await origin.serving(sequence)
            assert node.follower.stored == sequence
            assert (await fetch(node, "/same.txt")).outcome == "origin"
        async with running(config) as node:
            assert node.follower.stored == sequence
            assert (await fetch(node, "/same.txt")).outcome == "disk"

    play_before_an_edge(tmp_path, act)


def test_a_purge_that_is_owed_stays_so_when_the_next_head_is_given_up_half_way(tmp_path: Path) -> None:
    """One site's purge is owed; the next Head purges another site too, and its taking is cancelled while that one's
    Index comes. Taken again, it gives no receipt before the first purge is done."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/same.txt")).body == b"same"
        origin.lacking.add(_index(world, world.publish("demo", {"same.txt": b"same"})))
        world.publish("another", {"index.html": b"one"})
        world.purge("demo", "path", "/same.txt")
        world.sign()  # not announced: the edge asks nobody by itself meanwhile
        await take(node, world)
        slow = _index(world, world.publish("another", {"index.html": b"two"}))
        world.purge("another", "prefix", "/index")
        world.sign()
        gate = origin.after[slow] = asyncio.Event()
        taking = asyncio.ensure_future(take(node, world))
        await until(lambda: origin.asked[str(slow)] > 0)
        taking.cancel()
        await asyncio.wait([taking])
        gate.set()
        await take(node, world)
        assert node.follower.sequence == world.sequence > node.follower.stored

    play(tmp_path, act)


def test_a_head_that_is_given_up_takes_no_debt_of_the_last_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge is owed. The next Head has an Index that reads, where the purged path is no more; its taking is given up
    while it is stored. What is served still owes its purge, and there is no receipt for it."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/same.txt")).body == b"same"
        before = node.follower.stored
        _owe(origin, world, {"index.html": b"two", "same.txt": b"same"})
        await take(node, world)
        owing = world.sequence
        last = offered(world.car())
        slow = SlowDisk(node.follower.keeping.store.save)
        monkeypatch.setattr(node.follower.keeping.store, "save", slow)
        world.publish("demo", {"index.html": b"three"})
        world.sign()
        taking = asyncio.ensure_future(take(node, world))
        await asyncio.to_thread(slow.begun.wait, 30)
        taking.cancel()
        slow.go.set()
        await asyncio.wait([taking])
        assert node.follower.sequence == owing
        await node.follower.take(last)  # as the origin's answer from before would
        assert node.follower.stored == before

    play(tmp_path, act)


def test_a_second_purge_empties_memory_though_the_first_is_still_owed(tmp_path: Path) -> None:
    """Tried again, an owed purge leaves memory as it is; another purge of the same site does not."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        _owe(origin, world, {"index.html": b"one", "same.txt": b"same"})
        await take(node, world)
        kept = await node.loader.get(CID.of(RAW, b"chunk one"))
        await take(node, world)
        assert kept.block.cid in node.memory
        world.purge("demo", "path", "/index.html")
        world.sign()
        await take(node, world)
        assert kept.block.cid not in node.memory

    play(tmp_path, act)


def test_a_purge_does_not_wait_for_trees_that_nobody_keeps_any_more(tmp_path: Path) -> None:
    """An edge that was away for long: what a tree of its last Head held was collected at the origin since. What is live
    is fetched anew, and the receipt is given."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        world.publish("demo", {"app-aaaaaaa1.js": b"one;" * 1_000, "same.txt": b"same"})
        old = world.remember_bases("demo").bases
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/same.txt")).body == b"same"
        assert old is not None
        origin.lacking.add(old)
        world.publish("demo", {"app-aaaaaaa2.js": b"two;" * 1_000, "same.txt": b"same"})
        assert world.remember_bases("demo").bases != old
        world.purge("demo", "path", "/same.txt")
        await origin.serving(await origin.sign())
        assert origin.asked[str(old)] > 0
        assert (await fetch(node, "/same.txt")).outcome == "origin"

    play(tmp_path, act)


async def _nothing(*_: Any) -> bool:
    return False


def test_more_debts_than_a_block_names_keep_nobody_from_serving(tmp_path: Path) -> None:
    """Purges of 60,000 sites are owed: the Head is served and has no receipt, and the edge stops as ever."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        before = node.follower.stored
        node.follower._owed.carry_out = _nothing  # type: ignore[method-assign]
        node.follower._owed.sites = {f"site-{n}": Site(f"site-{n}", 3) for n in range(60_000)}
        await publish_and_take(node, world, b"two")
        assert (await fetch(node, "/")).body == b"two"
        assert node.follower.stored == before
        assert node.follower.keeping.unstored > 0

    play(tmp_path, act)


def test_whose_head_is_lost_carries_out_each_purge_that_stands(tmp_path: Path) -> None:
    """control.car is damaged and a path purged meanwhile: what lies on the disk from before is not given a receipt for.
    So it is, too, where an older Rim's file or a newer one's does not read."""

    async def act(config: EdgeConfig, origin: TinyOrigin, world: World) -> None:
        cid = CID.of(RAW, b"same")
        async with running(config) as node:
            await origin.serving(world.sequence)
            assert (await fetch(node, "/same.txt")).body == b"same"
            assert await node.disk.put((await node.loader.get(cid)).block)
        (config.state / CONTROL).write_bytes(b"rot")
        world.purge("demo", "path", "/same.txt")
        sequence = await origin.sign()
        async with running(config) as node:
            await origin.serving(sequence)
            assert cid not in node.disk
            assert (await fetch(node, "/same.txt")).outcome == "origin"

    play_before_an_edge(tmp_path, act)


@pytest.mark.parametrize("stops", [False, True])
def test_who_goes_waits_for_no_index(tmp_path: Path, stops: bool) -> None:
    """An owed purge is tried again and its Index never comes: neither a place that is given up nor a stop waits."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        index = _owe(origin, world, {"index.html": b"one", "same.txt": b"same"})
        origin.after[index] = asyncio.Event()
        taking = asyncio.ensure_future(take(node, world))
        await until(lambda: origin.asked[str(index)] > 0)
        if stops:
            await node.follower.keep()
        else:
            await node.follower.store_in(Unkept(node.config.state))
        assert not taking.done()
        taking.cancel()
        await asyncio.wait([taking])

    play(tmp_path, act)


def test_other_processes_are_told_of_a_head_when_all_of_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a purge dropped is dropped again when all have come to its Head: told of earlier, it would count for an
    earlier one, and come back from who is late."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        told: list[int] = []
        store, save = node.follower.keeping.store, node.follower.keeping.store.save
        node.follower.on_stored = told.append
        monkeypatch.setattr(store, "save", no_room)
        await publish_and_take(node, world, b"two")
        assert told == []
        monkeypatch.setattr(store, "save", save)
        await take(node, world)
        assert told == [world.sequence]
        _owe(origin, world, {"index.html": b"two", "same.txt": b"same"})
        await take(node, world)
        await take(node, world)
        assert told == [world.sequence - 1]
        origin.lacking.clear()
        while node.follower.stored < world.sequence:  # that nobody has a block is remembered for a moment
            await take(node, world)
            await asyncio.sleep(0.05)
        assert told == [world.sequence - 1, world.sequence]

    play(tmp_path, act)
