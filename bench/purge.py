"""bench/purge: from the request to the last edge's receipt, for purges, and for rollbacks of a small and a large site.

    python bench/purge.py [--edges 8] [--purges 100] [--rollbacks 100] [--files 100000] [--seed 11]

Here lives the whole bench: two sites, the clock, the table. Not here: other benches (republish's made-up tree is used).

A real `rim up`: an origin and edges, one process each, on this machine. What is timed is what `--wait all` waits for:
the request goes out, the origin commits and signs, every edge takes the new Head, stores it durably, and says so; the
client hears of the last one. Each purge is of another live path, which every edge has in memory, of the small site;
each rollback goes to the other of two releases that differ in one file. No peer does this here: beside it stand the
150 ms that Fastly and Cloudflare state for a purge of their networks, which have oceans in between; loopback has none.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kit.servers import free_port
from publish import RIM
from republish import make_tree

REACH = 150.0  # ms
SMALL = 10  # files of the small site


@dataclass
class Ring:
    """A `rim up`: its origin on one connection, its edges' public addresses."""

    url: str
    token: str
    edges: list[str]
    environment: dict[str, str]
    wire: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.wire = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=120)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.wire.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
        answer = self.wire.getresponse()
        said: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {said}")
        return said

    def publish(self, folder: Path, site: str) -> str:
        """Publish, wait for all; the release."""
        self.wire.close()  # a large publish outlasts an idle connection; the next question opens it anew
        command = [*RIM, "publish", str(folder), "--site", site, "--encode", "none", "--wait", "all", "--json"]
        command += ["--timeout", "300"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"rim publish ended with {done.returncode}:\n{done.stderr}")
        return str(json.loads(done.stdout.splitlines()[-1])["release"])

    def until_all(self, method: str, path: str, body: Any) -> float:
        """Milliseconds from this request to the last receipt for what it changed."""
        begun = time.perf_counter()
        sequence = int(self.ask(method, path, body)["sequence"])
        rows = self.ask("GET", f"/edges?sequence={sequence}&wait=60")["edges"]
        took = (time.perf_counter() - begun) * 1000
        late = [row["node"] for row in rows if row["sequence"] < sequence]
        if late or len(rows) != len(self.edges):
            raise SystemExit(f"no receipt from {late or 'an edge that is gone'}")
        return took

    def touch(self, site: str, path: str) -> None:
        """Have every edge hold it in memory."""
        for edge in self.edges:
            parts = urlsplit(edge)
            wire = http.client.HTTPConnection(parts.netloc, timeout=60)
            wire.request("GET", path, headers={"Host": f"{site}.localhost:{parts.port}"})
            answer = wire.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"{edge}{path}: {answer.status}")
            wire.close()


def main() -> int:
    arguments = _arguments()
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{arguments.edges} edges, {machine}, seed {arguments.seed}", flush=True)
    rows: list[tuple[str, list[float]]] = []
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        work = Path(name)
        with ring(work / "up", arguments.edges) as up:
            rows.append(("purge of one path", purges(up, work / "purge", arguments.purges)))
            for files in (SMALL, arguments.files):
                tree = make_tree(work / f"site-{files}", files, arguments.seed)
                times = rollbacks(up, tree, f"site-{files}", arguments.rollbacks)
                rows.append((f"rollback of {files:,} files", times))
    report(rows)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="From a purge's or a rollback's request to the last edge's receipt.")
    parser.add_argument("--edges", type=int, default=8, help="edges of the ring (8)")
    parser.add_argument("--purges", type=int, default=100, help="purges, each of another path (100)")
    parser.add_argument("--rollbacks", type=int, default=100, help="rollbacks of each site (100)")
    parser.add_argument("--files", type=int, default=100_000, help="files of the large site (100000)")
    parser.add_argument("--seed", type=int, default=11, help="what the sites are made from (11)")
    parser.add_argument("--work", type=Path, help="where all is kept meanwhile; a real disk, as fsync counts")
    return parser.parse_args()


@contextmanager
def ring(state: Path, edges: int) -> Iterator[Ring]:
    """A real origin and real edges."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state.parent / "home")}
    command = [*RIM, "up", "--edges", str(edges), "--port", str(free_port()), "--state", str(state), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise SystemExit("`rim up` did not start")
        said = json.loads(line)
        environment |= {"RIM_ORIGIN": said["origin"], "RIM_TOKEN": said["token"]}
        yield Ring(said["origin"], said["token"], [edge["public"] for edge in said["edges"]], environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def purges(up: Ring, folder: Path, count: int) -> list[float]:
    folder.mkdir()
    for number in range(count):
        (folder / f"page-{number}.html").write_text(f"<!doctype html><title>{number}</title>" + "x" * 2_000)
    up.publish(folder, "purged")
    for number in range(count):
        up.touch("purged", f"/page-{number}.html")
    paths = (f"/page-{number}.html" for number in range(count))
    return _timed(lambda path: up.until_all("POST", "/sites/purged/purge", {"paths": [path]}), paths)


def rollbacks(up: Ring, tree: Path, site: str, count: int) -> list[float]:
    releases = [up.publish(tree, site)]
    (tree / "changed.html").write_text("<!doctype html><title>changed</title>")
    releases.append(up.publish(tree, site))
    wanted = (releases[number % 2] for number in range(count))
    return _timed(lambda release: up.until_all("POST", f"/sites/{site}/rollback", {"release": release}), wanted)


def _timed(run: Callable[[str], float], each: Iterator[str]) -> list[float]:
    os.sync()  # what was written before is none of this
    return [run(one) for one in each]


def report(rows: Sequence[tuple[str, list[float]]], what_for: str = "to the last receipt", count: str = "runs") -> None:
    """A line for each: how many, median, p99, and whether that is within reach. Times in milliseconds."""
    print(f"\n{what_for:32}  {count:>6}  {'p50':>9}  {'p99':>9}   reach (p99)")
    for what, times in rows:
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100, method="inclusive")[98]
        verdict = "met" if p99 <= REACH else "not met"
        print(f"{what:32}  {len(times):6}  {p50:6.1f} ms  {p99:6.1f} ms   ≤ {REACH:.0f} ms: {verdict}")


if __name__ == "__main__":
    sys.exit(main())
