"""Mirrors: reads of hot keys are spread over more members than the owner. The right to fill never moves.

Here live both ends of it: how far an owner lets the reads of a key be spread, and which of those members one who asks
reads from. Not here: the questions and their headers (edge/cache/sources, edge/control/admin), or the counting
(edge/peers/heat).

By Zipf's law one key may be several times what a member should answer in all, and no placement of keys alone evens that
out. So an owner says with its answer "read this from any of the first K of its order" (`Rim-Mirrors: K`). Of K members
the owner is chosen one time in K, and is told that K: it counts that question K times, and so knows the rate of all
reads, whatever each asker knew. The others are chosen two at a time, by which of the two this node has asked less:
questions for hot keys go where those for the rest left room. (groupcache keeps one in ten of what others give it,
whatever the load.)
"""

from __future__ import annotations

import math
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from edge.peers.heat import Heat
from edge.peers.ring import Member

SHARE = 1 / 50  # of all it answers, that an owner answers for one key before others help
FLOOR = 1.0  # questions/s for one key that are no burden to anybody
ADVICE_FOR = 10.0  # s that an owner's word holds
SHRINKS_TO = 0.8  # of itself, at most, every ADVICE_FOR: mirrors ask no more, and that is not what cold keys look like
HOT_KEYS = 8_192  # keys whose K is remembered, on either end


class Mirrors:
    """One node's part in spreading reads, as owner and as asker. `node` is its own name."""

    def __init__(
        self,
        heat: Heat,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        node: str = "",
    ) -> None:
        self.heat = heat
        self.node = node
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 (spreads load, guards nothing)
        self._given: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # K, and when it last changed
        self._told: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # K, and until when it holds
        self._asked = Heat(clock)  # by member's name, all questions of this node to the owners in its region

    def advised(self, key: bytes, members: int) -> int:
        """The owner's K for this key, of so many members in its region: 1..members, 1 when it needs no help."""
        fair = max(FLOOR, SHARE * self.heat.total)
        wanted = max(1, min(members, math.ceil(self.heat.rate(key) / fair)))
        known, since = self._given.get(key, (1, -math.inf))
        now = self._clock()
        if wanted < known:
            if now - since < ADVICE_FOR:
                return min(known, members)
            wanted = max(wanted, int(known * SHRINKS_TO))
        if wanted == 1:
            self._given.pop(key, None)
        elif wanted != known:
            _put(self._given, key, (wanted, now))
        return wanted

    def learned(self, key: bytes, k: int) -> None:
        """An owner's answer said so; 1 or less: it said nothing of the kind."""
        if k > 1:
            _put(self._told, key, (k, self._clock() + ADVICE_FOR))
        else:
            self._told.pop(key, None)

    def weight(self, key: bytes, order: Sequence[Member]) -> int:
        """How many reads a question of this node to the key's owner stands for; it is told so. 1: no advice is known,
        or this node is a mirror itself, and asks nobody but the owner."""
        few = order[: self._spread(key)]
        return 1 if any(member.name == self.node for member in few) else max(1, len(few))

    def choose(self, key: bytes, order: Sequence[Member]) -> Member | None:
        """The mirror to read from, of a key's order in this region; None: ask the owner, as a rule.

        None also where this node is a mirror itself: what it then gets of the owner is the copy it is to have.
        """
        chosen = self._chosen(order[: self._spread(key)])
        if chosen is not None or order:
            self._asked.hit((chosen or order[0]).name.encode())
        return chosen

    def is_mirror(self, key: bytes, order: Sequence[Member]) -> bool:
        """Whether this node is one of those that the key's owner named, the owner aside."""
        return any(member.name == self.node for member in order[1 : self._spread(key)])

    def _spread(self, key: bytes) -> int:
        """The K that this node goes by for a key."""
        known = self._told.get(key)
        if known is None:
            return 1
        if self._clock() >= known[1]:
            del self._told[key]
            return 1
        return known[0]

    def _chosen(self, few: Sequence[Member]) -> Member | None:
        if len(few) < 2 or self._chance.random() * len(few) < 1 or any(member.name == self.node for member in few):
            return None
        one, other = (self._chance.randrange(1, len(few)) for _ in range(2))
        return min(few[one], few[other], key=self._burden)

    def _burden(self, member: Member) -> float:
        return self._asked.rate(member.name.encode()) / member.weight


def _put(table: OrderedDict[bytes, tuple[int, float]], key: bytes, value: tuple[int, float]) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > HOT_KEYS:
        table.popitem(last=False)
