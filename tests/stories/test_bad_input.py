"""Bad input at the command line: a clear message, the promised exit code, and nothing lost.

Actors: a publisher at the command line, a real origin, and what the world does to them. Exit codes: 1 failed, 2 usage,
3 refused, 4 timed out, 5 some nodes only. What the origin itself is sent raw stands in tests/origin.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.nodes import RIM, Cluster, Edge, Origin, fetch, free_port, until
from tests.kit.programs import needed
from tests.stories.test_ring import files_of, make_site


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("ring")
    origin = Origin(root / "origin")
    origin.start()
    token = origin.node_token()
    edge = Edge("edge-1", root / "edge-1")
    edge.join(origin.url, origin.catalog, token, [edge]).start()
    whole = Cluster(origin, [edge], token)
    try:
        yield whole
    finally:
        whole.stop()


def refused(ring: Cluster, code: int, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Run it; it must end with this code, one message without a traceback, and an empty stdout. The message."""
    done = subprocess.run(
        [*RIM, *arguments],
        env={**ring.env(), **(env or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    message = done.stderr.strip()
    assert done.returncode == code, (done.returncode, done.stdout, message)
    assert message
    assert "Traceback" not in message
    assert not done.stdout, done.stdout
    print(f"exit {code}: {message}")
    return message


def sequence(ring: Cluster) -> int:
    return int(json.loads(ring.origin.api("GET", "/status").body)["sequence"])


def test_folders_that_cannot_be_published(ring: Cluster, tmp_path: Path) -> None:
    """No such folder, a file, an empty one, a name that is not UTF-8, secrets: nothing is committed."""
    before = sequence(ring)
    assert "no-such" in refused(ring, 2, "publish", str(tmp_path / "no-such"), "--site", "bad")
    (tmp_path / "file.txt").write_text("x")
    assert "file.txt" in refused(ring, 2, "publish", str(tmp_path / "file.txt"), "--site", "bad")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "--allow-empty" in refused(ring, 3, "publish", str(empty), "--site", "bad")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "index.html").write_text("x")
    (secret / ".env").write_text("KEY=1")
    message = refused(ring, 3, "publish", str(secret), "--site", "bad")
    assert ".env" in message
    assert "--allow-secret" in message
    odd = tmp_path / "odd"
    odd.mkdir()
    with open(os.path.join(os.fsencode(odd), b"bad-\xff.txt"), "wb") as file:
        file.write(b"x")
    assert "UTF-8" in refused(ring, 2, "publish", str(odd), "--site", "bad")
    assert sequence(ring) == before


def test_an_unreadable_file_is_named(ring: Cluster, tmp_path: Path) -> None:
    """A file the publisher may not read: exit 2, and its name. (Root reads all, so it gives that power up first.)"""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("x")
    (folder / "private.html").write_text("x")
    (folder / "private.html").chmod(0)
    powerless = []
    if os.getuid() == 0:
        powers = "-dac_override,-dac_read_search"
        powerless = [needed("setpriv"), f"--bounding-set={powers}", f"--inh-caps={powers}"]
    done = subprocess.run(
        [*powerless, *RIM, "publish", str(folder), "--site", "bad"],
        env=ring.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done
    assert "private.html" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_changes_while_it_is_read(ring: Cluster, tmp_path: Path) -> None:
    """A file written to all the time: exit 1 and its name; a vanishing one is no traceback either."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("x")
    growing, stop = folder / "growing.bin", threading.Event()
    growing.write_bytes(os.urandom(64 << 20))

    def grow() -> None:
        with open(growing, "r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(64))

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        assert "growing.bin" in refused(ring, 1, "publish", str(folder), "--site", "bad", "--encode", "none")
    finally:
        stop.set()
        writer.join()


def test_tokens(ring: Cluster, tmp_path: Path) -> None:
    """No token, a wrong one, an expired one, one of another scope or site: exit 3, and what to do."""
    folder = make_site(tmp_path / "site", 1, files=2)
    publish = ("publish", str(folder), "--site", "tokens")

    def token(**more: object) -> str:
        asked = {"name": "t", "scopes": ["publish"], "sites": "*", "expires": None, **more}
        return str(json.loads(ring.origin.api("POST", "/tokens", asked).body)["token"])

    refused(ring, 3, *publish, env={"RIM_TOKEN": "rim_wrong"})
    brief = token(expires=int(time.time()) + 1)
    until("the token expires", lambda: ring.origin.api("GET", "/status", token=brief).status == 401)
    assert "expired" in refused(ring, 3, *publish, env={"RIM_TOKEN": brief})
    assert "publish" in refused(ring, 3, *publish, env={"RIM_TOKEN": token(scopes=["purge"])})
    assert "tokens" in refused(ring, 3, *publish, env={"RIM_TOKEN": token(sites=["other"])})
    assert ring.publish(folder, "tokens")["site"] == "tokens"


def test_origin_down(ring: Cluster, tmp_path: Path) -> None:
    """Nobody listens: exit 1, its address, and what to look at."""
    folder = make_site(tmp_path / "site", 1, files=2)
    url = f"http://127.0.0.1:{free_port()}"
    assert url.split("//")[1] in refused(ring, 1, "publish", str(folder), "--site", "down", env={"RIM_ORIGIN": url})


def test_origin_dies_in_the_middle_of_an_upload(tmp_path: Path) -> None:
    """SIGKILL while blocks arrive: exit 1; started again, the same publish sends only what is still missing."""
    origin = Origin(tmp_path / "origin")
    origin.start()
    ring = Cluster(origin, [])
    try:
        folder = make_site(tmp_path / "site", 1, files=400)
        for n in range(8):
            (folder / f"large-{n}.bin").write_bytes(os.urandom(12 << 20))
        command = [*RIM, "publish", str(folder), "--site", "site", "--encode", "none", "--timeout", "3", "--json"]
        env = {**ring.env(), "RIM_RETRY": "2"}
        publisher = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        packs = origin.state / "packs"
        until(
            "half of it arrived",
            lambda: sum(p.stat().st_size for p in packs.glob("*.car")) > 24 << 20 or publisher.poll() is not None,
        )
        origin.kill()
        _, errors = publisher.communicate(timeout=120)
        assert publisher.returncode == 1, (publisher.returncode, errors)
        assert "Traceback" not in errors
        origin.start()
        again = ring.publish(folder, "site", "--encode", "none")
        total = sum(len(data) for data in files_of(folder).values())
        print(f"killed mid-upload; the second try sent {again['bytes_sent']:,} of {total:,} bytes")
        assert again["bytes_sent"] < total * 0.9
    finally:
        if origin.process and origin.process.poll() is None:
            origin.stop()


def test_an_origin_that_stalls_is_waited_for(tmp_path: Path) -> None:
    """SIGSTOP in the middle of a publish, and SIGCONT two seconds later: the publish ends with 0 and is whole."""
    origin = Origin(tmp_path / "origin")
    origin.start()
    ring = Cluster(origin, [])
    assert origin.process is not None
    try:
        folder = make_site(tmp_path / "site", 1, files=40)
        log = tmp_path / "steps.log"
        env = {**ring.env(), "RIM_STEPS_LOG": str(log)}
        publisher = subprocess.Popen(
            [*RIM, "publish", str(folder), "--site", "site", "--json"], env=env, stdout=subprocess.PIPE, text=True
        )
        until("it begins to build", lambda: log.exists() and "encode.done" in log.read_text())
        os.kill(origin.process.pid, signal.SIGSTOP)
        time.sleep(2)  # the fault itself, not a wait for something
        assert publisher.poll() is None or publisher.returncode == 0
        os.kill(origin.process.pid, signal.SIGCONT)
        result, _ = publisher.communicate(timeout=60)
        assert publisher.returncode == 0
        assert json.loads(result)["files"] == len(files_of(folder))
    finally:
        os.kill(origin.process.pid, signal.SIGCONT)
        origin.stop()


def test_unknown_sites_and_hosts(ring: Cluster, tmp_path: Path) -> None:
    """An unknown Host is 421; an unknown site is refused by name; a host of another site stays with its owner."""
    folder = make_site(tmp_path / "site", 1, files=2)
    ring.publish(folder, "one")
    ring.publish(folder, "two")
    edge = ring.edges[0]
    assert fetch(edge.public, "/", "nobody.example").status == 421
    assert fetch(edge.public, "/", "unknown.localhost").status == 421
    assert "nowhere" in refused(ring, 3, "rollback", "nowhere")
    assert "nowhere" in refused(ring, 3, "releases", "nowhere")
    ring.rim("site", "set", "one", "--host", "www.example.test")
    message = refused(ring, 3, "site", "set", "two", "--host", "www.example.test")
    assert "one" in message
    assert "www.example.test" in message
    until("the edge knows the host", lambda: fetch(edge.public, "/", "www.example.test").status == 200)
    refused(ring, 2, "publish", str(folder), "--site", "Not A Name")
    refused(ring, 2, "publish", str(folder), "--site", "a--b")


def test_two_publishes_of_one_site_at_once(ring: Cluster, tmp_path: Path) -> None:
    """Both end, at least one with 0; a loser ends with 3 and says that another was first; what is live is whole."""
    folders = [make_site(tmp_path / f"site-{n}", 100 + n, files=20) for n in range(2)]
    running = [
        subprocess.Popen(
            [*RIM, "publish", str(folder), "--site", "race"],
            env=ring.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for folder in folders
    ]  # fmt: skip
    ends = [(p.communicate(timeout=120), p.returncode) for p in running]
    codes = sorted(code for _, code in ends)
    assert codes in ([0, 0], [0, 3]), ends
    for (_, errors), code in ends:
        assert code == 0 or "race" in errors
    edge = ring.edges[0]
    page = edge.get("race", "/index.html").body
    winner = next(files_of(f) for f in folders if files_of(f)["/index.html"] == page)
    assert all(edge.get("race", path).body == data for path, data in winner.items())


def test_a_replaced_publisher_does_not_wait_out_its_time(tmp_path: Path) -> None:
    """An edge that says nothing holds one publisher at the gate; another takes the site: the first ends with 3."""
    origin = Origin(tmp_path / "origin")
    origin.start()
    ring = Cluster(origin, [])
    asked = f"/api/v1/head?since={1 << 62}&wait=60&node=silent&region=local"
    bearer = {"Authorization": f"Bearer {origin.node_token()}"}
    silent = threading.Thread(target=fetch, args=(origin.url, asked), kwargs={"headers": bearer, "timeout": 90})
    silent.start()  # an edge that follows, and never reports
    try:
        until("the origin sees the edge", lambda: b'"silent"' in origin.api("GET", "/edges").body)
        log = tmp_path / "steps.log"
        first = subprocess.Popen(
            [*RIM, "publish", str(make_site(tmp_path / "one", 1, files=2)), "--site", "site", "--timeout", "50"],
            env={**ring.env(), "RIM_STEPS_LOG": str(log)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until("the first has staged", lambda: log.exists() and "stage.done" in log.read_text())
        ring.publish(make_site(tmp_path / "two", 2, files=2), "site", "--no-warm")
        _, errors = first.communicate(timeout=25)
        assert first.returncode == 3, errors
        assert "site" in errors
    finally:
        origin.stop()
        silent.join()


def test_fifty_publishers_on_fifty_sites_at_once(ring: Cluster, tmp_path: Path) -> None:
    """Group commit: 50 publishers start together, 50 succeed, and the edge serves 50 sites."""
    folder = make_site(tmp_path / "site", 7, files=2)
    env = {**ring.env()}
    running = []
    for n in range(50):
        env["XDG_STATE_HOME"] = str(tmp_path / f"state-{n}")
        command = [*RIM, "publish", str(folder), "--site", f"crowd-{n}"]
        running.append(
            subprocess.Popen(command, env=dict(env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
    ends = [(p.communicate(timeout=300)[1], p.returncode) for p in running]
    assert [code for _, code in ends] == [0] * 50, [e for e in ends if e[1]][:3]
    for n in range(50):
        assert ring.edges[0].get(f"crowd-{n}", "/index.html").status == 200


def test_ports_and_state_folders_that_are_taken(tmp_path: Path) -> None:
    """A port in use, a state folder in use or of another version: exit 1, who has it, nothing left running."""
    state = tmp_path / "origin"
    origin = Origin(state)
    origin.start()
    ring = Cluster(origin, [])
    try:
        assert origin.process is not None
        message = refused(ring, 1, "origin", "--state", str(state), "--listen", f"127.0.0.1:{free_port()}")
        assert str(origin.process.pid) in message
        message = refused(ring, 1, "origin", "--state", str(tmp_path / "other"), "--listen", f"127.0.0.1:{origin.port}")
        assert str(origin.port) in message
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            message = refused(ring, 1, "up", "--edges", "1", "--port", str(port), "--state", str(tmp_path / "up"))
            assert str(port) in message
    finally:
        origin.stop()
    (state / "VERSION").write_text("99\n")
    assert "99" in refused(ring, 1, "origin", "--state", str(state), "--listen", f"127.0.0.1:{origin.port}")
