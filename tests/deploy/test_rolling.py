"""A ring is restarted edge by edge behind HAProxy, under load, and nobody who visits can tell.

Actors: three edges as processes, Debian's HAProxy with deploy/haproxy/haproxy.cfg, clients that ask without a pause
(some keep their connection, one makes one for each request), and an operator: SIGTERM, wait, start, wait until HAProxy
sends visitors there again.

By hand, 20 rounds of each way to balance, with HAProxy's own numbers:

    RIM_ROLLING=20 python -m pytest -s tests/deploy/test_rolling.py
"""

from __future__ import annotations

import csv
import os
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.test_haproxy import RECIPE, haproxy
from tests.kit.load import Load
from tests.kit.nodes import Cluster, Edge, Origin, until

pytestmark = pytest.mark.needs("haproxy")
ROUNDS = int(os.environ.get("RIM_ROLLING", "0"))  # of each way; else few, and twice as many of the first
CHECK, NOTICE = "200ms", "0.6"  # a fifth of the recipe's second, and of an edge's three
FILES = {f"/page-{n}.html": b"<!doctype html>\n" + b"%d " % n * 4_000 for n in range(8)}
FILES["/long.bin"] = b"l" * 3_000_000
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
            more = ("--trusted-proxy", "127.0.0.1", "--drain-notice", NOTICE)
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

    def sends_to(self, count: int) -> bool:
        """Whether so many edges are in turn."""
        rows = self.rows()
        return sum(row["status"].startswith("UP") for name, row in rows.items() if name.startswith("edge-")) == count


@contextmanager
def front(stage: Stage, balance: str) -> Iterator[Front]:
    stats = stage.folder / "stats"
    given = {"RIM_BALANCE": balance, "RIM_CHECK": CHECK, "RIM_STATS": str(stats)}
    given |= {"RIM_USER": "haproxy"} if os.geteuid() == 0 else {}
    (stage.folder / balance).mkdir()
    with haproxy(stage.folder / balance, stage.cluster.edges, given) as (_, https, ca):
        made = Front(https, ca, stats)
        until("three edges are in turn", lambda: made.sends_to(3))
        yield made


@pytest.mark.parametrize(("balance", "rounds"), [("roundrobin", 2), ("leastconn", 1), ("source", 1), ("uri", 1)])
def test_a_rolling_restart_loses_nothing(stage: Stage, balance: str, rounds: int) -> None:
    """Each edge in turn, some rounds: every request is answered, whole; and HAProxy had nothing to mend."""
    rounds = ROUNDS or rounds
    with front(stage, balance) as made:
        tls = ssl.create_default_context(cafile=str(made.ca))
        begun = time.monotonic()
        with Load(made.https, "demo.localhost", FILES, keeping=2, making=1, tls=tls) as load:
            for _ in range(rounds):
                for edge in stage.cluster.edges:
                    answers = load.answers
                    assert edge.stop() == 0
                    edge.start()
                    until("it is in turn again", lambda: made.sends_to(3))
                    until("the others were asked meanwhile", lambda before=answers: load.answers > before)
        rows = made.rows()
    seconds, restarts = time.monotonic() - begun, rounds * len(stage.cluster.edges)
    mended = Counter({name: int(rows["BACKEND"][name]) for name in ("wretr", "wredis", "econ", "eresp")})
    print(
        f"\n{balance}: {restarts} restarts in {seconds:.0f} s under {load.answers} answers on {load.connections} "
        f"connections; failed {len(load.lost)}; HAProxy: retries {mended['wretr']}, redispatches {mended['wredis']}, "
        f"failed connections {mended['econ']}, failed answers {mended['eresp']}"
    )
    assert load.lost == []
    assert not +mended, "an edge that leaves says so before anybody runs into it"


def test_what_haproxy_is_told_to_mend() -> None:
    """Its settings for retries, as they are shipped; they are here for edges that die, not for those that leave."""
    lines = [line.strip() for line in RECIPE.read_text().splitlines() if HELD.match(line)]
    print("", *lines, sep="\n")
    assert len(lines) == 6
