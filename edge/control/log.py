"""Log: one JSON line per answer, when switched on.

Here lives the form of a line. Not here: what is logged of faults (logging, as everywhere). A line is JSON so that no
character of a request can forge another line or reach a terminal (CVE-2020-7695 and its kin).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TextIO

from edge.counting import Log, Told


def access_log(out: TextIO, edge: str, clock: Callable[[], float] = time.time) -> Log:
    """A function that writes one line per answer: method, target, status, bytes, outcome."""

    def log(told: Told) -> None:
        line = {
            "time": round(clock(), 3),
            "edge": edge,
            "method": told.method,
            "target": (told.host + told.target).decode("latin-1"),
            "status": told.status,
            "bytes": told.size,
            "outcome": told.outcome,
        }
        out.write(json.dumps(line) + "\n")

    return log
