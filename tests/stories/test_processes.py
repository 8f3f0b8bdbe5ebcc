"""An edge of three processes: restarted one by one under load, killed, stopped, purged, asked for what it has not.

Actors: an origin, a counting proxy before it, one edge with its parent and three processes, a publisher, visitors.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from content.cid import CID, RAW
from tests.edge.test_deltas import NEW, OLD, digest
from tests.kit.load import Load, Wire
from tests.kit.nodes import RIM, Cluster, Edge, Origin, fetch, until
from tests.kit.proxy import CountingProxy
from tests.stories.test_asking_edges import Tail

COUNT = 3


@dataclass(frozen=True)
class Stage:
    """The edge, and what stands before its origin."""

    ring: Cluster
    proxy: CountingProxy

    @property
    def edge(self) -> Edge:
        return self.ring.edges[0]

    @property
    def port(self) -> int:
        return urlsplit(self.edge.public).port or 0

    def host(self, site: str) -> str:
        return f"{site}.localhost:{self.port}"

    def status(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.ring.token}"}
        told: dict[str, Any] = json.loads(fetch(self.edge.private, "/api/v1/status", headers=headers).body)
        return told

    def pids(self) -> list[int]:
        """Of the processes that answer, by index."""
        return [row.get("pid", 0) for row in self.status()["processes"]]

    def serves(self) -> bool:
        """Whether all processes answer, and have come as far as the edge says it has."""
        rows = self.status()["processes"]
        return all(row["answers"] for row in rows)

    def left(self, data: bytes) -> int:
        """How often this block has left the origin."""
        return self.proxy.blocks[str(CID.of(RAW, data))]

    def publish(self, folder: Path, site: str, files: dict[str, bytes], *more: str) -> None:
        for name, data in {"index.html": b"<!doctype html><title>t</title>", **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        self.ring.publish(folder, site, "--encode", "none", "--wait", "all", *more)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("processes")
    with CountingProxy("") as proxy:
        origin = Origin(root / "origin")
        origin.start()
        proxy.upstream = origin.url
        token = origin.node_token()
        edge = Edge("edge-1", root / "edge-1")
        edge.join(
            proxy.url, origin.catalog, token, [edge], "--processes", str(COUNT), "--memory", "96M", "--cache", "1G"
        )
        ring = Cluster(origin, [edge], token)
        try:
            edge.start()
            yield Stage(ring, proxy)
        finally:
            ring.stop()


def parent(edge: Edge) -> int:
    assert edge.process is not None
    return edge.process.pid


def children(pid: int) -> set[int]:
    """The processes that this one has started."""
    return {int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def blocks(count: int, seed: str) -> dict[str, bytes]:
    """So many files of one block, each of its own bytes."""
    return {f"f{number}.txt": f"{seed} {number} ".encode() * 200 for number in range(count)}


def holder(wire: Wire, pids: list[int]) -> int:
    """Which of these processes has the other end of this connection; 0: it waits to be taken."""
    ends = (wire.port, wire.end)
    for row in map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:]):
        if tuple(int(address.rpartition(":")[2], 16) for address in row[1:3]) == ends:
            name = f"socket:[{row[9]}]"
            return next((pid for pid in pids if name in map(os.readlink, Path(f"/proc/{pid}/fd").iterdir())), 0)
    return 0


def test_restarted_one_by_one_under_load_no_request_is_lost(stage: Stage, tmp_path: Path) -> None:
    """Old connections and new ones, one that was idle meanwhile, and a download that was under way."""
    files = blocks(20, "roll")
    large = os.urandom(5 << 20)
    stage.publish(tmp_path / "site", "roll", {**files, "large.bin": large})
    before, said = stage.pids(), stage.edge.stderr()
    idle = [Wire(stage.port, stage.host("roll")) for _ in range(9)]
    download = Wire(stage.port, stage.host("roll"))
    for wire in idle:
        assert wire.get("/f1.txt")[2] == files["f1.txt"]
    download.send("/large.bin")
    holders = [until("it was taken", lambda wire=wire: holder(wire, before)) for wire in [*idle, download]]
    closed = []
    with Load(stage.port, stage.host("roll"), {f"/{name}": data for name, data in files.items()}) as load:
        os.kill(parent(stage.edge), signal.SIGHUP)
        # Asked one process after the other: who leaves waits for some seconds, and on a busy machine all take longer.
        for index, pid in enumerate(before):
            until("it is another one", lambda index=index, pid=pid: stage.pids()[index] not in (0, pid))
            closed += [wire.get("/f2.txt") for wire, held in zip(idle, holders, strict=False) if held == pid]
            if holders[-1] == pid:
                assert download.read()[2] == large
                download.close()
        until("each process serves", stage.serves)
        until("the old processes have gone", lambda: not any(is_alive(pid) for pid in before), 30)
    assert load.lost == []
    assert load.answers > 100
    assert load.connections > 20
    assert len(closed) == len(idle)
    assert {(status, body) for status, _, body in closed} == {(200, files["f2.txt"])}
    assert {headers.get("connection") for _, headers, _ in closed} == {"close"}
    for wire in idle:
        wire.close()
    assert stage.edge.stderr() == said


def test_killed_under_load_the_others_serve_on_and_what_waits_is_answered(stage: Stage, tmp_path: Path) -> None:
    """A process that stands still has connections waiting at it; it is killed; its successor answers them all."""
    files = blocks(10, "kill")
    stage.publish(tmp_path / "site", "kill", files)
    victim = stage.pids()[1]
    os.kill(victim, signal.SIGSTOP)
    waiting = [Wire(stage.port, stage.host("kill")) for _ in range(30)]
    for wire in waiting:
        wire.send("/f3.txt")
    os.kill(victim, signal.SIGKILL)
    with ThreadPoolExecutor(len(waiting)) as pool:
        answers = list(pool.map(Wire.read, waiting))
    assert {(status, body) for status, _, body in answers} == {(200, files["f3.txt"])}
    until("it is back", lambda: stage.serves() and stage.pids()[1] not in (0, victim))
    for wire in waiting:
        wire.close()
    assert stage.edge.metric("rim_process_restarts_total") >= 1
    assert f"process 1 (pid {victim}) was killed by signal 9" in stage.edge.stderr()


def test_while_one_is_away_another_takes_its_visitors(stage: Stage, tmp_path: Path) -> None:
    """The successor of a killed process stands still before it serves: every new connection is answered meanwhile."""
    files = blocks(1, "away")
    stage.publish(tmp_path / "site", "away", files)
    before = set(stage.pids())
    victim = stage.pids()[2]
    os.kill(victim, signal.SIGKILL)
    new = until("its successor is there", lambda: children(parent(stage.edge)) - before).pop()
    os.kill(new, signal.SIGSTOP)
    try:
        for _ in range(30):
            assert stage.edge.get("away", "/f0.txt").body == files["f0.txt"]
        assert stage.edge.metric("rim_processes") == COUNT - 1
    finally:
        os.kill(new, signal.SIGCONT)
    until("it is back", lambda: stage.pids()[2] == new)


def test_a_cold_block_leaves_the_origin_once(stage: Stage, tmp_path: Path) -> None:
    """Sixty visitors at once, over three processes that all lack it; also the parts of a long file."""
    files = blocks(12, "cold")
    large = [os.urandom(1 << 20) for _ in range(5)]
    stage.publish(tmp_path / "site", "cold", {**files, "large.bin": b"".join(large)}, "--no-warm")

    def visit(number: int) -> bool:
        wire = Wire(stage.port, stage.host("cold"))
        whole = all(wire.get(f"/{name}")[2] == data for name, data in files.items())
        whole &= number % 6 > 0 or wire.get("/large.bin")[2] == b"".join(large)
        wire.close()
        return whole

    with ThreadPoolExecutor(60) as pool:
        assert all(pool.map(visit, range(60)))
    assert {stage.left(data) for data in (*files.values(), *large)} == {1}


def test_machine_first_then_process(stage: Stage, tmp_path: Path) -> None:
    """Two more edges of two processes each, a ring of their own: once each process knows that the other edge is ready
    (before, it owns nothing), and both are asked by many at once, what has left the origin once for the first edge
    leaves it once more."""
    files = blocks(16, "ring")
    stage.publish(tmp_path / "site", "ring", files)
    assert {stage.left(data) for data in files.values()} == {1}
    origin = stage.ring.origin
    ring = [Edge(name, tmp_path / name) for name in ("edge-4", "edge-5")]
    try:
        for edge in ring:
            edge.join(stage.proxy.url, origin.catalog, stage.ring.token, ring, "--processes", "2").start()
        until("all processes have the other edge in their ring", lambda: all(map(sees_the_other, ring)), 30)

        def visit(number: int) -> bool:
            edge = ring[number % 2]
            return all(edge.get("ring", f"/{name}").body == data for name, data in files.items())

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(visit, range(16)))
        assert {stage.left(data) for data in files.values()} == {2}
        assert {edge.lies() == {} for edge in ring} == {True}
    finally:
        for edge in ring:
            edge.stop()
        for edge in ring:
            stage.ring.rim("edges", "forget", edge.name, check=False)


def sees_the_other(edge: Edge) -> bool:
    """Whether no process of it sees the one other member in another state than ready."""
    lines = edge.ask("/metrics").body.decode().splitlines()
    states = [line.partition(",")[2].rpartition(" ")[0] for line in lines if line.startswith("rim_peer_state{")]
    return states == ['state="ready"}']


def test_a_purge_has_its_receipt_when_every_process_has_it(stage: Stage, tmp_path: Path) -> None:
    """One of three stands still: the others serve the new Head, and the edge says nothing until that one has it too.
    Then every block leaves the origin exactly once more, the parts of a long file among them."""
    files = blocks(30, "purge")
    large = [os.urandom(1 << 20) for _ in range(5)]
    folder = tmp_path / "site"
    stage.publish(folder, "purge", {**files, "large.bin": b"".join(large)})

    def ask() -> set[bool]:
        wires = [Wire(stage.port, stage.host("purge")) for _ in range(8)]
        whole = {wire.get(f"/{name}")[2] == data for name, data in files.items() for wire in wires}
        whole |= {wire.get("/large.bin")[2] == b"".join(large) for wire in wires}
        for wire in wires:
            wire.close()
        return whole

    assert ask() == {True}
    assert {stage.left(data) for data in (*files.values(), *large)} == {1}
    still = stage.pids()[2]
    os.kill(still, signal.SIGSTOP)
    try:
        command = [*RIM, "purge", "purge", "--all", "--wait", "all", "--timeout", "60"]
        with subprocess.Popen(command, env=stage.ring.env(), stderr=subprocess.PIPE) as purge:
            old = stage.status()["stored"]
            until("two have taken it", lambda: stage.status()["sequence"] > old)
            assert stage.status()["stored"] == old
            assert purge.poll() is None
            os.kill(still, signal.SIGCONT)
            assert purge.wait(30) == 0, purge.stderr and purge.stderr.read()
    finally:
        os.kill(still, signal.SIGCONT)
    assert stage.status()["stored"] > old
    assert ask() == {True}
    assert {stage.left(data) for data in (*files.values(), *large)} == {2}


def test_every_process_makes_the_same_delta_and_none_of_what_is_purged(stage: Stage, tmp_path: Path) -> None:
    """Two deploys, then visitors with the old file on connections of their own: whichever process they meet, the same
    bytes. Once the old file is purged, no process makes a delta of it any more."""
    stage.publish(tmp_path / "site", "delta", {"app-AAAAaaa1.js": OLD})
    (tmp_path / "site" / "app-AAAAaaa1.js").unlink()
    stage.publish(tmp_path / "site", "delta", {"app-BBBBbbb2.js": NEW})
    has = {"Accept-Encoding": "br, dcz", "Available-Dictionary": digest(OLD)}

    def visits() -> set[tuple[str | None, bytes]]:
        answers = [stage.edge.get("delta", "/app-BBBBbbb2.js", has) for _ in range(24)]
        return {(answer.headers.get("content-encoding"), answer.body) for answer in answers}

    before = stage.edge.metric("rim_deltas_made_total")
    until("none is late any more", lambda: {coding for coding, _ in visits()} == {"dcz"})
    ((_, body),) = visits()
    assert len(body) < len(NEW) // 20
    assert 1 <= stage.edge.metric("rim_deltas_made_total") - before <= COUNT
    assert stage.edge.metric("rim_delta_answers_total") >= 24
    stage.ring.rim("purge", "delta", "--path", "/app-AAAAaaa1.js", "--wait", "all")
    assert {coding for coding, _ in visits()} == {None}


def test_numbers_are_those_of_all_processes_and_never_go_down(stage: Stage, tmp_path: Path) -> None:
    """Requests over many connections are all counted, whoever is asked; a process that is killed takes none along."""
    files = blocks(1, "numbers")
    stage.publish(tmp_path / "site", "numbers", files)
    name = 'rim_responses_total{status="200"}'
    first = stage.edge.metric(name)
    for _ in range(40):
        assert stage.edge.get("numbers", "/f0.txt").status == 200
    assert {stage.edge.metric(name) for _ in range(10)} == {first + 40}
    assert stage.edge.metric("rim_processes") == COUNT
    victim, restarts = stage.pids()[0], stage.edge.metric("rim_process_restarts_total")
    os.kill(victim, signal.SIGKILL)
    seen = [stage.edge.metric(name)]
    until("it is back", lambda: stage.serves() and stage.pids()[0] not in (0, victim))
    seen.append(stage.edge.metric(name))
    assert set(seen) == {first + 40}
    assert stage.edge.metric("rim_process_restarts_total") == restarts + 1


def test_a_tail_shows_what_every_process_answers(stage: Stage, tmp_path: Path) -> None:
    """Each answer once, whichever process gave it; and an edge explains itself with one voice."""
    stage.publish(tmp_path / "site", "tail", blocks(40, "tail"))
    tail = Tail(stage.ring, "tail")

    def seen() -> list[str]:
        return [row["path"] for row in list(tail.rows) if row.get("path", "").startswith("/f")]

    try:
        until("all look", lambda: all_look(stage, seen))
        begun = len(seen())
        for number in range(40):
            assert stage.edge.get("tail", f"/f{number}.txt").status == 200
        until("all are shown", lambda: len(seen()) >= begun + 40)
        assert sorted(seen()[begun:]) == sorted(f"/f{number}.txt" for number in range(40))
    finally:
        tail.end()
    told = json.loads(stage.ring.rim("explain", "http://tail.localhost/f1.txt", "--json").stdout)
    assert [(row["node"], row["status"]) for row in told["edges"]] == [("edge-1", 200)]


def all_look(stage: Stage, seen: Callable[[], list[str]]) -> bool:
    """Whether of ten answers in a row, over connections that spread, all are shown."""
    before = len(seen())
    for _ in range(10):
        stage.edge.get("tail", "/f0.txt")
    with suppress(AssertionError):
        until("they are shown", lambda: len(seen()) == before + 10, 1)
        return True
    return False


def test_settings_that_no_process_can_start_with_end_a_restart_at_once(stage: Stage, tmp_path: Path) -> None:
    """The token's file has gone: the first new process says so and ends; the old ones serve on."""
    folder = tmp_path / "site"
    stage.publish(folder, "settings", blocks(1, "settings"))
    token = tmp_path / "token"
    token.write_text(stage.ring.token)
    edge = Edge("edge-2", tmp_path / "edge-2")
    edge.join(stage.proxy.url, stage.ring.origin.catalog, "", [edge], "--processes", "2", "--token-file", str(token))
    edge.start()
    try:
        token.unlink()
        os.kill(parent(edge), signal.SIGHUP)
        until("it is said", lambda: "before it could take its place" in edge.stderr())
        assert "token" in edge.stderr()
        assert edge.get("settings", "/f0.txt").status == 200
        assert edge.metric("rim_processes") == 2
    finally:
        assert edge.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_of_an_edge(stage: Stage, tmp_path: Path, number: signal.Signals) -> None:
    """With the parent its processes go, killed as it may be; and with one process more or less, or with one alone, it
    starts on what lies there, the origin out of reach."""
    edge = Edge("edge-3", tmp_path / "edge-3")
    site = f"left{number.value}"
    stage.publish(tmp_path / "site", site, blocks(6, site))
    origin = stage.ring.origin
    edge.join(stage.proxy.url, origin.catalog, stage.ring.token, [edge], "--processes", "2")
    try:
        end_and_start(stage, edge, site, number)
    finally:
        edge.kill()
        stage.ring.rim("edges", "forget", "edge-3", check=False)


def end_and_start(stage: Stage, edge: Edge, site: str, number: signal.Signals) -> None:
    origin = stage.ring.origin
    edge.start()
    headers = {"Authorization": f"Bearer {stage.ring.token}"}
    rows = json.loads(fetch(edge.private, "/api/v1/status", headers=headers).body)["processes"]
    for name, data in blocks(6, site).items():
        assert edge.get(site, f"/{name}").body == data
    fetched = edge.metric('rim_blocks_loaded_total{source="origin"}')
    until("all of it lies on disk", lambda: edge.metric("rim_disk_blocks") == fetched)
    os.kill(parent(edge), number)
    assert edge.process is not None
    assert edge.process.wait(10) == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    until("all are gone", lambda: not any(is_alive(row["pid"]) for row in rows))
    for processes in ("3", "1"):
        edge.join("http://127.0.0.1:9", origin.catalog, stage.ring.token, [edge], "--processes", processes)
        edge.start()
        for name, data in blocks(6, site).items():
            assert edge.get(site, f"/{name}").body == data
        assert edge.stop() == 0
