"""Edges that find each other, on real sockets: through the origin's register, by addresses, by a service, by a list.

Actors: the real origin in a thread, or the small one; nodes in this process; a real DNS server. The times of register
and roster are shortened, so that what takes 15 s takes one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID, RAW
from edge.config import EdgeConfig
from edge.node import Node
from edge.peers.finding import Finding, Way
from edge.peers.members import LIE
from edge.peers.ring import Member
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import World
from tests.edge.test_node import PROGRAM, line_of
from tests.edge.wire import config_of, fetch, running
from tests.kit.dns import dns_server
from tests.kit.nodes import free_port
from tests.origin.play import Client, make, origin, parts

FILES = {f"file-{number}.txt": b"%d" % number * 40 for number in range(40)}
KEYS = [CID.of(RAW, body).store_key for body in FILES.values()]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes tenths."""
    register = "origin.register"
    monkeypatch.setattr(f"{register}.GONE_SECONDS", 2.0)
    monkeypatch.setattr(f"{register}.HEARD_SECONDS", 0.1)
    monkeypatch.setattr(f"{register}.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("edge.control.roster.registered.WAIT", 0.6)
    monkeypatch.setattr("edge.control.roster.registered.REST", 0.05)
    monkeypatch.setattr("edge.control.roster.roster.LEAST", 0.05)
    monkeypatch.setattr("edge.control.roster.roster.FIRST_BACKOFF", 0.1)
    monkeypatch.setattr("edge.control.roster.making.SPREAD", 0.0)
    monkeypatch.setattr("edge.control.roster.addressed.TROUBLED", 0.3)
    monkeypatch.setattr("edge.control.roster.addressed.LEAST", 0.3)


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The register is believed soon, not after 20 s."""
    monkeypatch.setattr("edge.control.roster.registered.YOUNG", 0.5)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def published(tmp_path: Path, port: int, aged: None) -> Iterator[Client]:
    """The real origin with a site."""
    with origin(tmp_path / "origin", listen=f"127.0.0.1:{port}") as client:
        client.publish("demo", make(FILES))
        yield client


def joining(folder: Path, client: Client, name: str, token: str, **fields: Any) -> EdgeConfig:
    """An edge that joins through the origin."""
    given: dict[str, Any] = {
        "name": name,
        "state": folder / name,
        "origin": client.url,
        "catalog": (client.ok("GET", "/api/v1/status")["catalog"],),
        "token": token,
        "public": "127.0.0.1:0",
        "finding": Finding(Way.ORIGIN),
        "cache_bytes": 1 << 28,
        "memory_bytes": 1 << 26,
    }
    return EdgeConfig(**{**given, **fields})


async def comes(what: str, so: Callable[[], Any]) -> None:
    """Wait until it is so: for what other nodes tell, which say nothing here."""
    try:
        async with asyncio.timeout(40):
            while not so():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited for: {what}")


def names(node: Node) -> list[str]:
    return [member.name for member in node.loader.ring.members]


def owners(node: Node) -> list[str]:
    """The owner of each key, as this node has it."""
    return [node.loader.ring.order(key, node.config.region)[0].name for key in KEYS]


@asynccontextmanager
async def all_running(*configs: EdgeConfig) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(config)) for config in configs]


async def serves_all(*nodes: Node) -> None:
    """Every file from every edge is right."""
    for node in nodes:
        answers = await asyncio.gather(*(fetch(node, f"/{path}") for path in FILES))
        assert [answer.body for answer in answers] == list(FILES.values())


def test_an_edge_joins_through_the_origin_takes_its_share_and_leaves(tmp_path: Path, published: Client) -> None:
    """Two edges, a third comes: all agree on who owns what, nothing moves between the two, and it has its part; when it
    drains it owns nothing, and its goodbye takes it out."""

    async def run() -> None:
        token = published.make_token("edge")
        configs = [joining(tmp_path, published, f"edge-{number}", token) for number in (1, 2, 3)]
        async with all_running(*configs[:2]) as (a, b):
            await comes("two in both rings", lambda: names(a) == names(b) == ["edge-1", "edge-2"])
            before = owners(a)
            assert before == owners(b)
            async with running(configs[2]) as c:
                three = ["edge-1", "edge-2", "edge-3"]
                await comes("three in all rings", lambda: names(a) == names(b) == names(c) == three)
                after = owners(a)
                assert after == owners(b) == owners(c)
                moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
                assert {new for _, new in moved} == {"edge-3"}
                assert 0 < len(moved) < len(KEYS) * 2 // 3
                await serves_all(a, b, c)
                rows = published.ok("GET", "/api/v1/edges")["edges"]
                assert [(row["node"], row["state"], row["weight"]) for row in rows] == [
                    (name, "ready", 1.0) for name in three
                ]
                assert all(row["version"] for row in rows)
                c.drain()
                await comes("it is out of the others' rings", lambda: names(a) == names(b) == three[:2])
                assert [member.name for member in a.loader.sources.holding] == ["edge-3"], "and gives what it holds"
                await serves_all(a, c)
            await comes("the third is gone", lambda: names(a) == names(b) == ["edge-1", "edge-2"])
            assert owners(a) == before

    asyncio.run(asyncio.wait_for(run(), 120))


def test_a_killed_edge_is_gone_when_it_was_silent_for_long_enough(tmp_path: Path, published: Client) -> None:
    """SIGKILL: no goodbye; the register takes it out."""

    async def run() -> None:
        token = published.make_token("edge")
        config = joining(tmp_path, published, "edge-1", token)
        flags = {"name": "edge-2", "state": str(tmp_path / "edge-2"), "origin": published.url, "peers": "origin"}
        flags |= {"catalog": config.catalog[0], "public": "127.0.0.1:0", "memory": "64M", "cache": "64M", "json": "yes"}
        async with running(config) as node:
            child = await started(flags, token)
            try:
                await comes("it is in the ring", lambda: names(node) == ["edge-1", "edge-2"])
            finally:
                child.send_signal(signal.SIGKILL)
                await asyncio.to_thread(child.wait, 30)
                child.stdout.close()
            await comes("it is gone", lambda: names(node) == ["edge-1"])

    asyncio.run(asyncio.wait_for(run(), 120))


async def started(flags: dict[str, str], token: str) -> Any:
    """`serve` in a process of its own, once it is ready."""
    command = [sys.executable, "-c", PROGRAM, *(f"{name}={value}" for name, value in flags.items())]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "RIM_NODE_TOKEN": token})
    await line_of(child)
    return child


def test_an_origin_that_restarts_or_is_away_changes_no_ring(tmp_path: Path, port: int) -> None:
    """Rings are as they were while it is down, when it is back and knows nobody yet, not even from its disk, and
    later; also at an edge that starts meanwhile."""

    async def run() -> None:
        with origin(tmp_path / "origin", listen=f"127.0.0.1:{port}") as client:
            client.publish("demo", make(FILES))
            token = client.make_token("edge")
            configs = [joining(tmp_path, client, f"edge-{number}", token) for number in (1, 2)]
            stack = AsyncExitStack()
            a, b = [await stack.enter_async_context(running(config)) for config in configs]
            both = ["edge-1", "edge-2"]
            await comes("two in both rings", lambda: names(a) == names(b) == both)
            changes = a.roster.changes, b.roster.changes
            errors = a.roster.errors
        async with stack:
            await comes("the origin is missed", lambda: a.roster.errors > errors and b.roster.errors)
            assert names(a) == names(b) == both
            await b.stop()
            async with running(configs[1]) as again:
                assert names(again) == both, "from disk"
                with origin(tmp_path / "origin", listen=f"127.0.0.1:{port}") as client:
                    register = parts(client).register
                    await comes("both are known again", lambda: len(register.members) == 2)
                    await comes("its word has come", lambda: not a.roster.trouble and not again.roster.trouble)
                    assert names(a) == names(again) == both
                    assert a.roster.changes <= changes[0] + 1  # the other has another port

    asyncio.run(asyncio.wait_for(run(), 120))


@pytest.mark.parametrize("way", [Way.DNS, Way.SRV])
def test_edges_find_each_other_by_dns(tmp_path: Path, way: Way, port: int) -> None:
    """Addresses at one port, or targets with ports of their own, as a headless service has them: who is there joins,
    who is taken out of DNS leaves, and DNS that fails changes nothing."""

    async def run() -> None:
        world = World()
        world.publish("demo", dict(FILES))
        world.sign()
        small = await TinyOrigin(world).start()
        with dns_server() as zone:
            finding = Finding(way, name="edges.example" if way is Way.DNS else "_rim._tcp.edges.example")
            finding = replace(finding, port=port if way is Way.DNS else 0)

            def tell(*hosts: str) -> None:
                zone.more["edges.example", "A"] = list(hosts)
                rows = [f"0 50 {port} pod-{host.rpartition('.')[2]}.edges.example." for host in hosts]
                zone.more["_rim._tcp.edges.example", "SRV"] = rows
                for host in hosts:
                    zone.more[f"pod-{host.rpartition('.')[2]}.edges.example", "A"] = [host]

            configs = [
                config_of(
                    tmp_path,
                    small,
                    f"edge-{number}",
                    private=f"127.0.0.{number}:{port}",
                    finding=finding,
                    resolvers=(zone.address,),
                )
                for number in (2, 3)
            ]
            tell("127.0.0.2", "127.0.0.3")
            zone.ttl = 1
            async with all_running(*configs) as (a, b):
                both = ["edge-2", "edge-3"]
                await comes("both in both rings", lambda: names(a) == names(b) == both)
                assert owners(a) == owners(b)
                assert set(owners(a)) == set(both)
                await serves_all(a, b)
                asked = finding.name
                zone.faults[asked] = "servfail"
                errors = a.roster.errors
                await comes("DNS failed", lambda: a.roster.errors > errors)
                assert names(a) == both
                del zone.faults[asked]
                tell("127.0.0.2")
                await comes("one has left", lambda: names(a) == ["edge-2"])
                assert {member.name for member in b.loader.ring.members} >= {"edge-3"}, "oneself is always in"
        await small.stop()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_a_list_with_a_wrong_name_for_oneself(tmp_path: Path, port: int) -> None:
    """The edge finds out that it is its own peer, takes it out of its ring, and right bytes came all along. What nodes
    say of themselves is open on loopback, and no more than that."""

    async def run() -> None:
        world = World()
        world.publish("demo", dict(FILES))
        world.sign()
        small = await TinyOrigin(world).start()
        ports = [port, free_port()]
        alias, b = (Member(name, f"http://127.0.0.1:{at}") for name, at in zip(("alias", "edge-2"), ports, strict=True))
        configs = [
            config_of(tmp_path, small, f"edge-{number}", private=f"127.0.0.1:{at}", peers=(alias, b))
            for number, at in zip((1, 2), ports, strict=True)
        ]
        async with all_running(*configs) as (one, two):
            await serves_all(one, two)
            await comes("it knows itself", lambda: names(one) == ["edge-1", "edge-2"])
            assert names(two) == ["alias", "edge-2"], "the list is the list"
            await serves_all(one, two)
            async with one.client.session.get(f"{two.private_url}/api/v1/member") as response:
                told = json.loads(await response.read())
            assert told.pop("version")
            assert told == {
                "name": "edge-2", "region": "local", "weight": 1.0, "state": "ready", "wire": 1,
                "key": two.identity.public,
            }  # fmt: skip
        await small.stop()

    asyncio.run(asyncio.wait_for(run(), 120))


def test_who_is_ejected_comes_back_by_a_probe(tmp_path: Path, port: int) -> None:
    """No visitor asks for anything meanwhile; metrics and status tell of it."""

    async def run() -> None:
        world = World()
        world.publish("demo", dict(FILES))
        world.sign()
        small = await TinyOrigin(world).start()
        ports = [port, free_port()]
        peers = tuple(Member(f"edge-{n + 1}", f"http://127.0.0.1:{at}") for n, at in enumerate(ports))
        configs = [
            config_of(tmp_path, small, member.name, private=member.url.removeprefix("http://"), peers=peers)
            for member in peers
        ]
        async with all_running(*configs) as (a, _):
            a.members.failure("edge-2", LIE)
            assert a.numbers.values()["rim_peer_state"] == {("edge-2", "ejected"): 1.0}
            await comes("a probe has let it back", lambda: not a.members.ejected())
            assert a.probes.sent == 1
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with a.client.session.get(f"{a.private_url}/api/v1/status", headers=headers) as response:
                (row,) = json.loads(await response.read())["members"]
            assert (row["name"], row["state"], row["health"]) == ("edge-2", "ready", "well")
        await small.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
