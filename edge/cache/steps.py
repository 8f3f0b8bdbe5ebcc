"""Steps: places where a test may kill the process, named in the order a block meets them on its way to disk.

Here lives nothing but that. Without RIM_EDGE_CRASH_AT in the environment a step costs one comparison.
"""

from __future__ import annotations

import os
import signal

# A step's name, or name:n for the n-th time it is passed, or n for the n-th step of any name.
_CRASH_AT = os.environ.get("RIM_EDGE_CRASH_AT")
_passed: dict[str, int] = {}


def step(name: str) -> None:
    """Pass a named step; die here with SIGKILL, as power would, when the environment says so."""
    if _CRASH_AT is None:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _CRASH_AT in (name, f"{name}:{_passed[name]}", str(sum(_passed.values()))):
        os.kill(os.getpid(), signal.SIGKILL)
