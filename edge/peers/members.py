"""Members: who is well enough to be asked.

Here lives health: strikes, ejection with growing back-off and jitter, the one probe that lets a member back in.
Not here: who is in the ring and who owns what (edge/peers/ring), or the asking (edge/peers/client).

Judged only by one's own eyes, as Envoy's outlier detection is: no gossip about who is down, so no member can talk
another one out of the ring. The same book is kept for the origin and for outside gateways.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.peers.ring import Member

STRIKES = 3  # faults in a row that eject; Envoy's default is 5, but each of ours may cost a visitor a second
LIE = STRIKES  # wrong bytes eject at once: an honest member verifies before it sends
FIRST_BACKOFF = 1.0  # s
LAST_BACKOFF = 60.0  # s; the back-off doubles from the first to this
ORIGIN = "the origin"  # its name in the book; no member's name holds a space
PROBE_PATIENCE = 10.0  # s until a probe that never reported back is given up, and another may try
FORGIVEN_AFTER = 120.0  # s of good behaviour after which the next ejection is a first one again


@dataclass(slots=True)
class _Health:
    strikes: int = 0
    ejections: int = 0  # in a row, the exponent of the back-off
    until: float = 0.0  # ejected until then; half-open from then on
    ejected: bool = False
    probe: float | None = None  # when the one probe of the half-open state left


class Members:
    """A health book by name. Names never heard of are well."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
        on_eject: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._clock = clock
        self._jitter = jitter or random.Random()  # noqa: S311 (spreads retries, guards nothing)
        self._book: dict[str, _Health] = {}
        self._on_eject = on_eject
        self.ejections = 0  # ever, for the metric

    def healthy(self, order: Iterable[Member]) -> tuple[Member, ...]:
        """The members of an order that may be asked now, in that order. Looks only; `admit` takes the probe."""
        return tuple(member for member in order if self.is_well(member.name))

    def is_well(self, name: str) -> bool:
        """Whether `admit` would say yes now."""
        health = self._book.get(name)
        return health is None or not health.ejected or self._may_probe(health)

    def admit(self, name: str) -> bool:
        """May this one be asked now? Of those who ask about a half-open member, exactly one is told yes: the probe."""
        health = self._book.get(name)
        if health is None or not health.ejected:
            return True
        if not self._may_probe(health):
            return False
        health.probe = self._clock()
        return True

    def success(self, name: str) -> None:
        """It answered as it should (a true "I have it not" is that too)."""
        health = self._book.get(name)
        if health is None:
            return
        health.strikes, health.ejected, health.probe = 0, False, None
        if self._clock() - health.until > FORGIVEN_AFTER:
            del self._book[name]

    def failure(self, name: str, strikes: int = 1, longest: float = LAST_BACKOFF) -> bool:
        """It failed; LIE strikes for wrong bytes. True when this ejected it, for at most `longest` seconds."""
        health = self._book.setdefault(name, _Health())
        if health.ejected and not self._is_over(health):
            return False  # answers to questions asked before the ejection say nothing new
        health.strikes += strikes
        if not health.ejected and health.strikes < STRIKES:
            return False
        self._eject(health, longest)
        self._on_eject(name)
        return True

    def ejected(self) -> tuple[str, ...]:
        """Names out at this moment, for status and metrics."""
        return tuple(sorted(name for name, health in self._book.items() if health.ejected))

    def _eject(self, health: _Health, longest: float) -> None:
        now = self._clock()
        if not health.ejected and now - health.until > FORGIVEN_AFTER:
            health.ejections = 0
        backoff = min(longest, FIRST_BACKOFF * 2.0**health.ejections)
        health.ejections = min(health.ejections + 1, 16)
        health.ejected, health.probe, health.strikes = True, None, 0
        health.until = now + backoff * self._jitter.uniform(0.5, 1.0)  # spread, or all edges probe in one breath
        self.ejections += 1

    def _is_over(self, health: _Health) -> bool:
        return self._clock() >= health.until

    def _may_probe(self, health: _Health) -> bool:
        now = self._clock()
        return now >= health.until and (health.probe is None or now - health.probe >= PROBE_PATIENCE)
