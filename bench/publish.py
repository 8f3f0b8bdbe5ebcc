"""bench/publish: `rim publish` beside `ipfs add -r`, on the same folder, on this machine, in one run.

    python bench/publish.py [--rounds 4] [--files 5000] [--seed 20] [--folder DIR]

Here lives the whole bench: the made-up folder, the rounds, the table. Not here: other benches (their own files).

What is compared: a first publish without encodings against a first `ipfs add -rQ --hidden`, and the same folder again,
unchanged. Rim's publish goes over HTTP to a real `rim origin` process that verifies and fsyncs what it gets, so its
CPU is the publisher's and the origin's together; `ipfs add` without a daemon is both in one process. Each round gives
both a fresh state (a new origin and memo; a new repository under `--profile=unixfs-v1-2025`); rounds alternate A B B A;
what counts is the median of the ratios within a round, so a machine that slows down half-way harms neither side.
Both must name the same Root, or the bench fails.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import resource
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.servers import cpu_of

RIM = [sys.executable, "-m", "rim"]
MEAN, SIGMA, LARGEST = 37_000, 1.4, 4_000_000  # bytes: lognormal, as sizes of real sites' files are
TEXT_SHARE = 0.6
WORDS = [
    f"{a}{b}{c}"
    for a in ("ren", "fol", "mar", "vis", "tok")
    for b in ("a", "ei", "o", "u")
    for c in ("der", "t", "x", "le")
]
SUFFIXES = {True: ("js", "css", "html", "svg", "json"), False: ("png", "woff2", "avif", "jpg", "wasm")}


@dataclass(frozen=True, slots=True)
class Run:
    """One timed command: seconds on the clock, seconds of CPU, the Root that it named."""

    wall: float
    cpu: float
    root: str


@dataclass(frozen=True, slots=True)
class Round:
    """Both peers' two runs."""

    rim: tuple[Run, Run]
    ipfs: tuple[Run, Run]

    def ratio(self, run: int) -> float:
        return self.rim[run].wall / self.ipfs[run].wall


def main() -> int:
    arguments = _arguments()
    ipfs = os.environ.get("RIM_IPFS") or shutil.which("ipfs")
    if not ipfs:
        print("bench/publish needs Kubo 0.43: put `ipfs` on the PATH or name it in RIM_IPFS", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        work = Path(name)
        folder = arguments.folder or make_folder(work / "site", arguments.files, arguments.seed)
        describe(folder, ipfs, arguments)
        rounds = [measure(work, folder, ipfs, number) for number in range(arguments.rounds)]
    report(rounds)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="rim publish beside ipfs add -r, on the same folder.")
    parser.add_argument("--rounds", type=int, default=4, help="pairs of runs, in the order A B B A (4)")
    parser.add_argument("--files", type=int, default=5000, help="files of the made-up folder (5000)")
    parser.add_argument("--seed", type=int, default=20, help="what the folder is made from (20)")
    parser.add_argument("--folder", type=Path, help="publish this folder instead")
    parser.add_argument("--work", type=Path, help="where states are kept meanwhile; a real disk, as fsync counts")
    return parser.parse_args()


# The folder.


