"""Roster: the picture of the other members, and the Ring it becomes.

Here lives what is made of each list, and of what members say of themselves on their answers. Not here: where lists come
from (listed, addressed, registered), who owns what (edge/peers/ring), who is well (edge/peers/members).

A list that fails, or names nobody, changes nothing: the last good one stays, for however long. What a member says of
its own state counts at once. The Ring is made of members that are ready, and of ourselves; those that join or drain are
no owners, and are asked for what they hold. It is swapped whole, by assignment, and only for one that is another.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from edge.control.roster.asking import RosterTrouble
from edge.control.roster.kept import Kept
from edge.control.roster.listing import Listing, Source
from edge.peers.members import Members
from edge.peers.ring import Member, Ring
from edge.peers.states import State

logger = logging.getLogger("rim.edge")
MEMBERS_MAX = 4_096
FIRST_BACKOFF, LAST_BACKOFF = 1.0, 10.0  # s; back in time for a register that is 20 s old to know us again
SETTLED = (
    10.0  # s after the first list: before, nobody is a newcomer, or a ring that starts would fill everything twice
)
LEAST = 0.2  # s between two looks, whatever a source says
HINTS_APART = 1.0  # s between two changes of one member's state by its answers: its processes may be in two states


class Roster:
    """The ring as this node sees it. `ring` and `holding` are handed to `take` whenever they are others."""

    def __init__(
        self,
        *,
        own: Member,
        members: Iterable[Member],
        source: Source,
        health: Members,
        take: Callable[[Ring, tuple[Member, ...]], None],
        kept: Kept | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: random.Random | None = None,
    ) -> None:
        """`members`: those known from the settings, ourselves perhaps among them."""
        self.own = next((member for member in members if member.name == own.name), own)
        self._default = own
        self._source = source
        self._health = health
        self._take = take
        self._kept = kept
        self._clock = clock
        self._jitter = jitter or random.Random()  # noqa: S311 (spreads questions, guards nothing)
        self._others = {member.name: member for member in members if member.name != own.name}
        self._health.watched = frozenset(self._others)
        self._placed: object = None  # what the last Ring was made of, as far as placement goes
        self._since: float | None = None  # when the first list came
        self._hinted: dict[str, float] = {}  # when an answer last changed a member's state
        self._wake = asyncio.Event()
        self.tried = False  # a first look has ended, well or not
        self.errors = 0  # looks that failed
        self.changes = 0  # times that the ring became another
        self.trouble = ""

    # For others.

    def member(self, name: str) -> Member | None:
        """Who has this name, while it is a member's."""
        return self._others.get(name)

    def hint(self, name: str, state: State) -> None:
        """A member said on an answer what state it is in."""
        member, now = self._others.get(name), self._clock()
        if member is None or member.state is state or now - self._hinted.get(name, -HINTS_APART) < HINTS_APART:
            return
        self._hinted[name] = now
        self._set({**self._others, name: replace(member, state=state)})
        self._source.hurry(member.url)
        self._wake.set()

    def lack(self) -> str | None:
        """Why this edge is not ready, as far as the ring goes: nobody was asked who is in it."""
        return None if self.tried or self._others else "no word yet on who is in the ring"

    def states(self) -> dict[tuple[str, ...], float]:
        """Each member and its state, as this node sees it, for metrics: what is held against it before its own word."""
        return {(name, self._health.word(name) or str(member.state)): 1.0 for name, member in self._others.items()}

    def shown(self) -> list[dict[str, object]]:
        """The other members, for status."""
        return [
            {
                "name": member.name,
                "url": member.url,
                "region": member.region,
                "weight": member.weight,
                "version": member.version,
                "state": str(member.state),
                "health": self._health.word(member.name) or "well",
            }
            for member in sorted(self._others.values(), key=lambda member: member.name)
        ]

    # The work.

    async def recall(self) -> None:
        """Begin with the last good list, where none is known from the settings: before anybody was asked."""
        kept = () if self._kept is None else await asyncio.to_thread(self._kept.load)
        if others := {member.name: member for member in kept if member.name != self.own.name}:
            self._set({**others, **self._others})

    async def run(self) -> None:
        """Keep the picture up to date, until cancelled."""
        backoff = FIRST_BACKOFF
        while True:
            try:
                listing = await self._source.look()
            except RosterTrouble as error:
                self._troubled(str(error))
                pause = backoff * self._jitter.uniform(0.5, 1.0)
                backoff = min(LAST_BACKOFF, backoff * 2)
            else:
                backoff, pause = FIRST_BACKOFF, listing.pause
                if self.learn(listing) and self._kept is not None:
                    await asyncio.to_thread(self._kept.save, tuple(self._others.values()))
            self.tried = True
            await self._pause(max(LEAST, pause))

    def learn(self, listing: Listing) -> bool:
        """Take this list for the picture; whether it is another now."""
        if listing.trouble:
            self._troubled(listing.trouble)
        else:
            self.trouble = ""
        here = (self._default.url, self.own.url)  # who is there is ourselves, perhaps by the name we had before
        found = {member.name: member for member in listing.members[:MEMBERS_MAX] if member.url not in here}
        for name in listing.unheard & self._others.keys() & found.keys():
            known = self._others[name]
            found[name] = replace(found[name], version=known.version, state=known.state)
        if listing.adds:
            found = {**self._others, **found}
        own = listing.own or self._default
        if is_news := found != self._others or own != self.own:
            self.own = own
            self._set(found)
        if self._since is None:
            self._since = self._clock()
        return is_news

    def _troubled(self, text: str) -> None:
        self.errors += 1
        if text != self.trouble:
            logger.warning("who is in the ring: %s; the last list stays", text)
        self.trouble = text

    def _set(self, others: dict[str, Member]) -> None:
        settled = self._since is not None and self._clock() - self._since >= SETTLED
        for name in others.keys() - self._others.keys():
            if settled:
                self._health.came(name)
        for name in self._others.keys() - others.keys():
            self._health.went(name)
            self._hinted.pop(name, None)
        self._others = others
        self._health.watched = frozenset(others)
        ready = [member for member in others.values() if member.state is State.READY]
        holding = sorted((m for m in others.values() if m.state is not State.READY), key=lambda m: m.name)
        placed = {(m.name, m.url, m.region, m.weight) for m in (self.own, *ready)}, tuple(holding)
        if placed != self._placed:  # another version of a member is another picture, and the same ring
            self._placed = placed
            self.changes += 1
            self._take(Ring([self.own, *ready]), tuple(holding))

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(LEAST)  # a hint: look again, but not for each of a hundred

    def __repr__(self) -> str:
        return f"<Roster {len(self._others)} others{f', {self.trouble}' if self.trouble else ''}>"
