"""bench/activation: from the acknowledgement of the commit that makes a release live to the moment each edge serves it.

    python bench/activation.py [--edges 64] [--hosts 4] [--commits 100] [--files 10 100000] [--seed 12]

Here lives the whole bench: the hosts of many edges, the two releases, the clock, the table. Not here: the receipts of a
`--wait all`, from the request on (bench/purge, whose origin and publisher are used).

A real origin process, and edges that are whole nodes (public and private listener, disk, Head stored durably before it
is served), several to a process, because this machine has no cores for 64 processes; each follows the origin over
connections of its own. Python looks for garbage as in the process of one edge (edge/collector); as it does by itself,
each look took 110 to 125 ms here, for it went through sixteen edges at once. And each process has as many threads as
its edges would have in processes of their own: with six for sixteen, most Heads waited for others to be written. The
commits begin when every edge has heard every other one: 64 that start are 4,032 questions, which are no part of a
commit. A commit is the one that ends a publish or a rollback: `live` becomes another release. The clock is
CLOCK_MONOTONIC, which all processes of a machine share: it starts when the client has read the acknowledgement, and
stops, for each edge, when its router has swapped the views; an edge that was sooner than the acknowledgement counts as
0. After the last commit every edge is asked over HTTP for the file that changed, and must have the new one. No peer
does this here: beside it stand the 150 ms that Fastly and Cloudflare state for their networks, which have oceans in
between; loopback has none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from publish import RIM
from purge import Ring, report
from republish import make_tree

PATIENCE = 60.0  # s for one commit to reach all edges
CHANGED = "changed.html"


@dataclass
class Fleet:
    """The processes that run the edges, and what they say: where each listens, and when it swaps."""

    hosts: list[subprocess.Popen[str]]
    edges: int
    public: list[str] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)  # edges that have heard all others
    waiting: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    pending: dict[int, bytes] = field(default_factory=dict)
    swaps: dict[str, tuple[int, float]] = field(default_factory=dict)  # edge → newest sequence, and when

    def __post_init__(self) -> None:
        for host in self.hosts:
            assert host.stdout is not None
            self.waiting.register(host.stdout.fileno(), selectors.EVENT_READ)
        while len(self.public) < self.edges:
            self._hear()

    def settle(self) -> None:
        """Return once the ring is at rest: every edge has had its first word from every other one."""
        end = time.monotonic() + PATIENCE
        while len(self.settled) < self.edges:
            if time.monotonic() > end:
                raise SystemExit(f"{self.edges - len(self.settled)} edges have not heard all others")
            self._hear()

    def until(self, sequence: int) -> list[float]:
        """When each edge served this sequence, once all do."""
        end = time.monotonic() + PATIENCE
        while len(self.swaps) < self.edges or any(seen < sequence for seen, _ in self.swaps.values()):
            if time.monotonic() > end:
                late = sorted(name for name, (seen, _) in self.swaps.items() if seen < sequence)
                raise SystemExit(f"not there after {PATIENCE:.0f} s: {late or 'an edge that said nothing'}")
            self._hear()
        return [moment for _, moment in self.swaps.values()]

    def _hear(self) -> None:
        for key, _ in self.waiting.select(1.0):
            if not (data := os.read(key.fd, 1 << 16)):
                raise SystemExit("a process of edges has ended")
            *lines, self.pending[key.fd] = (self.pending.get(key.fd, b"") + data).split(b"\n")
            for said in map(json.loads, lines):
                if "public" in said:
                    self.public.append(said["public"])
                elif "settled" in said:
                    self.settled.add(said["settled"])
                else:
                    self.swaps[said["edge"]] = (said["sequence"], said["at"])


def main() -> int:
    arguments = _arguments()
    if arguments.host:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_host(json.loads(arguments.host)))
        return 0
    per, machine = arguments.edges // arguments.hosts, f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{arguments.hosts} processes of {per} edges, {machine}, seed {arguments.seed}", flush=True)
    rows: list[tuple[str, list[float]]] = []
    for files in arguments.files:
        with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name, ExitStack() as stack:
            up, fleet = stack.enter_context(ring(Path(name), per, arguments.hosts))
            rows += activations(up, fleet, make_tree(Path(name) / "tree", files, arguments.seed), arguments.commits)
    report(rows, "from the acknowledgement", "n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From a commit's acknowledgement to its release on every edge.")
    parser.add_argument("--edges", type=int, default=64, help="edges of the ring (64)")
    parser.add_argument("--hosts", type=int, default=4, help="processes that they run in (4)")
    parser.add_argument("--commits", type=int, default=100, help="commits per size of site (100)")
    parser.add_argument("--files", type=int, nargs="+", default=[10, 100_000], help="files of the site (10 100000)")
    parser.add_argument("--seed", type=int, default=12, help="what the sites are made from (12)")
    parser.add_argument("--work", type=Path, help="where all is kept meanwhile; a real disk, as fsync counts")
    parser.add_argument("--host", help=argparse.SUPPRESS)  # JSON: be one of the processes
    return parser.parse_args()


@contextmanager
def ring(work: Path, per: int, hosts: int) -> Iterator[tuple[Ring, Fleet]]:
    """A real origin, and real edges in so many processes."""
    url, state = f"127.0.0.1:{_ports(1)[0]}", work / "origin"
    with ExitStack() as stack:
        origin = stack.enter_context(_process([*RIM, "origin", "--state", str(state), "--listen", url, "--json"]))
        assert origin.stdout is not None
        said = json.loads(origin.stdout.readline() or "null")
        token = (state / "admin-token").read_text().strip()
        environment = {**os.environ, "RIM_ORIGIN": f"http://{url}", "RIM_TOKEN": token}
        up = Ring(f"http://{url}", token, [], environment)
        given = {"origin": up.url, "catalog": said["catalog"], "token": _node_token(environment)}
        members = [
            {"name": f"edge-{n}", "private": f"127.0.0.1:{port}", "region": f"region-{n % 8}"}
            for n, port in enumerate(_ports(per * hosts))
        ]
        started = []
        for number in range(hosts):
            told = {**given, "work": str(work), "members": members, "mine": [number * per, (number + 1) * per]}
            command = [sys.executable, __file__, "--host", json.dumps(told)]
            started.append(stack.enter_context(_process(command)))
        fleet = Fleet(started, per * hosts)
        up.edges = fleet.public
        yield up, fleet


def _node_token(environment: Mapping[str, str]) -> str:
    command = [*RIM, "token", "add", "edges", "--scope", "edge", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["token"])


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _ports(count: int) -> list[int]:
    """Free ports that the kernel lends to no outgoing connection: hundreds are made between the choice and the use."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_768)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            found.add(port)
    return sorted(found)


