"""Warming: what comes is here before it is live, what is asked for most first, and who cannot says so."""

from __future__ import annotations

from pathlib import Path

from content.cid import CID, RAW
from edge.control.warm import AT_ONCE
from edge.node import Node
from tests.edge.control.play import play
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import fetch


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
