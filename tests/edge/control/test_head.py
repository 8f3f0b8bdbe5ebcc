"""Following the Head: what is taken, what is refused, what survives, and in which order."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import car, ipns
from content.block import Block
from content.catalog import Catalog, Site
from content.cid import CID, RAW
from content.release import Release
from edge.control import stored
from edge.control.stored import CONTROL, HEAD, RESERVE, HeadStore, StoredHead, Unkept
from edge.control.trust import Handover, Trust
from edge.control.warm import AT_ONCE
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import config_of, edge, fetch, running

Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]


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


def test_what_comes_is_warm_before_it_is_live(tmp_path: Path) -> None:
    """Alone in its ring an edge owns every block: after its report a flip needs nothing from the origin."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        big = b"".join(b"%07d\n" % n for n in range(300_000))
        files = {"index.html": b"two", "page.html": b"<p>page</p>" * 200, "big.bin": big}
        staged = world.publish("demo", files, stage_only=True)
        await origin.sign()
        assert staged.next is not None
        report = await origin.staged(staged.next.release)
        assert report["ok"]
        assert report["blocks"] >= 6
        world.activate("demo")
        sequence = await origin.sign()
        await origin.serving(sequence)
        asked = sum(origin.asked.values())
        for path in ("/", "/page.html", "/big.bin"):
            assert (await fetch(node, path)).outcome == "memory"
        assert sum(origin.asked.values()) == asked

    play(tmp_path, act)


def test_what_visitors_ask_for_most_is_warmed_first(tmp_path: Path) -> None:
    """Of 200 new files the one whose place was asked for comes before the rest, by its path or by its family."""
    files = {f"page-{n:03}.html": b"one %d" % n for n in range(200)}

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        world.publish("demo", {**files, "z/app-aaaaaaa1.js": b"one"})
        await origin.serving(await origin.sign())
        for _ in range(3):
            await fetch(node, "/page-190.html")
            await fetch(node, "/z/app-aaaaaaa1.js")
        origin.asked.clear()
        fresh = {name: content.replace(b"one", b"two") for name, content in files.items()}
        staged = world.publish("demo", {**fresh, "z/app-bbbbbbb2.js": b"two"}, stage_only=True)
        await origin.sign()
        assert staged.next is not None
        await origin.staged(staged.next.release)
        content = [cid for cid in origin.asked if CID.parse(cid).codec == RAW]
        assert len(content) == 201
        first = {str(CID.of(RAW, data)) for data in (b"two 190", b"two")}
        assert first <= set(content[:AT_ONCE])  # so many are on their way at a time, in no order

    play(tmp_path, act)


def test_what_cannot_be_warmed_is_said(tmp_path: Path) -> None:
    """A block that is nowhere: the report says so, and the edge serves on."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        origin.lacking.add(CID.of(RAW, b"two"))
        staged = world.publish("demo", {"index.html": b"two"}, stage_only=True)
        await origin.sign()
        assert staged.next is not None
        report = await origin.staged(staged.next.release)
        assert not report["ok"]
        assert str(CID.of(RAW, b"two")) in report["error"]
        assert (await fetch(node, "/")).body == b"one"

    play(tmp_path, act)


def test_a_busy_origin_is_waited_for_and_the_release_is_warm_all_the_same(tmp_path: Path) -> None:
    """Many edges warm a release at once, and the origin asks for rest: that is no failure to report."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        origin.busy, origin.turns_away = 1, 1
        staged = world.publish("demo", {"index.html": b"two", "more.txt": b"more"}, stage_only=True)
        await origin.sign()
        assert staged.next is not None
        report = await origin.staged(staged.next.release)
        assert origin.turned_away == 1
        assert report["ok"]

    play(tmp_path, act)


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
        assert not await node.follower.take(_offered(blocks))
        assert node.follower.judge.refused == {reason: 1}
        assert (node.follower.sequence, (await fetch(node, "/")).body) == (good, b"one")
        world.publish("demo", {"index.html": b"good"})
        world.sign(sequence=good + 10)
        assert await _take(node, world)
        assert (await fetch(node, "/")).body == b"good"

    play(tmp_path, act)


def _offered(data: bytes) -> Any:
    from content import car
    from edge.control.stored import StoredHead

    return StoredHead.from_blocks(*car.read(data))


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


def test_a_restarted_edge_serves_before_it_speaks(tmp_path: Path) -> None:
    """The origin dead, the edge restarted: what it holds it serves at once, from its disk."""

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
        async with running(config) as node:
            assert (await fetch(node, "/")).body == b"one"
        await origin.stop()
        async with running(config) as node:
            got = await fetch(node, "/")
            assert (got.body, got.outcome) == (b"one", "disk")
            assert (await fetch(node, "/same.txt")).status == 504

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


