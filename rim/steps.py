"""Named steps of the publisher and of `rim up`: the points where a test may kill or interrupt them.

Here lives `step(name)`, which costs one call and nothing else unless a test asks. Not here: the origin's own steps
(origin/steps), which count in their own process.

RIM_PUBLISH_CRASH_AT=n       `os._exit(137)` at the n-th step: what `kill -9` or a power cut leaves behind
RIM_PUBLISH_INTERRUPT_AT=n   SIGINT to this process at the n-th step: Ctrl-C at a moment that can be named
RIM_STEPS_LOG=path           append every step's name, so that a test can enumerate them

Road not taken: hooks injected by the tests. They would test another program than the one that is shipped.
"""

from __future__ import annotations

import itertools
import os
import signal

_crash_at = int(os.environ.get("RIM_PUBLISH_CRASH_AT", "0"))
_interrupt_at = int(os.environ.get("RIM_PUBLISH_INTERRUPT_AT", "0"))
_log = os.environ.get("RIM_STEPS_LOG", "")
_armed = bool(_crash_at or _interrupt_at or _log)
_count = itertools.count(1)


def step(name: str) -> None:
    """Pass the named step; a test may have chosen it as the last one of this process."""
    if not _armed:
        return
    number = next(_count)
    if _log:
        with open(_log, "a", encoding="utf-8") as log:
            log.write(f"{name}\n")
    if number == _crash_at:
        os._exit(137)
    if number == _interrupt_at:
        os.kill(os.getpid(), signal.SIGINT)
