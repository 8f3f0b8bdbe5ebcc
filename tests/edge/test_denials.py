"""Denials at an edge: under which spellings it refuses, that nothing warm answers before it, and what lists may do.

The origin's own list comes with the Head; others are files and URLs. Plays of a whole ring: tests/stories/test_deny.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from content import unixfs
from content.block import Block
from content.catalog import Alias
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.denyfile import read
from content.denylists import Denied, Denylists
from content.limits import DENYLISTS, MiB
from content.release import Release
from content.walk import drive, find, leaves
from edge import denials
from edge.config import BadSetting
from edge.config import read as configure
from edge.control import denylists as sources
from edge.control.denylists import Sources
from edge.denials import Denials
from edge.gateway.hosts import parse_hosts
from edge.gateway.mode import Mode
from edge.node import Node
from edge.site.view import Found, Missing, Refused, Visit
from edge.state import StateError
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import Store, World, site_of
from tests.edge.wire import Got, Wire, config_of, edge, fetch, running, wire

Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]
TEXT, PAGE, LONG = b"what is denied, and why. " * 40, b"<!doctype html><title>home</title>", os.urandom(3 * MiB)
FILES: dict[str, Any] = {
    "index.html": PAGE,
    "bad.txt": TEXT,
    "good.txt": b"what is not denied",
    "a/b/deep.txt": b"deep down",
    "a/b/index.html": b"<title>b</title>",
    "a/other.txt": b"beside it",
    "link.txt": "bad.txt",
    "long.bin": LONG,
    "chunk-aaaaaaa1.js": b"let chunk = 1;",
}


def cid_of(data: bytes) -> CID:
    return CID.of(RAW, data)


BAD = cid_of(TEXT)


def folder_of(world: World, *segments: str) -> CID:
    """The CID of a folder of the live release."""
    live = world.sites["demo"].live
    assert live is not None
    root = Release.from_block(world.store.get(live.release)).root
    return drive(find(root, segments), world.store.get)


def play(folder: Path, act: Play, prepare: Callable[[World], object] = lambda world: None, **fields: Any) -> None:
    async def run() -> None:
        world = World()
        world.publish("demo", FILES, hosts=("demo.example", "other.example"), ipns=IPNS)
        prepare(world)
        async with edge(folder, world, **fields) as (node, origin):
            await origin.serving(world.sequence)
            await act(node, origin, world)

    asyncio.run(asyncio.wait_for(run(), 60))


IPNS = CID(bytes((1, 0x72, 0, 36)) + b"\x08\x01\x12\x20" + bytes(range(32))).base36()


async def ask(node: Node, path: str, **headers: str) -> Got:
    return await fetch(node, path, **headers)


async def block(node: Node, cid: CID | str, **headers: str) -> tuple[int, str | None]:
    """What the private listener says to a peer: the status, and the reason."""
    url = f"{node.private_url}/ipfs/{cid}?format=raw"
    fields = {"Authorization": f"Bearer {TOKEN}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    async with node.client.session.get(url, headers=fields) as response:
        return response.status, response.headers.get("Rim-Reason")


async def warm(node: Node, *paths: str) -> None:
    """Asked often enough that each is a ready answer, under every encoding."""
    for coding in ("identity", "br", "gzip", "zstd", "identity", "br", "gzip", "zstd"):
        for path in paths:
            assert (await ask(node, path, Accept_Encoding=coding)).status == 200, path


# Under every spelling.

SPELLINGS = {
    "v0": str(CID(BAD.multihash)),
    "v1": str(BAD),
    "dag-pb": str(CID.of_digest(DAG_PB, BAD.digest)),
    "dag-cbor": str(CID.of_digest(DAG_CBOR, BAD.digest)),
    "base36": BAD.base36(),
    "base16": "f" + BAD.hex(),
}


@pytest.mark.parametrize("rule", SPELLINGS.values(), ids=SPELLINGS)
def test_a_warm_file_is_refused_under_every_spelling(tmp_path: Path, rule: str) -> None:
    """Ready, in memory and on disk; then denied: its path, its link, each encoding and each CID say so, at once. When
    it is allowed again, all answer."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await warm(node, "/bad.txt", "/link.txt", "/good.txt")
        assert await node.disk.put(Block(BAD, TEXT))
        asked = [("/bad.txt", coding) for coding in ("identity", "br", "gzip", "zstd")] + [("/link.txt", "br")]
        world.deny(f"/ipfs/{rule}", status=451, reason="a court said so")
        await origin.serving(await origin.sign())
        for path, coding in asked:
            got = await ask(node, path, Accept_Encoding=coding)
            told = (got.status, got.headers["cache-control"], got.headers["rim-reason"])
            assert told == (451, "no-store", "denied")
            assert b"a court said so" in got.body
            assert "cache-status" not in got.headers
        assert (await ask(node, "/bad.txt", Range="bytes=0-3")).status == 451
        for spelling in SPELLINGS.values():
            assert await block(node, spelling) == (451, "denied"), spelling
            assert await block(node, spelling, Cache_Control="only-if-cached") in ((451, "denied"), (504, None))
        assert BAD not in node.memory
        assert BAD not in node.disk
        assert (await ask(node, "/good.txt")).outcome == "memory"
        before = origin.asked[str(BAD)]

        world.denied.clear()
        await origin.serving(await origin.sign())
        for path, coding in asked:
            assert (await ask(node, path, Accept_Encoding=coding)).status == 200
        assert origin.asked[str(BAD)] == before + 1, "it had left memory and disk"

    play(tmp_path, act)


