"""Strain: how much farther away all others seem to a node whose own loop stands still.

Here lives that one number. Not here: the measuring (edge/control/watchdog), or what is waited longer for it
(edge/peers/silence, edge/peers/pulse, edge/cache/sources).

A crowd comes to all nodes at once, often on machines they share. Were each then to take the owners for dead, a block
would leave the origin as often as there are nodes. It is looked at again whenever somebody is about to be doubted: when
the question left, the crowd had not come yet.
"""

from __future__ import annotations

from collections.abc import Callable

STRAINED = 0.1  # s of standing still from which on others are seen farther away ...
STRAIN_MAX = 2.0  # ... by as much, and by this at most: then a silent one is doubted after 6.5 s instead of 0.45


class Strain:
    """Seconds, when called. `lag`: s that our own loop stood still lately."""

    def __init__(self) -> None:
        self.lag: Callable[[], float] = lambda: 0.0

    def __call__(self) -> float:
        lag = self.lag()
        return min(lag, STRAIN_MAX) if lag > STRAINED else 0.0
