"""bench/herd: a thousand clients on one cold object, beside the same thousand once it is warm.

    PYTHONPATH=. .venv/bin/python bench/herd.py [--clients 1000] [--edges 8] [--rounds 5] [--mib 8] [--seed 11]

Here lives the whole bench: the ring is tests/kit/eight (an origin behind a proxy that counts, eight edges in two
regions, each behind a wire that passes everything), the clients are tests/kit/herd, a process of their own. Not here:
faults (bench/stall.py, tests/faults).

A round takes two objects that nobody has asked for: one client alone gets the first ("one fetch"); then the crowd gets
the second cold, and again warm. The figure is (cold - one fetch) / warm, each the time until the last client is done:
what a cold object costs the last of a crowd beyond its one fetch. Bytes that differ, or a block that left the origin
more than once, are named in the table; nothing of that is averaged away.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from content.block import Block
from content.cid import RAW
from content.limits import MiB
from tests.kit.eight import Eight, eight, follow
from tests.kit.herd import Fed, herd

REACH = 1.2
PAGE = b"<!doctype html><title>home</title>"


@dataclass(frozen=True)
class Round:
    """Seconds to the last byte of the last client, and the most that one block left the origin in the cold."""

    alone: float
    cold: float
    warm: float
    fetches: int

    @property
    def ratio(self) -> float:
        return (self.cold - self.alone) / self.warm


def main() -> int:
    arguments = _arguments()
    rng = random.Random(arguments.seed)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{arguments.clients} clients, {arguments.edges} edges, {arguments.mib} MiB, {machine}", flush=True)
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        files = {f"/{n}.bin": rng.randbytes(arguments.mib * MiB) for n in range(2 * arguments.rounds)}
        folder = Path(name) / "site"
        folder.mkdir()
        (folder / "index.html").write_bytes(PAGE)
        for path, data in files.items():
            (folder / path[1:]).write_bytes(data)
        with eight(Path(name), edges=arguments.edges, more=("--memory", "256MiB")) as ring:
            ring.cluster.publish(folder, "site", "--encode", "none", "--no-warm")
            follow(ring, "site", PAGE)
            rounds = []
            for n in range(arguments.rounds):
                first, second = f"/{2 * n}.bin", f"/{2 * n + 1}.bin"
                alone = crowd(ring, first, files[first], 1)
                cold = crowd(ring, second, files[second], arguments.clients)
                warm = crowd(ring, second, files[second], arguments.clients)
                cids = [Block.make(RAW, files[second][at : at + MiB]).cid for at in range(0, len(files[second]), MiB)]
                rounds.append(Round(alone, cold, warm, max(ring.left(cids))))
                print(row(f"round {n + 1}", rounds[-1]), flush=True)
    report(rounds)
    return 0


def crowd(ring: Eight, path: str, body: bytes, clients: int) -> float:
    """Seconds until the last of them has it all. Ends the bench when one has anything else."""
    fed = herd([edge.public for edge in ring.edges], "site.localhost", path, clients)
    wrong = [one for one in fed if not _is_right(one, body)]
    if wrong:
        raise SystemExit(f"{path}: {len(wrong)} of {clients} did not get it: {wrong[0]}")
    return max(one.last for one in fed)


def _is_right(one: Fed, body: bytes) -> bool:
    return one.whole and one.length == len(body) and one.digest in ("", hashlib.sha256(body).hexdigest())


def row(name: str, one: Round) -> str:
    times = f"{one.alone:7.2f} s  {one.cold:7.2f} s  {one.warm:7.2f} s"
    return f"{name:10}  {times}  {one.ratio:5.2f}   each block left the origin at most {one.fetches}×"


def report(rounds: list[Round]) -> None:
    ratios = sorted(one.ratio for one in rounds)
    ratio = statistics.median(ratios)
    print(f"\n{'':10}  {'one fetch':>9}  {'cold':>9}  {'warm':>9}  ratio")
    for number, one in enumerate(rounds, 1):
        print(row(f"round {number}", one))
    verdict = "met" if ratio <= REACH and max(one.fetches for one in rounds) == 1 else "not met"
    print(f"\nmedian {ratio:.2f} ({ratios[0]:.2f} – {ratios[-1]:.2f}); reach ≤ {REACH}, one fetch a block: {verdict}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A crowd on one cold object, beside the same crowd on a warm one.")
    parser.add_argument("--clients", type=int, default=1_000, help="clients at once (1000)")
    parser.add_argument("--edges", type=int, default=8, help="edges, in two regions (8)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, two new objects each (5)")
    parser.add_argument("--mib", type=int, default=8, help="size of an object in MiB (8)")
    parser.add_argument("--seed", type=int, default=11, help="what the objects are made from (11)")
    parser.add_argument("--work", type=Path, help="where all is kept meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
