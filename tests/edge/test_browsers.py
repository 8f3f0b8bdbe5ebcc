"""Below /.rim/ of a site, over the wire: what a visitor's browser gets, and when it gets nothing."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from content import manifest
from edge.node import Node
from edge.site.browser import scripts
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Got, edge, fetch
from tests.edge.workers import publish

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
        assert [entry["path"] for entry in core["entries"]] == sorted(PRECACHED)
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
