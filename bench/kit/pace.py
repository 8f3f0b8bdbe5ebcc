"""Pace: an open loop at a given rate, and each answer's time from the moment at which it was due to be asked for.

Here lives h2load with `--rps`, its log, and the schedule rebuilt from it. Not here: a closed loop (kit/load).

h2load paces each client by itself, with one request in flight. So there are as many clients as the rate needs at one
request each 21 ms, and they join 13 ms after one another: by the golden ratio of these two no two clients ever ask at
the same moment, and each is somewhere else in the list. Only the time between the last one's joining and the first
one's leaving counts. A closed loop would ask more slowly while the server is slow, and so not see it.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.servers import LOAD_CORE, Server, needed, on_core

_JOIN = 0.013  # s between two clients; h2load takes whole ms
_PERIOD = _JOIN / ((math.sqrt(5) - 1) / 2)  # s between two requests of a client
MISSED, LATE, LATE_SHARE = 0.02, 1_000.0, 0.01  # of the rate; µs; of the requests


@dataclass(frozen=True, slots=True)
class Paced:
    """A round. Times in µs, from when a request was due to the last byte of its answer."""

    asked: float  # requests per second that were asked for
    rate: float  # that were sent
    late: float  # share of requests sent more than 1 ms late, by the sender's fault or because its last was unanswered
    p50: float
    p99: float

    @property
    def counts(self) -> bool:
        """Whether the load was what it should have been."""
        return abs(self.rate / self.asked - 1) <= MISSED and self.late <= LATE_SHARE

    def __str__(self) -> str:
        said = f"p50 {self.p50 / 1e3:.2f}, p99 {self.p99 / 1e3:.2f} ms at {self.rate:,.0f}/s, {self.late:.1%} late"
        return said if self.counts else f"{said}: does not count"


def paced(server: Server, targets: Sequence[str], rate: float, seconds: float, work: Path, patience: int = 1) -> Paced:
    """Ask at this rate, for the targets in turn. `patience`: so many times more clients, each asking so much less
    often, where answers may take longer than 21 ms. Exits where an answer was no 2xx or 3xx."""
    period = _PERIOD * patience
    clients = max(1, round(rate * period))
    ramp = clients * _JOIN
    each = math.ceil((ramp + seconds) / period) + 8
    listed, log = work / "targets.txt", work / "h2load.log"
    listed.write_text("".join(f"{server.base}{target}\n" for target in targets))
    log.unlink(missing_ok=True)
    first = [needed("chrt"), "-r", "1"] if os.geteuid() == 0 else []
    command = [*first, *on_core(LOAD_CORE)[-3:], needed("h2load"), "--h1", "-t1", f"-c{clients}"]
    command += [f"-n{clients * each}", "-r1", f"--rate-period={_JOIN * 1e3:.0f}ms", f"--rps={1 / period:.6f}"]
    command += ["-i", str(listed), "--log-file", str(log), "-H", f":authority: {server.host}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ramp * 2 + seconds + 60, check=False)
    rows = [tuple(map(int, line.split("\t")[:3])) for line in log.read_text().splitlines()]
    failed = [row for row in rows if not 200 <= row[1] < 400]
    if done.returncode or failed or len(rows) != clients * each:
        raise SystemExit(f"{server.name}: {len(failed)} of {clients * each} requests failed\n{done.stdout[-1000:]}")
    begin = min(start for start, _, _ in rows) + (ramp + 2 * period) * 1e6
    steady = sorted((start, took) for start, _, took in rows if start >= begin)
    return _seen(steady[: round(rate * seconds)], clients, period, rate)


def _seen(steady: Sequence[tuple[int, int]], clients: int, period: float, rate: float) -> Paced:
    """From (start, time) in µs, in order of start. The log names no clients, but who asks once a period comes up again
    after all the others: every `clients`-th request is the same one's, and what he usually keeps is his schedule."""
    late = []
    for first in range(min(clients, len(steady))):
        own = [start - turn * period * 1e6 for turn, (start, _) in enumerate(steady[first::clients])]
        due = statistics.median(own)
        late += [max(0.0, start - due) for start in own]
    order = [index for first in range(min(clients, len(steady))) for index in range(first, len(steady), clients)]
    times = sorted(steady[index][1] + lateness for index, lateness in zip(order, late, strict=True))
    took = (steady[-1][0] - steady[0][0]) / 1e6
    share = sum(lateness > LATE for lateness in late) / len(late)
    return Paced(rate, len(steady) / took, share, times[len(times) // 2], times[len(times) * 99 // 100])
