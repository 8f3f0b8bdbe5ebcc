"""Heap: when Python looks for garbage that refers to itself, in an origin's process.

Here lives its tuning. Not here: which blocks are garbage (origin/gc). As Python sets it, it looked through all that an
origin has loaded about once in twenty commits, for 30 to 48 ms in which no edge was answered (seen, with 64 edges that
follow). What stands when an origin begins to serve stands for good, and what requests make dies by its count of
references. An edge has the same (edge/collector); the two sides share no module but those of content/.
"""

from __future__ import annotations

import gc

_THRESHOLDS = (50_000, 20, 100)  # objects made and not gone; then 20 young collections, then 100 middle ones


def calm() -> None:
    """Call when a process has started: what stands now is not looked at again."""
    gc.set_threshold(*_THRESHOLDS)
    gc.collect()
    gc.freeze()
