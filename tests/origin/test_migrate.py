"""A whole origin moves to Kubo and back: resumable, whole at every moment; the old blocks stay until they may go."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID, RAW
from content.limits import MiB
from origin import backup as backups
from origin.backup import backup
from origin.config import OriginConfig
from origin.errors import StateError
from origin.fsck import fsck
from origin.log import By
from origin.migrate import migrate as migrating
from origin.restore import restore
from origin.state import State
from origin.steps import CRASH_STATUS
from origin.store.opening import remembered
from tests.kit.kubo import Kubo
from tests.kit.nodes import RIM
from tests.origin.play import Client, make, origin, parts, site_files

pytestmark = pytest.mark.needs("ipfs")

FIRST = make({**site_files("one"), "big.bin": random.Random(1).randbytes(3 * MiB)}, encoded={"p0/f0.txt": b"br"})
SECOND = make({**site_files("one"), "p0/f0.txt": b"changed"})
OTHER = make(site_files("other"))
PINNED = make(site_files("pinned"))
TORN = make({"torn.bin": random.Random(5).randbytes(3 * MiB)})
LACKING = next(block.cid for block in TORN.blocks if len(block.data) == MiB)
ALL = [*FIRST.store, *SECOND.store, *OTHER.store]


@pytest.fixture
def kubo(tmp_path: Path) -> Iterator[Kubo]:
    node = Kubo(tmp_path / "repo")
    with node.serving():
        yield node


def some_origin(state: Path) -> None:
    """Two sites, one with a release before the live one, and a pin."""
    with origin(state) as client:
        client.publish("demo", FIRST)
        client.publish("demo", SECOND, FIRST.cid)
        client.publish("other", OTHER)
        client.publish("gone", PINNED)
        client.ok("PUT", f"/api/v1/pins/{PINNED.release.root}", {"name": "kept"})
        client.ok("DELETE", "/api/v1/sites/gone")
        lease, missing = client.missing("loose", TORN.blocks)
        client.send(lease, [block for block in missing if block.cid != LACKING])
        client.ok("PUT", f"/api/v1/pins/{TORN.release.root}", {"name": "torn", "partial": True})


def migrate(state: Path, to: str, kubo: Kubo, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    where = ("--kubo-api", kubo.api, "--kubo-gateway", kubo.gateway)
    return subprocess.run(
        [*RIM, "origin", "migrate", "--to", to, *where, "--state", str(state), "--json", *more],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
    )


def done(state: Path, to: str, kubo: Kubo, *more: str) -> dict[str, Any]:
    ended = migrate(state, to, kubo, *more)
    assert ended.returncode == 0, ended.stderr
    value: dict[str, Any] = json.loads(ended.stdout)
    return value


def kept(state: Path) -> str:
    place = remembered(State(state))
    assert place is not None
    return place.store


def sound(state: Path) -> bool:
    said: list[str] = []
    assert fsck(state, said.append) == 0, said
    return True


def whole(client: Client) -> bool:
    """All that was published answers, by the origin's own gateway and by its word."""
    assert (client.live("demo"), client.live("other")) == (str(SECOND.cid), str(OTHER.cid))
    store = parts(client).store
    assert all(store.get(cid) is not None for cid in [*ALL, PINNED.release.root])
    lacking = {cid for cid in TORN.store if not cid.is_control and store.get(cid) is None}
    assert lacking == {LACKING}
    return True


def pins(kubo: Kubo) -> dict[CID, str]:
    rows = [line.split(" ", 2) for line in kubo.run("pin", "ls", "--names", "--type=recursive").decode().splitlines()]
    return {CID.parse(row[0]): row[2] if len(row) > 2 else "" for row in rows}


