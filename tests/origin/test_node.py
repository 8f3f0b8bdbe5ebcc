"""An origin as a process: its folder, its port, its end, its crash points."""

from __future__ import annotations

import errno
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from content import car
from content.block import Block
from content.cid import RAW
from origin.errors import StateError
from origin.fsck import fsck
from origin.steps import CRASH_STATUS
from tests.kit import disks
from tests.origin.play import CAR, Client, Made, Process, make, origin, parts, process, site_files, start


def refused(state: Path, listen: str = "127.0.0.1:0") -> str:
    """Start an origin that must not come up; what it says."""
    ended = start(state, listen)
    assert isinstance(ended, subprocess.CompletedProcess)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return str(ended.stderr)


def test_a_second_origin_on_the_same_folder_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    """And the folder is free again when the first was killed."""
    with process(tmp_path / "state") as first:
        said = refused(tmp_path / "state")
        assert f"state folder is in use by process {first.process.pid}" in said
        first.end(signal.SIGKILL)
        with process(tmp_path / "state") as second:
            assert second.client.get("/readyz").status == 200


@pytest.mark.parametrize("version", ["2", "", "one"])
def test_a_folder_of_another_version_is_refused(tmp_path: Path, version: str) -> None:
    """Nothing in it is touched."""
    (tmp_path / "VERSION").write_text(version)
    assert "of version" in refused(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["VERSION", "lock"]


def test_a_folder_that_is_someone_elses_is_refused(tmp_path: Path) -> None:
    """Files and no VERSION: not ours."""
    (tmp_path / "thesis.tex").write_text("…")
    assert "is not empty and has no VERSION" in refused(tmp_path)


def test_a_port_that_is_taken_is_a_clear_message(tmp_path: Path) -> None:
    """Exit code 1, the address named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path / "state", f"127.0.0.1:{port}")
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "cannot listen on nonsense" in refused(tmp_path / "state", "nonsense")
    assert "cannot listen on 127.0.0.1:99999" in refused(tmp_path / "state", "127.0.0.1:99999")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_under_way_finish_before_the_end(tmp_path: Path, number: int) -> None:
    """An upload that has begun is acknowledged after the signal; exit code 0."""
    data = b"x" * 100_000
    block = Block.make(RAW, data)
    body = car.write((), [block])
    with process(tmp_path / "state") as running:
        lease, _ = running.client.missing("demo", [block])
        with socket.create_connection(("127.0.0.1", int(running.client.url.rpartition(":")[2]))) as raw:
            raw.sendall(
                f"POST /api/v1/leases/{lease}/blocks HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                f"Authorization: Bearer {running.client.token}\r\n\r\n".encode()
                + body[:1000]
            )
            running.client.get("/healthz")  # by now the upload's head has been read
            running.process.send_signal(number)
            while True:  # until the listener is closed
                try:
                    socket.create_connection(("127.0.0.1", int(running.client.url.rpartition(":")[2]))).close()
                except OSError:
                    break
            raw.sendall(body[1000:])
            assert raw.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert running.process.wait(10) == 0
    with origin(tmp_path / "state") as client:
        assert parts(client).store.has(block.cid)


def test_a_stuck_client_does_not_hold_the_end_up(tmp_path: Path) -> None:
    """After the grace (8 s, here 1) the process is gone, whoever is in the middle of what."""
    with process(tmp_path / "state", grace=1) as running:
        address = ("127.0.0.1", int(running.client.url.rpartition(":")[2]))
        lease, _ = running.client.missing("demo", [])
        with socket.create_connection(address) as raw:
            raw.sendall(
                f"POST /api/v1/leases/{lease}/blocks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
                f"Authorization: Bearer {running.client.token}\r\n\r\n".encode()
            )
            running.client.get("/healthz")
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(5)


def test_acknowledged_blocks_and_commits_survive_kill_9(tmp_path: Path) -> None:
    """Killed right after the answers, all is there."""
    made, later = make(site_files("one", 30)), make(site_files("two"))
    state = tmp_path / "state"
    with process(state) as running:
        sequence = running.client.publish("demo", made)
        lease, missing = running.client.missing("demo", later.blocks)
        running.client.send(lease, missing)
        running.end(signal.SIGKILL)
    with process(state) as running:
        client = running.client
        assert client.ok("GET", "/api/v1/status")["sequence"] == sequence
        assert client.live("demo") == str(made.cid)
        assert client.missing("demo", later.blocks, lease)[1] == []
        assert client.stage("demo", later, made.cid, lease).status == 200
        assert running.end() == 0
    assert fsck(state, lambda line: None) == 0


def test_a_restored_folder_is_ahead_by_construction(tmp_path: Path) -> None:
    """Sequences are unix µs: an older copy of the folder that commits again passes what nodes have seen."""
    import shutil

    state, copy = tmp_path / "state", tmp_path / "copy"
    with origin(state) as client:
        client.ok("PUT", "/api/v1/sites/a", {})
    shutil.copytree(state, copy)
    with origin(state) as client:
        seen = client.ok("PUT", "/api/v1/sites/b", {})["sequence"]
    with origin(copy) as client:
        assert client.ok("GET", "/api/v1/status")["sequence"] < seen
        assert client.ok("PUT", "/api/v1/sites/c", {})["sequence"] > seen


FIRST = make({**site_files("first"), "app-3f8a9c1d.js": b"1"}, immutable=["app-3f8a9c1d.js"])
GARBAGE = make({"large.bin": bytes(range(256)) * 1000})
SECOND = make(site_files("second", 3))


def _deeds(client: Client) -> Iterator[str]:
    """Everything that makes something durable, step by step; each may be the last one that answers."""
    live = None if client.get("/api/v1/sites/demo").status == 404 else client.live("demo")
    if live is None:
        client.publish("demo", FIRST)
        yield "first"
        live = str(FIRST.cid)
    if live == str(FIRST.cid):
        client.publish("demo", SECOND, FIRST.cid)
        yield "second"
    client.ok("POST", "/api/v1/sites/demo/purge", {"paths": ["/app-3f8a9c1d.js"]})
    client.ok("PUT", "/api/v1/sites/other", {"hosts": ["other.test"]})
    client.ok("PUT", f"/api/v1/pins/{SECOND.release.root}", {})
    client.ok("DELETE", f"/api/v1/pins/{SECOND.release.root}")
    if client.live("other") is None:
        client.publish("other", GARBAGE)
    client.ok("DELETE", "/api/v1/sites/other")
    client.ok("POST", "/api/v1/gc")
    client.make_token("publish")
    loose = [Block.make(RAW, os.urandom(20_000))]
    lease, missing = client.missing("loose", loose)
    client.send(lease, missing)
    client.ok("POST", "/api/v1/keys/rotate")
    yield "rotated"


def _whole(client: Client, made: Made) -> bool:
    body = b"".join(made.store)
    return bool(client.ok("POST", "/api/v1/sites/check/missing", body)["missing"] == [])


def test_killed_at_every_step_the_old_or_the_new_state_is_there_and_the_same_again_succeeds(tmp_path: Path) -> None:
    """RIM_CRASH_AT = 1, 2, 3 … until a run completes. After each: fsck is content, nothing acknowledged is gone, and
    the same deeds repeated succeed."""
    with ThreadPoolExecutor(4) as pool:
        at = 1
        while all(crashed := list(pool.map(lambda n: _crash(tmp_path, n), range(at, at + 8)))):
            at += 8
    crashes = at + crashed.index(False) - 1
    assert not any(crashed[crashed.index(False) :])
    names = (tmp_path / f"steps-{crashes + 1}").read_text().splitlines()
    assert len(names) == crashes > 100
    print(f"{crashes} crash points: {', '.join(sorted(set(names)))}")


def _crash(folder: Path, at: int) -> bool:
    """One run with RIM_CRASH_AT; whether it crashed."""
    done: list[str] = []
    state = folder / f"state-{at}"
    started = start(state, RIM_CRASH_AT=str(at), RIM_STEPS_LOG=str(folder / f"steps-{at}"))
    if isinstance(started, Process):
        try:
            done.extend(_deeds(started.client))
        except (OSError, http.client.HTTPException):
            assert started.process.wait(20) == CRASH_STATUS
            started.end(signal.SIGKILL)
        else:
            assert started.end() == 0
            return False
    else:
        assert started.returncode == CRASH_STATUS, started.stderr
    _after_a_crash(state, done)
    return True


def _after_a_crash(state: Path, done: list[str]) -> None:
    if (state / "head").exists():
        said: list[str] = []
        assert fsck(state, said.append) == 0, said
    with origin(state) as client:
        log = client.ok("GET", "/api/v1/log?limit=1000")["entries"]
        assert log[-1]["sequence"] == client.ok("GET", "/api/v1/status")["sequence"]
        lived = [row["detail"]["release"] for row in log if (row["site"], row["action"]) == ("demo", "activate")]
        if client.get("/api/v1/sites/demo").status == 200:
            assert client.live("demo") == (lived[-1] if lived else None)
        if done:
            live = client.live("demo")
            assert live == str(SECOND.cid) or ("second" not in done and live == str(FIRST.cid))
            assert _whole(client, FIRST if live == str(FIRST.cid) else SECOND)
        elif client.get("/api/v1/sites/demo").status == 200:
            assert client.live("demo") in (None, str(FIRST.cid), str(SECOND.cid))
        for _ in _deeds(client):
            pass
        assert client.live("demo") == str(SECOND.cid)
        assert _whole(client, FIRST)
        assert _whole(client, SECOND)
    said = []
    assert fsck(state, said.append) == 0, said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    with disks.small_disk(tmp_path / "small", "size=32m") as folder:
        yield folder


def _fill(path: Path) -> None:
    """Write until there is no room for one byte more."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(descriptor, bytes(4096)):
            pass
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017
    finally:
        os.close(descriptor)


def test_a_full_disk_is_507_and_heals_when_there_is_room(small_disk: Path) -> None:
    """Nothing half-written stays, what was acknowledged does, reads go on; with room again the upload goes on."""
    made = make({f"{number}.bin": os.urandom(1_000_000) for number in range(40)})
    small = make(site_files("small"))
    state = small_disk / "state"
    with origin(state) as client:
        client.publish("small", small)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(8_000_000))
        lease, missing = client.missing("large", made.blocks)
        answer = client.ask("POST", f"/api/v1/leases/{lease}/blocks", car.write((), missing), CAR)
        assert (answer.status, answer.error) == (507, "disk_full")
        _, left = client.missing("large", made.blocks, lease)
        assert 0 < len(left) < len(missing)
        assert client.get(f"/ipfs/{small.release.root}?format=raw").status == 200
        size = sum(path.stat().st_size for path in (state / "packs").iterdir())
        assert size < parts(client).store.bytes + 100_000
        _fill(small_disk / "rest")
        refused_commit = client.ask("PUT", "/api/v1/sites/new", {})
        assert (refused_commit.status, refused_commit.error) == (507, "disk_full")
        assert client.ask("POST", "/api/v1/tokens", {"name": "t", "scopes": ["edge"]}).status == 507
        assert client.live("small") == str(small.cid)
        (small_disk / "rest").unlink()
        filler.unlink()
        client.ok("PUT", "/api/v1/sites/new", {})
        fits = left[:5]
        client.send(lease, fits)
        assert [block.cid for block in client.missing("large", fits, lease)[1]] == []
    said: list[str] = []
    assert fsck(state, said.append) == 0, said


