"""The private listener: blocks for peers, numbers for operators, and who may have what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID, DAG_PB, RAW
from edge.config import BadSetting
from edge.node import Node
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import Got, Wire, edge, fetch, wire

Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOME = CID.of(RAW, b"home")


def play(folder: Path, act: Play, **fields: Any) -> None:
    async def run() -> None:
        world = World()
        world.publish("demo", {"index.html": b"home"})
        async with edge(folder, world, **fields) as (node, origin):
            await origin.serving(world.sequence)
            await act(node, origin, world)

    asyncio.run(asyncio.wait_for(run(), 60))


async def ask(node: Node, path: str, method: str = "GET", body: bytes = b"", /, **headers: str) -> Got:
    """One request to the private listener."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        named["Content-Length"] = str(len(body))
    async with wire(node, "127.0.0.1", private=True) as c:
        await c.send(c.request(path, method, named) + body)
        return await c.read(method)


def test_a_block_for_a_peer(tmp_path: Path) -> None:
    """Raw bytes with tag, type and the sequence; HEAD as GET; by any spelling of the CID."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for name in (str(HOME), str(CID.of(DAG_PB, b"home"))):
            got = await ask(node, f"/ipfs/{name}?format=raw", Rim_Tier="1", CDN_Loop='rim; node="other"')
            assert (got.status, got.body) == (200, b"home")
            assert got.headers["content-type"] == "application/vnd.ipld.raw"
            assert got.headers["etag"] == f'"{name}.raw"'
            assert got.headers["rim-sequence"] == str(world.sequence)
            assert "immutable" in got.headers["cache-control"]
        head = await ask(node, f"/ipfs/{HOME}", "HEAD", Accept="application/vnd.ipld.raw")
        assert (head.status, head.headers["content-length"]) == (200, "4")

    play(tmp_path, act)


def test_only_what_is_held(tmp_path: Path) -> None:
    """`only-if-cached`: memory and disk, then 504; nobody is asked."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        path = f"/ipfs/{HOME}?format=raw"
        assert (await ask(node, path, Cache_Control="only-if-cached")).status == 504
        assert origin.asked[str(HOME)] == 0
        await fetch(node, "/")
        assert (await ask(node, path, Cache_Control="only-if-cached")).body == b"home"

    play(tmp_path, act)


REFUSED = [
    ("a loop", f"/ipfs/{HOME}?format=raw", {"CDN_Loop": 'x, rim; node="edge-1"'}, 508),
    ("too long a way", f"/ipfs/{HOME}?format=raw", {"CDN_Loop": ", ".join(f'rim; node="{n}"' for n in "abcd")}, 508),
    ("no CID", "/ipfs/nonsense?format=raw", {}, 400),
    ("an identity CID", "/ipfs/bafkqaaa?format=raw", {}, 400),
    ("another format", f"/ipfs/{HOME}?format=tar", {}, 406),
    ("no format", f"/ipfs/{HOME}", {}, 406),
    ("a strange tier", f"/ipfs/{HOME}?format=raw", {"Rim_Tier": "0"}, 400),
    ("a block that is nowhere", f"/ipfs/{CID.of(RAW, b'nowhere')}?format=raw", {}, 404),
    ("no such path", "/ipfs/", {}, 404),
    ("a record that is not held", "/ipns/x", {}, 504),
    ("a site", "/index.html", {}, 404),
]


