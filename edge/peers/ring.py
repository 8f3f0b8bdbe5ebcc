"""Ring: who owns a block. A pure function from a list of members and a key to an ordered list.

Here lives placement: weighted rendezvous hashing, the owner order in a region, and a block's home region.
Not here: who is alive (edge/peers/members), or how one is asked (edge/peers/client).

Rendezvous (Thaler and Ravishankar 1998), each member scored -weight / ln(hash): a member that joins takes only its fair
share, one that leaves gives its keys to all others in proportion, and the list of all the next-best is there for free.
A ring of virtual points was tried on paper: 512 points a node spread worse (max/mean 1.13) than this does with none.
Health never enters placement: an ejected owner is skipped *in the order*, so its keys come back to it unmoved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import urlsplit

from edge.peers.states import State

_MEMO = 16_384  # keys whose order is remembered, at most ...
_MEMO_PLACES = 1 << 20  # ... and places in those orders, 8 B each: a ring of 1,000 must not cost 130 MB
_BITS = 52  # of the hash: (2**52 - ½) / 2**52 is still below 1.0 as a double, so ln is never 0


@dataclass(frozen=True, slots=True)
class Member:
    """One edge of the ring, as others see it: `url` is its private listener. Version and state are what it says of
    itself, where it was asked; they are no part of placement, nor of the written form."""

    name: str
    url: str
    region: str = "local"
    weight: float = 1.0
    version: str = ""
    state: State = State.READY

    def __post_init__(self) -> None:
        if not self.name or any(char in self.name for char in ' ",;=\\') or not self.name.isprintable():
            raise ValueError(f"{self.name!r} is not a member's name")
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise ValueError(f"member {self.name}: {self.url!r} is not an http(s) URL")
        if not self.region:
            raise ValueError(f"member {self.name}: the region is empty")
        if not (0 < self.weight < math.inf):
            raise ValueError(f"member {self.name}: weight {self.weight} is not above 0")

    @classmethod
    def parse(cls, text: str) -> Member:
        """Read `name=http://host:port;region=eu;weight=1`. Raises ValueError, saying what is wrong."""
        first, *rest = (part.strip() for part in text.split(";"))
        name, equals, url = first.partition("=")
        if not equals:
            raise ValueError(f"{text!r}: a member is written name=http://host:port;region=R;weight=W")
        options = dict(part.split("=", 1) for part in rest if "=" in part)
        if unknown := [part for part in rest if part.partition("=")[0] not in ("region", "weight")]:
            raise ValueError(f"{text!r}: {unknown[0]!r} is neither region= nor weight=")
        return cls(name, url.rstrip("/"), options.get("region", "local"), float(options.get("weight", "1")))

    def __str__(self) -> str:
        return f"{self.name}={self.url};region={self.region};weight={self.weight:g}"


def parse_members(text: str) -> tuple[Member, ...]:
    """Read a comma-separated list of members; names must differ. Raises ValueError."""
    members = tuple(Member.parse(part) for part in text.split(",") if part.strip())
    _refuse_doubles(members)
    return members


class Ring:
    """An immutable set of members. Equal members, equal answers, whatever order they were listed in."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self.members = tuple(sorted(members, key=lambda member: member.name))
        _refuse_doubles(self.members)
        self.regions = tuple(sorted({member.region for member in self.members}))
        self._by_region = {
            region: _Region(tuple(member for member in self.members if member.region == region))
            for region in self.regions
        }
        self._region_seeds = [
            (_seeded(b"region", name), region.weight, name) for name, region in self._by_region.items()
        ]
        largest = max((len(region.members) for region in self._by_region.values()), default=1)
        memo = min(_MEMO, _MEMO_PLACES // largest)
        self.order = lru_cache(memo)(self._order)
        self.home_region = lru_cache(memo)(self._home_region)

    def size(self, region: str) -> int:
        """How many members a region has."""
        return len(self._by_region[region].members) if region in self._by_region else 0

    def _order(self, key: bytes, region: str) -> tuple[Member, ...]:
        """The members of a region, best owner of this key first; empty for a region without members."""
        return self._by_region[region].order(key) if region in self._by_region else ()

    def _home_region(self, key: bytes) -> str | None:
        """The one region through which this key leaves the origin; None when the ring is empty.

        A region weighs what its members weigh together, so every *member* sees its share of the origin's traffic.
        """
        if not self._region_seeds:
            return None
        return max((_score(_number(key, seeded), weight), name) for seeded, weight, name in self._region_seeds)[1]

    def __repr__(self) -> str:
        return f"<Ring {', '.join(f'{member.name}@{member.region}' for member in self.members) or 'empty'}>"


def ring_of(known: Iterable[Member], oneself: Member) -> tuple[Ring, tuple[Member, ...]]:
    """The ring as a node sees it, and those beside it who are asked for what they hold and nothing else.

    Who is ready is in, and so is oneself, in whatever state and as one knows oneself: what others list under that name
    may be out of date.
    """
    others = [member for member in known if member.name != oneself.name]
    ring = Ring([oneself, *(member for member in others if member.state is State.READY)])
    return ring, tuple(member for member in others if member.state is not State.READY and member.state.is_here)


class _Region:
    """The members of one region, made ready to be scored."""

    def __init__(self, members: tuple[Member, ...]) -> None:
        self.members = members  # by name
        self.weight = math.fsum(member.weight for member in members)
        self._seeded = [_seeded(b"member", member.name) for member in members]
        self._weights = [member.weight for member in members]
        self._is_level = len(set(self._weights)) == 1

    def order(self, key: bytes) -> tuple[Member, ...]:
        """Best owner first; of equals, which 52 bits all but rule out, the one whose name comes first."""
        # Of equal weights the score grows with the number, and the logarithms say nothing new.
        scores: list[float] = [_number(key, seeded) for seeded in self._seeded]
        if not self._is_level:
            scores = [_score(number, weight) for number, weight in zip(scores, self._weights, strict=True)]
        places = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        return tuple(map(self.members.__getitem__, places))


def _seeded(kind: bytes, name: str) -> blake2b:
    """A hash keyed for this name, to be copied: that saves the key's own round, a third of the work."""
    return blake2b(digest_size=8, key=blake2b(name.encode(), digest_size=16, person=kind).digest())


def _number(key: bytes, seeded: blake2b) -> int:
    hashed = seeded.copy()
    hashed.update(key)
    return int.from_bytes(hashed.digest(), "big") >> (64 - _BITS)


def _score(number: float, weight: float) -> float:
    return -weight / math.log((number + 0.5) / (1 << _BITS))


def _refuse_doubles(members: Iterable[Member]) -> None:
    seen: set[str] = set()
    for member in members:
        if member.name in seen:
            raise ValueError(f"two members are named {member.name!r}")
        seen.add(member.name)
