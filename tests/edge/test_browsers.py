"""Below /.rim/ of a site, over the wire: what a visitor's browser gets, and when it gets nothing."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from content import car, manifest, tree
from content.catalog import Alias
from content.cid import CID
from content.password import Password
from content.release import Release
from content.walk import drive
from edge.browsers.manifests import QUEUE
from edge.node import Node
from edge.site.browser import scripts
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Got, edge, fetch, wire
from tests.edge.workers import publish, roll_out

FILES: dict[str, File] = {
    "index.html": b"<h1>home</h1>",
    "app-BQk3xY9z.js": b"let a = 1;\n" * 40,
    "style.css": b"body { color: black }\n" * 40,
    "docs/index.html": b"docs",
    "late.txt": b"not precached",
}
PRECACHED = ("/index.html", "/app-BQk3xY9z.js", "/style.css")
NEXT = {**FILES, "index.html": b"<h1>new home</h1>", "more.css": b"p {}"}
Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]


def play(folder: Path, act: Play, set_up: Callable[[World], Any] | None = None, **fields: Any) -> None:
    """Run a play against an edge with one site, `demo`, which has a worker."""

    async def run() -> None:
        world = World()
        publish(world, FILES, *PRECACHED)
        if set_up is not None:
            set_up(world)
        async with edge(folder, world, **fields) as (node, origin):
            await act(node, origin, world)

    asyncio.run(run())


def stub_of(got: Got) -> dict[str, Any]:
    """The settings in the stub."""
    found = re.fullmatch(rb'self\.rim=(\{.*\});importScripts\("(.*)"\)\n', got.body)
    assert found is not None, got.body
    return {**json.loads(found[1]), "script": found[2].decode()}


def is_off(got: Got) -> bool:
    return got.status == 200 and got.body == scripts.source("off.js")


def test_the_stub_names_the_release_and_its_script(tmp_path: Path) -> None:
    """What is registered: allowed everywhere, asked about each time, equal for any number of files; and its script."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got = await fetch(node, "/.rim/sw.js")
        assert (got.status, got.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert (got.headers["service-worker-allowed"], got.headers["cache-control"]) == ("/", "no-cache")
        assert (got.headers["x-content-type-options"], "vary" in got.headers) == ("nosniff", False)
        told = stub_of(got)
        site = world.sites["demo"]
        assert (told["site"], told["release"], told["serial"]) == ("demo", str(site.live.release), 1_000)  # type: ignore[union-attr]
        assert (told["clear"], len(b64decode(told["key"]))) == (0, 32)
        worker = await fetch(node, told["script"])
        assert (worker.body, worker.status) == (scripts.source("worker.js"), 200)
        assert worker.headers["cache-control"] == "public, max-age=31536000, immutable"
        same = await fetch(node, "/.rim/sw.js", If_None_Match=got.headers["etag"])
        assert (same.status, same.headers["service-worker-allowed"]) == (304, "/")

    play(tmp_path, act)


def test_the_manifest_is_what_the_site_signed(tmp_path: Path) -> None:
    """As a script reads it: the signature is over the rest, by the key that the stub names; codings, HEAD, 304."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        key = Ed25519PublicKey.from_public_bytes(b64decode(stub_of(await fetch(node, "/.rim/sw.js"))["key"]))
        got = await fetch(node, "/.rim/manifest.json")
        core = json.loads(got.body)
        key.verify(b64decode(core.pop("signature")), manifest.message(core))
        assert {entry["path"] for entry in core["entries"]} == set(PRECACHED)
        assert (got.headers["rim-serial"], got.headers["cache-control"]) == ("1000", "no-cache")
        assert got.headers["content-type"] == "application/json"
        small = await fetch(node, "/.rim/manifest.json", Accept_Encoding="br, gzip")
        assert (small.headers["content-encoding"], brotli.decompress(small.body)) == ("br", got.body)
        assert small.headers["etag"] != got.headers["etag"]
        head = await fetch(node, "/.rim/manifest.json", method="HEAD")
        assert (head.headers["content-length"], head.body) == (str(len(got.body)), b"")
        assert (await fetch(node, "/.rim/manifest.json", If_None_Match=got.headers["etag"])).status == 304
        assert (await fetch(node, f"/.rim/manifest.json?release={core['release']}")).body == got.body
        assert (await fetch(node, f"/.rim/manifest.json?release={world.store.release({})}")).status == 404
        assert (await fetch(node, "/.rim/manifest.json", "else.localhost")).status == 421

    play(tmp_path, act)


def test_what_a_site_without_a_worker_answers(tmp_path: Path) -> None:
    """sw.js frees whoever has one; client.js is there for pages that import it; all else is not."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for host in ("plain.localhost", "off.localhost", "try--demo.localhost", "forged.localhost"):
            got = await fetch(node, "/.rim/sw.js", host)
            assert is_off(got), host
            assert (got.headers["service-worker-allowed"], got.headers["cache-control"]) == ("/", "no-cache")
            client = await fetch(node, "/.rim/client.js", host)
            assert (client.status, client.body) == (200, scripts.source("client.js"))
            assert client.headers["cache-control"] == "no-cache"
            assert (await fetch(node, "/.rim/client.d.ts", host)).headers["content-type"].startswith("text/plain")
            release = world.sites["demo"].live.release  # type: ignore[union-attr]
            for path in ("manifest.json", "workbox.json", "workbox.js", "elsewhere", "worker-0123456789ab.js"):
                gone = await fetch(node, f"/.rim/{path}", host)
                assert (gone.status, gone.headers["cache-control"]) == (404, "no-store"), (host, path)
            served = (await fetch(node, scripts.worker_path(), host)).status
            proved = (await fetch(node, f"/.rim/proof?path=/&release={release}", host)).status
            assert (served, proved) == ((200, 404) if host == "forged.localhost" else (404, 404))
        assert node.site_app.browsers.manifests.invalid == 1
        values = node.numbers.values()
        assert values["rim_browser_manifests_invalid_total"] == 1

    def set_up(world: World) -> None:
        world.publish("plain", FILES)
        publish(world, FILES, name="off")
        world.change("off", settings={"worker": "off"})
        release = world.sites["demo"].live
        assert release is not None
        world.change("demo", aliases={"try": Alias(release.release, 1, 0)})
        forged = publish(world, FILES, name="forged")
        word = replace(forged.signed[0], serial=forged.signed[0].serial + 1)  # the same signature over another serial
        world.change("forged", signed=(word,))

    play(tmp_path, act, set_up)


def test_a_deploy_is_told_as_a_difference(tmp_path: Path) -> None:
    """204 to who has the newest; from any kept release the difference, which makes the whole; from others the whole."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        old = world.sites["demo"].live.release  # type: ignore[union-attr]
        before = json.loads((await fetch(node, "/.rim/manifest.json")).body)
        none = await fetch(node, f"/.rim/manifest.json?since={old}")
        assert (none.status, none.headers["rim-serial"], none.headers["cache-control"]) == (204, "1000", "no-cache")
        made = node.site_app.browsers.manifests
        held = len(made._made)
        publish(world, NEXT, *(f"/{path}" for path in NEXT))
        await origin.serving(await origin.sign())
        assert (held, len(made._made)) == (1, 0), "it goes with the views that name it"
        got = await fetch(node, f"/.rim/manifest.json?since={old}")
        whole = json.loads((await fetch(node, "/.rim/manifest.json")).body)
        value = json.loads(got.body)
        entries = [entry for entry in before["entries"] if entry["path"] not in value["drop"]]
        for index, entry in value["put"]:
            entries.insert(index, entry)
        assert (value["since"], entries) == (str(old), whole["entries"])
        assert {key: value[key] for key in value if key not in ("since", "drop", "put")} == {
            key: whole[key] for key in whole if key != "entries"
        }
        assert len(got.body) < len(json.dumps(whole))
        for since in (world.store.release({}), "nonsense"):
            assert json.loads((await fetch(node, f"/.rim/manifest.json?since={since}")).body) == whole
        assert (await fetch(node, "/.rim/manifest.json?" + "a=1&" * 9)).status == 400
        assert stub_of(await fetch(node, "/.rim/sw.js"))["release"] == whole["release"]

    play(tmp_path, act)


def test_an_old_release_that_is_lost_keeps_nobody_back(tmp_path: Path) -> None:
    """The difference to it cannot be made: then it is the whole, and not an error for which a browser would stay with
    what it has."""
    old = list[CID]()

    def two(world: World) -> None:
        old.append(world.sites["demo"].live.release)  # type: ignore[union-attr]
        publish(world, NEXT)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        whole = await fetch(node, "/.rim/manifest.json")
        origin.lacking.add(Release.from_block(world.store.get(old[0])).index)
        got = await fetch(node, f"/.rim/manifest.json?since={old[0]}")
        assert (got.status, got.body) == (200, whole.body)

    play(tmp_path, act, two)


def test_the_list_for_workbox(tmp_path: Path) -> None:
    """URL, revision and integrity; hash-named files have no revision."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        told = (await fetch(node, "/.rim/workbox.json")).body
        script = await fetch(node, "/.rim/workbox.js")
        assert script.body == b"self.__WB_MANIFEST=" + told + b"\n"
        assert (script.headers["content-type"].partition(";")[0], script.headers["cache-control"]) == (
            "text/javascript",
            "no-cache",
        )
        rows = {row["url"]: row for row in json.loads(told)}
        assert set(rows) == set(PRECACHED)
        assert rows["/app-BQk3xY9z.js"]["revision"] is None
        assert len(rows["/index.html"]["revision"]) == 64
        assert all(row["integrity"].startswith("sha256-") for row in rows.values())

    play(tmp_path, act)


def test_a_proof_shows_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    """With the blocks of the CAR alone, and the Index that is signed, each candidate is found or is not."""
    many = {f"files/{number:04d}.txt": b"%d" % number for number in range(2_000)}

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        core = json.loads((await fetch(node, "/.rim/manifest.json?")).body)
        asked = {"/files/0815.txt": (True, False, False), "/docs": (False, True, False), "/nope": (False,) * 3}
        for path, there in asked.items():
            got = await fetch(node, f"/.rim/proof?path={path}&release={core['release']}")
            assert got.headers["content-type"] == "application/vnd.ipld.car; version=1"
            assert got.headers["cache-control"] == "public, max-age=31536000, immutable"
            roots, blocks = car.read(got.body)
            assert list(roots) == [CID.parse(core["index"])]
            held = {block.cid: block for block in blocks}
            found = [drive(tree.get(roots[0], name), held.__getitem__) for name in (path, f"{path}/index.html")]
            found.append(drive(tree.get(roots[0], f"{path}.html"), held.__getitem__))
            assert tuple(row is not None for row in found) == there
            assert len(held) < 12
        for query in ("path=nope", "path=/a%00", "path=/" + "a" * 1_024, "path=/%FF", "a=b", "&" * 9 + "path=/"):
            told = await fetch(node, f"/.rim/proof?{query}&release={core['release']}")
            assert (told.status, told.headers["cache-control"]) == (400, "no-store"), query
        assert (await fetch(node, "/.rim/proof?path=/&release=nonsense")).status == 400
        longest = await fetch(node, f"/.rim/proof?path=/{'a' * 1_023}&release={core['release']}")
        assert longest.status == 200
        assert (await fetch(node, f"/.rim/proof?path=/&release={world.store.release({})}")).status == 404

    def set_up(world: World) -> None:
        publish(world, {**FILES, **many}, *PRECACHED)

    play(tmp_path, act, set_up)


def test_a_purge_takes_the_proofs_of_old_releases(tmp_path: Path) -> None:
    """Of live they stay, as its files do; of a kept release, only what no floor covers is proved."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        old, new = world.sites["demo"].retained[1].release, world.sites["demo"].live.release  # type: ignore[union-attr]

        async def statuses() -> list[int]:
            paths = ("/docs/", "/style.css")
            urls = [f"/.rim/proof?path={path}&release={cid}" for cid in (old, new) for path in paths]
            return [(await fetch(node, url)).status for url in urls]

        assert await statuses() == [200] * 4
        world.purge("demo", "path", "/style.css")
        await origin.serving(await origin.sign())
        assert await statuses() == [200, 404, 200, 200]

    play(tmp_path, act, lambda world: publish(world, NEXT, *PRECACHED))


def test_who_is_in_a_rollout_gets_its_worker(tmp_path: Path) -> None:
    """Stub and manifest of what is rolled out, for him alone; a worker that has no name yet is given one by the
    manifest; `?release=` tells both apart, whoever asks."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        live, coming = (word.release for word in world.sites["demo"].signed)
        inside = {"Cookie": "rim_visitor=abcdefgh"}
        cases = (("sw.js", inside, coming), ("sw.js", {}, live), ("manifest.json", inside, coming))
        for path, headers, release in cases:
            got = await fetch(node, f"/.rim/{path}", **headers)
            assert str(release).encode() in got.body
            assert got.headers["cache-control"] == "private, no-cache"
            assert got.headers["vary"].endswith("Cookie")
        named = await fetch(node, f"/.rim/manifest.json?since={live}")
        assert named.cookies[0].startswith("rim_visitor=")
        assert json.loads(named.body)["release"] == str(coming)
        still = await fetch(node, f"/.rim/manifest.json?since={coming}", **inside)
        told = (still.status, still.headers["cache-control"], still.headers["vary"])
        assert told == (204, "private, no-cache", "Cookie")
        for release in (live, coming):
            got = await fetch(node, f"/.rim/manifest.json?release={release}")
            assert json.loads(got.body)["release"] == str(release)
        assert (await fetch(node, f"/.rim/proof?path=/&release={coming}")).status == 200

    play(tmp_path, act, lambda world: roll_out(world, NEXT, 10_000))


def test_a_worker_gets_the_files_of_its_release(tmp_path: Path) -> None:
    """Rim-Release: files of a kept release, privately; the newest's as for everybody, ready in memory; what is
    immutable shared by all. Nobody else's answer changes, whatever was asked before."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        old, new = (str(kept.release) for kept in reversed(world.sites["demo"].retained))
        ordinary = "public, max-age=0, must-revalidate"
        for _ in range(2):
            plain = await fetch(node, "/", Sec_Fetch_Mode="navigate")
            assert (plain.body, plain.headers["cache-control"]) == (NEXT["index.html"], ordinary)
            assert "rim-release" not in plain.headers.get("vary", "").lower()
            newest = await fetch(node, "/index.html", Rim_Release=new)
            assert (newest.body, newest.headers["cache-control"]) == (NEXT["index.html"], ordinary)
            kept = await fetch(node, "/index.html", Rim_Release=old)
            assert kept.body == FILES["index.html"]
            assert kept.headers["cache-control"] == "private, max-age=0, must-revalidate"
            assert kept.headers["vary"] == "Cookie, Rim-Release"
            code = await fetch(node, "/app-BQk3xY9z.js", Rim_Release=old)
            assert code.headers["cache-control"] == "public, max-age=31536000, immutable"
            page = await fetch(node, "/", Sec_Fetch_Mode="navigate", Rim_Release=old)
            assert page.body == NEXT["index.html"], "a navigation is never brought back"
            for nonsense in ("nonsense", str(world.store.release({})), ""):
                got = await fetch(node, "/index.html", Rim_Release=nonsense)
                assert got.body == NEXT["index.html"]
        assert (await fetch(node, "/more.css", Rim_Release=old)).status == 404
        assert (await fetch(node, "/more.css")).status == 200
        moved = await fetch(node, "/docs", Rim_Release=old)
        assert (moved.status, moved.headers["cache-control"]) == (308, "private, max-age=0, must-revalidate")
        again = await fetch(node, "/index.html", Rim_Release=new)
        assert again.outcome == "memory"

    play(tmp_path, act, lambda world: publish(world, NEXT, *PRECACHED))


def test_a_cache_in_front_that_may_answer_looks_at_the_release(tmp_path: Path) -> None:
    """Where a rule gives a page a life of its own, its Vary names Rim-Release; in no other case."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        fresh = await fetch(node, "/docs/")
        assert (fresh.headers["cache-control"], fresh.headers["vary"]) == ("public, max-age=600", "Rim-Release")
        for path in ("/", "/style.css", "/app-BQk3xY9z.js"):
            assert "rim-release" not in (await fetch(node, path)).headers.get("vary", "").lower()

    def set_up(world: World) -> None:
        headers = [["/docs/*", [["Cache-Control", "public, max-age=600"]], 1]]
        publish(world, FILES, *PRECACHED, headers=headers)

    play(tmp_path, act, set_up)


def test_methods_and_admission_are_those_of_files(tmp_path: Path) -> None:
    """HEAD, OPTIONS, 405; a site that must not be served so long without its origin; one that is denied; a preview that
    asks for its password, and one that has ended."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for path in ("/.rim/sw.js", "/.rim/manifest.json", "/.rim/client.js"):
            async with wire(node) as connection:
                got, head = await connection.get(path), await connection.get(path, "HEAD")
                assert (got.status, head.status, head.body) == (200, 200, b"")
                for name in ("etag", "content-length", "cache-control"):
                    assert got.headers[name] == head.headers[name]
                assert (await connection.get(path, "OPTIONS")).headers["allow"] == "GET, HEAD, OPTIONS"
                assert (await connection.get(path, "POST")).status == 405
        stale = [(await fetch(node, f"/.rim/{name}", "stale.localhost")).status for name in ("sw.js", "manifest.json")]
        assert stale == [503, 503]
        assert (await fetch(node, "/.rim/sw.js", "try--demo.localhost")).status == 401
        ended = await fetch(node, "/.rim/client.js", "gone--demo.localhost")
        assert (ended.status, ended.headers["rim-reason"]) == (404, "preview-ended")
        denied = await fetch(node, "/.rim/manifest.json", "denied.localhost")
        assert (denied.status, denied.headers["rim-reason"]) == (410, "denied")
        assert is_off(await fetch(node, "/.rim/sw.js", "denied.localhost"))

    def set_up(world: World) -> None:
        publish(world, FILES, name="stale")
        world.change("stale", settings={"max_stale": -1})
        publish(world, FILES, name="denied")
        world.deny("/ipns/denied.localhost")
        live = world.sites["demo"].live
        assert live is not None
        secret = str(Password.make("secret", b"saltsalt"))
        world.change(
            "demo",
            aliases={"try": Alias(live.release, 1, 0, password=secret), "gone": Alias(live.release, 1, 0, expires=1)},
        )

    play(tmp_path, act, set_up)


def test_a_block_that_cannot_be_had_is_no_reason_to_end_a_worker(tmp_path: Path) -> None:
    """504 for the stub and the list: a browser keeps what it has. As soon as the block is there, they are."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        live = world.sites["demo"].live
        assert live is not None
        index = Release.from_block(world.store.get(live.release)).index
        origin.lacking.add(index)
        for path in ("sw.js", "manifest.json", "workbox.json"):
            got = await fetch(node, f"/.rim/{path}")
            assert (got.status, got.headers["cache-control"]) == (502, "no-store")
        origin.lacking.clear()
        node.loader._absent.clear()
        assert stub_of(await fetch(node, "/.rim/sw.js"))["site"] == "demo"

    play(tmp_path, act)


def test_what_is_made_is_made_once_and_bounded(tmp_path: Path) -> None:
    """A hundred who ask at once for what takes long share one making; the memory of it has an end."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        made = node.site_app.browsers.manifests
        got = await asyncio.gather(*(fetch(node, "/.rim/manifest.json") for _ in range(100)))
        assert {answer.status for answer in got} == {200}
        assert made._flight.started == 1
        whole = made.bytes
        made._room = whole + 1
        await fetch(node, "/.rim/workbox.json")
        assert (len(made._made), made.bytes <= made._room) == (1, True)
        assert (await fetch(node, "/.rim/manifest.json")).body == got[0].body

    play(tmp_path, act)


def test_a_thousand_entries_hold_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest manifest there can be is coded in a thread: others are answered while that lasts."""
    many = {f"files/{number:04d}.txt": b"%d" % number for number in range(1_000)}
    answered = threading.Event()
    compress = brotli.compress

    def held(data: bytes, mode: int, quality: int) -> bytes:
        assert answered.wait(60)
        return bytes(compress(data, mode, quality))

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async with wire(node) as first, wire(node) as second:
            monkeypatch.setattr(brotli, "compress", held)
            await first.send(first.request("/.rim/manifest.json", "GET", {"Accept-Encoding": "br"}))
            for path in ("/index.html", "/docs/", "/late.txt"):
                assert (await second.get(path)).status == 200
            answered.set()
            got = await first.read()
            assert len(json.loads(brotli.decompress(got.body))["entries"]) == 1_000
            assert len((await second.get("/.rim/sw.js")).body) < 300, "it does not grow with the files"

    play(tmp_path, act, lambda world: publish(world, {**FILES, **many}, *(f"/{path}" for path in many)))


def test_who_names_an_old_release_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kept release is a difference of its own, and anybody may name them all: few are begun at a time, one is
    thought about at a time, and who comes while they wait gets the whole."""
    go, releases, thinking = threading.Event(), list[CID](), list[int]()
    difference = manifest.difference
    count = QUEUE + 3

    def held(*told: Any) -> bytes:
        thinking.append(1)
        assert go.wait(60)
        assert len(thinking) == 1
        thinking.clear()
        return difference(*told)

    def many(world: World) -> None:
        for number in range(count):
            releases.append(publish(world, {**NEXT, "index.html": b"home %d" % number}).live.release)  # type: ignore[union-attr]
        publish(world, NEXT)

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        whole = await fetch(node, "/.rim/manifest.json")
        monkeypatch.setattr(manifest, "difference", held)
        asked = {asyncio.ensure_future(fetch(node, f"/.rim/manifest.json?since={cid}")) for cid in releases}
        done: set[asyncio.Future[Got]] = set()
        while len(done) < count - QUEUE:
            some, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=60)
            assert some
            done |= some
        assert {task.result().body for task in done} == {whole.body}
        go.set()
        told = [json.loads((await task).body) for task in asked]
        assert len({value["since"] for value in told}) == QUEUE

    play(tmp_path, act, many)


def test_a_link_to_far_away_is_listed(tmp_path: Path) -> None:
    """Its target lies in a node of the Index that no listed path leads to."""
    many: dict[str, File] = {f"files/{number:04d}.txt": b"%d" % number for number in range(2_000)}

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        core = json.loads((await fetch(node, "/.rim/manifest.json")).body)
        assert [(entry["path"], entry["size"]) for entry in core["entries"]] == [("/aa.txt", 4)]

    play(tmp_path, act, lambda world: publish(world, {**many, "aa.txt": "files/1999.txt"}, "/aa.txt"))


def test_explain_tells_of_the_worker(tmp_path: Path) -> None:
    """Its serial, and whether the path is stored ahead; nothing of it where there is none."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        told = await node.explainer.explain("http://demo.localhost/style.css")
        assert told["worker"] == {"serial": 1_000, "files": 3, "precached": True}
        assert (await node.explainer.explain("http://demo.localhost/late.txt"))["worker"]["precached"] is False
        told = await node.explainer.explain("http://demo.localhost/.rim/sw.js")
        assert ("status" in told, told["why"].startswith("paths below /.rim/")) == (False, True)
        assert "worker" not in await node.explainer.explain("http://plain.localhost/style.css")

    play(tmp_path, act, lambda world: world.publish("plain", FILES))
