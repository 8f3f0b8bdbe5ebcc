"""Absence: what nobody gave a moment ago, so that a crowd asking for it is one question.

Here lives a short and bounded memory of refusals. Not here: what makes one (edge/cache/ladder).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from content.cid import CID
from edge.cache.loaded import Unavailable

ABSENT_FOR = 1.0  # s that "nobody has it" is believed
ABSENT_MAX = 4_096  # CIDs of which that is remembered


class Absence:
    """Refusals by CID and rung. On another rung others are asked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[CID, int], tuple[float, Unavailable]] = OrderedDict()

    def known(self, cid: CID, rung: int) -> Unavailable | None:
        """The refusal, to be raised again, while it is believed."""
        if (known := self._known.get((cid, rung))) is None:
            return None
        until, error = known
        if self._clock() >= until:
            del self._known[cid, rung]
            return None
        return Unavailable(error.cid, error.absent, error.tried, error.rest)

    def remember(self, rung: int, error: Unavailable) -> None:
        """Nobody gave this block."""
        self._known[error.cid, rung] = (self._clock() + ABSENT_FOR, error)
        self._known.move_to_end((error.cid, rung))
        if len(self._known) > ABSENT_MAX:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Ask anew for everything."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
