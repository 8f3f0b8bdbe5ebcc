"""Memo: what names led to, for as long as that may be believed, and the last good answer beyond it.

Here lives the keeping: freshness, refreshing ahead, one lookup in flight per name, the last good answer while nobody
can be asked (RFC 8767), a "no" and a failure kept shortly (RFC 2308, 9520), and bounds on all of it. Not here: looking
up (edge/names/dnslink, records).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge.names.faults import NameNotFound, NameTrouble
from edge.names.limits import FAILURE_KEPT, LOOKUPS, NAMES_KEPT, PATIENCE, RECHECK, REFRESH_AHEAD, TTL_MAX, TTL_MIN

logger = logging.getLogger("rim.edge")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Looked(Generic[V]):
    """What a lookup came to. No value: those who know say that there is none, which `said` tells.

    `ttl`: how long it is to be believed; `good`: how long it may be served when nobody can be asked; `stale`: nobody
    could be, and this is what was kept elsewhere.
    """

    value: V | None
    ttl: float
    good: float = 0.0
    said: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Got(Generic[V]):
    """A value, for how many more seconds it is to be believed, and whether it is only the last good one."""

    value: V
    max_age: float
    stale: bool = False


@dataclass(slots=True)
class _Entry(Generic[V]):
    looked: Looked[V]
    at: float
    fresh: float  # until then nobody is asked
    stale: bool = False
    trouble: str = ""  # there is no value because the last try failed


class Memo(Generic[V]):
    """Names and what they led to. `look` raises NameTrouble where nobody could be asked."""

    def __init__(
        self, look: Callable[[str], Awaitable[Looked[V]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.look = look
        self.clock = clock
        self.served_stale = 0
        # Apart, so that names which visitors make up push no good answer out
        self._good: OrderedDict[str, _Entry[V]] = OrderedDict()
        self._none: OrderedDict[str, _Entry[V]] = OrderedDict()
        self._flights: dict[str, asyncio.Task[None]] = {}

    async def find(self, name: str) -> Got[V]:
        """The value of this name. Raises NameNotFound, NameTrouble."""
        entry, now = self._entry(name), self.clock()
        if entry is None or (now >= entry.fresh and entry.looked.value is None):
            flight = self._begin(name, LOOKUPS)
            if flight is None:
                raise NameTrouble(f"{name[:80]}: too many names are being looked up", 1.0)
            await asyncio.wait({flight})
        elif now >= entry.fresh:
            await self._renew(name, entry)
        elif entry.looked.value is not None and not entry.stale and now >= _ahead(entry):
            self._begin(name, 2 * LOOKUPS)
        return self._answer(name)

    def expire(self, name: str, younger: float) -> None:
        """What is known of this name is outdated, unless it is younger than so many seconds."""
        entry = self._entry(name)
        if entry is not None and self.clock() - entry.at >= younger:
            entry.fresh = 0.0

    def value(self, name: str) -> V | None:
        """What is known now, fresh or not."""
        entry = self._entry(name)
        return None if entry is None else entry.looked.value

    async def close(self) -> None:
        """End every lookup; who waits for one gets NameTrouble."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _renew(self, name: str, entry: _Entry[V]) -> None:
        """Ask again, but let nobody wait long who can have the last good answer; at once where the last try failed."""
        flight = self._begin(name, 2 * LOOKUPS)
        too_old = self.clock() >= entry.at + entry.looked.good
        if flight is not None and (too_old or not entry.stale):
            await asyncio.wait({flight}, timeout=None if too_old else PATIENCE)
        if self._good.get(name) is entry and self.clock() >= entry.fresh:
            entry.stale = True  # it still flies, or there was no room for it

    def _answer(self, name: str) -> Got[V]:
        entry, now = self._entry(name), self.clock()
        if entry is None:
            raise NameTrouble(f"{name[:80]}: the lookup was ended")
        if entry.trouble:
            raise NameTrouble(entry.trouble, max(1.0, entry.fresh - now))
        looked = entry.looked
        if looked.value is None:
            raise NameNotFound(looked.said)
        if not entry.stale:
            return Got(looked.value, max(0.0, entry.at + looked.ttl - now))
        if now >= entry.at + looked.good:
            raise NameTrouble(f"{name[:80]}: the last good answer is too old, and nobody could be asked for another")
        self.served_stale += 1
        return Got(looked.value, min(RECHECK, entry.at + looked.good - now), stale=True)

    def _entry(self, name: str) -> _Entry[V] | None:
        for book in (self._good, self._none):
            if (entry := book.get(name)) is not None:
                book.move_to_end(name)
                return entry
        return None

    def _put(self, name: str, entry: _Entry[V]) -> None:
        book, other = (self._none, self._good) if entry.looked.value is None else (self._good, self._none)
        other.pop(name, None)
        book[name] = entry
        book.move_to_end(name)
        while len(book) > NAMES_KEPT:
            book.popitem(last=False)

    def _begin(self, name: str, room: int) -> asyncio.Task[None] | None:
        """The lookup of this name, joined or begun; None when too many are under way. Names that led somewhere have
        twice the room of those that never did: who makes up names cannot keep the others from being renewed."""
        flight = self._flights.get(name)
        if flight is None and len(self._flights) < room:
            flight = self._flights[name] = asyncio.create_task(self._fly(name))
            flight.add_done_callback(lambda _: self._flights.pop(name, None))
        return flight

    async def _fly(self, name: str) -> None:
        try:
            looked = await self.look(name)
        except NameTrouble as error:
            self._note_trouble(name, str(error))
            return
        except Exception:  # a fault of ours must not look as if the name were gone
            logger.exception("looking up %s", name)
            self._note_trouble(name, f"{name}: the lookup failed")
            return
        entry, now = self._entry(name), self.clock()
        if looked.stale and entry is not None and now < entry.fresh and not entry.stale:
            return  # looked up ahead of time, and in vain so far
        self._put(name, _Entry(looked, now, now + min(max(looked.ttl, TTL_MIN), TTL_MAX), looked.stale))

    def _note_trouble(self, name: str, said: str) -> None:
        entry, now = self._entry(name), self.clock()
        if entry is None or entry.looked.value is None or now >= entry.at + entry.looked.good:
            nothing: Looked[V] = Looked(None, 0.0)
            self._put(name, _Entry(nothing, now, now + FAILURE_KEPT, trouble=said))
        elif now >= entry.fresh or entry.stale:
            entry.stale, entry.fresh = True, now + RECHECK

    def __len__(self) -> int:
        return len(self._good) + len(self._none)


def _ahead(entry: _Entry[V]) -> float:
    """From when on a look beside the answer keeps a name that is in use from ever being waited for."""
    return entry.fresh - (entry.fresh - entry.at) * REFRESH_AHEAD
