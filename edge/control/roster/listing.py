"""Listing: what one look at who is in the ring came to; and the words of members, each asked for when it is due.

Not here: where addresses come from (listed, addressed, registered), what becomes of a listing (roster).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from edge.control.roster.asking import About, Ask, all_about
from edge.peers.ring import Member
from edge.peers.states import State

READY_AGAIN = 60.0  # s between two questions to a member that is ready: that it is no more, its answers say at once
OTHER_AGAIN = 1.0  # s for one that joins or drains: its keys wait for it
SILENT_MOST = 5.0  # s for one that does not answer; doubled from 1 up to this


@dataclass(frozen=True, slots=True)
class Listing:
    """Who is in the ring beside us, and when to look again (s). `own`: ourselves, where the list has a word on us.
    `unheard`: names that did not speak in this look: what was known of their state stays. `adds`: who is not in it may
    only not be known there yet. `trouble`: why it is not of now."""

    members: tuple[Member, ...]
    pause: float
    own: Member | None = None
    unheard: frozenset[str] = frozenset()
    adds: bool = False
    trouble: str = ""


class Source(Protocol):
    """Somewhere that lists come from."""

    async def look(self) -> Listing:
        """The list as of now; may wait for a change. Raises RosterTrouble."""

    def hurry(self, url: str) -> None:
        """Something happened to the member there: ask it soon."""


@dataclass(slots=True)
class _Word:
    about: About | None = None  # the last
    due: float = 0.0
    silent: int = 0  # times in a row


class Words:
    """What members say of themselves, by URL. All times are of our own clock, with jitter on each."""

    def __init__(
        self,
        ask: Ask,
        clock: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
        spread: float = 0.0,
    ) -> None:
        """`spread`: seconds over which the first questions are spread, where nothing waits for their answers."""
        self._ask = ask
        self._spread = spread
        self._clock = clock
        self._jitter = jitter or random.Random()  # noqa: S311 (spreads questions, guards nothing)
        self._known: dict[str, _Word] = {}
        self.fresh: frozenset[str] = frozenset()  # URLs that answered in the last round

    async def hear(self, urls: Iterable[str]) -> dict[str, About]:
        """The last word of each of these; who is due is asked first. Others are forgotten."""
        known, now = self._known, self._clock()
        self._known = {url: known.get(url) or self._new(now) for url in urls}
        due = [url for url, word in self._known.items() if word.due <= now]
        answers = await all_about(self._ask, due)
        for url in due:
            if word := self._known.get(url):
                self._note(word, answers.get(url))
        self.fresh = frozenset(answers)
        return {url: word.about for url, word in self._known.items() if word.about is not None}

    def hurry(self, url: str) -> None:
        """Ask this one soon."""
        if word := self._known.get(url):
            word.due = min(word.due, self._clock() + OTHER_AGAIN)

    def next_in(self) -> float:
        """Seconds until somebody is due."""
        now = self._clock()
        return max(0.0, min((word.due - now for word in self._known.values()), default=READY_AGAIN))

    def _new(self, now: float) -> _Word:
        return _Word(due=now + self._jitter.uniform(0.0, self._spread))

    def _note(self, word: _Word, about: About | None) -> None:
        if about is None:
            pause = min(SILENT_MOST, OTHER_AGAIN * 2.0**word.silent)
            word.silent = min(word.silent + 1, 8)
        else:
            word.about, word.silent = about, 0
            pause = READY_AGAIN if about.member.state is State.READY else OTHER_AGAIN
        word.due = self._clock() + pause * self._jitter.uniform(0.75, 1.0)


def says(listed: Member, about: About) -> Member:
    """A listed member with its own word for version and state."""
    return replace(listed, version=about.member.version, state=about.member.state)
