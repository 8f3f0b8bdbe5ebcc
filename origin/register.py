"""Register: the edges of this origin as members of a ring, for those that join through it.

Here lives who is listed, when one is not any more, and the generation of the list. Not here: what nodes say (origin/
edges), the waiting request (origin/api/ring), who owns what (edge/peers/ring): placement is each edge's own.

A member is listed at its first word and for 15 s after its last. One that goes and comes is listed again only when it
was heard for 2 s, and for twice as long each time that it went soon after: every change of the list moves keys at every
edge. The list is drawn up twice a second at most, so a thousand comings of one moment are one change. It is memory, no
truth: an origin that starts knows nothing yet, and says since when it is up; edges take its word for who is there, and
for who is not only later.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from origin.edges import Edge, Edges
from origin.waiting import Signal

GONE_SECONDS = 15.0  # without a word; edges of the register speak every 10 s at least
HEARD_SECONDS = 2.0  # for which one that was gone must be heard until it is listed again ...
HEARD_MOST = 60.0  # ... doubled up to this, while it goes soon after
STEADY_SECONDS = 60.0  # listed for so long, its last going is forgotten
LOOK_SECONDS = 0.5
BLIND_SECONDS = 5.0  # between two looks: this process stood still, and heard nobody meanwhile
MEMBERS_MAX = 4_096  # an edge's placement is made for this many


@dataclass(slots=True)
class _Listing:
    listed: bool = False
    since: float = -math.inf  # when it was listed
    heard: float | None = None  # since when it is heard, while it is not listed
    goings: int = 0  # in a row, each soon after a listing


class Register:
    """The list, its generation, and a signal for those who wait for another one."""

    def __init__(self, edges: Edges, clock: Callable[[], float] = time.monotonic) -> None:
        self._edges = edges
        self._clock = clock
        self._began = self._looked = clock()
        self._listings: dict[str, _Listing] = {}
        self.generation = time.time_ns() // 1000  # of no other start of any origin
        self.members: list[dict[str, Any]] = []
        self.text = b"[]"  # of those: made once, however many are told
        self.signal = Signal()

    def __repr__(self) -> str:
        return f"<Register {len(self.members)} members, generation {self.generation}>"

    @property
    def up(self) -> float:
        """Seconds since this register knew nobody."""
        return self._clock() - self._began

    async def keep(self) -> None:
        """Draw the list up again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Draw the list up as of now; another list is another generation. Who was deaf for a while, or hears nobody at
        all, has lost the nodes rather than they each other: it begins anew, as after a start."""
        if self._clock() - self._looked > BLIND_SECONDS:
            self._begin_anew()
        self._looked = self._clock()
        found = [edge for edge in self._edges.joined() if self._is_listed(edge)]
        if not found and self.members:
            self._begin_anew()
        found.sort(key=lambda edge: edge.node)
        members = [edge.as_member() for edge in found[:MEMBERS_MAX]]
        if members != self.members:
            self.members = members
            self.text = json.dumps(members, separators=(",", ":")).encode()
            self.generation += 1
            self.signal.notify()

    def _begin_anew(self) -> None:
        self._began = self._clock()
        self._listings.clear()

    def _is_listed(self, edge: Edge) -> bool:
        now = self._clock()
        listing = self._listings.get(edge.node)
        is_here = not edge.left and now - edge.word < GONE_SECONDS
        if listing is None:
            if is_here:
                self._make_room()
                self._listings[edge.node] = _Listing(True, now)
            return is_here
        if listing.listed:
            if not is_here:
                listing.goings = listing.goings + 1 if now - listing.since < STEADY_SECONDS else 1
                listing.listed, listing.heard = False, None
            return is_here
        if not is_here:
            listing.heard = None
            return False
        listing.heard = now if listing.heard is None else listing.heard
        wanted = min(HEARD_MOST, HEARD_SECONDS * 2.0 ** min(listing.goings - 1, 16))
        if now - listing.heard >= wanted:
            listing.listed, listing.since = True, now
        return listing.listed

    def _make_room(self) -> None:
        if len(self._listings) >= 2 * MEMBERS_MAX:
            known = {edge.node for edge in self._edges.joined()}
            self._listings = {name: row for name, row in self._listings.items() if name in known}