def test_one_encoding_denies_the_file(tmp_path: Path) -> None:
    """A list that has the brotli form of a file means the file: no form of it is shown."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await warm(node, "/bad.txt")
        world.deny(f"/ipfs/{world.store.asset('/bad.txt', TEXT).encodings['br'].cid}")
        await origin.serving(await origin.sign())
        for coding in ("identity", "br", "gzip"):
            assert (await ask(node, "/bad.txt", Accept_Encoding=coding)).status == 410

    play(tmp_path, act)


class Case:
    """A rule of a path or a name, and which paths it refuses under demo.example; all others answer."""

    def __init__(self, rule: Callable[[World], str], *refused: str) -> None:
        self.rule, self.refused = rule, refused


ALL = ("/", "/bad.txt", "/link.txt", "/good.txt", "/a/b/deep.txt", "/a/b/", "/a/other.txt", "/chunk-aaaaaaa1.js")


def root_rule(tail: str) -> Callable[[World], str]:
    return lambda world: f"/ipfs/{folder_of(world)}{tail}"


def hashed(world: World) -> str:
    return "//" + sha256(f"{folder_of(world)}/good.txt".encode()).hexdigest()


RULES = {
    "the Root": Case(root_rule(""), *ALL),
    "the Root and all below": Case(root_rule("/*"), *ALL),
    "a path of the Root": Case(root_rule("/a/b/deep.txt"), "/a/b/deep.txt"),
    "paths of the Root": Case(root_rule("/a/b*"), "/a/b/deep.txt", "/a/b/"),
    "a folder's path, not what is in it": Case(root_rule("/a/b"), "/a/b/"),
    "a file that a link leads to": Case(root_rule("/bad.txt"), "/bad.txt", "/link.txt"),
    "the page of a folder": Case(root_rule("/a/b/index.html"), "/a/b/"),
    "a double hash of a path": Case(hashed, "/good.txt"),
    "a folder on the way": Case(lambda world: f"/ipfs/{folder_of(world, 'a', 'b')}", "/a/b/deep.txt", "/a/b/"),
    "a path of a folder on the way": Case(lambda world: f"/ipfs/{folder_of(world, 'a')}/b/deep.txt", "/a/b/deep.txt"),
    "the site's key": Case(lambda world: f"/ipns/{IPNS}", *ALL),
    "a path of the site's key": Case(lambda world: f"/ipns/{IPNS}/good.txt", "/good.txt"),
    "a domain": Case(lambda world: "/ipns/demo.example", *ALL),
    "a path of a domain": Case(lambda world: "/ipns/demo.example/a/*", "/a/b/deep.txt", "/a/b/", "/a/other.txt"),
    "another domain": Case(lambda world: "/ipns/other.example"),
    "an exception": Case(lambda world: f"!{root_rule('')(world)}"),
}


def test_rules_of_paths_and_names(tmp_path: Path) -> None:
    """Which paths of a site a rule refuses, warm as they are; the others answer as before. One rule after another, on
    one edge."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async def statuses(connection: Wire) -> dict[str, int]:
            return {path: (await connection.get(path)).status for path in (*ALL, *ALL)}

        async with wire(node, "demo.example") as connection:
            for name, case in RULES.items():
                world.denied = {}
                await origin.serving(await origin.sign())
                assert set((await statuses(connection)).values()) == {200}, name
                world.deny(case.rule(world))
                await origin.serving(await origin.sign())
                assert await statuses(connection) == {path: 410 if path in case.refused else 200 for path in ALL}, name

    play(tmp_path, act)


