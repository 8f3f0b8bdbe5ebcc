"""Members: who is well enough to be asked.

Here lives health: strikes, ejection with growing back-off and jitter, suspicion, rest, and the slow start of who comes
or comes back. Not here: who is in the ring (edge/control/roster), who owns what (edge/peers/ring), the asking
(edge/peers/client), the probes of the ejected (edge/control/roster/probes).

Judged only by one's own eyes, as Envoy's outlier detection is: no gossip about who is down, so no member can talk
another one out of the ring. The same book is kept for the origin and for outside gateways. Time is only ever the
difference of two looks at our own clock.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.peers.ring import Member

STRIKES = 3  # faults in a row that eject; Envoy's default is 5, but each of ours may cost a visitor a second
LIE = STRIKES  # wrong bytes eject at once: an honest member verifies before it sends
APART = 0.2  # s between two strikes for slowness: a hundred questions caught in one hiccup are one
FIRST_BACKOFF = 1.0  # s
LAST_BACKOFF = 60.0  # s; the back-off doubles from the first to this
ORIGIN = "the origin"  # its name in the book; no member's name holds a space
PROBE_PATIENCE = 10.0  # s until a probe that never reported back is given up, and another may try
SUSPECT_FOR = 5.0  # s that a suspicion lasts which nobody confirms or clears
REST_MAX = 60.0  # s: a Retry-After of a day is no reason to forget a member
FORGIVEN_AFTER = 120.0  # s of good behaviour after which the next ejection is a first one again
SLOW_START = 10.0  # s in which the share of its keys that a newcomer is asked for rises ...
FIRST_SHARE = 0.1  # ... from this to all
BELIEVED = 1.0  # s that others are believed who say that one wants to be left alone ...
UNHEARD = 10.0  # ... and s after which the next who says so is the first again
BOOK_MAX = 8_192  # names remembered; twice the members that a ring may have


@dataclass(slots=True)
class _Health:
    strikes: int = 0
    slow: int = 0  # strikes for slowness, counted apart: they end otherwise
    slow_at: float = float("-inf")
    ejections: int = 0  # in a row, the exponent of the back-off
    until: float = float("-inf")  # ejected until then; half-open from then on
    ejected: bool = False
    for_slowness: bool = False
    probe: float | None = None  # when the one probe of the half-open state left
    suspect: float = float("-inf")  # until then
    rests: float = float("-inf")  # until then
    since: float = float("-inf")  # when it came, or came back
    heard: float = float("-inf")  # when others were last believed about it for a while


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
        self.watched: frozenset[str] = frozenset()  # who is probed beside the visitors' questions

    # May it be asked?

    def healthy(self, order: Iterable[Member]) -> tuple[Member, ...]:
        """The members of an order that may be asked now, in that order. Looks only; `admit` takes the probe."""
        return tuple(member for member in order if self.is_well(member.name))

    def is_well(self, name: str) -> bool:
        """Whether `admit` would say yes now to who names no key."""
        health = self._book.get(name)
        return health is None or self._may_be_asked(name, health)

    def admit(self, name: str, key: bytes | None = None) -> bool:
        """May this one be asked now? Of those who ask about a half-open member, exactly one is told yes: the probe.

        `key`: it is the first in the order of this key. Then a newcomer is admitted for its share of the keys only, the
        same keys at each look, so that all who ask for one of them agree as far as they can.
        """
        health = self._book.get(name)
        if health is None:
            return True
        if not self._may_be_asked(name, health):
            return False
        if health.ejected:
            health.probe = self._clock()
            return True
        return key is None or _place(key) < self._share(health)

    def share(self, name: str) -> float:
        """The part of its own keys that it is asked for: below 1 for the first seconds of who came or came back."""
        health = self._book.get(name)
        return 1.0 if health is None else self._share(health)

    def resting(self, name: str) -> float:
        """Seconds that it asked to be left alone for; 0: none."""
        health = self._book.get(name)
        return 0.0 if health is None else max(0.0, health.rests - self._clock())

    def ejected(self) -> tuple[str, ...]:
        """Names out at this moment, for status and metrics."""
        return tuple(sorted(name for name, health in self._book.items() if health.ejected))

    def word(self, name: str) -> str:
        """What is held against it, in a word for status and metrics; empty: nothing."""
        health, now = self._book.get(name), self._clock()
        if health is None:
            return ""
        if health.ejected:
            return "ejected"
        if now < health.suspect:
            return "suspect"
        return "resting" if now < health.rests else ""

    # What is seen of it.

    def success(self, name: str) -> None:
        """It answered as it should, and in time (a true "I have it not" is that too)."""
        health = self._book.get(name)
        if health is None or (health.ejected and not self._is_over(health)):
            return  # as for failures: what was asked before the ejection says nothing new
        now = self._clock()
        if health.ejected:
            health.since = now
        health.strikes = health.slow = 0
        health.ejected, health.probe, health.suspect = False, None, float("-inf")
        if now - max(health.until, health.since, health.rests) > FORGIVEN_AFTER:
            del self._book[name]

    def failure(self, name: str, strikes: int = 1, longest: float = LAST_BACKOFF) -> bool:
        """It failed; LIE strikes for wrong bytes. True when this ejected it, for at most `longest` seconds. A suspect
        that fails has been silent on two connections: it goes at once."""
        health = self._of(name)
        if health.ejected and not self._is_over(health):
            return False  # answers to questions asked before the ejection say nothing new
        health.strikes += STRIKES if self._clock() < health.suspect else strikes
        if not health.ejected and health.strikes < STRIKES:
            return False
        self._eject(name, health, longest)
        return True

    def slow(self, name: str) -> bool:
        """It lost a hedge, or answered later than one would have been sent. True when this ejected it: STRIKES in a row
        with no answer in time between them, and not all of one moment."""
        health, now = self._of(name), self._clock()
        if health.ejected:
            if self._is_over(health):
                self._eject(name, health, LAST_BACKOFF, for_slowness=True)
            return False
        if now - health.slow_at < APART:
            return False
        health.slow_at, health.slow = now, health.slow + 1
        if health.slow < STRIKES:
            return False
        self._eject(name, health, LAST_BACKOFF, for_slowness=True)
        return True

    def suspect(self, name: str) -> None:
        """It is silent, on a second connection too: skip it from now on. Not ejected yet."""
        health = self._of(name)
        if not health.ejected:
            health.suspect, health.probe = self._clock() + SUSPECT_FOR, None

    def cleared(self, name: str) -> None:
        """The suspicion was wrong: it lives."""
        if health := self._book.get(name):
            health.suspect = float("-inf")

    def rest(self, name: str, seconds: float) -> None:
        """It asked to be left alone for so long (Retry-After). No strike: who says so is well, and would stay so."""
        until = self._clock() + min(seconds, REST_MAX) * self._jitter.uniform(1.0, 1.5)
        health = self._of(name)
        health.rests = max(health.rests, until)

    def hear(self, name: str) -> bool:
        """Others say that it wants to be left alone. Whether to believe them: for a moment, and whoever hears it still
        is to look for himself, once, and is told the same for a moment more."""
        health, now = self._of(name), self._clock()
        if now - health.heard < BELIEVED:
            return True
        is_first = now - health.heard > UNHEARD
        health.heard = now
        return is_first

    # Comings and goings.

    def came(self, name: str) -> None:
        """A newcomer in the ring: it gets its keys little by little. One that was ejected before stays so."""
        health = self._of(name)
        if not health.ejected:
            health.since = self._clock()

    def went(self, name: str) -> None:
        """It is in the ring no more. What was held against an ejected one is kept: it may be back in a moment."""
        health = self._book.get(name)
        if health is not None and not health.ejected:
            del self._book[name]

    # Probes, off the visitors' path.

    def due(self) -> tuple[str, ...]:
        """Those of the watched that a probe should be sent to now: ejected, and their back-off is over. Suspicions are
        looked into by who has them (edge/peers/doubts)."""
        now = self._clock()
        return tuple(
            name
            for name, health in self._book.items()
            if health.ejected
            and name in self.watched
            and (health.probe is None or now - health.probe >= PROBE_PATIENCE)
            and self._is_over(health)
        )

    def was_slow(self, name: str) -> bool:
        """Whether it was ejected for slowness: then to be alive is not enough to come back."""
        health = self._book.get(name)
        return health is not None and health.ejected and health.for_slowness

    def probed(self, name: str) -> None:
        """A probe leaves. What comes of it is a `success` or a `failure`."""
        self._of(name).probe = self._clock()

    # Below.

    def _of(self, name: str) -> _Health:
        health = self._book.get(name)
        if health is None:
            if len(self._book) >= BOOK_MAX:
                self._book = {name: health for name, health in self._book.items() if health.ejected}
            while len(self._book) >= BOOK_MAX:
                del self._book[next(iter(self._book))]
            health = self._book[name] = _Health()
        return health

    def _eject(self, name: str, health: _Health, longest: float, *, for_slowness: bool = False) -> None:
        now = self._clock()
        health.for_slowness = for_slowness
        if not health.ejected and now - health.until > FORGIVEN_AFTER:
            health.ejections = 0
        backoff = min(longest, FIRST_BACKOFF * 2.0**health.ejections)
        health.ejections = min(health.ejections + 1, 16)
        health.ejected, health.probe, health.strikes, health.slow = True, None, 0, 0
        health.suspect = float("-inf")
        health.until = now + backoff * self._jitter.uniform(0.5, 1.0)  # spread, or all edges probe in one breath
        self.ejections += 1
        self._on_eject(name)

    def _share(self, health: _Health) -> float:
        return min(1.0, FIRST_SHARE + (1.0 - FIRST_SHARE) * (self._clock() - health.since) / SLOW_START)

    def _is_over(self, health: _Health) -> bool:
        return self._clock() >= health.until

    def _may_be_asked(self, name: str, health: _Health) -> bool:
        now = self._clock()
        if now < health.rests or now < health.suspect:
            return False
        return not health.ejected or self._may_probe(name, health)

    def _may_probe(self, name: str, health: _Health) -> bool:
        """Whether a visitor's question may be the probe. Of the watched only where none was sent for long."""
        now = self._clock()
        from_then = health.until + PROBE_PATIENCE if name in self.watched else health.until
        return now >= from_then and (health.probe is None or now - health.probe >= PROBE_PATIENCE)


def _place(key: bytes) -> float:
    """Where a key stands between 0 and 1: it ends in the digest's last bytes, which are as good as random."""
    return int.from_bytes(key[-4:], "big") / (1 << 32)