@pytest.mark.parametrize("rot", [b"", b"rot", None])
def test_a_damaged_store_is_a_cold_start(tmp_path: Path, rot: bytes | None) -> None:
    """control.car empty, rotten or cut: nothing is served from it, and the origin heals it."""

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
        async with running(config):
            await origin.serving(world.sequence)
        file = config.state / CONTROL
        whole = file.read_bytes()
        file.write_bytes(whole[:-10] if rot is None else rot)
        async with running(config) as node:
            await until(lambda: node.follower.sequence == world.sequence)
            assert file.read_bytes() == whole
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_renewal_keeps_the_sequence(tmp_path: Path) -> None:
    """Same sequence and value with a later end is taken and stored, and nothing is swapped; an earlier end is not."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        swaps = node.follower.counts.swaps
        world.sign(sequence=world.sequence, hours=99)
        await _take(node, world)
        assert node.follower.seconds_left > 98 * 3600
        assert (node.config.state / HEAD).read_bytes() == world.head
        world.sign(sequence=world.sequence, hours=10)
        await _take(node, world)
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

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
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
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


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

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
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
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


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
        first = asyncio.create_task(_publish_and_take(node, world, b"two"))
        await asyncio.to_thread(slow.begun.wait, 30)
        first.cancel()
        second = asyncio.create_task(_publish_and_take(node, world, b"three"))
        while not node.follower._taking._waiters:
            await asyncio.sleep(0)
        assert slow.order == ["begun"]
        slow.go.set()
        await asyncio.gather(first, second, return_exceptions=True)
        assert slow.order == ["begun", "ended", "begun", "ended"]
        assert (stored := HeadStore(node.config.state).load()) is not None
        assert stored.record == world.head

    play(tmp_path, act)


async def _take(node: Node, world: World) -> bool:
    """What the World has signed last, past the waiting request."""
    return await node.follower.take(_offered(world.car()))


async def _publish_and_take(node: Node, world: World, body: bytes) -> None:
    world.publish("demo", {"index.html": body})
    world.sign()
    await _take(node, world)


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

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
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

    asyncio.run(asyncio.wait_for(run(), 60))


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

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
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
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_purge_that_is_owed_stays_so_when_the_next_head_is_given_up_half_way(tmp_path: Path) -> None:
    """One site's purge is owed; the next Head purges another site too, and its taking is cancelled while that one's
    Index comes. Taken again, it gives no receipt before the first purge is done."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/same.txt")).body == b"same"
        origin.lacking.add(_index(world, world.publish("demo", {"same.txt": b"same"})))
        world.publish("another", {"index.html": b"one"})
        world.purge("demo", "path", "/same.txt")
        world.sign()  # not announced: the edge asks nobody by itself meanwhile
        await _take(node, world)
        slow = _index(world, world.publish("another", {"index.html": b"two"}))
        world.purge("another", "prefix", "/index")
        world.sign()
        gate = origin.after[slow] = asyncio.Event()
        taking = asyncio.ensure_future(_take(node, world))
        await until(lambda: origin.asked[str(slow)] > 0)
        taking.cancel()
        await asyncio.wait([taking])
        gate.set()
        await _take(node, world)
        assert node.follower.sequence == world.sequence > node.follower.stored

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


