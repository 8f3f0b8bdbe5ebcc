"""Named crash points: every place where the origin has made something durable, or is about to.

Here lives `step`, which does nothing in production. Tests enumerate the points: with RIM_CRASH_AT=n the process ends
at once (no clean-up, no flush: what `kill -9` does) at its n-th step, for n = 1, 2, 3 … until a run completes
(SQLite's way of testing I/O errors). RIM_STEPS_LOG=path appends the names, so that a failing n can be read.
Steps are counted per process and are few (a handful per request), so the counter needs no lock but the one it has.
"""

from __future__ import annotations

import os
import threading

CRASH_STATUS = 137  # what a shell reports for kill -9


class _Steps:
    def __init__(self) -> None:
        self.at = int(os.environ.get("RIM_CRASH_AT", "0"))
        self.log = os.environ.get("RIM_STEPS_LOG", "")
        self.armed = bool(self.at or self.log)
        self.count = 0
        self.lock = threading.Lock()

    def reached(self, name: str) -> None:
        with self.lock:
            self.count += 1
            if self.log:
                with open(self.log, "a", encoding="utf-8") as file:
                    file.write(f"{name}\n")
            if self.count == self.at:
                os._exit(CRASH_STATUS)


_steps = _Steps()


def step(name: str) -> None:
    """Pass a named point. With RIM_CRASH_AT=n the n-th one is the last thing this process does."""
    if _steps.armed:
        _steps.reached(name)