def test_a_denied_domain_leaves_the_sites_other_hosts(tmp_path: Path) -> None:
    """/ipns/DOMAIN: that name is refused, warm or not; what it leads to answers under its other names."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for host in ("demo.example", "other.example", "demo.localhost"):
            for _ in range(3):
                assert (await ask(node, "/good.txt", Host=host)).status == 200
        world.deny("/ipns/demo.example")
        await origin.serving(await origin.sign())
        for _ in range(3):
            assert (await ask(node, "/good.txt", Host="other.example")).status == 200
            assert (await ask(node, "/good.txt", Host="demo.example:80")).status == 410
            assert (await ask(node, "/good.txt", Host="Demo.Example")).status == 410

    play(tmp_path, act)


def test_what_lends_is_refused_too(tmp_path: Path) -> None:
    """A preview, a release that is coming, and what the attic keeps of an old one: the same file under each."""
    chunk, page = b"let chunk = 1;", b"<title>coming</title>"

    def prepare(world: World) -> None:
        live = world.sites["demo"].live
        assert live is not None
        attic = world.store.index({"old-bbbbbbb2.js": chunk + b"old"})
        world.change("demo", attic=attic, aliases={"pr": Alias(live.release, 1, 0)})
        world.publish("demo", {"index.html": page, "new-ccccccc3.js": chunk + b"new"}, stage_only=True)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        asked = [
            ("demo.localhost", "/old-bbbbbbb2.js", chunk + b"old"),
            ("demo.localhost", "/new-ccccccc3.js", chunk + b"new"),
            ("pr--demo.localhost", "/bad.txt", TEXT),
        ]
        for host, path, _ in asked:
            assert (await ask(node, path, Host=host)).status == 200, path
        world.deny(*(f"/ipfs/{cid_of(data)}" for _, _, data in asked))
        await origin.serving(await origin.sign())
        for host, path, _ in asked:
            assert (await ask(node, path, Host=host)).status == 410, path

    play(tmp_path, act, prepare)


def test_a_denied_page_for_missing_paths_is_no_page(tmp_path: Path) -> None:
    """The site's 404.html is denied: a missing path is missing, and not refused."""
    store = Store()
    site = site_of(store, {"index.html": PAGE, "404.html": TEXT})
    lists = Denylists((read(f"/ipfs/{BAD}\n".encode()).list,))
    view = replace(store.view(site), denials=lists)
    assert isinstance(store.resolve(view, "/nothing"), Missing)
    assert isinstance(store.resolve(view, "/404.html"), Refused)
    assert isinstance(store.resolve(view, "/"), Found)
    assert isinstance(drive(view.resolve("/", Visit()), store.get), Found)


