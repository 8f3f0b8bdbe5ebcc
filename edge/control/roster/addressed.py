"""Addressed: members behind the addresses that DNS has.

An address says nothing of who is there: each is asked for its name, region and weight, and is a member from its first
word on, for as long as DNS has it; silent later, it is a matter of health. We know ourselves by the name and key that
answer. Two addresses of one key are one member. Two keys of one name are a mistake: who was there first stays, else the
lower key, so that most edges agree; it is said aloud.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from edge.control.roster.addresses import Look, Places
from edge.control.roster.asking import About, RosterTrouble
from edge.control.roster.listing import Listing, Words
from edge.peers.ring import Member

logger = logging.getLogger("rim.edge")
LEAST, MOST = 1.0, 30.0  # s between two questions to DNS, whatever the TTL
TROUBLED = 5.0  # s until DNS is asked again after it failed


class Addressed:
    """Members of a name or a service in DNS."""

    def __init__(
        self,
        own: str,
        key: str,
        look: Look,
        words: Words,
        clock: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
    ) -> None:
        self._own = own
        self._key = key
        self._look = look
        self._words = words
        self._clock = clock
        self._jitter = jitter or random.Random()  # noqa: S311 (spreads questions, guards nothing)
        self._places: Places | None = None
        self._due = 0.0
        self._chosen: dict[str, str] = {}  # name → the URL it has in the ring
        self._said: set[str] = set()

    async def look(self) -> Listing:
        trouble = ""
        if self._clock() >= self._due:
            trouble = await self._ask_dns()
        places = self._places or Places({}, LEAST)
        words = await self._words.hear(places.weights)
        by_name: dict[str, list[str]] = {}
        for url in sorted(words):
            by_name.setdefault(words[url].member.name, []).append(url)
        own, others = None, []
        for name, urls in by_name.items():
            if name == self._own:
                own = self._ourselves(urls, words, places)
                continue
            url = self._one_of(name, urls, words)
            self._chosen[name] = url
            others.append(_weighted(words[url].member, places, url))
        self._chosen = {name: url for name, url in self._chosen.items() if name in by_name}
        unheard = frozenset(member.name for member in others if member.url not in self._words.fresh)
        pause = min(max(0.0, self._due - self._clock()), self._words.next_in())
        return Listing(tuple(others), pause, own, unheard, trouble=trouble)

    def hurry(self, url: str) -> None:
        self._words.hurry(url)

    async def _ask_dns(self) -> str:
        """What is wrong with DNS; empty when it answered. Raises RosterTrouble when nothing is known from before."""
        try:
            places = await self._look()
            if not places.weights:
                raise RosterTrouble("DNS has no member")
        except RosterTrouble as error:
            self._due = self._clock() + TROUBLED * self._jitter.uniform(0.5, 1.0)
            if self._places is None:
                raise
            return str(error)
        self._places = places
        self._due = self._clock() + max(LEAST, min(MOST, places.ttl) * self._jitter.uniform(0.75, 1.0))
        return ""

    def _ourselves(self, urls: list[str], words: dict[str, About], places: Places) -> Member | None:
        """Ourselves as DNS has us, if it has."""
        ours = [url for url in urls if words[url].key == self._key]
        for url in urls:
            if url not in ours:
                self._say(f"{url} calls itself {self._own}, as this edge does: it is left out, give it another --name")
        return _weighted(words[ours[0]].member, places, ours[0]) if ours else None

    def _one_of(self, name: str, urls: list[str], words: dict[str, About]) -> str:
        """The URL that a name stands for."""
        kept = self._chosen.get(name)
        keys = {words[url].key for url in urls}
        if len(keys) > 1:
            self._say(
                f"{' and '.join(urls)} all call themselves {name}: one of them is asked, give the others a --name"
            )
            if kept not in urls:
                return min(urls, key=lambda url: words[url].key)
        return kept if kept in urls else urls[0]

    def _say(self, text: str) -> None:
        """Once each."""
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            logger.error("%s", text)


def _weighted(member: Member, places: Places, url: str) -> Member:
    return replace(member, weight=member.weight * places.weights[url])
