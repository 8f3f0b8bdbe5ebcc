"""The public side, over the wire: what visitors get, whoever they say they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content.catalog import Site
from content.cid import CID, RAW
from content.release import Asset
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Got, edge, fetch, wire

MiB = 1 << 20
LARGE = b"".join(b"%07d\n" % n for n in range(5 * MiB // 8))
CSS = b"body { color: black }\n" * 50
FILES: dict[str, File] = {
    "index.html": b"<h1>home</h1>",
    "style-BQk3xY9z.css": CSS,
    "docs/index.html": b"docs",
    "docs/404.html": b"<h1>no such doc</h1>",
    "font.woff2": b"wOF2",
    "picture.png": b"\x89PNG",
    "large.bin": LARGE,
    "empty.txt": b"",
    "a b#?%20'\".txt": b"awkward",
    "two\nlines.txt": b"awkward too",
    "link.txt": "picture.png",
    "_headers": b"secret",
}
Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]


def play(folder: Path, act: Play, files: dict[str, File] | None = None, **fields: Any) -> None:
    """Run a play against an edge with one site, `demo`."""
    site_fields = {key: fields.pop(key) for key in ("spa", "hosts", "settings") if key in fields}

    async def run() -> None:
        world = World()
        world.publish("demo", FILES if files is None else files, **site_fields)
        async with edge(folder, world, **fields) as (node, origin):
            await act(node, origin, world)

    asyncio.run(run())


def test_a_site_over_the_wire(tmp_path: Path) -> None:
    """Every file whole and right, twice: fetched, then from memory; with type, tag, freshness and outcome."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for outcome in ("origin", "memory"):
            for path, body in (("/", b"<h1>home</h1>"), ("/picture.png", b"\x89PNG"), ("/docs/", b"docs")):
                got = await fetch(node, path)
                assert (got.status, got.body, got.outcome) == (200, body, outcome)
                assert got.headers["etag"] == f'"{CID.of(RAW, body)}"'
                assert got.headers["cache-control"] == "public, max-age=0, must-revalidate"
                assert got.headers["x-content-type-options"] == "nosniff"
                assert got.headers["cache-status"].startswith("edge-1; ")
        assert (await fetch(node, "/a%20b%23%3F%2520'%22.txt")).body == b"awkward"
        assert (await fetch(node, "/two%0Alines.txt")).body == b"awkward too"
        assert (await fetch(node, "/link.txt")).headers["content-type"] == "image/png"
        assert (await fetch(node, "/empty.txt")).body == b""

    play(tmp_path, act)


def test_encodings_have_their_own_tags(tmp_path: Path) -> None:
    """Each coding has its own ETag and length; all vary; the hash-named file is immutable; a 304 keeps all that."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        tags = set()
        varies = "Accept-Encoding, Available-Dictionary"
        for accept, coding in (("br, gzip", "br"), ("gzip", "gzip"), ("identity", None)):
            got = await fetch(node, "/style-BQk3xY9z.css", Accept_Encoding=accept)
            assert got.headers.get("content-encoding") == coding
            assert (got.headers["vary"], got.headers["access-control-allow-origin"]) == (varies, "*")
            assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert (len(got.body) == len(CSS)) == (coding is None)
            tags.add(got.headers["etag"])
            named = {"If_None_Match": got.headers["etag"], "Accept_Encoding": accept}
            unchanged = await fetch(node, "/style-BQk3xY9z.css", **named)
            assert unchanged.status == 304
            for name in ("etag", "cache-control", "vary", "access-control-allow-origin"):
                assert unchanged.headers[name] == got.headers[name]
        assert len(tags) == 3

    play(tmp_path, act)


def test_a_large_file_comes_block_by_block(tmp_path: Path) -> None:
    """Five blocks, whole; a range across a border; and one byte of it costs one block of content."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        part = await fetch(node, "/large.bin", Range="bytes=-1")
        assert (part.status, part.body) == (206, LARGE[-1:])
        assert part.headers["content-range"] == f"bytes {len(LARGE) - 1}-{len(LARGE) - 1}/{len(LARGE)}"
        leaves = [LARGE[at : at + MiB] for at in range(0, len(LARGE), MiB)]
        asked = [origin.asked[str(CID.of(RAW, leaf))] for leaf in leaves]
        assert asked == [0, 0, 0, 0, 1]
        across = await fetch(node, "/large.bin", Range=f"bytes={MiB - 10}-{MiB + 9}")
        assert across.body == LARGE[MiB - 10 : MiB + 10]
        whole = await fetch(node, "/large.bin")
        assert whole.body == LARGE
        assert whole.headers["content-length"] == str(len(LARGE))
        assert (await fetch(node, "/large.bin", Range=f"bytes={len(LARGE)}-")).status == 416
        assert all(origin.asked[str(CID.of(RAW, leaf))] == 1 for leaf in leaves)

    play(tmp_path, act)


