"""The image: built from the wheel on a base given as an argument, run as an origin and three edges.

Actors: deploy/container/build, a base made by debootstrap, buildah; all containers on loopback, for chroot isolation
shares the machine's network. What takes namespaces (process 1, a root that cannot be written, no capability at all) is
shown with unshare and setpriv on the image's own files.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.conftest import IMAGE
from tests.kit.containers import STATE, USER, Container, Store
from tests.kit.nodes import Answer, fetch, free_port, listens, until

pytestmark = [
    pytest.mark.needs("buildah", "debootstrap"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a container without namespaces of its own takes root"),
]
SECRET = "/run/secrets/node-token"
PAGE, PICTURE = b"<!doctype html><title>boxed</title>" + b" " * 3000, os.urandom(1_500_000)
BYTES = 140 * 1024**2  # of what the image adds to its base; a third of it is compiled parts of other people's packages


@dataclass
class Boxes:
    """An origin and three edges, each a container with a volume."""

    origin: Container
    edges: list[Container]
    token: str

    def get(self, edge: Container, path: str) -> Answer:
        return fetch(f"http://{edge.env['RIM_PUBLIC']}", path, "boxed.localhost")

    @contextmanager
    def without(self, *killed: Container) -> Iterator[None]:
        """These are killed; at the end all are there again, so that no play depends on another."""
        for container in killed:
            container.kill()
        try:
            yield
        finally:
            ended = [each for each in (self.origin, *self.edges) if each.process and each.process.poll() is not None]
            for container in ended:
                container.start()
            for container in ended:
                container.ready()


@pytest.fixture(scope="module")
def boxes(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    folder = tmp_path_factory.mktemp("boxes")
    listen = f"127.0.0.1:{free_port()}"
    own = {"RIM_ORIGIN_LISTEN": listen, "RIM_ORIGIN": f"http://{listen}", "RIM_TOKEN_FILE": f"{STATE}/admin-token"}
    origin = Container(store, IMAGE, "origin", own, ["origin"], {STATE: volume(folder / "origin")})
    edges: list[Container] = []
    try:
        origin.start().ready()
        token = said(origin, "rim", "token", "add", "edges", "--scope", "edge")
        catalog = said(origin, "rim", "key", "show")
        secret = folder / "node-token"
        secret.write_text(token + "\n")
        ports = [(free_port(), free_port()) for _ in range(3)]
        peers = ",".join(f"edge-{n}=http://127.0.0.1:{private}" for n, (_, private) in enumerate(ports, 1))
        for n, (public, private) in enumerate(ports, 1):
            env = {
                "RIM_NAME": f"edge-{n}",
                "RIM_ORIGIN": own["RIM_ORIGIN"],
                "RIM_CATALOG": catalog,
                "RIM_NODE_TOKEN_FILE": SECRET,
                "RIM_PUBLIC": f"127.0.0.1:{public}",
                "RIM_PRIVATE": f"127.0.0.1:{private}",
                "RIM_ORIGIN_LISTEN": "127.0.0.1:9",  # so that its health check finds nobody but itself
                "RIM_PEERS": peers,
            }
            mounts = {STATE: volume(folder / f"edge-{n}"), SECRET: f"{secret}:ro"}
            edges.append(Container(store, IMAGE, f"edge-{n}", env, ["edge"], mounts).start())
        site = folder / "site"
        site.mkdir()
        (site / "index.html").write_bytes(PAGE)
        (site / "picture.bin").write_bytes(PICTURE)
        for edge in edges:
            edge.ready()
        mine = folder / "publish-token"
        mine.write_text(said(origin, "rim", "token", "add", "publisher", "--scope", "publish"))
        env = {"RIM_ORIGIN": own["RIM_ORIGIN"], "RIM_TOKEN_FILE": "/run/secrets/publish-token"}
        mounts = {STATE: volume(folder / "publisher"), env["RIM_TOKEN_FILE"]: f"{mine}:ro", "/site": f"{site}:ro"}
        publisher = Container(store, IMAGE, "publisher", env, [], mounts)
        told = said(publisher, "rim", "publish", "/site", "--site", "boxed", "--wait", "all", "--json")
        assert json.loads(told)["files"] == 2
        yield Boxes(origin, edges, token)
    finally:
        for container in [*edges, origin]:
            container.stop()


def volume(path: Path) -> str:
    """A volume as an engine makes a new one: owned as the image's folder below it."""
    path.mkdir(mode=0o700)
    os.chown(path, USER, USER)
    return str(path)


def said(container: Container, *words: str) -> str:
    """What a command in the container prints."""
    done = container.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_the_image_says(store: Store) -> None:
    """Its user, entry, signal, volume, ports, health check, labels; no shell before Rim."""
    config = store.config(IMAGE)["config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/opt/rim/bin/rim"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["Volumes"]) == [STATE]
    assert set(config["ExposedPorts"]) == {"8080/tcp", "7001/tcp", "7070/tcp"}
    assert config["Healthcheck"]["Test"] == ["CMD", "/opt/rim/bin/rim", "health"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "rim"
    assert labels["org.opencontainers.image.version"] not in ("0", "")


def test_what_is_in_the_image(store: Store) -> None:
    """Rim and what it needs at run time; nothing that installs, compiles or tests; nothing that its user may change."""
    container = store.buildah("from", IMAGE)
    root = Path(store.buildah("mount", container))
    files = [path for path in (root / "opt/rim").rglob("*") if path.is_file() and not path.is_symlink()]
    packages = {path.name for path in (root / "opt/rim/lib").glob("python3*/site-packages/*")}
    assert packages >= {"content", "edge", "origin", "rim", "uvloop"}
    assert packages.isdisjoint({"pip", "setuptools", "pytest", "build", "wheel"})
    assert [path for path in files if path.parent.name in ("test", "tests") or path.suffix in (".pyi", ".c")] == []
    assert {path.name for path in (root / "opt/rim/bin").iterdir()} >= {"rim", "python3"}
    sources = [path for path in files if path.suffix == ".py"]
    assert [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))] == []
    assert sum(path.stat().st_size for path in files) <= BYTES
    others = [path for path in files if path.stat().st_uid != 0 or path.stat().st_mode & 0o022]
    assert others == []
    assert not (root / "context").exists()
    state = (root / STATE.lstrip("/")).stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (USER, USER, 0o700)
    store.buildah("rm", container)


