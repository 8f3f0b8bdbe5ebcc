"""Trust: whose Heads are believed.

Here live the names of keys, configured and inherited, and the proof of a record against them. Not here: what follows
from a verified record (edge/control/head).

A verified Catalog that names a successor hands over: from then on the successor is believed, and the old key for
nothing above that Catalog's sequence. A key is rotated when it may be known to others; were it believed on, whoever has
it could move the ring ahead of its owner for ever. So an origin that was restored from before a rotation, without the
key of now, is not followed (docs/operating/backup.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from content import ipns
from content.errors import BadRecord


class Retired(BadRecord):
    """A record newer than the last one that its key is believed for."""


@dataclass(frozen=True, slots=True)
class Handover:
    """A key's last Catalog named another key. `old` is empty where an earlier Rim noted the successor only."""

    old: str
    new: str
    sequence: int  # of that Catalog: the old key is believed up to it


class Trust:
    """The configured names, and the successors that verified Catalogs have named since."""

    def __init__(self, configured: Iterable[str]) -> None:
        self.configured = tuple(ipns.name_of(ipns.key_of(name)) for name in configured)  # in one spelling
        self.handovers: tuple[Handover, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Those configured, and who follows from them: what another catalog's keys once named is nothing to this."""
        names = dict.fromkeys(self.configured)
        for _ in self.handovers:  # each round finds a successor or is the last
            names |= dict.fromkeys(step.new for step in self.handovers if step.old in names or not step.old)
        return tuple(names)

    def verify(self, raw: bytes, now: float | None) -> ipns.Record:
        """The record, if any trusted key signed it. Raises BadRecord (Retired if that key has handed over before);
        Expired only if `now` is given."""
        reason = BadRecord("no key is trusted")
        for name in self.names:
            try:
                record = ipns.verify(name, raw, now)
            except ipns.Expired:
                raise
            except BadRecord as error:
                reason = error
                continue
            for step in self.handovers:
                if step.old == name and record.sequence > step.sequence:
                    raise Retired(f"signed by {name}, in whose place {step.new} signs since {step.sequence}")
            return record
        raise reason

    def sequence_of(self, raw: bytes) -> int:
        """The sequence of a record whose end does not matter; 0 for one of an origin that is not followed any more."""
        try:
            return self.verify(raw, None).sequence
        except BadRecord:
            return 0

    def __repr__(self) -> str:
        return f"<Trust in {len(self.names)} keys>"
