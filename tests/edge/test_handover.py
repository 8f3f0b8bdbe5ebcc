"""Hot blocks change hands: from an edge that leaves to those who own them next, and to one that joins.

Actors: a ring of edges in one process, an origin that counts, a neighbour that never answers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from content.cid import CID, RAW
from content.limits import MiB
from edge.control import handover
from edge.leaving import leave
from edge.node import Node
from edge.peers.ring import Member
from tests.edge.control.test_admin import ask
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.test_node import ring_of
from tests.edge.wire import config_of, fetch, running

FILES = {f"file-{n}.txt": b"file %d" % n * 40 for n in range(40)}
CIDS = {path: CID.of(RAW, body) for path, body in FILES.items()}


def world() -> World:
    made = World()
    made.publish("demo", dict(FILES))
    made.sign()
    return made


def owned(node: Node) -> list[str]:
    """The files whose block this node owns."""
    order = node.loader.ring.order
    return [path for path, cid in CIDS.items() if order(cid.store_key, "eu")[0].name == node.config.name]


def test_who_leaves_hands_over(tmp_path: Path) -> None:
    """What it owned and was asked for lies at its successor when it has gone: nobody asks the origin for it again."""

    async def run() -> None:
        origin = await TinyOrigin(world()).start()
        configs = ring_of(tmp_path, origin, ("eu", "eu"))
        async with running(configs[0]) as stays, running(configs[1]) as leaves:
            for path, body in FILES.items():
                assert (await fetch(leaves, f"/{path}")).body == body
            held = [path for path in owned(leaves) if CIDS[path] not in stays.memory]
            assert held, "each of two owns some"
            before = dict(origin.asked)
            await leave(leaves, asyncio.Event())
            for path in held:
                assert (await fetch(stays, f"/{path}")).body == FILES[path]
            assert {path: origin.asked[str(CIDS[path])] for path in held} == {
                path: before[str(CIDS[path])] for path in held
            }
            assert stays.numbers.values()["rim_handover_blocks_total"] == {"handover": len(held)}
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_who_joins_is_warm(tmp_path: Path) -> None:
    """Before it says that it is ready it has what is hot at its neighbour and is to be its own."""

    async def run() -> None:
        origin = await TinyOrigin(world()).start()
        configs = ring_of(tmp_path, origin, ("eu", "eu"))
        async with running(configs[0]) as first:
            for path in FILES:
                await fetch(first, f"/{path}")
            before = dict(origin.asked)
            async with running(configs[1]) as joins:
                mine = owned(joins)
                assert mine
                assert all(CIDS[path] in joins.memory for path in mine)
                assert joins.numbers.values()["rim_handover_blocks_total"] == {"join": len(mine)}
                for path in mine:
                    assert (await fetch(joins, f"/{path}")).body == FILES[path]
                assert {path: origin.asked[str(cid)] for path, cid in CIDS.items() if path in mine} == {
                    path: before[str(CIDS[path])] for path in mine
                }
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_silent_neighbours_do_not_keep_it_from_joining(tmp_path: Path) -> None:
    """One takes connections and says nothing, one is not there: it waits for the first as long as it waits at most."""

    async def run() -> None:
        origin = await TinyOrigin(world()).start()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            peers = (Member("silent", f"http://127.0.0.1:{port}"), Member("absent", "http://127.0.0.1:9"))
            begun = time.monotonic()
            async with running(config_of(tmp_path, origin, peers=peers)) as node:
                assert time.monotonic() - begun >= handover.ASK_WITHIN
                assert (await ask(node, "/readyz")).status == 200
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("body", [b"[" * 100_000, b'"' + b"x" * 64 * MiB], ids=["deep", "endless"])
def test_a_neighbour_that_says_nonsense_keeps_nobody_from_joining(tmp_path: Path, body: bytes) -> None:
    """Lists in lists without end are no answer, and what is longer than any answer is not read to its end."""
    taken = 0

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            for start in range(0, len(body), MiB):
                writer.write(body[start : start + MiB])
                await writer.drain()
                taken += MiB * (b"/hot" in head)
        writer.close()

    async def run() -> None:
        origin = await TinyOrigin(world()).start()
        server = await asyncio.start_server(say, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        peers = (Member("nonsense", f"http://127.0.0.1:{port}"),)
        async with running(config_of(tmp_path, origin, peers=peers)) as node:
            assert (await ask(node, "/readyz")).status == 200
            assert taken <= 32 * MiB, "as much as lies in sockets, and no more"
        server.close()
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_the_questions_of_members(tmp_path: Path) -> None:
    """What is hot for a newcomer; a word about blocks is believed of known members only, and asks for content only."""

    async def run() -> None:
        origin = await TinyOrigin(world()).start()
        configs = ring_of(tmp_path, origin, ("eu", "eu"))
        async with running(configs[0]) as node:
            for path in FILES:
                await fetch(node, f"/{path}")
            told = await ask(node, "/api/v1/hot?for=new&region=eu&weight=1&limit=3")
            assert len(json.loads(told.body)["keys"]) == 3
            alone = await ask(node, "/api/v1/hot?for=new&region=us")
            assert {CID.parse(key) for key in json.loads(alone.body)["keys"]} >= set(CIDS.values())
            rebound = await ask(node, "/api/v1/hot?for=new&region=us", Host="evil.example")
            assert rebound.status == 403, "what lies here is for no page of another site to list"
            for wrong in ("?region=eu", "?for=new&region=eu&weight=none", "?for=new&region=eu&weight=0"):
                assert (await ask(node, f"/api/v1/hot{wrong}")).status == 400
            plain = {"Content_Type": "application/json"}
            word = json.dumps({"node": "stranger", "keys": [str(CIDS["file-1.txt"])]}).encode()
            assert (await ask(node, "/api/v1/handover", "POST", word, **plain)).status == 404
            assert (await ask(node, "/api/v1/handover", "POST", b"[]", **plain)).status == 400
            many = json.dumps({"node": "edge-2", "keys": ["x"] * (handover.KEYS + 1)}).encode()
            assert (await ask(node, "/api/v1/handover", "POST", many, **plain)).status == 413
            junk = json.dumps({"node": "edge-2", "keys": ["x", 7, None]}).encode()
            got = await ask(node, "/api/v1/handover", "POST", junk, **plain)
            assert (got.status, json.loads(got.body)) == (200, {"pulled": 0})
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