def test_several_ranges_cost_their_blocks(tmp_path: Path) -> None:
    """The first and the last byte of five blocks cost two; where a part cannot be had, nothing looks whole."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        ends = await fetch(node, "/large.bin", Range="bytes=0-0,-1")
        assert ends.status == 206
        assert [part[:1] for part in ends.body.split(b"\r\n\r\n")[1:]] == [LARGE[:1], LARGE[-1:]]
        leaves = [LARGE[at : at + MiB] for at in range(0, len(LARGE), MiB)]
        assert [origin.asked[str(CID.of(RAW, leaf))] for leaf in leaves] == [1, 0, 0, 0, 1]
        origin.lacking.add(CID.of(RAW, leaves[2]))
        broken = await fetch(node, "/large.bin", Range=f"bytes=0-0,{2 * MiB}-{2 * MiB}")
        assert (broken.status, broken.whole) == (206, False)
        assert node.answers.counts.broken == 1

    play(tmp_path, act)


@pytest.mark.parametrize("path", ["/", "/style-BQk3xY9z.css", "/large.bin", "/nope", "/docs", "/docs/nope"])
def test_head_equals_get(tmp_path: Path, path: str) -> None:
    """HEAD has GET's status and header fields and no body, for files, redirects and errors alike."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, path)  # the first one may come from elsewhere
        async with wire(node) as c:
            got, head = await c.get(path), await c.get(path, "HEAD")
            for answer in (got, head):
                answer.headers.pop("date")
                answer.headers.pop("cache-status", None)
            assert (head.status, head.headers, head.body) == (got.status, got.headers, b"")
            assert (await c.get("/")).status == 200  # the connection is where it should be

    play(tmp_path, act)


def test_head_equals_get_where_the_connection_ends(tmp_path: Path) -> None:
    """The same of a path that has no one meaning; it is the last of its connection."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got, head = await fetch(node, "/%2e%2e"), await fetch(node, "/%2e%2e", method="HEAD")
        assert (got.status, got.headers["connection"]) == (400, "close")
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
        assert head.body == b""

    play(tmp_path, act)


def test_folders_and_missing_paths(tmp_path: Path) -> None:
    """`dir` moves to `dir/` with its query; what is missing is a 404 that nobody stores, with the nearest page."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        moved = await fetch(node, "/docs?a=/b&c")
        assert (moved.status, moved.headers["location"]) == (308, "/docs/?a=/b&c")
        for path, body in (
            ("/docs/nope", b"<h1>no such doc</h1>"),
            ("/nope.js", None),
            ("/a%0Ab", None),
            ("/_headers", None),
        ):
            got = await fetch(node, path)
            assert (got.status, got.headers["cache-control"]) == (404, "no-store")
            assert "etag" not in got.headers
            assert got.outcome == "negative"
            assert body is None or got.body == body

    play(tmp_path, act)


