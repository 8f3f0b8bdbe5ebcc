"""A node as a process and as an object: its start, its end, its folder and its ring."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID, RAW
from edge.cache.loader import Loader
from edge.config import EdgeConfig
from edge.http.listener import BindError, bind
from edge.node import Node
from edge.peers.client import Budgets
from edge.peers.ring import Member
from edge.state import State, StateError
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import config_of, edge, fetch, running, wire

PROGRAM = """
import os, sys
from edge.config import read
from edge.processes.start import serve
flags = dict(arg.split("=", 1) for arg in sys.argv[1:])
sys.exit(serve(read(flags, os.environ)))
"""


@contextmanager
def process(folder: Path, world: World, origin: str, **flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """`serve` in a process of its own."""
    given = {"name": "edge-1", "state": str(folder / "edge-1"), "origin": origin, "catalog": world.name}
    given |= {"public": "127.0.0.1:0", "memory": "64M", "cache": "256M", "json": "yes", **flags}
    command = [sys.executable, "-c", PROGRAM, *(f"{name}={value}" for name, value in given.items())]
    env = {**os.environ, "RIM_NODE_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as child:
        try:
            yield child
        finally:
            child.kill()


async def line_of(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The line that says it is ready."""
    assert child.stdout is not None
    line = await asyncio.to_thread(child.stdout.readline)
    told: dict[str, Any] = json.loads(line)
    return told


