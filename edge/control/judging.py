"""Judging: whether a Head that somebody offers is to be believed, and why not.

Here lives the judgement of a record and of the Catalog that came with it, and the counting of what was refused. Not
here: the keys (edge/control/trust), or what is done with a Head that is believed (head).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from content import ipns
from content.catalog import Catalog
from content.cid import CID
from content.errors import BadCID, BadNode, BadRecord
from edge.control.owed import Event
from edge.control.stored import StoredHead
from edge.control.trust import Retired, Trust

logger = logging.getLogger("rim.edge")


class Judge:
    """Says no, aloud. `refused` by reason: signature, retired, expired, lower, fork, broken."""

    def __init__(self, trust: Trust, on_event: Event, clock: Callable[[], float]) -> None:
        self.refused: Counter[str] = Counter()
        self._trust = trust
        self._on_event = on_event
        self._clock = clock

    def record(self, raw: bytes, floor: int) -> ipns.Record | None:
        """The record, if a trusted key signed it, it has not ended, and its sequence is not below `floor`."""
        try:
            record = self._trust.verify(raw, self._clock())
        except BadRecord as error:
            expired, retired = isinstance(error, ipns.Expired), isinstance(error, Retired)
            self.refuse("expired" if expired else "retired" if retired else "signature", error)
            return None
        if record.sequence < floor:
            self.refuse("lower", f"{record.sequence}, {floor} was seen")
            return None
        return record

    def refuse(self, reason: str, detail: object) -> None:
        self.refused[reason] += 1
        logger.error("a Head was refused (%s): %s", reason, detail)
        self._on_event("head refused", reason=reason, detail=str(detail)[:500])

    def __repr__(self) -> str:
        return f"<Judge: {self.refused.total()} refused>"


def catalog_in(record: ipns.Record, offered: StoredHead) -> Catalog | None:
    """The Catalog that came with a record, if it did and is the one that the record names. Raises ContentError."""
    block = next((block for block in offered.blocks if block.cid == offered.catalog), None)
    if block is None:
        return None
    catalog = Catalog.from_block(block)
    check_named(record, offered.catalog, catalog)
    return catalog


def check_named(record: ipns.Record, cid: CID, catalog: Catalog) -> None:
    """Raises BadNode unless the record names this Catalog, and both have the same sequence."""
    try:
        named = CID.parse(record.value.removeprefix("/ipfs/"))
    except BadCID as error:
        raise BadNode(f"the record's value {record.value!r}") from error
    if named != cid or catalog.sequence != record.sequence:
        raise BadNode("the record names another Catalog than the one that came with it")
