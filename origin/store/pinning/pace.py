"""Pace: how often a pinning service is asked, and how long is waited after it failed.

Here live the seconds, and backoff with jitter. Not here: what is asked (store/pinning/follower).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_DOUBLINGS = 40  # past it 2^n is more than any ceiling of ours


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. Plays make them short; nobody has yet asked for them as settings."""

    plan: float = 1.0  # between two looks at what is live: a storm of deploys is one plan a second
    follow_least: float = 1.0  # between two looks at a pin that is under way …
    follow_most: float = 60.0  # … a quarter of its age, within these two: a big release is not asked for each second
    confirm_first: float = 5.0  # until what was told to go is looked for again, doubling …
    confirm_most: float = 600.0  # … up to this
    settle: float = 2.0  # until a request whose answer was lost is looked for: it may still be on its way in
    reconcile_least: float = 60.0  # between two looks at a pin that stands, so that what others took away comes back …
    reconcile_most: float = 3_600.0  # … as long as it has stood, within these two
    down_first: float = 1.0  # after the first failure of a service, doubling …
    down_most: float = 600.0  # … up to this
    retry_first: float = 60.0  # after a pin failed: a service has tried for long by then, so not at once again …
    retry_most: float = 21_600.0  # … and a few times a day for good
    limited: float = 60.0  # after 429 without a Retry-After
    limited_most: float = 3_600.0  # the longest Retry-After that is believed
    answer: float = 30.0  # for one answer, from the first byte of the request to the last of the body

    def following(self, age: float) -> float:
        return min(self.follow_most, max(self.follow_least, age / 4))

    def confirming(self, times: int) -> float:
        return _backoff(self.confirm_first, self.confirm_most, times)

    def down(self, times: int) -> float:
        return _backoff(self.down_first, self.down_most, times)

    def retry(self, times: int) -> float:
        return _backoff(self.retry_first, self.retry_most, times)

    def reconciling(self, age: float) -> float:
        """Within a tenth, so that what was pinned together is not looked at together for ever."""
        return min(self.reconcile_most, max(self.reconcile_least, age)) * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing


def _backoff(first: float, most: float, times: int) -> float:
    """Between a half and the whole of it at random: many origins must not come back to a service in one moment."""
    whole = min(most, first * 2.0 ** min(max(times - 1, 0), _DOUBLINGS))
    return whole * random.uniform(0.5, 1.0)  # noqa: S311 - as above
