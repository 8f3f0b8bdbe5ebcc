"""bench/returning: what a visitor who comes back after a deploy downloads, and what that costs, beside brotli.

    python bench/returning.py [--rounds 5]

Here lives the whole bench: the deploys, the questions, the table. Not here: the pairs of releases (tests/kit/pairs), a
browser that asks (tests/browser/test_deltas), which parameters of zstd are best (edge/browsers/dcz says).

Ten real pairs of npm releases under the names that a bundler gives them, in two deploys to a real `rim up`. Bytes are
those of the bodies that its edge sends to a client who says, as a browser does, that it has the old file; each is
decoded, and must be the new file. The peer is brotli at its best (quality 11), which is what a returning visitor
downloads from a server that packs as well as can be.

CPU of a delta is what its making takes in the edge, by the edge's own count (rim_delta_cpu_seconds_total: the old file
hashed, taken in as a dictionary, zstd); brotli's is what compressing the new file takes in this process. Beside them
stands what the edge's whole process uses for the request that has the delta made (base looked up, both files read, a
thread woken, a connection opened, the answer), and for the next one, which finds it. Each round deploys the old and
then the new releases once more, so the edge has forgotten; both peers' files are measured in turn; the median counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import brotli
import zstandard
from kit.servers import Server

from tests.kit.dictionaries import ask
from tests.kit.nodes import fetch
from tests.kit.pairs import LARGE, PAIRS, Pair, fill
from tests.kit.ring import Up

SITE = "returning"
BYTES, CPU = 8.0, 100.0  # what is to be reached: times fewer bytes, times less CPU
DCZ = bytes.fromhex("5e2a4d1820000000")


@dataclass
class Row:
    """What was seen of a pair: bytes, and seconds of CPU of each round."""

    whole: int = 0
    delta: int = 0
    brotli: list[float] = field(default_factory=list)
    made: list[float] = field(default_factory=list)
    request: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description="Bytes and CPU of deltas beside brotli, on real npm releases.")
    parser.add_argument("--rounds", type=int, default=5, help="deploys of all pairs (5)")
    arguments = parser.parse_args()
    rows: dict[Pair, Row] = {pair: Row() for pair in (*PAIRS, LARGE)}
    with tempfile.TemporaryDirectory(prefix="rim-bench-") as name:
        work = Path(name)
        paths = [fill(work / f"site-{new}", bool(new), tuple(rows)) for new in (0, 1)]
        for new in (0, 1):
            (work / f"site-{new}" / "rim.toml").write_text('immutable = ["/assets/**"]\n')
        with Up(work / "up") as up:
            for number in range(arguments.rounds):
                for new in (0, 1):
                    up.publish(work / f"site-{new}", SITE, "--encode", "fast", "--wait", "all")
                    warm(up, paths[new])
                for pair, row in rows.items():
                    measure(up, pair, paths[1][pair], row)
                print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    print(f"{arguments.rounds} rounds, Python {platform.python_version()}, {os.cpu_count()} cores, ", end="")
    print(f"brotli {brotli.__version__}, zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}\n")
    report(rows)
    return 0


def warm(up: Up, paths: Mapping[Pair, str]) -> None:
    """Have the edge hold the files in memory, as after the visits to that release."""
    for path in paths.values():
        if up.get(SITE, path, headers={"Accept-Encoding": "identity"}).status != 200:
            raise SystemExit(f"{path} is not there")


def measure(up: Up, pair: Pair, path: str, row: Row) -> None:
    """A delta that has to be made, the same again, and brotli: one after the other."""
    edge = Server("edge", "", "", (int(up.edges[0]["pid"]),))
    old, new = pair.read(pair.old), pair.read(pair.new)
    digest = sha256(old).digest()
    counted = _counted(up)
    for times in (row.request, row.found):
        before = edge.clock()
        answer = ask(up, SITE, path, digest)
        times.append(edge.clock() - before)
        if answer.headers.get("content-encoding") != "dcz" or not answer.body.startswith(DCZ + digest):
            raise SystemExit(f"{pair}: {answer.status} {dict(answer.headers)}")
    base = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    if zstandard.ZstdDecompressor(dict_data=base).decompress(answer.body[40:]) != new:
        raise SystemExit(f"{pair}: the delta makes something else")
    before = time.process_time()
    row.whole = len(brotli.compress(new, quality=11))
    row.brotli.append(time.process_time() - before)
    row.delta = len(answer.body)
    row.made.append(_counted(up) - counted)


def _counted(up: Up) -> float:
    """Seconds of CPU that this edge has spent on making deltas."""
    lines = fetch(str(up.edges[0]["private"]), "/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("rim_delta_cpu_seconds_total "))


def report(rows: Mapping[Pair, Row]) -> None:
    print("| pair | the new file | brotli 11 | delta | | brotli's CPU | a delta's CPU | | its request | the next |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for pair in PAIRS:
        _line(str(pair), len(pair.read(pair.new)), [rows[pair]])
    _line("**all ten**", sum(len(pair.read(pair.new)) for pair in PAIRS), [rows[pair] for pair in PAIRS])
    _line(f"{LARGE.file}, beside them", len(LARGE.read(LARGE.new)), [rows[LARGE]])
    ten = [rows[pair] for pair in PAIRS]
    fewer = sum(row.whole for row in ten) / sum(row.delta for row in ten)
    less = _sum(ten, "brotli") / _sum(ten, "made")
    least = min(statistics.median(row.brotli) / statistics.median(row.made) for row in ten)
    print(f"\nbytes: {fewer:.1f} times fewer, ≥ {BYTES:.0f}: {_verdict(fewer >= BYTES)}")
    print(f"CPU: 1/{less:.0f} in all, ≤ 1/{CPU:.0f}: {_verdict(less >= CPU)}; 1/{least:.0f} at the worst pair")


def _line(what: str, size: int, rows: Sequence[Row]) -> None:
    whole, delta = sum(row.whole for row in rows), sum(row.delta for row in rows)
    packed, made, request, found = (_sum(rows, name) for name in ("brotli", "made", "request", "found"))
    print(f"| {what} | {size:,} | {whole:,} | {delta:,} | {whole / delta:.1f} × ", end="")
    print(f"| {packed * 1e3:,.0f} ms | {made * 1e3:.1f} ms | 1/{packed / made:.0f} ", end="")
    print(f"| {request * 1e3:.1f} ms | {found * 1e3:.1f} ms |")


def _sum(rows: Sequence[Row], name: str) -> float:
    return sum(statistics.median(getattr(row, name)) for row in rows)


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "not met"


if __name__ == "__main__":
    sys.exit(main())
