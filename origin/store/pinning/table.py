"""Table: what we want of one pinning service, and how far it is.

Here lives the durable queue: one file for each service (remote/NAME.json), whole or not at all. What must not be lost
is on disk before it matters: a wish before it is acknowledged, and that a pin is being asked for before it is (`sent`),
so whatever a service may hold for us is known here, however we end. What a service can tell again (status, id) is
written a moment later. Not here: the work (store/pinning/follower).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from content.cid import CID
from content.errors import BadCID
from origin.errors import BadRequest, StateError
from origin.state import replace_file
from origin.store.pinning.answer import STATUSES

WAITING = "waiting"  # not asked for yet
LEAVING = "leaving"  # to go, and not seen gone
SHOWN = (WAITING, *STATUSES, LEAVING)
PINS_MAX = 10_000  # of one service: a file of some MB, written anew at each change of it


@dataclass(frozen=True, slots=True)
class Remote:
    """A DAG that is to be pinned at a service, or (`going`) to go from it. One for each CID, whoever wants it: many
    services know a pin by its CID alone, and a second name would take the place of the first."""

    cid: CID
    name: str
    since: int  # unix seconds
    site: str = ""  # pinned by itself, as a release of this site
    asked: bool = False  # by `rim pin --service`
    going: bool = False
    sent: bool = False  # the service may know of it
    requestid: str = ""
    status: str = WAITING
    foreign: bool = False  # stands under another's name: counts as pinned, never ours to delete
    pinned: int | None = None  # since when it has been seen pinned
    tries: int = 0  # that failed in a row
    error: str = ""
    delegates: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        return LEAVING if self.going else self.status

    def public(self) -> dict[str, Any]:
        shown = {**asdict(self), "cid": str(self.cid), "status": self.shown, "delegates": list(self.delegates)}
        del shown["going"], shown["sent"]
        return shown


Rows = Mapping[CID, Remote]
Change = Callable[[Rows], Rows]


class Table:
    """The rows of one service. Changed in the loop's thread only; written in another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: Rows = _load(path)
        self._saving = asyncio.Lock()
        self._unsaved = False

    def __repr__(self) -> str:
        return f"<Table {self._path.name} {len(self.rows)}>"

    async def commit(self, change: Change) -> None:
        """Change the rows; durable on return. Raises OriginError, and nothing has changed.

        A change is a function of the rows, for the service may say something of them while they are written: it is made
        once for the disk, and again for what is true by then.
        """
        async with self._saving:
            rows = change(self.rows)
            if rows == self.rows:
                return
            if len(rows) > max(PINS_MAX, len(self.rows)):
                raise BadRequest(f"there are {PINS_MAX:,} pins at this service; remove some")
            await self._write(rows)
            self.rows = change(self.rows)

    async def save(self) -> None:
        """Write what was noted. Raises OriginError; then it is still to be written."""
        async with self._saving:
            if self._unsaved:
                await self._write(self.rows)

    def note(self, cid: CID, **said: Any) -> None:
        """What the service said of a pin: kept in memory, written at the next `save`. What is wanted of it may have
        changed since it was asked, so only these fields are taken over."""
        row = self.rows.get(cid)
        if row is not None and (noted := replace(row, **said)) != row:
            self.rows = {**self.rows, cid: noted}
            self._unsaved = True

    def forget(self, cid: CID) -> None:
        if cid in self.rows:
            self.rows = {key: row for key, row in self.rows.items() if key != cid}
            self._unsaved = True

    def counts(self) -> dict[str, int]:
        counted = Counter(row.shown for row in self.rows.values())
        return {status: counted[status] for status in SHOWN}

    async def remove(self) -> None:
        async with self._saving:  # or a write that is under way would bring it back
            self._path.unlink(missing_ok=True)

    async def _write(self, rows: Rows) -> None:
        self._unsaved = False  # what is noted while this is written is not in it
        try:
            await asyncio.to_thread(self._replace, rows)
        except BaseException:
            self._unsaved = True
            raise

    def _replace(self, rows: Rows) -> None:
        data = [{**asdict(row), "cid": str(row.cid)} for row in rows.values()]
        replace_file(self._path, json.dumps({"pins": data}, indent=1).encode(), what="remote pins")


def _load(path: Path) -> dict[CID, Remote]:
    try:
        rows = [_row(value) for value in json.loads(path.read_bytes())["pins"]]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, BadCID) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
    return {row.cid: row for row in rows}


def _row(value: dict[str, Any]) -> Remote:
    known = {item.name for item in fields(Remote)}
    kept = {key: item for key, item in value.items() if key in known}
    row = Remote(**{**kept, "cid": CID.parse(kept["cid"]), "delegates": tuple(kept.get("delegates", ()))})
    if row.status not in (WAITING, *STATUSES):
        raise ValueError(f"status {row.status!r}")
    return row
