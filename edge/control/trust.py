"""Trust: whose Heads are believed.

Here live the names of keys, configured and inherited, and the proof of a record against them. Not here: what follows
from a verified record (edge/control/head).
"""

from __future__ import annotations

from collections.abc import Iterable

from content import ipns
from content.errors import BadRecord


class Trust:
    """The configured names, and the successors that verified Catalogs have named since."""

    def __init__(self, configured: Iterable[str]) -> None:
        self.configured = tuple(configured)
        self.successors: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.configured, *sorted(self.successors.difference(self.configured)))

    def verify(self, raw: bytes, now: float | None) -> ipns.Record:
        """The record, if any trusted key signed it. Raises BadRecord; Expired only if `now` is given."""
        reason = BadRecord("no key is trusted")
        for name in self.names:
            try:
                return ipns.verify(name, raw, now)
            except ipns.Expired:
                raise
            except BadRecord as error:
                reason = error
        raise reason

    def sequence_of(self, raw: bytes) -> int:
        """The sequence of a record whose end does not matter; 0 for one of an origin that is not followed any more."""
        try:
            return self.verify(raw, None).sequence
        except BadRecord:
            return 0

    def __repr__(self) -> str:
        return f"<Trust in {len(self.names)} keys>"
