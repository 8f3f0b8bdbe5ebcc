"""Collector: when Python looks for garbage that refers to itself.

Here lives its tuning, once for every process that serves. Nearly all that an edge makes dies by its count of
references; what the collector looks through is what is kept: hundreds of thousands of ready answers. As Python sets it,
it looked through them often enough while cold files came in to cost a hit 10 to 20 ms (bench/latency, fills: p99 15
times that of a quiet edge, with this 3 times).
"""

from __future__ import annotations

import gc

_THRESHOLDS = (50_000, 20, 100)  # objects made and not gone; then 20 young collections, then 100 middle ones


def calm() -> None:
    """Call when a process has started: what stands now stands for good, and is not looked at again."""
    gc.set_threshold(*_THRESHOLDS)
    gc.collect()
    gc.freeze()
