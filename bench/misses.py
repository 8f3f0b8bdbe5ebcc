"""bench/misses: what a first answer costs: Rim, Kubo's gateway, and nginx's proxy_cache in front of it.

    python bench/misses.py [--size 1MiB]... [--rounds 5] [--files 4]

Here lives the whole bench: files nobody has asked for, the clock, the table. Not here: how servers start (kit/peers).

Each round asks every server for files that no one has asked it for, one after the other, each on a connection that is
open already: to the first byte, to the last. The body is then compared with the file. Every server may use both cores.
The order turns round by round. Kubo has the files in its repository, Rim's origin in its pack: both lie in the page
cache. `rim` is an edge that asks its own origin; `rim, Kubo` is one whose origin is gone and that has Kubo as a
trustless gateway, so what Kubo costs is in both. CPU is that of all processes on the way, the client's not counted.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from kit import peers
from kit.servers import Server
from kit.side import machine

SIZES = {"1MiB": 1 << 20, "64MiB": 64 << 20}
GOALS = {"first byte": 1.1, "last byte": 1.15}
WARM = "warm.bin"  # asked for before anything is timed: connections are open, directories read


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a file is asked of. `all`: it and whoever it asks."""

    name: str
    server: Server
    prefix: str
    all: Server

    def fetch(self, name: str, body: bytes) -> tuple[float, float, float]:
        """Ask for a file: ms to the first byte, ms to the last, ms of CPU. Exits unless it is this body."""
        address = urlsplit(self.server.base)
        got = bytearray(len(body) + 4096)
        request = f"GET {self.prefix}/{name} HTTP/1.1\r\nHost: {self.server.host}\r\nConnection: close\r\n\r\n"
        with socket.create_connection((address.hostname, address.port), timeout=60) as wire:
            cpu, begun, first, at = self.all.clock(), time.perf_counter(), 0.0, 0
            wire.sendall(request.encode())
            while count := wire.recv_into(memoryview(got)[at:]):
                first = first or time.perf_counter()
                at += count
            last, cpu = time.perf_counter(), self.all.clock() - cpu
        head, _, rest = bytes(got[:at]).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or rest != body or b"detail=memory" in head or b"X-Cache: HIT" in head:
            raise SystemExit(f"{self.name} answers {name} with:\n{head.decode()}\nand {len(rest)} of {len(body)} B")
        return (first - begun) * 1e3, (last - begun) * 1e3, cpu * 1e3


def main() -> int:
    arguments = _arguments()
    print(machine(), flush=True)
    lines = []
    for size in arguments.size or SIZES:
        with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
            lines += _measure(size, Path(name), arguments)
    print(f"\n{'':30} {'first byte':>10} {'last byte':>10} {'CPU':>10}   of Kubo's, medians of rounds (range)")
    print("\n".join(lines))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a first answer costs, beside Kubo's gateway.")
    parser.add_argument("--size", action="append", choices=SIZES, help="of the files (1MiB and 64MiB)")
    parser.add_argument("--rounds", type=int, default=6, help="turns, every server in each (6)")
    parser.add_argument("--files", type=int, default=3, help="files of each server in a round (3)")
    parser.add_argument("--work", type=Path, help="where states are kept meanwhile")
    return parser.parse_args()


def _measure(size: str, work: Path, arguments: argparse.Namespace) -> list[str]:
    """All rounds with files of one size; lines of the table."""
    names = [f"{number}.bin" for number in range(arguments.rounds * arguments.files)]
    bodies = _folder(work / "files", [WARM, *names], SIZES[size])
    with ExitStack() as stack:
        asked = _servers(stack, work, names)
        for each in asked:
            each.fetch(WARM, bodies[WARM])
        seen: dict[str, list[list[float]]] = {each.name: [] for each in asked}
        for number in range(arguments.rounds):
            mine = names[number * arguments.files :][: arguments.files]
            for each in _turned(asked, number):
                times = [each.fetch(name, bodies[name]) for name in mine]
                seen[each.name].append([statistics.median(column) for column in zip(*times, strict=True)])
            said = ", ".join(f"{name} {rows[-1][0]:.2f} and {rows[-1][1]:.2f} ms" for name, rows in seen.items())
            print(f"{size}, round {number + 1}: {said}", flush=True)
    return [_row(size, name, rows, seen["Kubo"]) for name, rows in seen.items()]


def _folder(folder: Path, names: Sequence[str], size: int) -> Mapping[str, bytes]:
    folder.mkdir()
    rng = random.Random(13)
    bodies = {name: rng.randbytes(size) for name in names}
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    time.sleep(2.5)  # a publisher must hash what is younger than 2 s again
    return bodies


def _servers(stack: ExitStack, work: Path, names: Sequence[str]) -> list[Asked]:
    kubo, root = stack.enter_context(peers.kubo(work / "kubo", work / "files", core=None))
    nginx = stack.enter_context(peers.proxy_cache(work / "nginx", kubo.base))
    (work / "empty").mkdir()
    (work / "empty" / "index.html").write_text("nothing")
    found = [
        Asked("Kubo", kubo, f"/ipfs/{root}", kubo),
        Asked("nginx, Kubo", nginx, f"/ipfs/{root}", replace(nginx, pids=(*nginx.pids, *kubo.pids))),
    ]
    for name, env in (("rim", {}), ("rim, Kubo", {"RIM_GATEWAYS": kubo.base})):
        place = work / name.replace(", ", "-")
        ring = stack.enter_context(peers.rim(place, work / "empty", core=None, env=env))
        ring.rim("publish", str(work / "files"), "--site", "cold", "--encode", "none")
        ring.rim("purge", "cold", "--all", "--wait", "all")  # what the edge has warmed is forgotten
        server = replace(ring.server, host="cold.localhost")
        behind = kubo.pids if env else (ring.origin_pid,)
        found.append(Asked(name, server, "", replace(server, pids=(*server.pids, *behind))))
        if env:
            _lose_origin(ring, server, names)
    return found


def _lose_origin(ring: peers.Ring, server: Server, names: Sequence[str]) -> None:
    """Have the edge learn what the files are, then take its origin away: what they hold it must ask Kubo for."""
    address = urlsplit(server.base)
    for name in (WARM, *names):
        with socket.create_connection((address.hostname, address.port), timeout=60) as wire:
            wire.sendall(f"HEAD /{name} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n".encode())
            while wire.recv(65_536):
                pass
    os.kill(ring.origin_pid, signal.SIGKILL)


def _turned(asked: Sequence[Asked], number: int) -> list[Asked]:
    order = [*asked[number // 2 % len(asked) :], *asked[: number // 2 % len(asked)]]
    return order if number % 2 == 0 else order[::-1]


def _row(size: str, name: str, rows: Sequence[Sequence[float]], kubo: Sequence[Sequence[float]]) -> str:
    first, last, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
    line = f"{f'{size}, {name}':30} {first:7.2f} ms {last:7.2f} ms {cpu:7.2f} ms"
    if rows is kubo:
        return line
    said = []
    for column, (what, goal) in enumerate(GOALS.items()):
        ratios = [mine[column] / theirs[column] for mine, theirs in zip(rows, kubo, strict=True)]
        middle = statistics.median(ratios)
        verdict = f" ≤ {goal:g}×: {'met' if middle <= goal else 'not met'}" if name.startswith("rim") else ""
        said.append(f"{what} {middle:.2f} ({min(ratios):.2f} – {max(ratios):.2f}){verdict}")
    return f"{line}   {', '.join(said)}"


if __name__ == "__main__":
    sys.exit(main())
