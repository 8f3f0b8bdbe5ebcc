"""Asks: questions to edges, asked through the origin, which never connects to one.

Here live the open questions and the answers that came so far: every edge learns of a question on its waiting request
for the Head (once, and never again), fetches it, and posts rows, which the asker reads as they come. Kept in memory and
bounded in every direction, because both ends may be slow or gone. Not here: HTTP (origin/api/asks), what an edge does
with a question (edge/control/asks).
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from content.limits import KiB, MiB
from origin.errors import Busy, Missing
from origin.tokens import Token
from origin.waiting import Signal

ASKS_MAX = 32
ROWS_MAX = 10_000  # of one ask; the oldest go and are counted
ROW_BYTES = 8 * KiB  # a larger row is not taken, and counted
ROWS_BYTES = 8 * MiB  # of one ask's rows together
LIFETIMES = {"explain": 10.0, "tail": 30.0}  # s since it was last read

Row = dict[str, Any]


@dataclass(slots=True)
class Ask:
    """One question. Its asker sees rows of sites that its token sees; rows of no site are for tokens of all sites."""

    id: str
    kind: str
    question: Row
    token: Token
    read: float = field(default_factory=time.monotonic)
    told: set[str] = field(default_factory=set)  # nodes
    done: set[str] = field(default_factory=set)
    lost: int = 0  # rows that were answered and are not kept: too large, too many, or dropped by an edge
    signal: Signal = field(default_factory=Signal)
    _rows: deque[tuple[int, Row]] = field(default_factory=deque)
    _first: int = 0  # the number of the first row kept
    _bytes: int = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self.read > LIFETIMES[self.kind]

    @property
    def end(self) -> int:
        """The number of the next row."""
        return self._first + len(self._rows)

    def take(self, node: str, region: str, rows: list[Row], done: bool, lost: int) -> None:
        """What a node answered."""
        self.lost += lost
        for row in rows:
            if not self._shows(row.get("site")):
                continue
            row = {**row, "node": node, "region": region}
            size = len(json.dumps(row))
            if size > ROW_BYTES:
                self.lost += 1
                continue
            self._rows.append((size, row))
            self._bytes += size
        while len(self._rows) > ROWS_MAX or self._bytes > ROWS_BYTES:
            self._bytes -= self._rows.popleft()[0]
            self._first += 1
            self.lost += 1
        if done:
            self.done.add(node)
        self.signal.notify()

    def _shows(self, site: object) -> bool:
        """Whether the asker may see what is of this site. That no site has the host it asked about is no secret."""
        if isinstance(site, str):
            return self.token.sees(site)
        return self.token.sites == "*" or self.kind == "explain"

    def rows(self, after: int) -> list[Row]:
        """Those from this number on that are still here."""
        self.read = time.monotonic()
        return [row for _, row in list(self._rows)[max(0, after - self._first) :]]


class Asks:
    """The open questions."""

    def __init__(self) -> None:
        self._asks: dict[str, Ask] = {}

    def __repr__(self) -> str:
        return f"<Asks {len(self._asks)}>"

    def open(self, kind: str, question: Row, token: Token) -> Ask:
        """A new question. Raises Busy when there are too many."""
        self._drop_old()
        if len(self._asks) >= ASKS_MAX:
            raise Busy(f"{ASKS_MAX} questions to edges are open: end a `rim tail`, or try again in a moment")
        ask = Ask(secrets.token_hex(8), kind, question, token)
        self._asks[ask.id] = ask
        return ask

    def get(self, ask_id: str) -> Ask:
        """Raises Missing when it is over: an edge then stops answering."""
        self._drop_old()
        ask = self._asks.get(ask_id)
        if ask is None:
            raise Missing("no such question to edges: it is over", "no_ask")
        return ask

    def has_for(self, node: str) -> bool:
        return any(node not in ask.told for ask in self._asks.values())

    def tell(self, node: str) -> list[str]:
        """The questions that this node has not heard of; from now on it has."""
        self._drop_old()
        new = [ask for ask in self._asks.values() if node not in ask.told]
        for ask in new:
            ask.told.add(node)
        return [ask.id for ask in new]

    def close(self, ask_id: str) -> None:
        ask = self._asks.pop(ask_id, None)
        if ask is not None:
            ask.signal.notify()

    def _drop_old(self) -> None:
        for ask in [ask for ask in self._asks.values() if ask.is_over]:
            self.close(ask.id)