def test_paths_that_visitors_make_up_are_no_questions_to_anybody(tmp_path: Path) -> None:
    """The release's own index says what it has not: once that is here, a scan of names leaves this edge in peace with
    its origin."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, "/nope.js")
        asked = sum(origin.asked.values())
        for number in range(100):
            assert (await fetch(node, f"/wp-admin-{number}.php")).status == 404
        assert sum(origin.asked.values()) == asked

    play(tmp_path, act)


@pytest.mark.parametrize("path", ["/..", "/%2e%2e/x", "/a%2Fb", "/a%00", "/%ff", "/%", "/a\\b"])
def test_ambiguous_paths_are_refused(tmp_path: Path, path: str) -> None:
    """400, and nothing stored."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got = await fetch(node, path)
        assert (got.status, got.headers["cache-control"]) == (400, "no-store")

    play(tmp_path, act)


def test_hosts(tmp_path: Path) -> None:
    """Its own hosts lead to a site, in any case and with any port; all others are 421 and say what to do."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for host in ("demo.localhost", "DEMO.localhost:1", "www.example.com", "www.example.com."):
            assert (await fetch(node, "/", host)).status == 200
        for host in ("example.com", "xdemo.localhost", "evil", "demo.localhost.evil", "10.0.0.1"):
            got = await fetch(node, "/", host, X_Forwarded_Host="demo.localhost")
            assert (got.status, got.headers["cache-control"]) == (421, "no-store")
        assert b"rim site set NAME --host evil" in (await fetch(node, "/", "evil")).body
        assert (await fetch(node, "/", "a/b")).status == 400
        page = await fetch(node, "/", "localhost:8080")
        assert b'href="http://demo.localhost:8080/"' in page.body
        assert (await fetch(node, "/favicon.ico", "localhost:8080")).status == 404
        health = await fetch(node, "/.rim/health", "anything.example")
        assert (health.status, health.body) == (200, b"ok\n")
        assert (await fetch(node, "/.rim/other")).status == 404
        told = json.loads((await fetch(node, "/.rim/health", Accept="application/json")).body)
        live = node.router.sites["demo"].live
        assert live is not None
        assert (told["site"], told["release"], told["edge"]) == ("demo", str(live.cid), "edge-1")

    play(tmp_path, act, hosts=("www.example.com",))


def test_outside_development_localhost_is_nobody(tmp_path: Path) -> None:
    """With a domain of its own an edge lists its sites to nobody."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/", "localhost")).status == 421
        assert (await fetch(node, "/", "demo.sites.example")).status == 200

    play(tmp_path, act, site_domain="sites.example")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PURGE"])
