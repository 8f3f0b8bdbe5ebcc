"""Listed: the ring as the operator wrote it, the same list on every edge.

The list alone says who is in it, with which region and weight. Members are asked for their version and state; one that
turns out to be ourselves under another name is left out, or we would ask ourselves as a peer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from edge.control.roster.listing import Listing, Words, says
from edge.peers.ring import Member

logger = logging.getLogger("rim.edge")


class Listed:
    """A list that does not change. `own` is our name, `key` the one we are known by."""

    def __init__(self, own: str, key: str, members: Iterable[Member], words: Words) -> None:
        self._own = own
        self._key = key
        self._members = tuple(members)
        self._words = words
        self._said: set[str] = set()

    async def look(self) -> Listing:
        others = [member for member in self._members if member.name != self._own]
        words = await self._words.hear(member.url for member in others)
        found: list[Member] = []
        for listed in others:
            about = words.get(listed.url)
            if about is not None and about.key and about.key == self._key:
                self._say(f"{listed.name} in --peers is this edge itself, {self._own}: left out, mend the list")
                continue
            if about is not None and about.member.name != listed.name:
                self._say(f"{listed.name} in --peers calls itself {about.member.name}: placement goes by the list")
            found.append(listed if about is None else says(listed, about))
        own = next((member for member in self._members if member.name == self._own), None)
        unheard = frozenset(member.name for member in found if member.url not in self._words.fresh)
        return Listing(tuple(found), self._words.next_in(), own, unheard)

    def hurry(self, url: str) -> None:
        self._words.hurry(url)

    def _say(self, text: str) -> None:
        """Once each."""
        if text not in self._said:
            self._said.add(text)
            logger.error("%s", text)
