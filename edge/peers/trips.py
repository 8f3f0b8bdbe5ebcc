"""Trips: how far away each node is, in seconds there and back.

Here lives the shortest wait for an answer's head that was seen of each, which is the way and little else. Not here:
what is added to budgets for it (edge/peers/budget). Budgets that know no distance take the far side of the world for
dead.
"""

from __future__ import annotations

from collections import OrderedDict

FAR = 0.35  # s to a node in another region of which nothing was heard yet: half around the world takes 0.33
MOST = 0.5  # s that are believed; a longer wait is no distance
KNOWN = 8_192  # nodes remembered
_FADE = 1.02  # by which the shortest grows with each answer: a way that has become longer is believed after some dozens


class Trips:
    """By address."""

    def __init__(self) -> None:
        self._least: OrderedDict[str, float] = OrderedDict()

    def heard(self, url: str, seconds: float) -> None:
        """The head of an answer came after so long."""
        self._least[url] = min(seconds, self._least.get(url, MOST) * _FADE, MOST)
        self._least.move_to_end(url)
        if len(self._least) > KNOWN:
            self._least.popitem(last=False)

    def of(self, url: str) -> float:
        """Seconds there and back, as far as is known."""
        return self._least.get(url, FAR)
