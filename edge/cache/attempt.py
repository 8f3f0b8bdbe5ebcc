"""Attempt: one fill's notes. Not here: the asking (edge/cache/sources), or its order (edge/cache/ladder)."""

from __future__ import annotations

from dataclasses import dataclass, field

from content.cid import CID
from edge.peers.faults import PeerError


@dataclass(slots=True)
class Attempt:
    """What the asked said, whether the origin itself said no, and whether it wants to be left alone."""

    cid: CID
    chain: tuple[str, ...] = ()  # the nodes that the question came through which this is done for
    said: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)  # by name; each is asked once
    absent: bool = False  # the origin has it not
    told_absent: bool = False  # a node says that the origin has it not, which only the origin can be believed for
    busy: float | None = None  # s for which the origin rests: nobody above is asked
    words: dict[str, int] = field(default_factory=dict)  # on the origin, by name: strikes, should it prove them wrong
    looks: bool = False  # for itself, whatever others say of the origin

    def note(self, error: PeerError) -> None:
        self.said.append(f"{error.url}: {error.fault}")
