"""A process that stood still: what it read from its sockets meanwhile is answered under a Head that is confirmed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import pause as pause_module
from edge.pause import HOLD, JUMP, Pause
from tests.edge.sites import File, World
from tests.edge.wire import edge, fetch, wire
from tests.kit.nodes import Edge, Origin, run_rim, until
from tests.kit.nodes import fetch as ask

FILES: dict[str, File] = {"index.html": b"<h1>home</h1>"}


class Clock:
    """A clock that a play moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_jump_of_the_clock_is_a_pause() -> None:
    """Up to a second between two looks is a busy loop; more is a pause, until the Head is confirmed."""

    async def act() -> None:
        clock, told = Clock(), asyncio.Event()
        pause = Pause(clock)

        async def confirm() -> bool:
            await told.wait()
            return True

        pause.confirm = confirm
        clock.now += JUMP
        assert not pause.look()
        clock.now += JUMP + 0.01
        assert pause.look()
        assert pause.look(), "a second look does not end it"
        waiting = asyncio.ensure_future(pause.over())
        await asyncio.sleep(0)
        assert not waiting.done()
        told.set()
        await waiting
        assert (pause.is_held, pause.seen, pause.look()) == (False, 1, False)
        await pause.close()

    asyncio.run(act())


def test_another_pause_begins_anew() -> None:
    """A second jump while the first is held asks the origin again: its answer may be from before."""

    async def act() -> None:
        clock, asked = Clock(), 0
        pause = Pause(clock)
        gates = [asyncio.Event(), asyncio.Event()]

        async def confirm() -> bool:
            nonlocal asked
            asked += 1
            await gates[asked - 1].wait()
            return True

        pause.confirm = confirm
        for _ in gates:
            clock.now += 2 * JUMP
            pause.look()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        gates[0].set()
        await asyncio.sleep(0)
        assert (pause.is_held, pause.seen, asked) == (True, 2, 2)
        gates[1].set()
        await pause.over()
        await pause.close()

    asyncio.run(act())


def test_without_an_origin_it_ends_all_the_same() -> None:
    """An origin that cannot be asked, or never answers, holds answers for a second: availability first."""

    async def act() -> None:
        for dead in (True, False):
            clock = Clock()
            pause = Pause(clock)

            async def confirm(dead: bool = dead) -> bool:
                if not dead:
                    await asyncio.Event().wait()
                return False

            pause.confirm = confirm
            clock.now += 2 * JUMP
            assert pause.look()
            await asyncio.wait_for(pause.over(), 20 * HOLD)
            await pause.close()

    asyncio.run(act())


def test_hits_wait_for_the_head(tmp_path: Path) -> None:
    """What is ready in memory goes through the app after a pause, and is answered as the newest Head has it."""

    async def act() -> None:
        world = World()
        world.publish("demo", FILES)
        async with edge(tmp_path, world) as (node, _origin):
            for _ in range(2):
                hit = await fetch(node, "/")
            assert hit.outcome == "memory"
            clock = Clock()
            node.pause.clock = clock
            node.pause.look()
            node.pause.clock = lambda: clock.now
            world.publish("demo", {"index.html": b"<h1>new</h1>"})
            world.sign()  # not announced: only a question of the edge's own brings it
            clock.now = node.pause._last + 2 * JUMP
            got = await fetch(node, "/")
            assert got.body == b"<h1>new</h1>"
            assert (node.pause.seen, node.pause.is_held) == (1, False)

    asyncio.run(act())


def test_a_mute_origin_holds_a_hit_for_a_second(tmp_path: Path) -> None:
    """It is answered with what is known, and by then the pause is over for all."""

    async def act() -> None:
        world = World()
        world.publish("demo", FILES)
        async with edge(tmp_path, world) as (node, origin):
            await fetch(node, "/")
            origin.mute = True
            async with wire(node) as one:
                node.pause._last -= 2 * JUMP
                started = time.monotonic()
                got = await one.get("/")
                took = time.monotonic() - started
            assert got.body == b"<h1>home</h1>"
            assert took > HOLD * 0.9
            assert not node.pause.is_held

    asyncio.run(act())


def test_where_every_look_is_a_pause_it_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine so busy that no answer is made without a jump of the clock: 503 in the end, not nothing for ever."""
    monkeypatch.setattr(pause_module, "HOLD", 0.01)

    async def act() -> None:
        world = World()
        world.publish("demo", FILES)
        async with edge(tmp_path, world) as (node, _origin):
            monkeypatch.setattr(pause_module, "JUMP", -1.0)
            async with asyncio.timeout(30):
                got = await fetch(node, "/")
            assert (got.status, "retry-after" in got.headers) == (503, True)

    asyncio.run(act())


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Origin, Edge]]:
    """An origin and one edge, each a process."""
    origin = Origin(tmp_path / "origin")
    origin.start()
    node = Edge("edge-1", tmp_path / "edge-1")
    node.join(origin.url, origin.catalog, origin.node_token(), [node])
    node.start()
    yield origin, node
    node.stop()
    origin.stop()


def test_a_stopped_process_asks_before_it_answers(pair: tuple[Origin, Edge], tmp_path: Path) -> None:
    """SIGSTOP, a publish meanwhile, SIGCONT: the first answer is of the new release; then with the origin dead, of the
    one that is known."""
    origin, node = pair
    assert node.process is not None
    folder = tmp_path / "demo"
    folder.mkdir()
    environment = {**os.environ, "RIM_ORIGIN": origin.url, "RIM_TOKEN": origin.token, "XDG_STATE_HOME": str(tmp_path)}

    def publish(text: str) -> None:
        (folder / "index.html").write_text(text)
        run_rim(["publish", str(folder), "--no-warm"], environment, check=True, timeout=60)

    publish("first")
    until("the first release", lambda: node.get("demo", "/").body == b"first")
    assert "memory" in node.get("demo", "/").cache_status
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        publish("second")
        begun = time.monotonic()
        until("more than a second", lambda: time.monotonic() - begun > JUMP * 1.5)
    finally:
        os.kill(node.process.pid, signal.SIGCONT)
    assert node.get("demo", "/").body == b"second"
    os.kill(node.process.pid, signal.SIGSTOP)
    try:
        origin.stop()
        begun = time.monotonic()
        until("more than a second", lambda: time.monotonic() - begun > JUMP * 1.5)
    finally:
        os.kill(node.process.pid, signal.SIGCONT)
    assert node.get("demo", "/").body == b"second"
    assert ask(node.private, "/healthz").status == 200
