"""Side by side: a peer and Rim answer the same, in turns, and what each answer cost.

Here live the comparison of all answers before anything is timed, the rounds (A B B A) and the table. Not here: the
servers (kit/peers), the load (kit/load), what is compared (bench/hits).

What counts is the ratio within a pair of rounds that follow each other: a machine that slows down half-way harms
neither side. A pair's figures stand beside the core's other work, so a disturbed one can be told.
"""

from __future__ import annotations

import http.client
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kit.load import Counted, Load, run
from kit.servers import SERVER_CORE, Server, busy

_SHOWN = 400  # characters of a header field that are printed


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole."""

    status: int
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one server."""

    cpu: float  # µs of the server per request
    rate: float  # requests per second
    p99: float  # µs, of a closed loop: for information
    others: float  # share of the server's core that somebody else used


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rounds, one after the other."""

    peer: Sample
    rim: Sample

    @property
    def cpu(self) -> float:
        return self.rim.cpu / self.peer.cpu

    @property
    def rate(self) -> float:
        return self.rim.rate / self.peer.rate


def asker(server: Server) -> Callable[[str, Mapping[str, str]], Answer]:
    """A function that asks for one target, all on one connection."""
    wire = http.client.HTTPConnection(urlsplit(server.base).netloc, timeout=60)

    def ask(target: str, fields: Mapping[str, str]) -> Answer:
        wire.request("GET", target, headers={"Host": server.host, **fields})
        answer = wire.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, named, answer.read())

    return ask


def compare(
    peer: Server, rim: Server, targets: Iterable[str], fields: Sequence[Mapping[str, str]], root: str = ""
) -> None:
    """Every answer of both, status and body. Exits where they differ. The headers of the first ones are printed.
    `fields`: the peer's, then Rim's. `root`: what stands before a target at the peer."""
    ask = asker(peer), asker(rim)
    for number, target in enumerate(targets):
        answers = [ask[0](root + target, fields[0]), ask[1](target, fields[1])]
        if number == 0:
            for server, answer in zip((peer, rim), answers, strict=True):
                show(server, target, answer)
        same(target, *answers)


def same(target: str, theirs: Answer, ours: Answer) -> None:
    """Exits unless status and body are equal."""
    if (theirs.status, theirs.body) != (ours.status, ours.body):
        said = f"{theirs.status}, {len(theirs.body)} B, against {ours.status}, {len(ours.body)} B"
        raise SystemExit(f"the answers to {target} differ: {said}")


def expect_hits(rim: Server, targets: Iterable[str], fields: Mapping[str, str]) -> None:
    """Exits unless Rim answers all of these from memory."""
    ask = asker(rim)
    for target in targets:
        said = ask(target, fields).fields.get("cache-status", "")
        if "hit; detail=memory" not in said:
            raise SystemExit(f"{target} is not hot: Cache-Status says {said!r}; is the edge's memory too small?")


def show(server: Server, target: str, answer: Answer) -> None:
    """The header of an answer, on stdout."""
    print(f"  {server.name} {target}: {answer.status}, {len(answer.body)} B")
    print("".join(f"      {name}: {value[:_SHOWN]}\n" for name, value in answer.fields.items()), end="", flush=True)


def rounds(peer: Server, rim: Server, loads: Sequence[Load], pairs: int, seconds: int) -> list[Pair]:
    """Pairs of rounds in the order A B B A. `loads`: the peer's, then Rim's."""
    done = []
    for number in range(pairs):
        order = ((peer, loads[0]), (rim, loads[1]))
        samples = [measure(server, load, seconds) for server, load in (order if number % 2 == 0 else order[::-1])]
        done.append(Pair(*(samples if number % 2 == 0 else samples[::-1])))
    return done


def measure(server: Server, load: Load, seconds: int) -> Sample:
    """One round."""
    cpu, core = server.cpu(), busy(SERVER_CORE)
    counted: Counted = run(server, load, seconds)
    cpu, core = server.cpu() - cpu, busy(SERVER_CORE) - core
    others = max(0.0, core - cpu) / counted.seconds
    return Sample(cpu / counted.requests * 1e6, counted.requests / counted.seconds, counted.p99, others)


HEAD = (
    f"{'case':22} {'peer':>12} {'peer µs':>9} {'rim µs':>9}  {'rim/peer CPU (range)':24} {'peer req/s':>10} "
    f"{'rim req/s':>10} {'ratio':>6}  {'others':>6}  goal"
)


def row(case: str, peer: str, pairs: Sequence[Pair], goal: str, met: Callable[[float, float], bool]) -> str:
    """A line of the table: medians over the pairs. `met` judges the ratios of CPU and of requests per second."""
    cpus, rates = [pair.cpu for pair in pairs], [pair.rate for pair in pairs]
    cpu, rate = statistics.median(cpus), statistics.median(rates)
    spread = f"{cpu:.3f} ({min(cpus):.3f} – {max(cpus):.3f})"
    others = max(max(pair.peer.others, pair.rim.others) for pair in pairs)
    return (
        f"{case:22} {peer:>12} {_median(pairs, 'peer', 'cpu'):9.2f} {_median(pairs, 'rim', 'cpu'):9.2f}  {spread:24} "
        f"{_median(pairs, 'peer', 'rate'):10,.0f} {_median(pairs, 'rim', 'rate'):10,.0f} {rate:6.2f}  {others:6.0%}  "
        f"{goal}: {'met' if met(cpu, rate) else 'not met'}"
    )


def _median(pairs: Sequence[Pair], side: str, what: str) -> float:
    return statistics.median(getattr(getattr(pair, side), what) for pair in pairs)


def machine() -> str:
    """One line about where this runs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    first = ", servers and load before all others (nice -15)" if os.geteuid() == 0 else ""
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, load before {load:.1f}{first}"
