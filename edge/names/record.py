"""Record: a verified IPNS record with its bytes, and which of two is the better one. Pure.

Not here: verifying (content/ipns), where records come from (edge/names/records).
"""

from __future__ import annotations

from dataclasses import dataclass

from content.ipns import Record


@dataclass(frozen=True, slots=True)
class Held:
    """A record that verified. `name` is the key's as we keep it."""

    name: str
    record: Record
    raw: bytes

    @property
    def rank(self) -> tuple[int, float]:
        """The IPNS spec's order: the higher sequence, then the later end."""
        return self.record.sequence, self.record.eol


def better(one: Held | None, other: Held) -> Held:
    """The better of two; the one that was there first where neither is."""
    return other if one is None or other.rank > one.rank else one
