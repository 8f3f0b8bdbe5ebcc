"""Reload, over the wire: which answers carry the script, what the stream says and when, and who never sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge import reload
from edge.config import BadSetting
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Wire, config_of, edge, fetch, wire

FILES: dict[str, File] = {
    "index.html": b"<h1>one</h1>" * 50,
    "404.html": b"gone",
    "app.js": b"1",
    "page.xhtml": b"<x/>",
    "large.html": b"x" * 4_001,
    "just.html": b"y" * 4_000,
}
Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]


def play(folder: Path, act: Play, **fields: object) -> None:
    """Run a play against an edge with one site, `demo`, and `--reload` on unless said otherwise."""

    async def run() -> None:
        world = World()
        world.publish("demo", FILES)
        async with edge(folder, world, **{"reload": True, **fields}) as (node, origin):
            await act(node, origin, world)

    asyncio.run(run())


def live(world: World) -> str:
    kept = world.sites["demo"].live
    assert kept is not None
    return str(kept.release)


def tag(world: World) -> bytes:
    return f'\n<script src="/.rim/reload.js" data-release="{live(world)}"></script>\n'.encode()


async def follow(connection: Wire, since: str | None = None) -> bytes:
    """Open a stream; its first bytes."""
    await connection.send(connection.request(reload.EVENTS + (f"?since={since}" if since else "")))
    head = await connection.reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"content-type: text/event-stream" in head
    assert b"cache-control: no-store" in head
    return await event(connection)


async def event(connection: Wire) -> bytes:
    """The next chunk of the stream."""
    async with asyncio.timeout(30):
        size = int(await connection.reader.readline(), 16)
        return (await connection.reader.readexactly(size + 2))[:-2]


def test_pages_carry_the_script(tmp_path: Path) -> None:
    """HTML, whole and plain, with the tag at its end, kept by nobody; also for HEAD, conditions, ranges and 404."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for headers in ({}, {"Accept_Encoding": "br"}, {"Range": "bytes=0-3"}, {"If_None_Match": "*"}):
            got = await fetch(node, "/", **headers)
            assert (got.status, got.body) == (200, b"<h1>one</h1>" * 50 + tag(world))
            assert got.headers["cache-control"] == "no-store"
            assert got.headers["x-content-type-options"] == "nosniff"
            assert not {"etag", "content-encoding", "accept-ranges", "vary"} & set(got.headers)
        head = await fetch(node, "/", method="HEAD")
        assert int(head.headers["content-length"]) == len(FILES["index.html"]) + len(tag(world))
        gone = await fetch(node, "/nothing")
        assert (gone.status, gone.body) == (404, b"gone" + tag(world))

    play(tmp_path, act)


def test_all_else_is_as_it_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts, other types, and a page of over 8 MiB (here 4,000 bytes, for speed)."""
    monkeypatch.setattr(reload, "PAGE_MAX", 4_000)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/just.html")).body.endswith(tag(world))
        for path in ("app.js", "page.xhtml", "large.html"):
            got = await fetch(node, f"/{path}")
            assert got.body == FILES[path]
            assert "etag" in got.headers

    play(tmp_path, act)


def test_off_there_is_nothing_of_it(tmp_path: Path) -> None:
    """Without the setting: no tag, no stream, no script."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/")).body == FILES["index.html"]
        assert (await fetch(node, reload.EVENTS)).status == 404
        assert (await fetch(node, reload.SCRIPT)).status == 404

    play(tmp_path, act, reload=False)


def test_one_event_for_each_release(tmp_path: Path) -> None:
    """A release that goes live is told once; what is staged, purged, or of another site is not."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async def move() -> None:
            world.sign()
            node.follower.hint(world.sequence)
            async with asyncio.timeout(30):
                while node.follower.sequence < world.sequence:
                    await asyncio.sleep(0.01)

        async with wire(node) as page:
            assert await follow(page) == b"retry: 500\n\n"
            world.publish("other", FILES)
            world.publish("demo", {"index.html": b"two"}, stage_only=True)
            world.purge("demo", "path", "/app.js")
            await move()
            world.activate("demo")
            await move()
            assert await event(page) == f"data: {live(world)}\n\n".encode()
            world.publish("demo", {"index.html": b"three"})
            await move()
            assert await event(page) == f"data: {live(world)}\n\n".encode()

    play(tmp_path, act)


def test_a_page_of_the_release_before_hears_of_it_at_once(tmp_path: Path) -> None:
    """Loaded just before the flip, connected just after it."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async with wire(node) as page:
            assert await follow(page, since="bafyold") == b"retry: 500\n\n"
            assert await event(page) == f"data: {live(world)}\n\n".encode()

    play(tmp_path, act)


def test_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, by which a dead connection is found out."""
    monkeypatch.setattr(reload, "HEARTBEAT", 0.01)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async with wire(node) as page:
            await follow(page)
            assert [await event(page), await event(page)] == [b":\n\n", b":\n\n"]

    play(tmp_path, act)


def test_streams_are_bounded_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is a 503; a page that goes away makes room."""
    monkeypatch.setattr(reload, "STREAMS_MAX", 1)
    monkeypatch.setattr(reload, "HEARTBEAT", 0.05)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async with wire(node) as page:
            await follow(page)
            assert (await fetch(node, reload.EVENTS)).status == 503
        assert node.reloads is not None
        async with asyncio.timeout(30):
            while node.reloads.streams:
                await asyncio.sleep(0.01)
        async with wire(node) as page:
            await follow(page)

    play(tmp_path, act)


def test_unknown_hosts(tmp_path: Path) -> None:
    """No site, no stream."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, reload.EVENTS, host="nobody.localhost")).status == 404

    play(tmp_path, act)


def test_an_open_page_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Streams end with the edge, whole: the page connects again to the next one."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async with wire(node) as page:
            await follow(page)
            await node.stop()
            assert await page.reader.read() == b"0\r\n\r\n"

    play(tmp_path, act)


def test_never_where_visitors_are(tmp_path: Path) -> None:
    """Off loopback the setting is refused."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        with pytest.raises(BadSetting, match="is not loopback"):
            config_of(tmp_path, origin, reload=True, public="0.0.0.0:8080")

    play(tmp_path, act)
