"""Table: what we want of one pinning service, and how far it is.

Here lives the durable queue: one journal for each service (remote/NAME.jsonl), a line for each row that changed, the
last one counts. A line that was cut short was never acknowledged, and goes. What must not be lost is on disk before it
matters: a wish before it is acknowledged, and that a pin is being asked for before it is (`sent`), so whatever a
service may hold for us is known here, however we end. What a service can tell again (status, id) is written a moment
later. Not here: the work (store/pinning/follower).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from content.cid import CID
from content.errors import BadCID
from origin.errors import BadRequest, StateError
from origin.state import replace_file, store_error
from origin.steps import step
from origin.store.pinning.answer import STATUSES

WAITING = "waiting"  # not asked for yet
LEAVING = "leaving"  # to go, and not seen gone
SHOWN = (WAITING, *STATUSES, LEAVING)
PINS_MAX = 10_000  # of one service
_LINES_LEAST = 1_000  # a journal of fewer lines is not worth writing anew


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
        self.rows: Rows
        self.rows, self._size, self._lines = _load(path)
        self._saving = asyncio.Lock()
        self._noted: set[CID] = set()  # rows whose newest state is not on disk

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
            changed = {cid for cid, row in rows.items() if self.rows.get(cid) != row} | (self.rows.keys() - rows.keys())
            await self._write(rows, changed)
            self.rows = change(self.rows)

    async def save(self) -> None:
        """Write what was noted. Raises OriginError; then it is still to be written."""
        async with self._saving:
            if self._noted:
                await self._write(self.rows, set())

    def note(self, cid: CID, **said: Any) -> None:
        """What the service said of a pin: kept in memory, written at the next `save`. What is wanted of it may have
        changed since it was asked, so only these fields are taken over."""
        row = self.rows.get(cid)
        if row is not None and (noted := replace(row, **said)) != row:
            self.rows = {**self.rows, cid: noted}
            self._noted.add(cid)

    def forget(self, cid: CID) -> None:
        if cid in self.rows:
            self.rows = {key: row for key, row in self.rows.items() if key != cid}
            self._noted.add(cid)

    def counts(self) -> dict[str, int]:
        counted = Counter(row.shown for row in self.rows.values())
        return {status: counted[status] for status in SHOWN}

    async def remove(self) -> None:
        async with self._saving:  # or a write that is under way would bring it back
            self._path.unlink(missing_ok=True)

    async def _write(self, rows: Rows, changed: set[CID]) -> None:
        """Write these rows, and what was noted before. What is noted meanwhile is not in it."""
        noted, self._noted = self._noted, set()
        try:
            await asyncio.to_thread(self._put, rows, changed | noted)
        except BaseException:
            self._noted |= noted
            raise

    def _put(self, rows: Rows, changed: set[CID]) -> None:
        if not self._path.exists() or self._lines + len(changed) > max(_LINES_LEAST, 2 * len(rows)):
            data = b"".join(map(_line, rows.values()))
            replace_file(self._path, data, what="remote pins")
            self._size, self._lines = len(data), len(rows)
            return
        data = b"".join(_line(rows[cid]) if cid in rows else _gone(cid) for cid in changed)
        try:
            self._append(data)
        except OSError as error:
            raise store_error(error) from error
        self._size += len(data)
        self._lines += len(changed)
        step("remote pins: appended")

    def _append(self, data: bytes) -> None:
        """After the last whole line: what an append that failed has left behind is written over."""
        with self._path.open("r+b") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _line(row: Remote) -> bytes:
    value = {**asdict(row), "cid": str(row.cid)}
    return json.dumps(value).encode() + b"\n"


def _gone(cid: CID) -> bytes:
    return json.dumps({"cid": str(cid), "gone": True}).encode() + b"\n"


def _load(path: Path) -> tuple[dict[CID, Remote], int, int]:
    """The rows, the bytes of whole lines, and their number. Raises StateError."""
    rows: dict[CID, Remote] = {}
    try:
        data = path.read_bytes()
        lines = data[: data.rfind(b"\n") + 1].splitlines()
        for line in lines:
            value = json.loads(line)
            if value.get("gone") is True:
                rows.pop(CID.parse(value["cid"]), None)
            else:
                row = _row(value)
                rows[row.cid] = row
    except FileNotFoundError:
        return {}, 0, 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError, BadCID) as error:
        raise StateError(f"{path} cannot be read: {error}") from error
    return rows, data.rfind(b"\n") + 1, len(lines)


def _row(value: dict[str, Any]) -> Remote:
    known = {item.name for item in fields(Remote)}
    kept = {key: item for key, item in value.items() if key in known}
    row = Remote(**{**kept, "cid": CID.parse(kept["cid"]), "delegates": tuple(kept.get("delegates", ()))})
    if row.status not in (WAITING, *STATUSES):
        raise ValueError(f"status {row.status!r}")
    return row