def test_a_purge_of_one_path_cools_no_other(tmp_path: Path) -> None:
    """What the floor does not cover stays at hand."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, "/")
        world.purge("demo", "path", "/same.txt")
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/")).outcome == "memory"

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

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
        await origin.stop()
        async with running(config, wait=False) as node:
            assert (await fetch(node, "/")).status == 421
            assert not node.follower.ready.is_set()
            await until(lambda: node.follower.counts.errors > 0)
            await origin.start()
            await asyncio.wait_for(node.ready(), 20)
            assert (await fetch(node, "/")).body == b"one"
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_an_origin_that_insists_is_not_asked_in_a_loop(tmp_path: Path) -> None:
    """Every answer is a Head of another key: each is refused, and the edge backs off between them."""

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
        world.key = Ed25519PrivateKey.generate()
        world.sign()
        async with running(config, wait=False) as node:
            await until(lambda: node.follower.judge.refused["signature"] >= 2)
            begun, asked = asyncio.get_running_loop().time(), len(origin.head_requests)
            await until(lambda: len(origin.head_requests) >= asked + 2)
            assert asyncio.get_running_loop().time() - begun > 0.1
            assert not node.follower.ready.is_set()
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


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


# What is owed, given up half-way, and no room.


def test_a_write_that_is_given_up_twice_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A confirmation's time is over while a slow disk writes, and then another pause begins: the next Head still waits
    for the thread, which writes to the same names."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        slow = SlowDisk(node.follower.keeping.store.save)
        monkeypatch.setattr(node.follower.keeping.store, "save", slow)
        first = asyncio.create_task(_publish_and_take(node, world, b"two"))
        await asyncio.to_thread(slow.begun.wait, 30)
        second = asyncio.create_task(_publish_and_take(node, world, b"three"))
        for _ in range(3):
            first.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        assert slow.order == ["begun"]
        slow.go.set()
        await asyncio.gather(first, second, return_exceptions=True)
        assert slow.order == ["begun", "ended", "begun", "ended"]

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
        await _take(node, world)
        owing = world.sequence
        last = _offered(world.car())
        slow = SlowDisk(node.follower.keeping.store.save)
        monkeypatch.setattr(node.follower.keeping.store, "save", slow)
        world.publish("demo", {"index.html": b"three"})
        world.sign()
        taking = asyncio.ensure_future(_take(node, world))
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
        await _take(node, world)
        kept = await node.loader.get(CID.of(RAW, b"chunk one"))
        await _take(node, world)
        assert kept.block.cid in node.memory
        world.purge("demo", "path", "/index.html")
        world.sign()
        await _take(node, world)
        assert kept.block.cid not in node.memory

    play(tmp_path, act)


def test_a_renewal_that_found_no_room_is_stored_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is owed and the sequence is durable, so the origin has nothing to say: the edge sees to it by itself."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        save = node.follower.keeping.store.save
        monkeypatch.setattr(node.follower.keeping.store, "save", no_room)
        world.sign(sequence=world.sequence, hours=99)
        await _take(node, world)
        assert (node.config.state / HEAD).read_bytes() != world.head
        monkeypatch.setattr(node.follower.keeping.store, "save", save)
        await origin.stop()  # ends the waiting request
        await until(lambda: (node.config.state / HEAD).read_bytes() == world.head)

    play(tmp_path, act)


def test_more_debts_than_a_block_names_keep_nobody_from_serving(tmp_path: Path) -> None:
    """Purges of 60,000 sites are owed: the Head is served and has no receipt, and the edge stops as ever."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        before = node.follower.stored
        node.follower._owed.carry_out = _nothing  # type: ignore[method-assign]
        node.follower._owed.sites = {f"site-{n}": Site(f"site-{n}", 3) for n in range(60_000)}
        await _publish_and_take(node, world, b"two")
        assert (await fetch(node, "/")).body == b"two"
        assert node.follower.stored == before
        assert node.follower.keeping.unstored > 0

    play(tmp_path, act)


async def _nothing(*_: Any) -> bool:
    return False


def test_who_gives_up_his_place_stores_what_he_has_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk has room again before the place goes to another process: that one starts with what was shown."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        store, save = node.follower.keeping.store, node.follower.keeping.store.save
        monkeypatch.setattr(store, "save", no_room)
        await _publish_and_take(node, world, b"two")
        monkeypatch.setattr(store, "save", save)
        await node.follower.store_in(Unkept(node.config.state))
        assert (kept := store.load()) is not None
        assert kept.record == world.head

    play(tmp_path, act)


def test_whose_head_is_lost_carries_out_each_purge_that_stands(tmp_path: Path) -> None:
    """control.car is damaged and a path purged meanwhile: what lies on the disk from before is not given a receipt for.
    So it is, too, where an older Rim's file or a newer one's does not read."""

    async def run() -> None:
        world = new_world()
        world.sign()
        origin = await TinyOrigin(world).start()
        config = config_of(tmp_path, origin)
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
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("stops", [False, True])
def test_who_goes_waits_for_no_index(tmp_path: Path, stops: bool) -> None:
    """An owed purge is tried again and its Index never comes: neither a place that is given up nor a stop waits."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        index = _owe(origin, world, {"index.html": b"one", "same.txt": b"same"})
        origin.after[index] = asyncio.Event()
        taking = asyncio.ensure_future(_take(node, world))
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
        await _publish_and_take(node, world, b"two")
        assert told == []
        monkeypatch.setattr(store, "save", save)
        await _take(node, world)
        assert told == [world.sequence]
        _owe(origin, world, {"index.html": b"two", "same.txt": b"same"})
        await _take(node, world)
        await _take(node, world)
        assert told == [world.sequence - 1]
        origin.lacking.clear()
        while node.follower.stored < world.sequence:  # that nobody has a block is remembered for a moment
            await _take(node, world)
            await asyncio.sleep(0.05)
        assert told == [world.sequence - 1, world.sequence]

    play(tmp_path, act)
