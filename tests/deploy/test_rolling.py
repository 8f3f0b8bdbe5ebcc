"""A ring is restarted edge by edge behind HAProxy, under load, and nobody who visits can tell.

Actors: three edges as processes; in front of them four times Debian's HAProxy with deploy/haproxy/haproxy.cfg, each
with its own way to balance; clients that ask without a pause, one that keeps its connection and one that makes one for
each request; and an operator: SIGTERM, wait, start, wait until visitors are sent there again.

By hand, 20 rounds, with HAProxy's own numbers:

    RIM_ROLLING=20 python -m pytest -s tests/deploy/test_rolling.py
"""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.test_haproxy import RECIPE, haproxy
from tests.kit.load import Load
from tests.kit.nodes import Cluster, Edge, Origin, until

pytestmark = pytest.mark.needs("haproxy")
ROUNDS = int(os.environ.get("RIM_ROLLING", "2"))
BALANCES = ("roundrobin", "leastconn", "source", "uri")
CHECK, NOTICE = "200ms", 2.0  # where the recipe has 1 s, and an edge 3
FILES = {f"/page-{n}.html": b"<!doctype html>\n" + b"%d " % n * 4_000 for n in range(8)}
FILES["/long.bin"] = b"l" * 1_500_000
HELD = re.compile(r"^\s+(retries|option redispatch|retry-on|http-check disable|timeout check|default-server check).*")


@dataclass
class Stage:
    """Three edges, and the folder of whoever stands in front of them."""

    cluster: Cluster
    folder: Path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("rolling")
    origin = Origin(folder / "origin")
    origin.start()
    edges = [Edge(f"edge-{n}", folder / f"edge-{n}") for n in (1, 2, 3)]
    cluster = Cluster(origin, edges, origin.node_token())
    try:
        for edge in edges:
            more = ("--trusted-proxy", "127.0.0.1", "--drain-notice", str(NOTICE))
            edge.join(origin.url, origin.catalog, cluster.token, edges, *more).start()
        (folder / "site").mkdir()
        for path, body in FILES.items():
            (folder / "site" / path[1:]).write_bytes(body)
        cluster.publish(folder / "site", "demo", "--encode", "none")
        yield Stage(cluster, folder)
    finally:
        cluster.stop()


@dataclass
class Front:
    """HAProxy: where it listens, and what it says of itself."""

    https: int
    ca: Path
    stats: Path

    def rows(self) -> dict[str, dict[str, str]]:
        """Its numbers, by server."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.stats))
            sock.sendall(b"show stat\n")
            said = b"".join(iter(lambda: sock.recv(65_536), b"")).decode()
        table = csv.DictReader(said.removeprefix("# ").splitlines())
        return {row["svname"]: row for row in table if row["pxname"] == "edges"}

    def mended(self) -> dict[str, int]:
        """What went wrong between it and the edges, whether a visitor saw it or not."""
        row = self.rows()["BACKEND"]
        names = {"retries": "wretr", "redispatches": "wredis", "failed connections": "econ", "failed answers": "eresp"}
        return {name: int(row[field]) for name, field in names.items()}

    def sends_to(self, count: int) -> bool:
        """Whether so many edges are in turn."""
        rows = self.rows()
        return sum(row["status"].startswith("UP") for name, row in rows.items() if name.startswith("edge-")) == count


@contextmanager
def front(stage: Stage, balance: str) -> Iterator[Front]:
    folder = stage.folder / balance
    folder.mkdir()
    given = {"RIM_BALANCE": balance, "RIM_CHECK": CHECK, "RIM_STATS": str(folder / "stats")}
    given |= {"RIM_USER": "haproxy"} if os.geteuid() == 0 else {}
    with haproxy(folder, stage.cluster.edges, given) as (_, https, ca):
        made = Front(https, ca, folder / "stats")
        until("three edges are in turn", lambda: made.sends_to(3))
        yield made


@contextmanager
def load_on(made: Front) -> Iterator[Load]:
    tls = ssl.create_default_context(cafile=str(made.ca))
    with Load(made.https, "demo.localhost", FILES, keeping=1, making=1, tls=tls) as load:
        yield load


def is_noticed_in_time(edge: Edge, fronts: list[Front]) -> bool:
    """Tell the edge to end, and wait until it has. Whether all in front had taken it out before its notice was over."""
    assert edge.process is not None
    begun = time.monotonic()
    edge.process.send_signal(signal.SIGTERM)
    until("it is out of turn", lambda: not any(made.sends_to(3) for made in fronts), 60)
    took = time.monotonic() - begun
    assert edge.process.wait(60) == 0
    return took < NOTICE


def said_of(load: Load, mended: dict[str, int]) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in mended.items())
    return f"{load.answers} answers on {load.connections} connections, {len(load.lost)} failed; {counts}"


@pytest.mark.timeout(7200 if ROUNDS > 2 else 600)
def test_a_rolling_restart_loses_nothing(stage: Stage) -> None:
    """Each edge in turn, some rounds, four ways to balance at the same time: every request is answered, whole. What
    HAProxy had to mend is printed: nothing, but for a few where the machine stands still for seconds."""
    begun, late = time.monotonic(), 0
    with ExitStack() as stack:
        fronts = {balance: stack.enter_context(front(stage, balance)) for balance in BALANCES}
        with ExitStack() as loading:
            loads = {balance: loading.enter_context(load_on(made)) for balance, made in fronts.items()}
            for number in range(1, ROUNDS + 1):
                for edge in stage.cluster.edges:
                    before = {balance: load.answers for balance, load in loads.items()}
                    late += not is_noticed_in_time(edge, list(fronts.values()))
                    edge.start(120)
                    until("it is in turn again", lambda: all(made.sends_to(3) for made in fronts.values()), 60)
                    for balance, load in loads.items():
                        until("clients go on", lambda load=load, seen=before[balance]: load.answers > seen)
                print(f"\n{number} rounds, {time.monotonic() - begun:.0f} s; {late} noticed after the notice was over")
                for balance, load in loads.items():
                    print(f"{balance}: {said_of(load, fronts[balance].mended())}", flush=True)
    assert [load.lost for load in loads.values()] == [[]] * len(loads)


def test_what_haproxy_is_told_to_mend() -> None:
    """Its settings for retries, as they are shipped; they are here for edges that die, not for those that leave."""
    lines = [line.strip() for line in RECIPE.read_text().splitlines() if HELD.match(line)]
    print("", *lines, sep="\n")
    assert len(lines) == 6