# In the middle of a file.


def parts_of(world: World) -> list[CID]:
    top = unixfs.file(LONG, world.store.emit).cid
    return [leaf.cid for leaf in drive(leaves(top, 0, len(LONG)), world.store.get)]


def test_a_denied_block_of_a_file(tmp_path: Path) -> None:
    """Its last block is denied: refused before the first byte, as a whole and in any range, warm as it was."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for _ in range(3):
            assert (await ask(node, "/long.bin")).body == LONG
        world.deny(f"/ipfs/{parts_of(world)[-1]}")
        await origin.serving(await origin.sign())
        for headers in ({}, {"Range": "bytes=0-9"}, {"Range": f"bytes={len(LONG) - 9}-"}):
            for _ in range(2):
                got = await ask(node, "/long.bin", **headers)
                assert (got.status, len(got.body) < 1000) == (410, True)

    play(tmp_path, act)


def test_a_block_that_is_denied_while_it_is_read_cuts_the_answer(tmp_path: Path) -> None:
    """The first bytes are out when it is denied: the answer ends short, and is no whole one for anybody."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        last = parts_of(world)[-1]
        origin.after[last] = asyncio.Event()
        reading = asyncio.create_task(ask(node, "/long.bin"))
        while not origin.asked[str(last)]:
            await asyncio.sleep(0.005)
        world.deny(f"/ipfs/{last}")
        await origin.serving(await origin.sign())
        origin.after[last].set()
        got = await reading
        assert (got.status, got.whole) == (200, False)
        assert LONG.startswith(got.body)
        assert last not in node.memory

    play(tmp_path, act)


def test_parts_of_a_denied_file_leave_the_disk(tmp_path: Path) -> None:
    """A file of several blocks is denied by its top: those below it go with it, and the room is free."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        top, parts = unixfs.file(LONG, world.store.emit).cid, parts_of(world)
        assert (await ask(node, "/long.bin")).status == 200
        for cid in (top, *parts):
            assert await node.disk.put(world.store.get(cid))
        world.deny(f"/ipfs/{top}")
        await origin.serving(await origin.sign())
        assert [cid for cid in (top, *parts) if cid in node.disk or cid in node.memory] == []
        assert (await ask(node, "/long.bin")).status == 410

    play(tmp_path, act)


def test_what_was_found_clean_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than it may be, and not past a change of the lists; what is denied is never taken for clean."""
    monkeypatch.setattr(denials, "CLEAN", 8)
    known = Denials()
    assert known.refusal(BAD) is None
    known.set_given([read(f"/ipfs/{cid_of(b'0')}\n".encode()).list])
    for number in range(20):
        assert (known.refusal(cid_of(b"%d" % number)) is None) == (number != 0)
        assert 0 < len(known._clean) + (number == 0) <= 8
    assert known.refusal(BAD) is None
    assert known.refusal(BAD) is None
    known.set_own(read(f"/ipfs/{BAD}\n".encode()).list)
    assert known.refusal(BAD) is not None


# Restarts and partitions.


def test_an_edge_starts_with_what_was_denied(tmp_path: Path) -> None:
    """The origin is gone, the edge restarts on its stored Head and its disk: what was denied is refused from the first
    answer on."""

    async def run() -> None:
        world = World()
        world.publish("demo", FILES)
        world.deny(f"/ipfs/{BAD}")
        async with edge(tmp_path, world) as (node, origin):
            await origin.serving(world.sequence)
            assert (await ask(node, "/good.txt")).status == 200
            assert await node.disk.put(world.store.get(BAD))
            await origin.stop()
        async with running(config_of(tmp_path, origin), wait=False) as again:
            assert (await ask(again, "/bad.txt")).status == 410
            assert (await ask(again, "/good.txt")).status == 200

    asyncio.run(asyncio.wait_for(run(), 60))


# Lists of the edge's own.