def world_of(body: bytes = b"home") -> World:
    world = World()
    world.publish("demo", {"index.html": body})
    world.sign()
    return world


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_from_start_to_end(tmp_path: Path, number: signal.Signals) -> None:
    """It says one line when it is ready, serves, and ends at a signal with code 0 and nothing left."""

    async def run() -> None:
        world = world_of()
        origin = await TinyOrigin(world).start()
        with process(tmp_path, world, origin.url) as child:
            told = await line_of(child)
            assert set(told) == {"name", "public", "private", "pid"}
            assert (told["name"], told["pid"]) == ("edge-1", child.pid)
            port = int(told["public"].rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: demo.localhost\r\n\r\n")
            assert (await reader.readuntil(b"home")).startswith(b"HTTP/1.1 200")
            child.send_signal(number)
            assert await asyncio.to_thread(child.wait, 20) == 0
            writer.close()
            assert child.stdout is not None
            assert child.stdout.read() == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
        State(tmp_path / "edge-1").open()
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_signal_before_it_is_ready(tmp_path: Path) -> None:
    """Nobody there to follow: it waits, and still ends at a signal, saying nothing."""

    async def run() -> None:
        world = world_of()
        with process(tmp_path, world, "http://127.0.0.1:9") as child:
            lock = tmp_path / "edge-1" / "control.car"
            while not (tmp_path / "edge-1" / "blocks").exists():
                await asyncio.sleep(0.02)
            assert child.stdout is not None
            assert not select.select([child.stdout], [], [], 0.3)[0]
            child.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(child.wait, 20) == 0
            assert not lock.exists()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_killed_process_comes_back_with_what_it_had(tmp_path: Path) -> None:
    """SIGKILL, the origin dead too: the next start serves the stored Head and blocks at once."""

    async def run() -> None:
        world = world_of()
        origin = await TinyOrigin(world).start()
        with process(tmp_path, world, origin.url) as child:
            told = await line_of(child)
            port = int(told["public"].rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: demo.localhost\r\n\r\n")
            await reader.readuntil(b"home")
            disk = tmp_path / "edge-1" / "blocks"
            name = CID.of(RAW, b"home").digest.hex()
            while not any(name in file.name for file in disk.rglob("*")):
                await asyncio.sleep(0.02)
            child.kill()
            child.wait()
            writer.close()
        await origin.stop()
        async with running(config_of(tmp_path, origin)) as node:
            assert (await fetch(node, "/")).body == b"home"

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_listening_socket_says_that_it_is_tcp() -> None:
    """Else asyncio's loop does not switch Nagle off, and an answer in two writes waits 40 ms for an acknowledgement."""
    with bind("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """One clear line, exit 1, and the folder is free again."""

    async def run() -> None:
        world = world_of()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for setting in ("public", "private"):
                with process(tmp_path, world, "http://127.0.0.1:9", **{setting: f"127.0.0.1:{port}"}) as child:
                    _, errors = await asyncio.to_thread(child.communicate, None, 20)
                    assert child.returncode == 1
                    assert errors.decode() == f"edge edge-1: 127.0.0.1:{port} is taken by another program\n"

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_folder_in_use(tmp_path: Path) -> None:
    """A second edge on the same folder is refused, naming the process; exit 1."""

    async def run() -> None:
        async with edge(tmp_path, world_of()) as (_, origin):
            with process(tmp_path, origin.world, origin.url) as child:
                _, errors = await asyncio.to_thread(child.communicate, None, 20)
                assert child.returncode == 1
                assert f"state folder is in use by process {os.getpid()}" in errors.decode()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_folder_of_another_version(tmp_path: Path) -> None:
    """Older, none that is known, or no edge's folder at all: refused with words, nothing touched."""
    folder = tmp_path / "edge-1"
    folder.mkdir()
    for version in ("0", "two", "-2"):
        (folder / "VERSION").write_text(f"{version}\n")
        with pytest.raises(StateError, match=f"of version '{version}'"):
            State(folder).open()
    (folder / "VERSION").unlink()
    (folder / "photo.jpg").write_bytes(b"")
    with pytest.raises(StateError, match="not empty"):
        State(folder).open()
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "photo.jpg"]


def test_addresses_that_cannot_be_bound() -> None:
    """Each with its own words."""
    with pytest.raises(BindError, match="not an address of this machine"):
        bind("192.0.2.1", 0)


def test_a_stopped_node_leaves_nothing(tmp_path: Path) -> None:
    """Started and stopped: tasks, descriptors and threads are back to what they were."""

    async def run() -> None:
        world = world_of()
        origin = await TinyOrigin(world).start()
        for count in range(3):
            async with running(config_of(tmp_path, origin)) as node:
                await fetch(node, "/")
            gc.collect()
            await asyncio.sleep(0)
            if count == 0:
                before = _open_things()
        assert _open_things() == before
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def _open_things() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The private port is taken: the public one and the folder are let go."""

    async def run() -> None:
        world = world_of()
        origin = await TinyOrigin(world).start()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = bind("127.0.0.1", 0)
            address = f"127.0.0.1:{free.getsockname()[1]}"
            free.close()
            taken_address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(BindError):
                await Node(config_of(tmp_path, origin, public=address, private=taken_address)).start()
        async with running(config_of(tmp_path, origin, public=address)) as node:
            assert (await fetch(node, "/")).body == b"home"
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_a_stuck_client_does_not_hold_the_end(tmp_path: Path) -> None:
    """A visitor who takes nothing is cut off when the grace is over."""

    async def run() -> None:
        world = world_of(b"x" * (30 << 20))
        async with edge(tmp_path, world) as (node, _), wire(node) as c:
            c.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await c.send(c.request("/"))
            while not node.public.connections:
                await asyncio.sleep(0.01)
            await asyncio.wait_for(node.public.stop(), 20)
            assert node.public.connections == 0 or not await c.is_closed()

    asyncio.run(asyncio.wait_for(run(), 60))


def ring_of(folder: Path, origin: TinyOrigin, regions: tuple[str, ...]) -> list[EdgeConfig]:
    """Configs of edges on fixed free ports that all list each other."""
    sockets = [bind("127.0.0.1", 0) for _ in regions]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    members = tuple(
        Member(f"edge-{n + 1}", f"http://127.0.0.1:{port}", region)
        for n, (port, region) in enumerate(zip(ports, regions, strict=True))
    )
    return [
        config_of(folder, origin, m.name, private=m.url.removeprefix("http://"), peers=members, region=m.region)
        for m in members
    ]


@pytest.mark.parametrize("regions", [("eu", "eu", "eu"), ("eu", "eu", "us")])
def test_three_nodes_in_one_process(tmp_path: Path, regions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring: every file from every edge is right, and each block left the origin once."""
    # Whoever waits a second for an owner goes to the origin himself: three nodes on one busy core would.
    patient = Budgets(connect=10, headers=60, stall=60, total=120)
    monkeypatch.setattr("edge.assembly.blocks.Loader", partial(Loader, peer_budgets=patient))

    async def run() -> None:
        world = World()
        files = {f"file-{n}.txt": b"%d" % n * 50 for n in range(60)}
        world.publish("demo", dict(files))
        world.sign()
        origin = await TinyOrigin(world).start()
        configs = ring_of(tmp_path, origin, regions)
        async with running(configs[0]) as a, running(configs[1]) as b, running(configs[2]) as c:
            nodes = (a, b, c)
            outcomes = set()
            for path, body in files.items():
                answers = await asyncio.gather(*(fetch(node, f"/{path}") for node in nodes))
                assert [got.body for got in answers] == [body] * 3
                outcomes |= {got.outcome for got in answers}
            content = [CID.of(RAW, body) for body in files.values()]
            assert [origin.asked[str(cid)] for cid in content] == [1] * len(content)
            assert max(origin.asked.values()) == 1
            assert {"origin", "peer"} <= outcomes
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_an_edge_learns_from_its_peers_that_it_is_behind(tmp_path: Path) -> None:
    """Its own waiting request hangs; a block from a newer peer carries the sequence, and it asks at once."""

    async def run() -> None:
        world = World()
        world.publish("demo", {f"file-{n}.txt": b"%d" % n for n in range(20)})
        world.sign()
        origin = await TinyOrigin(world).start()
        configs = ring_of(tmp_path, origin, ("eu", "eu"))
        async with running(configs[0]) as a, running(configs[1]) as b:
            for node in (a, b):
                await origin.serving(world.sequence, node.config.name)
            world.publish("other", {"index.html": b"other"})
            world.sign()  # told to nobody
            a.follower.hint(world.sequence)
            await origin.serving(world.sequence, "edge-1")
            assert b.follower.sequence < world.sequence
            for number in range(20):
                await fetch(b, f"/file-{number}.txt")
            await origin.serving(world.sequence, "edge-2")
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))