async def _host(told: dict[str, Any]) -> None:
    """Run some of the edges until SIGTERM; a line for each that listens, and one for each swap."""
    from edge.collector import calm
    from edge.config import EdgeConfig
    from edge.node import Node
    from edge.peers.ring import Member

    peers = tuple(Member(m["name"], f"http://{m['private']}", m["region"]) for m in told["members"])
    nodes: list[Node] = []
    mines = told["members"][slice(*told["mine"])]
    threads = len(mines) * min(32, (os.cpu_count() or 1) + 4)  # as many as asyncio gives each process
    pool, all_there = ThreadPoolExecutor(threads), threading.Barrier(threads)
    list(pool.map(lambda _: all_there.wait(), range(threads)))  # or each begins within a commit, and the loop waits
    asyncio.get_running_loop().set_default_executor(pool)
    for mine in mines:
        config = EdgeConfig(
            name=mine["name"],
            state=Path(told["work"]) / mine["name"],
            origin=told["origin"],
            catalog=(told["catalog"],),
            token=told["token"],
            public="127.0.0.1:0",
            private=mine["private"],
            peers=peers,
            region=mine["region"],
            memory_bytes=64 << 20,
            cache_bytes=1 << 30,
        )
        node = Node(config)
        node.prepare()
        _tell(node)
        await node.go()
        _say({"public": node.public_url})
        nodes.append(node)
    calm()  # as an edge's own process does once it serves
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settling = asyncio.gather(*map(_settle, nodes))
    await stopping.wait()
    settling.cancel()
    await asyncio.gather(*(node.stop() for node in nodes))


def _say(line: dict[str, Any]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


async def _settle(node: Any) -> None:
    """Say so once this node has heard every other one: then it knows their versions."""
    while not all(other["version"] for other in node.roster.shown()):  # noqa: ASYNC110 (nothing says so)
        await asyncio.sleep(0.1)
    _say({"settled": node.config.name})


def _tell(node: Any) -> None:
    """Have this node say when it swaps: the Head that it serves is noted once its router has turned."""
    swapped, name = node.follower.on_swap, node.config.name

    async def tell(head: Any) -> None:
        _say({"edge": name, "sequence": head.record.sequence, "at": time.monotonic()})
        await swapped(head)

    node.follower.on_swap = tell


def activations(up: Ring, fleet: Fleet, tree: Path, commits: int) -> list[tuple[str, list[float]]]:
    """Milliseconds from each acknowledgement to each edge; publishes first, then rollbacks to and fro."""
    site, releases, texts = f"site-{len(os.listdir(tree))}", [], [f"<!doctype html><title>{n}</title>" for n in (1, 2)]
    count = sum(len(files) for _, _, files in os.walk(tree))
    for text in texts:
        (tree / CHANGED).write_text(text)
        releases.append(up.publish(tree, site))
    fleet.until(max(row["sequence"] for row in up.ask("GET", "/edges")["edges"]))
    fleet.settle()
    os.sync()  # what was written before is none of this
    times: list[float] = []
    worst: list[float] = []
    for number in range(commits):
        sequence = int(up.ask("POST", f"/sites/{site}/rollback", {"release": releases[number % 2]})["sequence"])
        acknowledged = time.monotonic()
        reached = [max(0.0, moment - acknowledged) * 1000 for moment in fleet.until(sequence)]
        times += reached
        worst.append(max(reached))
    wanted = texts[(commits - 1) % 2].encode()
    wrong = [edge for edge in up.edges if _body(edge, site) != wanted]
    if wrong:
        raise SystemExit(f"{wrong} serve another release")
    return [(f"{count:,} files, each edge", times), (f"{count:,} files, the last edge", worst)]


def _body(edge: str, site: str) -> bytes:
    port = edge.rpartition(":")[2]
    request = urllib.request.Request(f"{edge}/{CHANGED}", headers={"Host": f"{site}.localhost:{port}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body: bytes = answer.read()
        return body


if __name__ == "__main__":
    sys.exit(main())
