"""Pressure: how much of what costs memory and time is under way, and when no more of it is begun.

Here live the bounds on misses, and for whom they hold. Not here: the answer of who is turned away (edge/replies,
edge/control/giving), where misses are begun (edge/cache/ladder).

An edge never falls over because too much is asked of it that it does not hold: past a bound the next miss is turned
away (503, Retry-After) before anything is spent on it, and is counted. Hits are never turned away, nor what is asked
only-if-cached, nor what an answer needs that has begun, nor this edge's own work (a Head, a purge, warming).

For whom it holds stands in ASKER, a variable of the task that makes an answer: what it begins on the way inherits it,
and whatever has another cause is not under it by oversight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextvars import ContextVar

from content.limits import MiB
from edge.peers.room import Room

MISSES = 1_024  # under way at once in one process, waiting for their turn among them
AHEAD_SHARE = 2  # bytes read for readers who have not taken them yet: at most 1/2 of the memory's budget
ROOM_SHARE = 4  # of it, for bodies that are being received: 1/4 ...
ROOM_LEAST = 16 * MiB  # ... and never less than this, or one long block after another would be all there is
LATE = 0.25  # s that the loop may be behind, by its own work, before misses have to wait ...
LATE_FROM = 64  # ... where at least so many are under way; fewer are not what holds it up
REST = 1.0  # s that whoever is turned away is asked to wait
ASKER: ContextVar[str | None] = ContextVar("asker", default=None)  # visitor, peer; None: is not turned away


class Pressure:
    """What is under way in one process. `memory`: bytes that blocks may take. `lag`: s that the loop is behind."""

    def __init__(self, memory: int, lag: Callable[[], float] = lambda: 0.0) -> None:
        self.room = Room(max(ROOM_LEAST, memory // ROOM_SHARE))
        self.misses = 0
        self.ahead = 0  # bytes that wait for readers
        self.shed: Counter[str] = Counter()  # by who was turned away
        self.lag = lag
        self._ahead_max = max(ROOM_LEAST, memory // AHEAD_SHARE)
        self._waiting: dict[Hashable, tuple[int, int]] = {}  # for how many readers, and its bytes

    def admit(self) -> float | None:
        """None: one more miss may be begun. Else after how many seconds to ask again."""
        if self.misses >= MISSES or self.ahead >= self._ahead_max or self.room.is_full:
            return REST
        if self.misses >= LATE_FROM and self.lag() > LATE:
            return 2 * REST
        return None

    @property
    def may_read_ahead(self) -> bool:
        """Whether more than the next block may be read for one who reads on: up to half of what may wait for readers,
        the other half is for those who come."""
        return self.ahead < self._ahead_max // 2

    def wait(self, what: Mapping[Hashable, int]) -> None:
        """So many bytes of each of these wait for one reader more. What waits for several lies in memory once, and is
        counted once: or a crowd on one file would have a node that is at ease turn everybody away (seen)."""
        for key, size in what.items():
            readers, first = self._waiting.get(key, (0, size))
            self._waiting[key] = readers + 1, first
            self.ahead += 0 if readers else size

    def taken(self, what: Iterable[Hashable]) -> None:
        """They wait for this reader no more."""
        for key in what:
            readers, size = self._waiting.pop(key)
            if readers > 1:
                self._waiting[key] = readers - 1, size
            else:
                self.ahead -= size

    def __repr__(self) -> str:
        return f"<Pressure {self.misses} misses, {self.ahead} B ahead, {self.room!r}>"