def test_fsck_names_what_is_broken(tmp_path: Path) -> None:
    """A flipped bit, a block that is gone, a Head of another key, keys that others may read."""
    state = tmp_path / "state"
    made = make({**site_files("fsck"), "big": os.urandom(50_000)})
    with origin(state) as client:
        client.publish("demo", made)
    said: list[str] = []
    assert fsck(state, said.append) == 0, said
    assert said[-1] == "all is well"
    pack = next((state / "packs").glob("*.car"))
    whole = pack.read_bytes()
    leaf = next(block for block in made.blocks if len(block.data) == 50_000)
    at = whole.index(leaf.data)
    pack.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    broken, incomplete, unproved = _findings(state)
    assert f"block {leaf.cid} does not hash" in broken
    assert f"live release {made.cid}: 1 blocks are missing: {leaf.cid}" in incomplete
    assert f"live release {made.cid}: block {leaf.cid}" in unproved
    pack.write_bytes(whole)
    (state / "keys" / "catalog.key").chmod(0o644)
    assert "keys/catalog.key can be read by others" in _findings(state)[0]
    (state / "keys" / "catalog.key").unlink()
    assert "is not signed by this folder's catalog key" in _findings(state)[0]
    with pytest.raises(StateError, match="is no state folder"):
        fsck(tmp_path / "nothing", said.append)
    with (
        process(tmp_path / "other") as running,
        pytest.raises(StateError, match=f"in use by process {running.process.pid}"),
    ):
        fsck(tmp_path / "other", said.append)


def _findings(state: Path) -> list[str]:
    said: list[str] = []
    assert fsck(state, said.append) == 1
    return [line for line in said if line.startswith("BAD")]


def test_the_line_at_start(tmp_path: Path) -> None:
    """--json: one line with origin, catalog and pid; the first token only once."""
    from tests.origin.play import command

    for again in (False, True):
        running = subprocess.Popen(command(tmp_path / "state"), stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        line = json.loads(running.stdout.readline())
        assert line["pid"] == running.pid
        assert line["catalog"].startswith("k51")
        assert ("admin_token" in line) is not again
        assert Client(line["origin"]).get("/healthz").status == 200
        running.send_signal(signal.SIGTERM)
        running.communicate()
        assert running.returncode == 0
