"""About: what this edge says of itself, to peers and to the origin: the same words to both.

Not here: the asking of others (edge/control/roster/asking), the state itself (edge/standing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

from edge.peers.ring import Member
from edge.peers.states import WIRE, State


@cache
def version() -> str:
    """The version of this Rim; empty where it runs from a folder that is no installation."""
    try:
        return version_of("rim-cdn")
    except PackageNotFoundError:
        return ""


@dataclass(frozen=True, slots=True)
class About:
    """One edge's words. `joins`: it is in a ring by the origin's register, which then tells others where it is."""

    own: Member
    key: str
    state: Callable[[], State]
    joins: bool = False

    def to_peers(self) -> dict[str, object]:
        """For `GET /api/v1/member`."""
        own = self.own
        words = {"name": own.name, "region": own.region, "weight": own.weight, "version": version()}
        return {**words, "state": str(self.state()), "wire": WIRE, "key": self.key}

    def to_origin(self) -> dict[str, object]:
        """For reports."""
        private = self.own.url if self.joins else None
        return {"private": private, "weight": self.own.weight, "version": version(), "state": str(self.state())}