def test_there_and_back(tmp_path: Path, kubo: Kubo) -> None:
    """To Kubo, where other tools see it and its own collection takes nothing; a backup from there; and back."""
    state, before = tmp_path / "state", pins(kubo)
    some_origin(state)
    moved = done(state, "kubo", kubo)
    assert moved == {**moved, "store": "kubo", "roots": 4, "removed": False}
    assert moved["brought"] == moved["blocks"] > 20
    wanted = {FIRST.cid: "rim/demo", SECOND.cid: "rim/demo", OTHER.cid: "rim/other", PINNED.release.root: "rim/pin"}
    assert {cid: name for cid, name in pins(kubo).items() if name} == wanted
    with (
        pytest.raises(StateError, match=r"are in the store 'kubo', not 'embedded'.*rim origin migrate"),
        origin(state, store="embedded"),
    ):
        raise AssertionError
    assert done(state, "kubo", kubo)["brought"] == 0
    with origin(state) as client:
        client.ok("POST", "/api/v1/gc")
        kubo.run("repo", "gc")
        assert whole(client)
        third = make({**site_files("one"), "p0/f0.txt": b"again"})
        client.publish("demo", third, SECOND.cid)
        client.ok("POST", "/api/v1/sites/demo/rollback", {"release": str(SECOND.cid)})
        client.ok("POST", "/api/v1/gc")
        ours = {cid: name for cid, name in pins(kubo).items() if cid not in before}
        assert {cid for cid, name in ours.items() if name} == {*wanted, third.cid}
        assert len(ours) == len(wanted) + 2, "and one without a name, that holds what there is of the torn one"
        out = io.BytesIO()
        archived = backup(state, out, lambda total: lambda count: None)
    assert kubo.cat(f"/ipfs/{FIRST.release.root}/big.bin") == random.Random(1).randbytes(3 * MiB)
    assert archived.blocks >= len(ALL)
    out.seek(0)
    assert restore(out, tmp_path / "restored", By()).was == "kubo"
    assert kept(tmp_path / "restored") == "embedded"
    assert sound(tmp_path / "restored")
    with origin(tmp_path / "restored") as client:
        assert whole(client)
    assert (state / "old").is_dir()
    assert done(state, "kubo", kubo, "--remove-old")["removed"]
    assert not (state / "old").exists()

    back = done(state, "embedded", kubo)
    assert (back["store"], back["brought"] > 5) == ("embedded", True)
    assert sound(state)
    with origin(state) as client:
        client.ok("POST", "/api/v1/gc")
        assert whole(client)
    assert wanted.items() <= pins(kubo).items()
    assert done(state, "embedded", kubo, "--remove-old")["removed"]
    assert pins(kubo) == before
    kubo.end()
    with origin(state) as client:
        assert whole(client)
    assert sound(state)


def again(state: Path, to: str, kubo: Kubo) -> None:
    """As `done`, in this process."""
    config = OriginConfig(state, store=to, kubo_api=kubo.api, kubo_gateway=kubo.gateway)
    migrating(state, config, lambda total: lambda count: None)


@pytest.mark.parametrize("to", ["kubo", "embedded"])
def test_killed_at_every_step(tmp_path: Path, kubo: Kubo, to: str) -> None:
    """At the first of each kind: whatever was reached, the folder opens with the store that it remembers, whole; the
    same again, and it is done."""
    start, log = tmp_path / "start", tmp_path / "steps"
    some_origin(start)
    if to == "embedded":
        again(start, "kubo", kubo)
        with origin(start) as client:
            client.ok("POST", "/api/v1/gc")  # from here on only Kubo has the files
    shutil.copytree(start, tmp_path / "once")
    assert migrate(tmp_path / "once", to, kubo, RIM_STEPS_LOG=str(log)).returncode == 0
    names = log.read_text().splitlines()
    for name in dict.fromkeys(names):
        if to == "kubo":  # what the last run brought goes: it is to be brought again
            kubo.run("pin", "rm", *(str(root) for root in pins(kubo)))
            kubo.run("repo", "gc")
        state = tmp_path / "state"
        shutil.copytree(start, state)
        assert migrate(state, to, kubo, RIM_CRASH_AT=str(names.index(name) + 1)).returncode == CRASH_STATUS
        assert (kept(state) == to) == (name in ("store.json: renamed", "store switched")), name
        with origin(state) as client:
            assert whole(client), name
        again(state, to, kubo)
        assert kept(state) == to
        assert sound(state)
        shutil.rmtree(state)
    wanted = {"store switched"} | ({"blocks imported", "old packs kept"} if to == "kubo" else {"blocks synced"})
    print(f"{len(names)} steps: {', '.join(dict.fromkeys(names))}")
    assert wanted <= set(names)


