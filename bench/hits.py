"""bench/hits: what a hit costs, Rim beside tuned nginx and others.

    python bench/hits.py [--case NAME]... [--rounds 5] [--seconds 2] [--log] [--show-config] [--tune]

Here lives what is asked for, and how good it is to be. Not here: servers, load, rounds, table (bench/kit).

A real `rim up` with one edge, hot, and the peer, both on core 0; wrk on core 1 with 32 connections. Before a case is
timed all its answers are compared byte for byte. Figures never fail the bench; a difference does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit import peers, sites
from kit.load import CONNECTIONS, Load
from kit.servers import Server
from kit.side import HEAD, asker, compare, expect_hits, machine, measure, rounds, row


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked for. `target` None: every file of the folder in turn."""

    folder: Callable[[], Path]
    goal: float  # of the peer's CPU per request, at most
    target: str | None = None
    peer: str = "nginx"
    tuning: str = "sendfile"  # nginx's best for this case
    fields: Mapping[str, str] = field(default_factory=dict)
    conditional: bool = False  # asked with the ETag that each of them gave
    queries: bool = False
    connections: int = CONNECTIONS
    rate: float | None = None  # of the peer's requests per second, at least: then this is the goal
    status: int = 200

    @property
    def aim(self) -> str:
        return f"CPU ≤ {self.goal:g}×" if self.rate is None else f"req/s ≥ {self.rate:g}×"

    def met(self, cpu: float, rate: float) -> bool:
        return cpu <= self.goal if self.rate is None else rate >= self.rate


_RANGE = {"Range": "bytes=1500000-1565535"}  # 64 KiB within the second block
CASES = {
    "site": Case(sites.real_site, 1.0),
    "site-query": Case(sites.real_site, 1.05, queries=True),
    "4k": Case(sites.single_files, 1.15, "/4k.jpg"),
    "64k": Case(sites.single_files, 0.9, "/64k.jpg", tuning="buffers"),
    "10m": Case(sites.single_files, 1.2, "/10m.jpg", connections=8),
    "304": Case(sites.single_files, 1.5, "/4k.jpg", conditional=True, status=304),
    "range": Case(sites.single_files, 1.0, "/2m.jpg", tuning="buffers", fields=_RANGE, status=206),
    "varnish-4k": Case(sites.single_files, 0.5, "/4k.jpg", peer="varnish"),
    "static-4k": Case(sites.single_files, 1 / 40, "/4k.jpg", peer="StaticFiles"),
    "kubo-site": Case(sites.real_site, 1 / 20, peer="kubo", rate=20.0),
}
SIZES = "sizes"  # Rim beside Rim


def main() -> int:
    arguments = _arguments()
    print(f"{machine()}; access log {'on' if arguments.log else 'off'} for both", flush=True)
    print(f"{arguments.rounds} pairs of rounds of {arguments.seconds} s each", flush=True)
    names = arguments.case or [*CASES, SIZES]
    table: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rim-bench-", dir=arguments.work) as name:
        bench = Bench(Path(name), arguments)
        for case in names:
            try:
                table.append(bench.tune(case) if arguments.tune else bench.run(case))
            except SystemExit as error:  # a program is missing, or a server gave up: the other cases are still worth it
                table.append(f"{case}: {error}")
            print(table[-1], flush=True)
    print(f"\n{'' if arguments.tune else HEAD}")
    print("\n".join(table))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a hit costs, beside nginx and others.")
    parser.add_argument("--case", action="append", choices=[*CASES, SIZES], help="this case only; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds, in the order A B B A (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each round, whole as wrk has it (2)")
    parser.add_argument("--log", action="store_true", help="both write an access log")
    parser.add_argument("--show-config", action="store_true", help="print what each server was told")
    parser.add_argument("--tune", action="store_true", help="try nginx's tunings against each other instead")
    parser.add_argument("--work", type=Path, help="where states are kept meanwhile")
    return parser.parse_args()


