"""Garbage collection beside publishers: what a lease, a pin or a retained release needs is never taken."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, RAW
from content.limits import MiB
from origin.store.embedded import Embedded
from tests.origin.play import Client, Made, make, origin, parts, site_files


def whole(client: Client, made: Made) -> bool:
    return not parts(client).store.missing(made.store)


def test_collection_between_every_two_steps_of_a_publish(tmp_path: Path) -> None:
    """First release and second: nothing the publish needs goes, whatever step it is at."""
    first = make({**site_files("one"), "big.bin": random.Random(1).randbytes(2 * MiB)}, encoded={"p0/f0.txt": b"c"})
    second = make({**site_files("one"), "p0/f0.txt": b"changed"})
    with origin(tmp_path / "state") as client:

        def gc() -> None:
            client.ok("POST", "/api/v1/gc")

        expected = None
        for made in (first, second):
            gc()
            lease, missing = client.missing("demo", made.blocks)
            gc()
            for block in missing:
                client.send(lease, [block])
                gc()
            assert client.missing("demo", made.blocks, lease)[1] == []
            gc()
            assert client.stage("demo", made, expected, lease).status == 200
            gc()
            assert whole(client, made)
            assert client.activate("demo", made, expected).status == 200
            gc()
            assert whole(client, made)
            expected = made.cid
        assert whole(client, first)


def test_blocks_that_were_here_already_are_protected_by_the_announcement(tmp_path: Path) -> None:
    """The answer "you have that one" stays true until the commit: the site that held it may go meanwhile."""
    shared = site_files("shared")
    one, two = make(shared), make({**shared, "more": b"m"})
    with origin(tmp_path / "state") as client:
        client.publish("one", one)
        lease, missing = client.missing("two", two.blocks)
        assert 0 < len(missing) < len(two.blocks)
        client.ok("DELETE", "/api/v1/sites/one")
        client.ok("POST", "/api/v1/gc")
        client.send(lease, missing)
        assert client.stage("two", two, None, lease).status == 200


def test_what_nothing_needs_goes_and_disk_comes_back(tmp_path: Path) -> None:
    """A site that was removed, an upload whose lease is over."""
    made = make({"big.bin": random.Random(2).randbytes(4 * MiB)})
    kept = make(site_files("kept"))
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("kept", kept)
        client.publish("gone", made)
        loose = Block.make(RAW, random.Random(3).randbytes(MiB))
        lease, _ = client.missing("other", [loose])
        client.send(lease, [loose])
        client.ok("DELETE", "/api/v1/sites/gone")
        removed = client.ok("POST", "/api/v1/gc")
        assert removed["bytes_freed"] > 4 * MiB
        assert parts(client).store.has(loose.cid)
        parts(client).leases.close(lease)
        assert client.ok("POST", "/api/v1/gc")["bytes_freed"] > MiB
        assert not parts(client).store.has(loose.cid)
        assert whole(client, kept)
        assert client.get("/metrics").body.count(b"rim_origin_collections_total 2.0") == 1
        size = sum(path.stat().st_size for path in (state / "packs").iterdir())
        assert size < MiB
    with origin(state) as client:
        assert whole(client, kept)
        assert client.live("kept") == str(kept.cid)


def test_a_pin_keeps_a_root_until_it_goes(tmp_path: Path) -> None:
    """Recursive; and only what is whole can be pinned."""
    made = make(site_files("pinned"))
    root = made.release.root
    with origin(tmp_path / "state") as client:
        absent = client.ask("PUT", f"/api/v1/pins/{root}", {"name": "x"})
        assert (absent.status, absent.error, absent.json["missing"]) == (409, "incomplete", [str(root)])
        client.publish("demo", made)
        assert client.ok("PUT", f"/api/v1/pins/{root}", {"name": "x"})["name"] == "x"
        client.ok("DELETE", "/api/v1/sites/demo")
        client.ok("POST", "/api/v1/gc")
        with_root = make(site_files("pinned"))
        reached = [cid for cid in with_root.store if not cid.is_control]
        assert parts(client).store.missing(reached) == []
        assert [pin["cid"] for pin in client.ok("GET", "/api/v1/pins")["pins"]] == [str(root)]
        client.ok("DELETE", f"/api/v1/pins/{root}")
        assert client.ask("DELETE", f"/api/v1/pins/{root}").status == 404
        client.ok("POST", "/api/v1/gc")
        assert len(parts(client).store.missing(reached)) == len(reached)


def test_leases_and_pins_outlive_a_restart(tmp_path: Path) -> None:
    """An upload goes on after the origin came back, with a collection in between."""
    made, pinned = make(site_files("later", 10)), make(site_files("pinned"))
    half = made.blocks[: len(made.blocks) // 2]
    with origin(tmp_path / "state") as client:
        client.publish("pinned", pinned)
        client.ok("PUT", f"/api/v1/pins/{pinned.release.root}", {})
        client.ok("DELETE", "/api/v1/sites/pinned")
        lease, _ = client.missing("demo", made.blocks)
        client.send(lease, half)
    with origin(tmp_path / "state") as client:
        client.ok("POST", "/api/v1/gc")
        assert client.missing("demo", made.blocks, lease)[1] == made.blocks[len(half) :]
        client.send(lease, made.blocks[len(half) :])
        assert client.stage("demo", made, None, lease).status == 200
        assert parts(client).store.has(pinned.release.root)


def test_a_rotation_under_way_keeps_its_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection that begins between the two halves of a rotation leaves the Catalog that names the successor, or
    no node that trusts the old key would find the new one."""
    from origin import catalog, gc

    reached, marking = threading.Event(), threading.Event()
    roots = gc.Collector._roots

    def step(name: str) -> None:
        if name == "last record of the old key kept":
            reached.set()
            marking.wait(30)

    def seen(self: gc.Collector) -> list[CID]:
        marking.set()
        return roots(self)

    with origin(tmp_path / "state") as client:
        old = client.ok("GET", "/api/v1/keys")["catalog"]
        monkeypatch.setattr(catalog, "step", step)
        monkeypatch.setattr(gc.Collector, "_roots", seen)
        rotating = threading.Thread(target=lambda: client.ok("POST", "/api/v1/keys/rotate"))
        rotating.start()
        assert reached.wait(30)
        client.ok("POST", "/api/v1/gc")
        rotating.join()
        assert client.get(f"/api/v1/head?since=0&wait=0&node=away&key={old}").status == 200


