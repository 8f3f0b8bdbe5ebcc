"""Rates: how often somebody may ask, and how many connections somebody may hold.

Here live the counting and its bounds. Not here: who is counted as whom (edge/http/address), which limits hold and what
is answered to who is over one (edge/http/door), and the clock, which is handed in.

A rate is kept as GCRA (the algorithm of ATM's cells, ITU-T I.371): one number per key, the time at which the bucket
would be empty again. No timer fills anything, and a look costs the same for the first key and the millionth.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

KEYS = 65_536  # remembered per limit: about 10 MB. Who was longest silent is forgotten, and begins with a full burst
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*s\s*(?::\s*(\d+))?\s*\Z")
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, and at most `burst` of them at once."""

    per_second: float
    burst: int

    @classmethod
    def read(cls, text: str) -> Rate:
        """From `50/s` or `50/s:200`; without a burst it is what one second allows. Raises ValueError."""
        found = _TEXT.match(text)
        if found is None or float(found[1]) <= 0 or found[2] == "0":
            raise ValueError(f"{text!r} is no rate such as 50/s, or 50/s:200 (200 at once)")
        per_second = float(found[1])
        return cls(per_second, int(found[2] or max(1, int(per_second))))


class Buckets(Generic[K]):
    """One bucket per key, all of one rate."""

    __slots__ = ("_ends", "_interval", "_keys", "_tolerance")

    def __init__(self, rate: Rate, keys: int = KEYS) -> None:
        self._interval = 1 / rate.per_second
        self._tolerance = (rate.burst - 1) * self._interval
        self._keys = keys
        self._ends: OrderedDict[K, float] = OrderedDict()  # key → when its bucket is empty again, the latest used last

    def take(self, key: K, now: float) -> float | None:
        """One request at `now` (seconds of any clock that never goes back): None, it is allowed and counted; else the
        seconds to wait for the next that would be, and this one costs nothing."""
        end = max(self._ends.get(key, now), now)
        wait = end - now - self._tolerance
        if wait > 0:
            return wait
        self._ends[key] = end + self._interval
        self._ends.move_to_end(key)
        if len(self._ends) > self._keys:
            self._ends.popitem(last=False)
        return None

    def __len__(self) -> int:
        return len(self._ends)

    def __repr__(self) -> str:
        return f"<Buckets {len(self)} keys, {1 / self._interval:g}/s>"


class Held(Generic[K]):
    """How many of something each key holds at this moment, up to a limit."""

    __slots__ = ("_counts", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._counts: dict[K, int] = {}

    def take(self, key: K) -> bool:
        """One more, if it may have it."""
        count = self._counts.get(key, 0)
        if count >= self.limit:
            return False
        self._counts[key] = count + 1
        return True

    def give(self, key: K) -> None:
        """One that was taken is given back."""
        if self._counts[key] == 1:
            del self._counts[key]
        else:
            self._counts[key] -= 1

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"<Held {sum(self._counts.values())} by {len(self)}, each at most {self.limit}>"
