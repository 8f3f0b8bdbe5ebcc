"""bench/stall: what misses cost while one edge of eight answers everything half a second late, beside a healthy ring.

    PYTHONPATH=. .venv/bin/python bench/stall.py [--edges 8] [--misses 2400] [--rate 40] [--seconds-late 0.5]

Here lives the whole bench: the ring is tests/kit/eight, where every edge stands behind a wire that can be made late.
Not here: crowds (bench/herd.py), or the plays that assert counts (tests/faults/test_ring_wire.py).

Visitors come at a steady rate to the seven other edges in turn, each for a file of one block that nobody has asked for:
a miss. First with all wires well; then with one late, from its first late answer on. What is printed: p50 and p99 of
both, when the last edge of the slow one's region skipped it, when the last had ejected it, and how many questions the
misses after that cost beyond one fetch each. An edge that asks the slow one nothing has nothing to judge: what an edge
took is told from its first question there, too. A miss that came late because its visitor had to wait for its turn
counts from its due time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from content.cid import CID, RAW
from tests.kit.eight import Eight, chain, eight, follow
from tests.kit.nodes import Edge

PAGE = b"<!doctype html><title>home</title>"
VISITORS = 32
WARM = 40  # misses of each edge before anything is timed: it knows its peers' p95 then
P99, OUT, EXTRA = 1.5, 2.0, 0.05  # the reaches


@dataclass(frozen=True)
class Miss:
    """When it was due, how long it took from then, and of whom it was asked."""

    due: float
    took: float
    path: str


def main() -> int:
    arguments = _arguments()
    rng = random.Random(arguments.seed)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{arguments.edges} edges, {arguments.misses} misses at {arguments.rate}/s, {machine}", flush=True)
    count = WARM * arguments.edges + 2 * arguments.misses
    files = {f"/{n}.bin": rng.randbytes(3_000) for n in range(count)}
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        folder = Path(name) / "site"
        folder.mkdir()
        (folder / "index.html").write_bytes(PAGE)
        for path, data in files.items():
            (folder / path[1:]).write_bytes(data)
        with eight(Path(name), edges=arguments.edges) as ring:
            ring.cluster.publish(folder, "site", "--encode", "none", "--no-warm")
            follow(ring, "site", PAGE)
            measure(ring, files, arguments)
    return 0


def measure(ring: Eight, files: dict[str, bytes], arguments: argparse.Namespace) -> None:
    paths, slow = iter(files), ring.edges[0]
    others = ring.edges[1:]
    drive(ring.edges, [next(paths) for _ in range(WARM * len(ring.edges))], files, arguments.rate)
    healthy = drive(others, [next(paths) for _ in range(arguments.misses)], files, arguments.rate)
    ring.wires[slow.name].set(latency=arguments.seconds_late)
    with watching(slow, [edge for edge in others if edge.region == slow.region]) as seen:
        late = drive(others, [next(paths) for _ in range(arguments.misses)], files, arguments.rate)
    report(healthy, late)
    if len(seen.ejected) < seen.watched:
        print(f"{len(seen.ejected)} of {seen.watched} edges ejected {slow.name}: not met")
        return
    first = first_questions(ring, slow, late, files)
    row("skipped", seen.skipped, late[0].due, first)
    row("ejected", seen.ejected, late[0].due, first)
    after = [miss for miss in late if miss.due > max(seen.ejected.values())]
    cids = [CID.of(RAW, files[miss.path]) for miss in after]
    slow_asked = sum(asked[-1] == slow.name for asked in ring.questions(cids))
    extra = (slow_asked + sum(ring.left(cids)) - len(cids)) / max(1, len(cids))
    print(f"extra fetches of {len(after)} misses after that: {extra:.1%} ({'met' if extra <= EXTRA else 'not met'})")


def first_questions(ring: Eight, slow: Edge, late: Sequence[Miss], files: dict[str, bytes]) -> dict[str, float]:
    """When each edge first had a miss that it asked the slow one about."""
    paths = {str(CID.of(RAW, files[miss.path])): miss for miss in late}
    first: dict[str, float] = {}
    for asked in ring.wires[slow.name].asked:
        miss = paths.get(asked.target.partition("?")[0].removeprefix("/ipfs/"))
        if miss is not None:
            name = chain(asked.headers.get("cdn-loop", ""))[-1]
            first[name] = min(miss.due, first.get(name, miss.due))
    return first


def row(what: str, when: dict[str, float], began: float, first: dict[str, float]) -> None:
    """When the last did, and the longest it took one from its own first question."""
    last, own = max(when.values()) - began, max(when[name] - first[name] for name in when)
    verdict = "met" if last <= OUT else "not met"
    print(f"{what} by all {len(when)} neighbours after {last:.2f} s: {verdict} (≤ {OUT} s); {own:.2f} s from its first")


def drive(edges: Sequence[Edge], paths: Sequence[str], files: dict[str, bytes], rate: float) -> list[Miss]:
    """One miss after another at this rate, at these edges in turn."""
    begin = time.monotonic()

    def visit(number: int, path: str) -> Miss:
        due = begin + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        answer = edges[number % len(edges)].get("site", path)
        took = time.monotonic() - due
        if (answer.status, answer.body == files[path]) != (200, True):
            raise SystemExit(f"{path}: {answer.status}")
        return Miss(due, took, path)

    with ThreadPoolExecutor(VISITORS) as visitors:
        return list(visitors.map(visit, range(len(paths)), paths))


@dataclass
class Seen:
    """When each edge first skipped the slow one, and when it had ejected it."""

    watched: int
    skipped: dict[str, float] = field(default_factory=dict)
    ejected: dict[str, float] = field(default_factory=dict)

    def look(self, edge: Edge, slow: Edge) -> None:
        told = json.loads(edge.ask("/api/v1/status").body)["members"]
        health = next(member["health"] for member in told if member["name"] == slow.name)
        if health in ("suspect", "ejected"):
            self.skipped.setdefault(edge.name, time.monotonic())
        if health == "ejected":
            self.ejected.setdefault(edge.name, time.monotonic())


@contextmanager
def watching(slow: Edge, edges: Sequence[Edge]) -> Iterator[Seen]:
    """What each of these edges holds against the slow one; looked at ten times a second until all have ejected it."""
    seen = Seen(len(edges))
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1) and len(seen.ejected) < len(edges):
            for edge in edges:
                seen.look(edge, slow)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def report(healthy: list[Miss], late: list[Miss]) -> None:
    print(f"\n{'':14}  {'misses':>6}  {'p50':>9}  {'p99':>9}  {'max':>9}")
    p99s = []
    for name, misses in (("all well", healthy), ("one late", late)):
        times = [miss.took * 1000 for miss in misses]
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100, method="inclusive")[98]
        p99s.append(p99)
        print(f"{name:14}  {len(times):6}  {p50:6.1f} ms  {p99:6.1f} ms  {max(times):6.1f} ms")
    ratio = p99s[1] / p99s[0]
    print(f"\np99 {ratio:.2f}× healthy: {'met' if ratio <= P99 else 'not met'} (≤ {P99})")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Misses while one edge of the ring is late with every answer.")
    parser.add_argument("--edges", type=int, default=8, help="edges, in two regions (8)")
    parser.add_argument("--misses", type=int, default=2_400, help="misses of each half (2400)")
    parser.add_argument("--rate", type=float, default=40.0, help="misses a second (40)")
    parser.add_argument("--seconds-late", type=float, default=0.5, help="how late the one is (0.5)")
    parser.add_argument("--seed", type=int, default=11, help="what the files are made from (11)")
    parser.add_argument("--work", type=Path, help="where all is kept meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