def write(path: Path, *rules: str) -> Path:
    path.write_text("version: 1\nname: test\n---\n" + "".join(f"{rule}\n" for rule in rules))
    return path


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.01)


async def is_refused(node: Node, path: str) -> bool:
    return (await ask(node, path)).status in (410, 451)


def test_a_file_is_followed(tmp_path: Path) -> None:
    """Denied from the first answer on; a line that is added, one that is taken away: seen at a word. What is no rule
    is left out, and the list that is gone or empty leaves what was."""
    path = write(tmp_path / "mine.deny", f"/ipfs/{BAD}", "nonsense")

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert await is_refused(node, "/bad.txt")
        assert not await is_refused(node, "/good.txt")
        write(path, f"/ipfs/{BAD}", f"/ipfs/{cid_of(b'what is not denied')} status:451")
        node.reload()
        await until(lambda: is_refused(node, "/good.txt"))
        source = node.denylists.sources[0]
        for step in (path.unlink, lambda: write(path), lambda: path.write_text("version: 7\n---\n")):
            errors = source.errors
            step()
            node.reload()
            while source.errors == errors:
                await asyncio.sleep(0.01)
            assert await is_refused(node, "/bad.txt")
        write(path, f"/ipfs/{cid_of(b'another')}")
        node.reload()
        await until(lambda: _not(is_refused(node, "/bad.txt")))
        assert (await ask(node, "/good.txt")).status == 200
        values = node.numbers.values()
        assert values["rim_denylist_rules"] == {"mine.deny": 1, "catalog": 0}
        assert values["rim_denylist_errors_total"] == {"mine.deny": source.errors}

    play(tmp_path, act, denylists=(str(path),))


async def _not(wanted: Awaitable[bool]) -> bool:
    return not await wanted


def test_what_a_list_denies_leaves_memory(tmp_path: Path) -> None:
    """A list that is read anew: its blocks are out of memory a moment later, for a long answer goes on from there."""
    path = write(tmp_path / "mine.deny", f"/ipfs/{cid_of(b'elsewhere')}")

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        last = parts_of(world)[-1]
        assert (await ask(node, "/long.bin")).whole
        assert (await ask(node, "/good.txt")).status == 200
        assert last in node.memory
        write(path, "//" + sha256(f"{last}/".encode()).hexdigest())
        node.reload()
        while last in node.memory:
            await asyncio.sleep(0.01)
        assert cid_of(b"what is not denied") in node.memory
        assert await is_refused(node, "/long.bin")

    play(tmp_path, act, denylists=(str(path),))


def test_the_origins_own_list_overrules_a_file(tmp_path: Path) -> None:
    """What the Catalog allows (`rim allow --always`) is shown, whatever a list of the edge says."""
    path = write(tmp_path / "mine.deny", f"/ipfs/{BAD}")

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert await is_refused(node, "/bad.txt")
        world.deny(f"!/ipfs/{BAD}")
        await origin.serving(await origin.sign())
        assert not await is_refused(node, "/bad.txt")

    play(tmp_path, act, denylists=(str(path),))