@pytest.mark.parametrize(("path", "headers", "status"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(tmp_path: Path, path: str, headers: dict[str, str], status: int) -> None:
    """What is not served here, with the status that says why."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        assert (await ask(node, path, **headers)).status == status

    play(tmp_path, act)


TOKENS = [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer "}]


@pytest.mark.parametrize("headers", TOKENS)
def test_control_needs_the_token(tmp_path: Path, headers: dict[str, str]) -> None:
    """Catalog, Site, Release, Index, status and explain: 401 without the node token, on loopback too, and by no other
    codec of the same bytes; never at all on the public listener."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        view = node.router.sites["demo"]
        assert view.live is not None
        for cid in (world.catalog_cid, view.epoch, view.live.cid, view.live.release.index):
            path = f"/ipfs/{cid}?format=raw"
            assert (await ask(node, path, **headers)).status == 401
            assert (await ask(node, path, Cache_Control="only-if-cached", **headers)).status == 401
            assert (await ask(node, path, **BEARER)).status == 200
            other = CID.from_bytes(bytes((1, RAW)) + cid.multihash)
            assert (await ask(node, f"/ipfs/{other}?format=raw", **headers)).status == 404
            assert (await fetch(node, path)).status == 404
        assert (await ask(node, "/api/v1/status", **headers)).status == 401
        assert (await ask(node, "/api/v1/explain", "POST", b"{}", **headers)).status == 401

    play(tmp_path, act)


def test_health_and_numbers(tmp_path: Path) -> None:
    """Alive, ready, and every number under its name."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for _ in range(2):
            await fetch(node, "/")
        assert (await ask(node, "/healthz")).body == b"ok\n"
        assert (await ask(node, "/readyz")).status == 200
        text = (await ask(node, "/metrics")).body.decode()
        assert 'rim_requests_total{outcome="hit"} 1.0' in text
        assert 'rim_requests_total{outcome="fill"} 1.0' in text
        assert f"rim_head_sequence {float(world.sequence)}" in text
        status = json.loads((await ask(node, "/api/v1/status", **BEARER)).body)
        assert (status["name"], status["sequence"]) == ("edge-1", world.sequence)
        assert status["sites"]["demo"]["live"] is not None
        assert status["memory"]["bytes"] > 0

    play(tmp_path, act)


EXPLAINED = [
    ("http://demo.localhost:8080/", 200, "a published file"),
    ("http://demo.localhost/nope", 404, "no release"),
    ("http://demo.localhost/%2e%2e", 400, "dot segments"),
    ("http://other.localhost/", 421, "no site"),
]


@pytest.mark.parametrize(("url", "status", "why"), EXPLAINED)
def test_explain(tmp_path: Path, url: str, status: int, why: str) -> None:
    """What would be answered, and why, as JSON."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        body = json.dumps({"url": url}).encode()
        got = await ask(node, "/api/v1/explain", "POST", body, Content_Type="application/json", **BEARER)
        told = json.loads(got.body)
        assert (got.status, told["status"]) == (200, status)
        assert why in told["why"]

    play(tmp_path, act)


BROWSERS: list[tuple[str, dict[str, str], int]] = [
    ("another Host", {"Host": "evil.example"}, 403),
    ("another Origin", {"Origin": "https://evil.example"}, 403),
    ("a form", {"Content_Type": "text/plain"}, 415),
    ("its own Origin", {"Origin": "http://127.0.0.1"}, 200),
]


@pytest.mark.parametrize(("headers", "status"), [c[1:] for c in BROWSERS], ids=[c[0] for c in BROWSERS])
def test_browsers_of_other_sites(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    """DNS rebinding and forms do not reach an admin route, though they bear the token."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        fields = {"Content_Type": "application/json", **BEARER, **headers}
        body = b'{"url": "http://demo.localhost/"}'
        assert (await ask(node, "/api/v1/explain", "POST", body, **fields)).status == status

    play(tmp_path, act)


BODIES = [b"", b"{", b"[]", b"{}", b'{"url": 5}', b'{"url": "x"}', b"[" * 50_000]


@pytest.mark.parametrize("body", BODIES, ids=[str(body[:12]) for body in BODIES])
def test_bad_bodies(tmp_path: Path, body: bytes) -> None:
    """What is no question is 400, and a body above 64 KiB is 413."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        fields = {"Content_Type": "application/json", **BEARER}
        assert (await ask(node, "/api/v1/explain", "POST", body, **fields)).status == 400
        assert (await ask(node, "/api/v1/explain", "POST", b" " * (64 * 1024 + 1), **fields)).status == 413

    play(tmp_path, act)


def test_off_loopback_everything_needs_the_token(tmp_path: Path) -> None:
    """On any address that is not loopback's, blocks and metrics too are for nodes only; without a token no start."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        port = int(node.private_url.rpartition(":")[2])
        paths = {f"/ipfs/{HOME}?format=raw": False, "/metrics": False, "/healthz": True, "/readyz": True}
        paths["/api/v1/member"] = False
        for path, open_to_all in paths.items():
            for headers, allowed in (({}, open_to_all), (BEARER, True)):
                c = Wire(*await asyncio.open_connection("127.0.0.1", port), "127.0.0.1")
                await c.send(c.request(path, headers=headers))
                assert ((await c.read()).status == 200) is allowed, path
                c.close()
        with pytest.raises(BadSetting, match="token"):
            replace(node.config, token=None)

    play(tmp_path, act, private="0.0.0.0:0")