class Bench:
    """The cases, one after the other, in a folder of their own."""

    def __init__(self, work: Path, arguments: argparse.Namespace) -> None:
        self.work = work
        self.arguments = arguments
        self._started = 0

    def run(self, name: str) -> str:
        """Time a case; its line of the table."""
        if name == SIZES:
            return self._sizes()
        case = CASES[name]
        folder = case.folder()
        print(f"\n{name}:", "{} files, {:,} B".format(*sites.size_of(folder)), flush=True)
        with ExitStack() as stack:
            rim = stack.enter_context(peers.rim(self._place(), folder, log=self.arguments.log)).server
            peer, root = stack.enter_context(self._peer(case, folder))
            self._show(peer, rim)
            targets = [case.target] if case.target else sites.targets(folder)
            loads = [self._load(case, server, targets, base) for server, base in ((peer, root), (rim, ""))]
            self._check(case, peer, rim, targets, root, loads)
            pairs = rounds(peer, rim, loads, self.arguments.rounds, self.arguments.seconds)
            return row(name, peer.name, pairs, case.aim, case.met)

    def tune(self, name: str) -> str:
        """Each of nginx's tunings on a case."""
        case = CASES[name]
        folder = case.folder()
        targets = [case.target] if case.target else sites.targets(folder)
        lines = [f"\n{name:22} nginx, µs of CPU per request (and requests per second)"]
        with ExitStack() as stack:
            servers = {
                tuning: stack.enter_context(peers.nginx(self._place(), folder, tuning, self.arguments.log))
                for tuning in peers.TUNINGS
            }
            loads = {tuning: self._load(case, server, targets, "") for tuning, server in servers.items()}
            samples = [
                {tuning: measure(servers[tuning], loads[tuning], self.arguments.seconds) for tuning in servers}
                for _ in range(self.arguments.rounds)
            ]
        for tuning in servers:
            costs = [sample[tuning].cpu for sample in samples]
            rate = statistics.median(sample[tuning].rate for sample in samples)
            spread = f"{min(costs):.2f} – {max(costs):.2f}"
            lines.append(f"  {tuning:20} {statistics.median(costs):9.2f} ({spread})  {rate:10,.0f}")
        return "\n".join(lines)

    def _sizes(self) -> str:
        """The same files out of a small and out of a large site, each in an edge of its own."""
        with ExitStack() as stack:
            small, large = (
                stack.enter_context(peers.rim(self._place(), sites.sized_site(files), log=self.arguments.log)).server
                for files in (sites.WORKING_SET, 100_000)
            )
            targets = [f"/set/{number}.jpg" for number in range(sites.WORKING_SET)]
            print("\nsizes: 100 files of a site of 100, and of one of 100,000", flush=True)
            compare(small, large, targets, ({}, {}))
            for server in (small, large):
                expect_hits(server, targets, {})
            load = Load(turns=self._list(targets))
            pairs = rounds(small, large, (load, load), self.arguments.rounds, self.arguments.seconds)
            return row("sizes 100k / 100", "rim of 100", pairs, "CPU ≤ 1.1×", lambda cpu, rate: cpu <= 1.1)

    @contextmanager
    def _peer(self, case: Case, folder: Path) -> Iterator[tuple[Server, str]]:
        """The peer, and what stands before a target at it."""
        with ExitStack() as stack:
            if case.peer == "StaticFiles":
                yield stack.enter_context(peers.staticfiles(self._place(), folder)), ""
            elif case.peer == "kubo":
                server, root = stack.enter_context(peers.kubo(self._place(), folder))
                yield server, f"/ipfs/{root}"
            else:
                nginx = stack.enter_context(peers.nginx(self._place(), folder, case.tuning, self.arguments.log))
                yield stack.enter_context(peers.varnish(self._place(), nginx)) if case.peer == "varnish" else nginx, ""

    def _check(
        self, case: Case, peer: Server, rim: Server, targets: Sequence[str], root: str, loads: Sequence[Load]
    ) -> None:
        """All answers are the same, what was asked for is what comes, and Rim's are hot."""
        compare(peer, rim, targets, [load.fields for load in loads], root)
        expect_hits(rim, targets, loads[1].fields)
        status = asker(rim)(targets[0], loads[1].fields).status
        if status != case.status:
            raise SystemExit(f"{targets[0]} answers {status}, not {case.status}")

    def _load(self, case: Case, server: Server, targets: Sequence[str], base: str) -> Load:
        fields = dict(case.fields)
        if case.conditional:
            fields["If-None-Match"] = asker(server)(base + targets[0], {}).fields["etag"]
        if case.target is not None:
            return Load(base + case.target, fields, connections=case.connections)
        return Load(fields=fields, turns=self._list([base + target for target in targets]), queries=case.queries)

    def _list(self, targets: Sequence[str]) -> Path:
        path = self._place().with_suffix(".txt")
        path.write_text("\n".join(targets) + "\n")
        return path

    def _place(self) -> Path:
        self._started += 1
        return self.work / str(self._started)

    def _show(self, *servers: Server) -> None:
        if self.arguments.show_config:
            for server in servers:
                print(f"--- {server.name}\n{server.config}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
