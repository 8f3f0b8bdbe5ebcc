"""Latency: how long others have taken to answer lately, and from when on an answer is late.

Here lives a bounded window of measured times. Not here: what is done about a late one (edge/peers/hedge).

A window of the last questions, not of the last minutes: with little traffic old times are the best that is known, and
no clock is needed. Sorted on demand and remembered until enough has come anew: a question must not pay for a sort.
"""

from __future__ import annotations

from collections import deque

LEAST = 20  # samples below which one slow answer would be the measure of all
WINDOW = 256  # samples remembered
_AGAIN = 16  # samples after which the measure is taken anew


class Latencies:
    """Times of answers, in seconds."""

    def __init__(self, window: int = WINDOW) -> None:
        self._seconds: deque[float] = deque(maxlen=window)
        self._p95: float | None = None
        self._new = 0

    def add(self, seconds: float) -> None:
        """A question was answered after this time."""
        self._seconds.append(seconds)
        self._new += 1

    def p95(self) -> float | None:
        """19 of 20 answers came within it; None while too few are known to say so."""
        if len(self._seconds) < LEAST:
            return None
        if self._p95 is None or self._new >= _AGAIN:
            self._p95 = sorted(self._seconds)[len(self._seconds) * 95 // 100]
            self._new = 0
        return self._p95

    def __len__(self) -> int:
        return len(self._seconds)
