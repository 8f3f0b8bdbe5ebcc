"""Health: how a pinning service is, and how long it is let alone.

Here lives what a failed request says of the whole service, and the counts. Not here: what one pin's failure means
(store/pinning/follower).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from origin.store.pinning.client import Denied, Down, Limited
from origin.store.pinning.pace import Pace

FAILURES = ("down", "limited", "denied", "refused", "failed", "lost")
log = logging.getLogger("rim.origin")


class Health:
    """`ok`, or away in one of three ways: until `retry_in` seconds are over nothing is asked."""

    def __init__(self, name: str, pace: Callable[[], Pace]) -> None:
        self.state: Literal["new", "ok", "down", "limited", "denied"] = "new"
        self.error = ""
        self.failures: Counter[str] = Counter(dict.fromkeys(FAILURES, 0))
        self._name = name
        self._pace = pace
        self._resume = 0.0
        self._stumbles = 0

    def __repr__(self) -> str:
        return f"<Health {self._name} {self.state}>"

    def retry_in(self) -> float:
        """Seconds for which it is still let alone."""
        return max(0.0, self._resume - time.monotonic())

    def hurry(self) -> None:
        """Let it alone no longer: somebody asks for it."""
        self._resume = 0.0

    def well(self) -> None:
        """It answered."""
        if self.state not in ("new", "ok"):
            log.warning("pinning service %s answers again", self._name)
        self.state, self.error, self._stumbles = "ok", "", 0

    def fault(self, error: Exception) -> None:
        """A request failed in a way that says something of the service."""
        match error:
            case Limited():
                after = self._pace().limited if error.after is None else error.after
                self.stumble("limited", str(error), min(after, self._pace().limited_most))
            case Denied():
                self.stumble("denied", str(error))
            case Down():
                self.stumble("down", str(error))
            case _:
                self.stumble("down", f"it answers wrongly: {error}")

    def stumble(self, state: Literal["down", "limited", "denied"], said: str, least: float = 0.0) -> None:
        """It is let alone for a while, for longer each time."""
        self._stumbles += 1
        self.failures[state] += 1
        if self.state != state:
            log.warning("pinning service %s: %s", self._name, said)
        self.state, self.error = state, said
        self._resume = time.monotonic() + max(least, self._pace().down(self._stumbles))
