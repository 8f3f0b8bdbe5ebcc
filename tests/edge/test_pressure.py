"""Too much is asked of an edge: what it holds it serves, what it would have to fetch it refuses in time.

Actors: an origin that answers nobody until it is told to, visitors and a peer who ask for what is not here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from content.cid import CID, RAW
from content.limits import MiB
from edge import pressure
from edge.peers.room import Room
from edge.pressure import Pressure
from tests.edge.control.test_admin import ask
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import Got, config_of, fetch, running

FILES = {f"cold-{n}.txt": b"cold %d" % n for n in range(64)}
MOST = 16


def test_a_flood_of_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distinct misses at an origin that hangs: so many wait, all others get 503 with Retry-After, peers too. Hits
    are all answered, and who asks only-if-cached. When the origin answers again, so does the edge."""
    monkeypatch.setattr(pressure, "MISSES", MOST)

    async def run() -> None:
        world = World()
        world.publish("demo", {"index.html": b"home", **FILES})
        world.sign()
        origin = await TinyOrigin(world).start()
        async with running(config_of(tmp_path, origin)) as node:
            assert (await fetch(node, "/")).body == b"home"
            assert (await fetch(node, "/nope")).status == 404  # the Index is here too
            gate = asyncio.Event()
            origin.after = {CID.of(RAW, body): gate for body in FILES.values()}
            asking = {path: asyncio.create_task(fetch(node, f"/{path}")) for path in FILES}
            waiting, refused = set(asking.values()), list[Got]()
            while len(waiting) > MOST:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                refused += [task.result() for task in done]
            assert len(refused) == len(FILES) - MOST
            assert {(got.status, got.headers["retry-after"]) for got in refused} == {(503, "1")}
            assert node.loader.pressure.misses == MOST
            for _ in range(20):
                assert (await fetch(node, "/")).status == 200
            held = CID.of(RAW, b"home")
            assert (await ask(node, f"/ipfs/{held}?format=raw", Rim_Tier="1")).status == 200
            some = next(CID.of(RAW, FILES[path]) for path, task in asking.items() if task not in waiting)
            peer = await ask(node, f"/ipfs/{some}?format=raw", Rim_Tier="1")
            assert (peer.status, peer.headers["retry-after"]) == (503, "1")
            assert "rim-reason" not in peer.headers, "it is this edge that rests, and not the origin"
            cached = await ask(node, f"/ipfs/{some}?format=raw", Cache_Control="only-if-cached")
            assert cached.status == 504
            assert node.numbers.values()["rim_shed_total"] == {"visitor": len(refused), "peer": 1}
            gate.set()
            assert {task.result().status for task in (await asyncio.wait(waiting))[0]} == {200}
            for path, body in FILES.items():
                assert (await fetch(node, f"/{path}")).body == body
            assert node.loader.pressure.misses == 0
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_has_begun_is_not_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many blocks whose answer has begun when the edge becomes full: it comes whole. Nor is a new Head."""

    async def run() -> None:
        body = bytes(range(256)) * (6 * MiB // 256)
        world = World()
        world.publish("demo", {"long.bin": body, "other.txt": b"other"})
        world.sign()
        origin = await TinyOrigin(world).start()
        async with running(config_of(tmp_path, origin)) as node:
            admit = iter([None] * 3)  # the top of the file, and what comes before it
            monkeypatch.setattr(node.loader.pressure, "admit", lambda: next(admit, 1.0))
            got = await fetch(node, "/long.bin")
            assert got.whole
            assert got.body == body
            while next(admit, 1.0) is None:
                pass
            assert (await fetch(node, "/other.txt")).status == 503
            world.publish("more", {"index.html": b"more"})
            await origin.serving(await origin.sign())
        await origin.stop()

    asyncio.run(asyncio.wait_for(run(), 60))


def test_each_bound_at_its_value_and_one_past() -> None:
    """Misses, bytes ahead of readers, answers that wait for room, a loop that its own work holds up."""
    late = 0.0
    under = Pressure(64 * MiB, lambda: late)
    under.misses = pressure.MISSES - 1
    assert under.admit() is None
    under.misses += 1
    assert under.admit() == pressure.REST
    under.misses, under.ahead = 0, 32 * MiB - 1
    assert under.admit() is None
    under.ahead += 1
    assert under.admit() == pressure.REST
    under.ahead, under.misses, late = 0, pressure.LATE_FROM - 1, 9.0
    assert under.admit() is None
    under.misses += 1
    assert under.admit() == 2 * pressure.REST
    late = pressure.LATE
    assert under.admit() is None


def test_room_is_given_in_turn() -> None:
    """To the bytes that fit; who leaves the queue, or gives back, lets the next one in; more than all of it is all."""

    async def run() -> None:
        room = Room(10)
        assert (await room.enter(6), room.is_full) == (6, False)
        large, small = asyncio.create_task(room.enter(99)), asyncio.create_task(room.enter(4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert room.is_full, "the small one would fit, but came later"
        large.cancel()
        assert await small == 4
        room.leave(6)
        assert (room.taken, room.is_full) == (4, False)
        last = asyncio.create_task(room.enter(99))
        await asyncio.sleep(0)
        room.leave(4)
        assert await last == 10
        given = asyncio.create_task(room.enter(1))
        await asyncio.sleep(0)
        room.leave(10)
        given.cancel()  # it had been let in, and never came to know
        await asyncio.gather(given, return_exceptions=True)
        assert room.taken == 0

    asyncio.run(asyncio.wait_for(run(), 20))
