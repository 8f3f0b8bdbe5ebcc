"""Stand-ins: who takes the visitors of a process that died, until its successor serves.

Each process takes connections from a socket of its own, so what comes to the socket of a dead one would wait for its
successor: some tenths of a second, or as long as it takes to set right what keeps that from starting.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.processes.place import DRAIN, SERVING, STAND_DOWN, STAND_IN
from edge.processes.started import Started


class StandIns:
    """Index of one that is away → who stands in for it; None: nobody yet."""

    def __init__(self) -> None:
        self._helpers: dict[int, Started | None] = {}

    def lost(self, index: int) -> None:
        """The process with this index died."""
        self._helpers[index] = None

    def see_to(self, serving: Sequence[Started | None]) -> None:
        """Tell those concerned what has changed. `serving`: who has each place now."""
        here = [one for one in serving if one is not None and SERVING in one.said and DRAIN not in one.told]
        for index, helper in list(self._helpers.items()):
            back = serving[index]
            if back is not None and SERVING in back.said:
                del self._helpers[index]
                if helper is not None:
                    helper.say(bytes([STAND_DOWN + index]))
            elif helper not in here and here:
                next_one = min(here, key=lambda one: (one.index - index) % len(serving))
                self._helpers[index] = next_one
                next_one.say(bytes([STAND_IN + index]))