def test_another_kubo_than_before(tmp_path: Path, kubo: Kubo) -> None:
    """What was brought before a kill is gone with its Kubo: it is brought again, and nobody believes a note of it."""
    state = tmp_path / "state"
    some_origin(state)
    log = tmp_path / "steps"
    assert migrate(state, "kubo", kubo, RIM_STEPS_LOG=str(log), RIM_CRASH_AT="6").returncode == CRASH_STATUS
    assert "blocks imported" in log.read_text()
    fresh = Kubo(tmp_path / "fresh")
    with fresh.serving():
        assert done(state, "kubo", fresh)["store"] == "kubo"
        with origin(state) as client:
            client.ok("POST", "/api/v1/gc")
            fresh.run("repo", "gc")
            assert whole(client)


def test_what_stands_in_the_way(tmp_path: Path, kubo: Kubo) -> None:
    """A Kubo that is away, a rotten block, an origin that runs, a word that is no store: said, and nothing moved."""
    state = tmp_path / "state"
    some_origin(state)

    def refused(code: int, words: str, to: str = "kubo", *more: str) -> None:
        ended = migrate(state, to, kubo, *more)
        assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr
        assert "Traceback" not in ended.stderr
        assert kept(state) == "embedded"

    refused(2, "give embedded or kubo", "cluster")
    with origin(state):
        refused(1, "is in use by process")
    refused(1, "cannot be reached", "kubo", "--kubo-api", "http://127.0.0.1:9")
    pack = next((state / "packs").glob("*.car"))
    leaf = next(block for block in FIRST.blocks if block.cid.codec == RAW and len(block.data) > MiB // 2)
    good = pack.read_bytes()
    at = good.index(leaf.data)
    pack.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    refused(3, f"{leaf.cid}")
    pack.write_bytes(good)
    assert done(state, "kubo", kubo)["store"] == "kubo"


def test_nothing_old_goes_before_the_new_is_read(tmp_path: Path, kubo: Kubo) -> None:
    """A block is gone from Kubo's disk: --remove-old names it, and the packs stay; from them all comes back."""
    state = tmp_path / "state"
    some_origin(state)
    done(state, "kubo", kubo)
    leaf = next(block for block in FIRST.blocks if block.cid.codec == RAW and len(block.data) > MiB // 2)
    files = [path for path in (kubo.repo / "blocks").rglob("*.data") if path.read_bytes() == leaf.data]
    assert len(files) == 1
    files[0].unlink()
    ended = migrate(state, "kubo", kubo, "--remove-old")
    assert (ended.returncode, str(leaf.cid) in ended.stderr) == (3, True), ended.stderr
    assert list((state / "old").glob("*.car"))
    kubo.end()
    shutil.rmtree(state / "packs")
    shutil.move(state / "old", state / "packs")
    (state / "store.json").unlink()
    with origin(state) as client:
        assert whole(client)


def test_a_backup_while_kubo_collects(tmp_path: Path, kubo: Kubo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site goes, and its files go from Kubo, between the look at the Head and the first block read: it looks again,
    and the archive is whole as of then."""
    state, copy, looks = tmp_path / "state", backups._copy, list[int]()
    big = make({f"{n}.bin": random.Random(n).randbytes(MiB) for n in range(3)})
    with origin(state, store="kubo", kubo_api=kubo.api, kubo_gateway=kubo.gateway) as client:
        client.ok("POST", "/api/v1/gc")
        client.publish("demo", FIRST)
        client.publish("goes", big)
        client.ok("POST", "/api/v1/gc")

        def late(look: Any, *rest: Any) -> None:
            looks.append(look.head.sequence)
            if len(looks) == 1:
                client.ok("DELETE", "/api/v1/sites/goes")
                client.ok("POST", "/api/v1/gc")
                client.ok("POST", "/api/v1/gc")
            copy(look, *rest)

        monkeypatch.setattr(backups, "_copy", late)
        out = io.BytesIO()
        assert backup(state, out, lambda total: lambda count: None).sites == 1
    assert len(looks) == 2
    out.seek(0)
    restore(out, tmp_path / "restored", By())
    assert sound(tmp_path / "restored")
    with origin(tmp_path / "restored") as client:
        assert client.live("demo") == str(FIRST.cid)
        assert not parts(client).store.missing(FIRST.store)