def test_three_containers_serve_a_site(boxes: Boxes) -> None:
    """Each edge, the page and a picture of two blocks; every process is the image's user, without any capability."""
    for edge in boxes.edges:
        assert boxes.get(edge, "/").body == PAGE
        assert boxes.get(edge, "/picture.bin").body == PICTURE
    for container in [*boxes.edges, boxes.origin]:
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in status
        assert "CapEff:\t0000000000000000" in status


def test_nothing_but_the_volume_can_be_written(boxes: Boxes) -> None:
    """The user may write to the state folder, and to no other of the image's."""
    probe = f"import os; print([p for p in ('/opt/rim', '/usr', '/etc', '/', '{STATE}') if os.access(p, os.W_OK)])"
    assert said(boxes.edges[0], "python3", "-c", probe) == f"['{STATE}']"


def test_killed_and_restarted_they_keep_their_cache(boxes: Boxes) -> None:
    """With the origin gone and no peer up yet, a restarted edge answers from its volume."""
    for edge in boxes.edges:
        assert boxes.get(edge, "/picture.bin").status == 200
    with boxes.without(boxes.origin, *boxes.edges):
        for edge in boxes.edges:
            edge.start().ready()
            answer = boxes.get(edge, "/picture.bin")
            assert answer.body == PICTURE
            assert "detail=disk" in answer.cache_status, answer.cache_status
            edge.kill()  # before the next: what that one answers is its own


def test_the_health_check_fails_when_it_should(boxes: Boxes) -> None:
    """Well; frozen: not well, in time; dead: nothing listens."""
    edge = boxes.edges[2]
    assert edge.healthy()
    os.kill(edge.pid, signal.SIGSTOP)
    try:
        assert not edge.healthy()
    finally:
        os.kill(edge.pid, signal.SIGCONT)
    with boxes.without(edge):
        assert not edge.healthy()


def test_sigterm_ends_it_well(boxes: Boxes) -> None:
    """An edge with an open connection, and the origin with edges waiting at it: gone in time, with 0."""
    edge = boxes.edges[1]
    host, port = edge.env["RIM_PUBLIC"].split(":")
    with boxes.without(), socket.create_connection((host, int(port)), 20) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: boxed.localhost\r\n\r\n")
        assert visitor.recv(15) == b"HTTP/1.1 200 OK"
        assert edge.stop(20) == 0
        assert boxes.origin.stop(20) == 0


def test_process_1_with_a_read_only_root(store: Store, boxes: Boxes, tmp_path: Path) -> None:
    """As deploy/compose runs it: process 1 of its own, a root that nobody can write, no capability to be had, no new
    privileges; an edge of two processes serves, and ends with 0 and no child left."""
    container = store.buildah("from", IMAGE)
    root = store.buildah("mount", container)
    state = volume(tmp_path / "state")
    env = {**boxes.edges[0].env, "RIM_NAME": "alone", "RIM_PEERS": "", "RIM_PROCESSES": "2"}
    env |= {"RIM_PUBLIC": f"127.0.0.1:{free_port()}", "RIM_PRIVATE": f"127.0.0.1:{free_port()}"}
    del env["RIM_NODE_TOKEN_FILE"]
    given = {**dict(word.split("=", 1) for word in store.config(IMAGE)["config"]["Env"]), **env}
    script = f"""set -e
        mount --bind {root} {root}; mount -o remount,bind,ro {root}
        mount --bind {state} {root}{STATE}; mount -t proc proc {root}/proc; mount --bind /dev {root}/dev
        exec chroot {root} setpriv --reuid {USER} --regid {USER} --clear-groups --bounding-set=-all --inh-caps=-all \\
          --no-new-privs {" ".join(store.config(IMAGE)["config"]["Entrypoint"])} edge
    """
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", script],
            env={**given, "RIM_NODE_TOKEN": boxes.token, "PATH": f"{given['PATH']}:/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        port = int(env["RIM_PUBLIC"].split(":")[1])
        until("it listens", lambda: process.poll() is not None or listens(port), 60)
        assert process.poll() is None, (tmp_path / "log").read_text()
        until("it serves", lambda: fetch(f"http://{env['RIM_PUBLIC']}", "/", "boxed.localhost").body == PAGE, 60)
        inner = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        status = Path(f"/proc/{inner}/status").read_text()
        assert f"NSpid:\t{inner}\t1\n" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        mounts = Path(f"/proc/{inner}/mountinfo").read_text().splitlines()
        assert next(line.split()[5] for line in mounts if line.split()[4] == "/").startswith("ro")
        os.kill(inner, signal.SIGTERM)
        assert process.wait(20) == 0, (tmp_path / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        store.buildah("rm", container)