def test_other_methods(tmp_path: Path, method: str) -> None:
    """405 with Allow, whatever the override fields say."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got = await fetch(node, "/", method=method, X_HTTP_Method_Override="GET")
        assert (got.status, got.headers["allow"]) == (405, "GET, HEAD, OPTIONS")

    play(tmp_path, act)


def test_cors(tmp_path: Path) -> None:
    """Fonts, scripts and styles may be used by other origins, with their preflight; pictures and pages say nothing."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for path, granted in (("/font.woff2", True), ("/style-BQk3xY9z.css", True), ("/picture.png", False)):
            got = await fetch(node, path, Origin="https://other.example")
            assert (got.headers.get("access-control-allow-origin") == "*") is granted
            flight = await fetch(node, path, method="OPTIONS", Origin="https://other.example")
            assert (flight.status, flight.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
            assert (flight.headers.get("access-control-allow-origin") == "*") is granted
            assert "access-control-allow-methods" not in flight.headers  # it is no preflight unless it names a method

    play(tmp_path, act)


def test_spa(tmp_path: Path) -> None:
    """The shell answers a person who navigates, saying what chose it; a missing chunk is a 404, never the shell."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        shell = await fetch(node, "/route/deep", Sec_Fetch_Mode="navigate")
        assert (shell.status, shell.body) == (200, b"<h1>home</h1>")
        assert shell.headers["vary"] == "Sec-Fetch-Mode, Accept"
        for fields in ({"Sec_Fetch_Mode": "no-cors", "Accept": "text/html"}, {"Accept": "*/*"}, {}):
            got = await fetch(node, "/route/deep", **fields)
            assert (got.status, got.headers["cache-control"]) == (404, "no-store")
        assert (await fetch(node, "/old", Accept="text/html,*/*;q=0.8")).status == 200
        again = await fetch(node, "/route/deep", Sec_Fetch_Mode="cors")
        assert again.status == 404

    play(tmp_path, act, spa=True)


def test_the_same_key_gives_the_same_answer(tmp_path: Path) -> None:
    """Fields that are not in the key change nothing (cache poisoning): two requests, equal bytes."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        poison = {
            "X_Forwarded_Host": "evil.example",
            "X_Forwarded_Proto": "https",
            "X_Original_URL": "/docs/",
            "X_Rewrite_URL": "/docs/",
            "Forwarded": "host=evil.example",
            "Cookie": "a=b",
            "Authorization": "Basic YTpi",
            "Origin": "https://evil.example",
            "Accept_Language": "de",
            "User_Agent": "x",
        }
        for path in ("/", "/docs", "/nope", "/style-BQk3xY9z.css", "/large.bin"):
            answers: list[Got] = []
            for fields in ({}, poison, {}):
                got = await fetch(node, path, **fields)
                got.headers.pop("date")
                got.headers.pop("cache-status")
                answers.append(got)
            assert answers[0] == answers[1] == answers[2]

    play(tmp_path, act)


def test_what_nobody_has_is_a_502(tmp_path: Path) -> None:
    """The origin lacks a block: 502, not stored, counted, and gone as soon as the block is back."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        cid = CID.of(RAW, b"\x89PNG")
        origin.lacking.add(cid)
        got = await fetch(node, "/picture.png")
        assert (got.status, got.headers["cache-control"], got.outcome) == (502, "no-store", "error")
        assert node.answers.counts.statuses[502] == 1
        origin.lacking.clear()
        while (got := await fetch(node, "/picture.png")).status == 502:
            await asyncio.sleep(0.05)
        assert got.body == b"\x89PNG"

    play(tmp_path, act)


def test_what_nobody_can_be_asked_for_is_a_504(tmp_path: Path) -> None:
    """The origin is away: what was seen answers on, what was not is a 504."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/")).status == 200
        await origin.stop()
        assert (await fetch(node, "/")).status == 200
        got = await fetch(node, "/picture.png")
        assert (got.status, got.headers["cache-control"]) == (504, "no-store")
        assert "retry-after" in got.headers

    play(tmp_path, act)


def test_a_busy_origin_is_a_503_that_says_when_to_come_again(tmp_path: Path) -> None:
    """It says 503 with Retry-After: so does the edge, which asks it nothing more until then, and serves what it holds;
    a peer is told that it is the origin, and not this edge, that wants to be left alone."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/")).status == 200
        origin.busy = 30
        for path in ("/picture.png", "/font.woff2"):
            got = await fetch(node, path)
            assert (got.status, got.headers["cache-control"]) == (503, "no-store")
            assert 1 <= int(got.headers["retry-after"]) <= 46
        assert (await fetch(node, "/")).status == 200
        assert origin.turned_away == 1
        async with wire(node, "127.0.0.1", private=True) as c:
            told = await c.get(f"/ipfs/{CID.of(RAW, b'unheard of')}?format=raw")
        assert (told.status, told.headers["rim-reason"]) == (503, "origin-busy")
        assert int(told.headers["retry-after"]) >= 1

    play(tmp_path, act)


def test_a_broken_transfer_never_looks_whole(tmp_path: Path) -> None:
    """A block in the middle cannot be had: the client sees a cut connection, and the break is counted."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        origin.lacking.add(CID.of(RAW, LARGE[3 * MiB : 4 * MiB]))
        got = await fetch(node, "/large.bin")
        assert (got.status, got.whole) == (200, False)
        assert LARGE.startswith(got.body)
        assert len(got.body) <= 3 * MiB
        assert node.answers.counts.broken == 1

    play(tmp_path, act)


