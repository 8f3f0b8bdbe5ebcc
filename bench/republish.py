"""bench/republish: one file of 100,000 changed: `rim publish` beside `rsync -a` to a folder that has the old tree.

    python bench/republish.py [--rounds 6] [--files 100000] [--seed 7]

Here lives the whole bench: the made-up tree, the rounds, the count of bytes, the table. Not here: a first publish
(bench/publish, whose origin and clocks are used).

Rim's publish goes over HTTP to a real `rim origin` process and waits until a real `rim edge` holds the new release and
then serves it; its CPU is that of all three. rsync copies from a folder to a folder of the same disk, in two processes
of its own. Before each round one file gets other bytes; both peers then carry the same change, in the order A B B A.
The tree is in the page cache for both, and what was written before is synced first. Bytes are counted in one more
round, by a relay between the publisher and the origin, headers and questions included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.servers import cpu_of, free_port
from publish import RIM, timed

from content.block import Block
from content.cid import CID
from content.walk import drive, list_dir

REACH, SPARE = 1.5, 128 * 1024  # of rsync's time; bytes above what must be sent
PER_FOLDER = 25


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds of both."""

    rim: float
    rim_cpu: float
    rsync: float
    rsync_cpu: float
    phases: Mapping[str, float]

    @property
    def ratio(self) -> float:
        return self.rim / self.rsync


@dataclass(frozen=True, slots=True)
class World:
    """An origin and an edge that run."""

    url: str
    token: str
    pids: tuple[int, ...]


def main() -> int:
    arguments = _arguments()
    if not shutil.which("rsync"):
        print("bench/republish needs rsync on the PATH", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        work = Path(name)
        tree = make_tree(work / "site", arguments.files, arguments.seed)
        print(
            f"{arguments.files:,} files in {arguments.files // PER_FOLDER:,} folders (seed {arguments.seed}); "
            f"Python {platform.python_version()}, {os.cpu_count()} cores, rsync {_rsync_version()}",
            flush=True,
        )
        with world(work / "state") as nodes:
            env = {"RIM_ORIGIN": nodes.url, "RIM_TOKEN": nodes.token, "XDG_STATE_HOME": str(work / "home")}
            first = publish(tree, env)
            rsync(tree, work / "target")
            print(f"first publish: {sum(first['phases'].values()):.1f} s", flush=True)
            rng = random.Random(arguments.seed + 1)
            files = sorted(path for path in tree.rglob("*") if path.is_file())
            measure(tree, work / "target", rng.choice(files), rng, nodes, env, 0)  # both learn what is settled by now
            rounds = [
                measure(tree, work / "target", rng.choice(files), rng, nodes, env, number)
                for number in range(arguments.rounds)
            ]
            report(rounds)
            return report_bytes(tree, rng.choice(files), rng, nodes, env)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="rim publish beside rsync -a, one file of many changed.")
    parser.add_argument("--rounds", type=int, default=6, help="pairs of runs, in the order A B B A (6)")
    parser.add_argument("--files", type=int, default=100_000, help="files of the made-up tree (100000)")
    parser.add_argument("--seed", type=int, default=7, help="what the tree is made from (7)")
    parser.add_argument("--work", type=Path, help="where all is kept meanwhile; a real disk, as fsync counts")
    return parser.parse_args()


def _rsync_version() -> str:
    return subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]