@pytest.mark.parametrize("moment", ["garbage marked", "garbage forgotten"])
def test_whoever_comes_while_it_marks_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Between the mark and the sweep: new blocks, a new lease on old blocks, a whole publish."""
    from origin import gc

    shared = make({**site_files("shared"), "x": b"x"})
    new = make({**site_files("new")})
    again = make({**site_files("shared"), "x": b"x"}, message="again")
    reached, go_on = threading.Event(), threading.Event()

    def step(name: str) -> None:
        if name == moment:
            reached.set()
            go_on.wait(30)

    with origin(tmp_path / "state") as client:
        client.publish("old", shared)
        client.ok("DELETE", "/api/v1/sites/old")
        monkeypatch.setattr(gc, "step", step)
        answer: list[object] = []
        collecting = threading.Thread(target=lambda: answer.append(client.ok("POST", "/api/v1/gc")))
        collecting.start()
        assert reached.wait(30)
        client.publish("new", new)
        lease, missing = client.missing("again", again.blocks)
        go_on.set()
        collecting.join()
        assert answer
        client.send(lease, missing)
        assert client.stage("again", again, None, lease).status == 200
        assert whole(client, new)
        client.ok("POST", "/api/v1/gc")
        assert whole(client, new)
        assert whole(client, again)


def test_publishers_and_collections_all_at_once(tmp_path: Path) -> None:
    """Ten publishers, four releases each, while collections run without a pause: all succeed, all is whole."""
    from concurrent.futures import ThreadPoolExecutor

    done = threading.Event()
    with origin(tmp_path / "state") as client, ThreadPoolExecutor(11) as pool:

        def collect() -> int:
            count = 0
            while not done.is_set():
                client.ok("POST", "/api/v1/gc")
                count += 1
            return count

        def publish(number: int) -> Made:
            before: CID | None = None
            for version in range(4):
                # sites share most of their files, so blocks come and go under each other's feet
                made = make({**site_files("all"), "v": b"%d" % version, "n": b"%d" % (number % 3)})
                client.publish(f"site-{number}", made, before)
                before = made.cid
            return made

        collecting = pool.submit(collect)
        try:
            last = list(pool.map(publish, range(10)))
        finally:
            done.set()
        assert collecting.result() > 0
        for number, made in enumerate(last):
            assert client.live(f"site-{number}") == str(made.cid)
            assert whole(client, made)
            assert parts(client).proofs.lacking(made.cid) == []


def test_a_release_leaves_with_retention_and_its_own_blocks_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last 20 stay however old; the others when they are 30 days old."""
    import time

    day = 86_400
    now = 1_700_000_000.0
    with origin(tmp_path / "state") as client:
        made = [make({"v": b"%d" % number, "same": b"same"}) for number in range(23)]
        before: CID | None = None
        for number, release in enumerate(made):
            monkeypatch.setattr(time, "time", lambda number=number: now + number * 40 * day)
            client.publish("demo", release, before)
            before = release.cid
        monkeypatch.undo()
        listed = [row["release"] for row in client.ok("GET", "/api/v1/sites/demo/releases")["releases"]]
        assert listed == [str(release.cid) for release in reversed(made[3:])]
        client.ok("POST", "/api/v1/gc")
        assert whole(client, made[3])
        assert made[2].cid in parts(client).store.missing(made[2].store)


def test_damage_stops_a_collection_before_it_takes_anything(tmp_path: Path) -> None:
    """What stands below a broken node cannot be known to be garbage."""
    made = make(site_files("damage"))
    loose = Block.make(RAW, b"loose")
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        store: Embedded = parts(client).store
        store.put([loose])
        pack, offset, length = store.index[made.release.root.store_key]
        with open(pack.path, "r+b") as file:
            file.seek(offset)
            file.write(bytes(length))
        answer = client.ask("POST", "/api/v1/gc")
        assert (answer.status, answer.error) == (503, "damaged")
        assert store.has(loose.cid)


def test_holds_are_counted(tmp_path: Path) -> None:
    """Two checks of one release at once, one ends first."""
    with origin(tmp_path / "state") as client:
        collector = parts(client).collector
        root = CID.of(RAW, b"held")

        async def play() -> None:
            async with collector.hold(root):
                async with collector.hold(root):
                    assert root in collector._roots()
                assert root in collector._roots()
            assert root not in collector._roots()

        asyncio.run_coroutine_threadsafe(play(), client.loop).result()  # type: ignore[attr-defined]