BROKEN = {
    "gone": None,
    "another version": "version: 2\n---\n",
    "no header that reads": "what: is\nthis\n---\n",
    "nothing but text": "<html>\n<p>log in first</p>\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_an_edge_does_not_start_without_its_list(tmp_path: Path, text: str | None) -> None:
    """A file that was to be gone by and cannot be: said at the start, and nothing is left behind."""
    path = tmp_path / "mine.deny"
    if text is not None:
        path.write_text(text)
    world = World()
    world.publish("demo", FILES)

    async def run() -> None:
        origin = TinyOrigin(world)
        origin.url = "http://127.0.0.1:9"
        config = config_of(tmp_path, origin, denylists=(str(path),))
        with pytest.raises(StateError, match=r"denylist .*mine\.deny"):
            await Node(config).start()
        write(path)
        node = Node(config)
        await node.start()
        await node.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_pipe_is_no_list(tmp_path: Path) -> None:
    """It is not opened: nobody may ever write to it."""
    path = tmp_path / "mine.deny"
    os.mkfifo(path)
    lists = Sources((str(path),), tmp_path / "lists", 300, aiohttp.ClientSession, lambda found: None)
    with pytest.raises(StateError, match="no regular file"):
        lists.load()


def test_settings_of_lists() -> None:
    """Too many lists, or an interval that is none: said at the start."""
    flags = {"name": "e", "state": "s", "origin": "http://o", "catalog": World().name}
    made = configure({**flags, "denylists": "a.deny, https://lists.example/b.deny"}, {})
    assert made.denylists == ("a.deny", "https://lists.example/b.deny")
    configure({**flags, "denylists": ",".join(f"{n}.deny" for n in range(DENYLISTS - 1))}, {})
    with pytest.raises(BadSetting, match="denylists"):
        configure({**flags, "denylists": ",".join(f"{n}.deny" for n in range(DENYLISTS))}, {})
    with pytest.raises(BadSetting, match="denylist_interval"):
        configure({**flags, "denylist_interval": "0.5"}, {})


# URLs.


class Publisher:
    """Somebody who publishes a list under a URL, as he likes."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.answers: list[int] = []
        self.seen = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        etag = f'"{sha256(self.body).hexdigest()}"'
        status = self.status
        if status == 200 and request.headers.get("If-None-Match") == etag:
            status = 304
        self.answers.append(status)
        self.seen.set()
        return web.Response(status=status, body=self.body if status == 200 else None, headers={"ETag": etag})

    def rules(self, *rules: str) -> None:
        self.body = ("version: 1\nname: published\n---\n" + "".join(f"{rule}\n" for rule in rules)).encode()


@asynccontextmanager
async def publisher() -> AsyncIterator[Publisher]:
    who = Publisher()
    app = web.Application()
    app.router.add_get("/list.deny", who.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    who.url = f"http://127.0.0.1:{runner.addresses[0][1]}/list.deny?key=secret"
    try:
        yield who
    finally:
        await runner.cleanup()


def test_a_url_is_fetched_kept_and_never_trusted_blindly(tmp_path: Path) -> None:
    """Fetched before the first answer; asked with its ETag; a change is taken. An error, a list of nothing, a page of
    HTML, one that is too large: the last good one holds. After a restart without its publisher it still does."""

    async def run() -> None:
        world = World()
        world.publish("demo", FILES)
        async with publisher() as who:
            who.rules(f"/ipfs/{BAD}")
            async with edge(tmp_path, world, denylists=(who.url,)) as (node, origin):
                await origin.serving(world.sequence)
                source = node.denylists.sources[0]
                assert await is_refused(node, "/bad.txt")
                assert "secret" not in source.name

                async def again() -> None:
                    count = len(who.answers)
                    node.reload()
                    while len(who.answers) == count:
                        await asyncio.sleep(0.01)

                await again()
                assert who.answers[-1] == 304
                who.rules(f"/ipfs/{BAD}", f"/ipfs/{cid_of(b'what is not denied')}")
                await again()
                await until(lambda: is_refused(node, "/good.txt"))
                bad = ((b"", 200), (b"<html>\n---\n", 200), (b"<html>\n", 200), (b"version: 1\n---\n", 200), (b"", 500))
                for body, status in bad:
                    who.body, who.status, errors = body, status, source.errors
                    await again()
                    while source.errors == errors:
                        await asyncio.sleep(0.01)
                    assert await is_refused(node, "/bad.txt")
                    assert await is_refused(node, "/good.txt")
                url = who.url
        async with edge(tmp_path, world, denylists=(url,)) as (node, _):
            assert await is_refused(node, "/bad.txt")
            assert node.denylists.ages()[node.denylists.sources[0].name] < 3600
            kept = sorted(path.suffix for path in (tmp_path / "edge-1" / "denylists").iterdir())
            assert kept == [".deny", ".json"]
        async with edge(tmp_path, world) as (node, _):
            assert not await is_refused(node, "/bad.txt")

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_url_that_was_never_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge starts, says so, and its age has no end; when the list comes, it is taken."""
    monkeypatch.setattr(sources, "FIRST_WITHIN", 0.5)

    async def run() -> None:
        world = World()
        world.publish("demo", FILES)
        async with publisher() as who:
            who.status = 503
            async with edge(tmp_path, world, denylists=(who.url,)) as (node, origin):
                await origin.serving(world.sequence)
                assert not await is_refused(node, "/bad.txt")
                assert list(node.denylists.ages().values()) == [float("inf")]
                who.status = 200
                who.rules(f"/ipfs/{BAD}")
                node.reload()
                await until(lambda: is_refused(node, "/bad.txt"))
                assert max(node.denylists.ages().values()) < 3600

    asyncio.run(asyncio.wait_for(run(), 60))


def test_size_of_what_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list past its limit is given up while it comes, and nothing of it stays."""
    monkeypatch.setattr(sources, "DENYLIST_BYTES", 1000)

    async def run() -> None:
        async with publisher() as who, aiohttp.ClientSession() as session:
            lists = Sources((who.url,), tmp_path / "lists", 300, lambda: session, lambda found: None)
            lists.load()
            who.body = b"#" * 1001
            await lists.first()
            assert (lists.sources[0].errors, lists.sources[0].list) == (1, None)
            assert list((tmp_path / "lists").iterdir()) == []
            who.body = b"#" * 1000
            await lists.first()
            assert lists.sources[0].list is not None

    asyncio.run(asyncio.wait_for(run(), 60))


# Through the gateway.


def through(world: World) -> dict[str, Callable[[], str]]:
    """Rules, each of which refuses what `ways` asks for."""
    root = folder_of(world)
    return {
        "the file": lambda: f"/ipfs/{BAD}",
        "the Root": lambda: f"/ipfs/{root}",
        "the path": lambda: f"/ipfs/{root}/a/b/deep.txt",
        "paths of the Root": lambda: f"/ipfs/{root}/a*",
        "the folder": lambda: f"/ipfs/{folder_of(world, 'a')}",
        "a path of the folder": lambda: f"/ipfs/{folder_of(world, 'a')}/b/*",
        "the first name": lambda: "/ipns/first.example",
        "the name it leads to": lambda: "/ipns/second.example",
        "a path of the name": lambda: "/ipns/first.example/a/b/deep.txt",
    }


DEEP = {"the Root", "the path", "paths of the Root", "the folder", "a path of the folder"}


def test_the_gateway_refuses_before_its_caches(tmp_path: Path) -> None:
    """By CID and path, by name, by a name that leads to a denied one; as a file, a block, a CAR, from memory: each
    rule refuses what it is about, and nothing else, and all answer once it is gone."""

    world = World()
    world.publish("demo", FILES, hosts=("demo.example", "other.example"), ipns=IPNS)
    links = f"first.example=/ipns/second.example,second.example=/ipfs/{folder_of(world)}"
    fields: dict[str, Any] = {"gateway": Mode.OPEN, "gateway_hosts": parse_hosts("gw.example;paths"), "dnslinks": links}

    async def run() -> None:
        async with edge(tmp_path, world, **fields) as (node, origin), wire(node, "gw.example") as connection:
            await origin.serving(world.sequence)
            root = folder_of(world)
            ways = {
                "deep": f"/ipfs/{root}/a/b/deep.txt",
                "deep as a block": f"/ipfs/{root}/a/b/deep.txt?format=raw",
                "deep by name": "/ipns/first.example/a/b/deep.txt",
                "file": f"/ipfs/{BAD}",
                "file by path": f"/ipfs/{root}/bad.txt",
                "file, other codec": f"/ipfs/{SPELLINGS['dag-pb']}?format=raw",
                "file, v0": f"/ipfs/{SPELLINGS['v0']}?format=raw",
                "file by name": "/ipns/first.example/bad.txt",
                "good": f"/ipfs/{cid_of(b'what is not denied')}",
            }
            about = {
                name: {way for way in ways if way.startswith("deep")} if name in DEEP else set()
                for name in through(world)
            }
            about["the file"] = {way for way in ways if way.startswith("file")}
            about["the Root"] |= {"file by path", "file by name"}
            about["the first name"] = about["the name it leads to"] = {"deep by name", "file by name"}
            about["a path of the name"] = {"deep by name"}

            async def statuses() -> dict[str, int]:
                return {way: (await connection.get(path)).status for way, path in ways.items()}

            for name, rule in through(world).items():
                world.denied = {}
                await origin.serving(await origin.sign())
                for _ in range(3):
                    assert set((await statuses()).values()) == {200}, name
                world.deny(rule())
                await origin.serving(await origin.sign())
                for _ in range(2):
                    told = await statuses()
                    assert {way for way, status in told.items() if status == 410} == about[name], name
                    assert {status for way, status in told.items() if way not in about[name]} == {200}, name
            world.denied = {}
            world.deny(f"/ipfs/{BAD}", status=451)
            await origin.serving(await origin.sign())
            car = await connection.get(f"/ipfs/{BAD}?format=car")
            assert (car.status, car.headers["rim-reason"]) == (451, "denied")
            page = await connection.get(ways["file"], Accept="text/html")
            assert (page.status, page.headers["cache-control"]) == (451, "no-store")

    asyncio.run(asyncio.wait_for(run(), 60))


# What it costs.


def test_a_release_with_a_file_that_only_this_edge_denies_is_warmed_all_the_same(tmp_path: Path) -> None:
    """The origin does not know of it, and waits for this edge: it reports, without that file."""
    data = b"only this edge denies it"
    path = write(tmp_path / "mine.deny", f"/ipfs/{cid_of(data)}")

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        site = world.publish("demo", {"new.txt": data, "other.txt": b"and the rest of it"}, stage_only=True)
        await origin.sign()
        assert site.next is not None
        assert (await origin.staged(site.next.release))["ok"]
        assert cid_of(b"and the rest of it") in node.memory
        assert origin.asked[str(cid_of(data))] == 0

    play(tmp_path, act, denylists=(str(path),))


def test_nothing_is_asked_where_nothing_is_denied(tmp_path: Path) -> None:
    """Without a rule the loader looks at nothing, and views are those that came: a hit costs what it cost."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert node.loader._refusal is None
        head = node.follower.head
        assert head is not None
        assert node.router.sites["demo"] is head.world.views["demo"]
        await warm(node, "/good.txt")
        kept = len(node.answers.keeping)
        world.deny(f"/ipfs/{cid_of(b'elsewhere')}")
        await origin.serving(await origin.sign())
        assert (kept > 0, len(node.answers.keeping)) == (True, 0), "ready answers are of what was allowed then"
        view = node.router.sites["demo"]
        world.publish("more", {"index.html": PAGE})
        await origin.serving(await origin.sign())
        assert node.router.sites["demo"] is view, "another site's change leaves this one's answers"

    play(tmp_path, act)


def test_denied_is_not_absent(tmp_path: Path) -> None:
    """A read of a denied block says Denied, before and while it is filled, and nothing remembers it as missing."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        world.deny(f"/ipfs/{BAD}")
        await origin.serving(await origin.sign())
        with pytest.raises(Denied):
            await node.loader.get(BAD)
        with pytest.raises(Denied):
            await node.loader.held(BAD)
        assert origin.asked[str(BAD)] == 0
        assert node.numbers.values()["rim_denied_total"] == {}
        assert (await ask(node, "/bad.txt")).status == 410
        assert node.numbers.values()["rim_denied_total"] == {"410": 1}

    play(tmp_path, act)