def test_the_first_byte_does_not_wait_for_the_last(tmp_path: Path) -> None:
    """The head and the first block are there while the last block is still held back."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        gate = origin.after[CID.of(RAW, LARGE[4 * MiB :])] = asyncio.Event()
        async with wire(node) as c:
            await c.send(c.request("/large.bin"))
            head = await asyncio.wait_for(c.reader.readuntil(b"\r\n\r\n"), 20)
            assert head.startswith(b"HTTP/1.1 200")
            assert await asyncio.wait_for(c.reader.readexactly(3 * MiB), 20) == LARGE[: 3 * MiB]
            gate.set()
            assert await asyncio.wait_for(c.reader.readexactly(len(LARGE) - 3 * MiB), 20) == LARGE[3 * MiB :]

    play(tmp_path, act)


def test_a_visitor_who_leaves_stops_the_reading(tmp_path: Path) -> None:
    """Blocks far ahead of a visitor who has gone are not fetched for nobody."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        gate = origin.after[CID.of(RAW, LARGE[MiB : 2 * MiB])] = asyncio.Event()
        async with wire(node) as c:
            await c.send(c.request("/large.bin"))
            await c.reader.readuntil(b"\r\n\r\n")
        while node.public.connections:
            await asyncio.sleep(0.01)
        gate.set()
        while node.answers.counts.statuses[200] == 0:
            await asyncio.sleep(0.01)
        assert origin.asked[str(CID.of(RAW, LARGE[4 * MiB :]))] == 0

    play(tmp_path, act)


def test_an_index_that_lies_about_a_size(tmp_path: Path) -> None:
    """A row whose size is not the file's: 502, for one block and for many, and never a wrong Content-Length."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for path in ("/large.bin", "/picture.png"):
            got = await fetch(node, path)
            assert (got.status, got.headers["cache-control"]) == (502, "no-store")

    honest = Asset.to_row

    def lie(self: Asset) -> dict[str, Any]:
        return honest(replace(self, size=self.size - 1 if self.size else 0))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Asset, "to_row", lie)
        play(tmp_path, act)


def test_max_stale(tmp_path: Path) -> None:
    """A site that asks not to be served long without its origin gets its wish, hot path included."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        asked = len(origin.head_requests)
        async with origin.reported:  # as long as the origin answers, it is heard of often enough
            await origin.reported.wait_for(lambda: len(origin.head_requests) > asked + 4)
        assert (await fetch(node, "/")).status == 200
        await origin.stop()
        while (got := await fetch(node, "/")).status == 200:
            await asyncio.sleep(0.1)
        assert (got.status, got.headers["cache-control"]) == (503, "no-store")
        assert node.answers.counts.statuses[503] == 1

    play(tmp_path, act, settings={"max_stale": 1})


def test_an_empty_site(tmp_path: Path) -> None:
    """A site with nothing live, and one with an empty folder: 404, and no fault."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await fetch(node, "/")).status == 404
        world.put(Site("bare"))
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/", "bare.localhost")).status == 404

    play(tmp_path, act, files={})


def test_two_sites_with_one_path(tmp_path: Path) -> None:
    """What one site answers never answers for another, hot or not."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        world.publish("other", {"index.html": b"other"})
        await origin.serving(await origin.sign())
        for _ in range(2):
            assert (await fetch(node, "/")).body == b"<h1>home</h1>"
            assert (await fetch(node, "/", "other.localhost")).body == b"other"

    play(tmp_path, act)
