"""Counting: what was answered, as plain numbers and rows.

Here live the tallies by site, status and outcome, and the row that the access log and `rim tail` get. Not here: how
they are written (edge/control/log, metrics).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from edge.http.outcome import Outcome

Kind: TypeAlias = tuple[str, int, Outcome]  # site, status, outcome
NOBODY = ""  # the site of an answer that no site stands behind


@dataclass(slots=True)
class Tally:
    """Answers of one kind, and the bytes of their bodies."""

    requests: int = 0
    bytes: int = 0


class Told(NamedTuple):
    """One answer, as the log has it. `target`: raw path and query. `fields`: the request's, names in lower case."""

    client: str
    site: str
    method: str
    host: bytes
    target: bytes
    status: int
    size: int
    outcome: Outcome
    fields: Sequence[tuple[bytes, bytes]]


Log: TypeAlias = Callable[[Told], None]


@dataclass(slots=True)
class AnswerCounts:
    """What was answered, ever. The hot path holds on to its tallies, so a hit costs two additions."""

    tallies: dict[Kind, Tally] = field(default_factory=dict)
    deltas: dict[Kind, Tally] = field(default_factory=dict)  # those whose body was a delta, not in the tallies above
    broken: int = 0  # answers cut off after their first byte, because the rest could not be had
    refused: Counter[int] = field(default_factory=Counter)  # by the protocol itself: no request came of it

    def tally(self, site: str, status: int, outcome: Outcome, is_delta: bool = False) -> Tally:
        """The tally of this kind."""
        tallies = self.deltas if is_delta else self.tallies
        found = tallies.get((site, status, outcome))
        if found is None:
            found = tallies[site, status, outcome] = Tally()
        return found

    def all(self) -> Iterator[tuple[Kind, Tally]]:
        """Every tally with its kind; a kind may come twice."""
        yield from self.tallies.items()
        yield from self.deltas.items()

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Answers by outcome."""
        counts: Counter[Outcome] = Counter()
        for (_, _, outcome), tally in self.all():
            counts[outcome] += tally.requests
        return +counts

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status."""
        counts: Counter[int] = Counter()
        for (_, status, _), tally in self.all():
            counts[status] += tally.requests
        return +counts

    @property
    def bytes(self) -> int:
        """Bytes of bodies handed to visitors' connections."""
        return sum(tally.bytes for _, tally in self.all())
