"""Heat: how often each block is asked of this node by others, lately.

Here lives one decayed count per key, the hottest of them, and the sum. Not here: what is done about a hot key
(edge/peers/mirrors, edge/control/hot). What visitors ask is not counted: their hits cost nothing extra.

A count is kept as the moment at which it will have decayed to one. A hit moves that moment, time alone changes nothing,
and two moments compare as the counts do: no sweep, and no number that grows without end (forward decay, Cormode and
others 2009, keeps weights that must be scaled down now and then).

Memory is bounded by recency: past KEYS keys the one that was hit longest ago goes. A key that is a larger part of all
questions than one in KEYS is hit before that comes to it, and a smaller part is not hot.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

KEYS = 65_536  # keys counted at once; 112 B each beside the key itself, measured on CPython 3.11
FADE = 5.0  # s in which a count falls to 1/e, if nothing else is said: a flash is hot within one


class Heat:
    """Decayed rates by key. One per process; not for threads. `fade`: seconds in which a count falls to 1/e."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, keys: int = KEYS, fade: float = FADE) -> None:
        self._clock = clock
        self._fade = fade
        self._keys = keys
        self._moments: OrderedDict[bytes, float] = OrderedDict()
        self._all = -math.inf

    def hit(self, key: bytes, weight: float = 1.0) -> None:
        """A question for this key was answered. `weight` > 1: it stands for so many, of which others got the rest."""
        now = self._clock()
        self._moments[key] = self._added(self._moments.get(key, -math.inf), now, weight)
        self._moments.move_to_end(key)
        if len(self._moments) > self._keys:
            self._moments.popitem(last=False)
        self._all = self._added(self._all, now, 1.0)

    def rate(self, key: bytes) -> float:
        """Questions per second for this key, those that others got included."""
        return self._rate(self._moments.get(key, -math.inf))

    @property
    def total(self) -> float:
        """Questions per second that this node itself answered, for all keys."""
        return self._rate(self._all)

    def hottest(self, count: int) -> list[tuple[bytes, float]]:
        """So many keys and their rates, the hottest first. Looks at all: some 20 ms when every key is in use; a heap of
        thousands takes twice that (seen)."""
        found = sorted(self._moments, key=self._moments.__getitem__, reverse=True)[:count]
        return [(key, self._rate(self._moments[key])) for key in found]

    def __len__(self) -> int:
        return len(self._moments)

    def _rate(self, moment: float) -> float:
        return math.exp((moment - self._clock()) / self._fade) / self._fade

    def _added(self, moment: float, now: float, weight: float) -> float:
        """The moment at which a count, now `weight` larger, will have decayed to one."""
        return now + self._fade * math.log(weight + math.exp((moment - now) / self._fade))