def make_tree(top: Path, files: int, seed: int) -> Path:
    """Small files in nested folders; the same seed gives the same bytes."""
    rng = random.Random(seed)
    folders = [str(top)]
    for number in range(files // PER_FOLDER):
        folders.append(f"{rng.choice(folders)}/section-{number}")
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    for number in range(files):
        with open(f"{rng.choice(folders)}/page-{number}.html", "wb") as file:
            file.write(rng.randbytes(rng.randint(100, 3_000)))
    time.sleep(2.5)  # a publisher must hash what is younger than 2 s again; real trees are older
    return top


@contextmanager
def world(state: Path) -> Iterator[World]:
    """A real origin and a real edge."""
    command = [*RIM, "up", "--edges", "1", "--port", str(free_port()), "--state", str(state), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise SystemExit("`rim up` did not start")
        said = json.loads(line)
        yield World(said["origin"], said["token"], (said["origin_pid"], *(edge["pid"] for edge in said["edges"])))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


# The rounds.


def measure(
    tree: Path, target: Path, changed: Path, rng: random.Random, nodes: World, env: Mapping[str, str], number: int
) -> Round:
    """One change, carried by both; who begins alternates."""
    changed.write_bytes(rng.randbytes(2_000))
    said: dict[str, Any] = {}

    def run_rim() -> tuple[float, float]:
        before = sum(map(cpu_of, nodes.pids))
        run = timed(_publish_command(tree), env, lambda text: said.update(json.loads(text.splitlines()[-1])) or "")
        return run.wall, run.cpu + sum(map(cpu_of, nodes.pids)) - before

    def run_rsync() -> tuple[float, float]:
        run = timed(_rsync_command(tree, target), {}, str)
        return run.wall, run.cpu

    runs = {"rim": run_rim, "rsync": run_rsync}
    order = ["rim", "rsync"] if number % 4 in (0, 3) else ["rsync", "rim"]
    done = {peer: runs[peer]() for peer in order}
    if (target / changed.relative_to(tree)).read_bytes() != changed.read_bytes():
        raise SystemExit("rsync did not carry the change")
    result = Round(*done["rim"], *done["rsync"], said["phases"])
    print(
        f"{order[0]:5} first: rim {result.rim:.2f} s, rsync {result.rsync:.2f} s ({result.ratio:.2f})  {said['phases']}"
    )
    return result


def _publish_command(tree: Path) -> list[str]:
    return [*RIM, "publish", str(tree), "--site", "bench", "--encode", "none", "--json"]


def _rsync_command(tree: Path, target: Path) -> list[str]:
    return ["rsync", "-a", f"{tree}/", f"{target}/"]


def publish(tree: Path, env: Mapping[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        _publish_command(tree), env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"rim publish ended with {done.returncode}:\n{done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def rsync(tree: Path, target: Path) -> None:
    subprocess.run(_rsync_command(tree, target), check=True)


# The bytes.


class Relay:
    """Passes connections on to the origin, and counts what the publisher sends."""

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition("/")[2].partition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            came, _ = self._listener.accept()
            origin = socket.create_connection(self._to)
            threading.Thread(target=self._pass, args=(came, origin, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(origin, came, False), daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self.sent += len(data) if counted else 0
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)


def report_bytes(tree: Path, changed: Path, rng: random.Random, nodes: World, env: Mapping[str, str]) -> int:
    """One more change, its bytes counted, beside what must be sent: the file, and the folders above it."""
    changed.write_bytes(rng.randbytes(2_000))
    relay = Relay(nodes.url)
    said = publish(tree, {**env, "RIM_ORIGIN": relay.url})
    cid, blocks = CID.parse(said["root"]), dict[CID, Block]()

    def get(wanted: CID) -> Block:
        return blocks.setdefault(wanted, Block(wanted, _get(nodes, f"/ipfs/{wanted}?format=raw")))

    for name in changed.relative_to(tree).parts:
        cid = drive(list_dir(cid), get)[name][0]
    folders = sum(len(block.data) for block in blocks.values())
    allowed = changed.stat().st_size + folders + SPARE
    print(
        f"bytes: the file {changed.stat().st_size:,}, the folders above it {folders:,}; blocks sent "
        f"{said['bytes_sent']:,}, on the wire {relay.sent:,}   ≤ {allowed:,}: "
        f"{'met' if relay.sent <= allowed else 'not met'}"
    )
    return 0


def _get(nodes: World, path: str) -> bytes:
    request = urllib.request.Request(nodes.url + path, headers={"Authorization": f"Bearer {nodes.token}"})
    with urllib.request.urlopen(request) as answer:
        data: bytes = answer.read()
        return data


# The table.


def report(rounds: Sequence[Round]) -> None:
    ratios = [each.ratio for each in rounds]
    middle = statistics.median(ratios)
    columns = [
        statistics.median(getattr(each, name) for each in rounds) for name in ("rim", "rim_cpu", "rsync", "rsync_cpu")
    ]
    numbers = "  ".join(f"{value:8.2f} s" for value in columns)
    print(
        f"\nmedians of {len(rounds)} rounds   rim wall     rim CPU  rsync wall   rsync CPU   rim/rsync (range)    reach"
    )
    verdict = "met" if middle <= REACH else "not met"
    print(
        f"one file changed     {numbers}   {middle:.2f} ({min(ratios):.2f} – {max(ratios):.2f})   ≤ {REACH}: {verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
