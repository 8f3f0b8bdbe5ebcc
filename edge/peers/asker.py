"""Asker: one question to one node, and what its end says about that node's health.

Here live the book-keeping around a question and the times that questions took. Not here: the wire (edge/peers/client),
whom to ask (edge/cache/sources), or who is asked beside (edge/peers/hedge).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from content.cid import CID
from edge.peers.budget import Budgets, Retries
from edge.peers.client import Answer, PeerClient
from edge.peers.doubts import Doubts
from edge.peers.faults import TRUE_ANSWERS, Fault, PeerError
from edge.peers.latency import Latencies
from edge.peers.members import LAST_BACKOFF, LIE, ORIGIN, Members
from edge.peers.states import State

ORIGIN_BACKOFF = 5.0  # s, at most, that a sick origin is left alone
ORIGIN_REST = 1.0  # s that visitors are told, when it is said to be busy and not for how long
ABSENT = frozenset({Fault.NOT_FOUND, Fault.DENIED})  # of the origin: it has been reached, and does not give it


class Whom(NamedTuple):
    """Who is asked: the name in the book, the address, and how far away it is, in seconds there and back."""

    name: str
    url: str
    trip: float = 0.0


@dataclass(frozen=True, slots=True)
class How:
    """How a block is asked for."""

    budgets: Budgets
    tier: int | None = None  # the rung that the question climbs to
    held: bool = False  # only-if-cached: for what is held there, and nobody asked on our behalf
    mirror: bool = False  # the asked is a mirror of it
    mirrors: int = 1  # of how many we read it


class Asker:
    """Asks for a whole node: one book, one purse, one record of times."""

    def __init__(self, client: PeerClient, members: Members) -> None:
        self.client = client
        self.members = members
        self.doubts = Doubts(members, client.pulses)
        self.retries = Retries()
        self.on_state: Callable[[str, State], None] = lambda name, state: None  # what an asked one said of itself
        self._latencies: dict[str, Latencies] = {}

    def latencies(self, region: str) -> Latencies:
        """How long the members of a region have taken. Apart by region: an ocean is no reason for a hedge."""
        return self._latencies.setdefault(region, Latencies())

    async def ask(
        self,
        whom: Whom,
        cid: CID,
        how: How,
        chain: tuple[str, ...] = (),
        on_doubt: Callable[[], None] | None = None,
    ) -> Answer | PeerError:
        """The answer, or why there is none. Never raises PeerError: a sick neighbour is a count, not an error."""

        def doubt() -> None:
            self.doubts.silent(*whom)
            if on_doubt is not None:
                on_doubt()

        try:
            answer = await self.client.fetch_told(
                whom.url,
                cid,
                tier=how.tier,
                only_if_cached=how.held,
                budgets=how.budgets.over(whom.trip),
                chain=chain,
                mirror=how.mirror,
                mirrors=how.mirrors,
                on_doubt=doubt,
            )
        except PeerError as error:
            self._note(whom, error)
            return error
        self._note(whom, answer)
        return answer

    def _note(self, whom: Whom, end: Answer | PeerError) -> None:
        """Write into the book what a question came to. What a neighbour says of the origin is no word on either: the
        origin's own rest is what it asked us for, or neighbours would keep each other from asking for ever."""
        if isinstance(end, PeerError) and end.fault is Fault.CROWDED:
            return
        is_word = isinstance(end, PeerError) and end.origin_busy and whom.name != ORIGIN
        if isinstance(end, PeerError) and not is_word and end.fault not in _answers_of(whom):
            self._blame(whom, end)
            return
        self.on_state(whom.name, State.read(end.state))
        if not is_word and not self.doubts.are_open(whom.name):
            self.members.success(whom.name)

    def _blame(self, whom: Whom, error: PeerError) -> None:
        if error.rest is not None:
            self.members.rest(whom.name, error.rest)
            return
        longest = ORIGIN_BACKOFF if whom.name == ORIGIN else LAST_BACKOFF
        self.members.failure(whom.name, LIE if error.is_lie else 1, longest)
        if error.fault is Fault.UNREACHED and whom.name != ORIGIN:
            self.doubts.silent(*whom)

    async def close(self) -> None:
        """End what is asked on nobody's behalf."""
        await self.doubts.close()


def _answers_of(whom: Whom) -> frozenset[Fault]:
    """What is no fault of this one's. A proxy in front of a dead origin says 504."""
    return ABSENT if whom.name == ORIGIN else TRUE_ANSWERS