def make_folder(folder: Path, files: int, seed: int) -> Path:
    """Nested folders of text and binary files; the same seed gives the same bytes."""
    rng = random.Random(seed)
    folders = [folder]
    for _ in range(max(1, files // 40)):
        parent = rng.choice(folders)
        folders.append(parent / f"{rng.choice(WORDS)}-{len(folders)}")
    for number in range(files):
        is_text = rng.random() < TEXT_SHARE
        size = min(LARGEST, round(rng.lognormvariate(math.log(MEAN) - SIGMA**2 / 2, SIGMA)))
        path = rng.choice(folders) / f"{rng.choice(WORDS)}-{number}.{rng.choice(SUFFIXES[is_text])}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_text(rng, size) if is_text else rng.randbytes(size))
    time.sleep(2.5)  # a publisher must hash what is younger than 2 s again; real folders are older
    return folder


def _text(rng: random.Random, size: int) -> bytes:
    """Words, of which a few are frequent: it compresses about as minified code does."""
    text = " ".join(rng.choices(WORDS, weights=[1 / (rank + 1) for rank in range(len(WORDS))], k=size // 4 + 1))
    return text.encode()[:size].ljust(size, b"\n")


def describe(folder: Path, ipfs: str, arguments: argparse.Namespace) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    total = sum(len(path.read_bytes()) for path in files)  # reading also warms the page cache, for both alike
    made = f"seed {arguments.seed}" if arguments.folder is None else str(folder.name)
    version = subprocess.run([ipfs, "version", "--number"], capture_output=True, text=True, check=True).stdout.strip()
    machine = f"Kubo {version}, Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{len(files)} files, {total / 1e6:.1f} MB ({made}); {machine}", flush=True)


# The rounds.


def measure(work: Path, folder: Path, ipfs: str, number: int) -> Round:
    """One round: both, each first and again; who begins alternates."""
    peers = {"rim": lambda place: run_rim(place, folder), "ipfs": lambda place: run_ipfs(place, folder, ipfs)}
    order = ["rim", "ipfs"] if number % 4 in (0, 3) else ["ipfs", "rim"]
    done: dict[str, tuple[Run, Run]] = {}
    for peer in order:
        place = work / f"{peer}-{number}"
        place.mkdir()
        done[peer] = peers[peer](place)
        shutil.rmtree(place)
    result = Round(done["rim"], done["ipfs"])
    roots = {run.root for run in (*result.rim, *result.ipfs)}
    if len(roots) != 1:
        raise SystemExit(f"the Roots differ: {sorted(roots)}")
    first, again = (
        f"rim {result.rim[i].wall:.2f} s, ipfs {result.ipfs[i].wall:.2f} s ({result.ratio(i):.2f})" for i in (0, 1)
    )
    print(f"round {number + 1}, {order[0]} first.  first: {first}.  unchanged: {again}", flush=True)
    return result


def run_rim(place: Path, folder: Path) -> tuple[Run, Run]:
    """A new origin, a new memo: publish, and publish again."""
    with origin(place / "origin") as (url, token, pid):
        env = {"RIM_ORIGIN": url, "RIM_TOKEN": token, "XDG_STATE_HOME": str(place / "home")}
        command = [*RIM, "publish", str(folder), "--site", "bench", "--encode", "none", "--json"]
        return timed(command, env, _root_of_rim, pid), timed(command, env, _root_of_rim, pid)


def run_ipfs(place: Path, folder: Path, ipfs: str) -> tuple[Run, Run]:
    """A new repository: add, and add again."""
    env = {"IPFS_PATH": str(place / "repo"), "IPFS_TELEMETRY": "off"}
    subprocess.run(
        [ipfs, "init", "--profile=unixfs-v1-2025"], env={**os.environ, **env}, capture_output=True, check=True
    )
    command = [ipfs, "add", "-rQ", "--hidden", str(folder)]
    return timed(command, env, str.strip), timed(command, env, str.strip)


@contextmanager
def origin(state: Path) -> Iterator[tuple[str, str, int]]:
    """A real origin process: its address, its admin token, its pid."""
    command = [*RIM, "origin", "--state", str(state), "--listen", "127.0.0.1:0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 30)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise SystemExit("the origin did not start")
        yield json.loads(line)["origin"], (state / "admin-token").read_text().strip(), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def timed(command: Sequence[str], env: Mapping[str, str], root_of: object, server: int | None = None) -> Run:
    """Run it; what earlier runs left to be written goes to disk first."""
    os.sync()
    before = cpu_of(server) if server is not None else 0.0
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
    if server is not None:
        cpu += cpu_of(server) - before
    assert callable(root_of)
    return Run(wall, cpu, root_of(done.stdout))


def _root_of_rim(said: str) -> str:
    return str(json.loads(said.splitlines()[-1])["root"])


# The table.


def report(rounds: Sequence[Round]) -> None:
    heads = "    rim wall    rim CPU  ipfs wall   ipfs CPU   rim/ipfs (range)      reach"
    print(f"\nmedians of {len(rounds)} rounds    {heads}")
    for run, (what, reach) in enumerate((("first publish", 1.0), ("unchanged again", 0.5))):
        ratios = [each.ratio(run) for each in rounds]
        columns = [
            statistics.median(getattr(getattr(each, peer)[run], field) for each in rounds)
            for peer in ("rim", "ipfs")
            for field in ("wall", "cpu")
        ]
        numbers = "  ".join(f"{value:7.2f} s" for value in columns)
        middle = statistics.median(ratios)
        verdict = "met" if middle <= reach else "not met"
        print(f"{what:24}  {numbers}   {middle:.2f} ({min(ratios):.2f} – {max(ratios):.2f})   ≤ {reach:.1f}: {verdict}")


if __name__ == "__main__":
    sys.exit(main())
