"""Log: one JSON line per answer, when switched on.

Here lives the form of a line. Not here: what is logged of faults (logging, as everywhere). A line is JSON so that no
character of a request can forge another line or reach a terminal (CVE-2020-7695 and its kin).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TextIO

from edge.http.outcome import Outcome


def access_log(
    out: TextIO, edge: str, clock: Callable[[], float] = time.time
) -> Callable[[str, str, int, int, Outcome], None]:
    """A function that writes one line per answer: method, target, status, bytes, outcome."""

    def log(method: str, target: str, status: int, size: int, outcome: Outcome) -> None:
        line = {
            "time": round(clock(), 3),
            "edge": edge,
            "method": method,
            "target": target,
            "status": status,
            "bytes": size,
            "outcome": outcome,
        }
        out.write(json.dumps(line) + "\n")

    return log
