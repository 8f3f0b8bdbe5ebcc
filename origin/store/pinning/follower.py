"""Follower: the work at one service, until it holds what its table says.

Here lives one loop: take the rows that are due, look at what the service has of them, and do for each what that look
says. Every step begins with a look, so it does not matter what was done before, by whom, and whether its answer came: a
lost answer, a kill -9, a pin that others deleted, one that failed or ran out are all the same case. Not here: which
rows there are (store/pinning/plan), what a failure says of the service (health), HTTP (store/pinning/client).
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from content.cid import CID
from origin.errors import OriginError
from origin.store.pinning.answer import FAILED, PINNED, PINNING, QUEUED, BadAnswer, PinStatus
from origin.store.pinning.client import CIDS_MAX, FAULTS, BadStatus, Client, Denied, Limited
from origin.store.pinning.health import Health
from origin.store.pinning.meeting import Meet, Meetings
from origin.store.pinning.pace import Pace
from origin.store.pinning.service import Service
from origin.store.pinning.table import Remote, Rows, Table
from origin.waiting import Signal

LAZY_SECONDS = 1.0  # how old what is on disk of a service's words may get
IDLE_SECONDS = 3_600.0
MARK = "rim"  # the key in `meta` under which our pins carry their origin's mark
log = logging.getLogger("rim.origin")


class Follower:
    """Brings one service to what its table says. `changed` is called when a pin begins to stand, or is gone."""

    def __init__(
        self,
        service: Service,
        table: Table,
        mark: str,
        pace: Callable[[], Pace],
        changed: Callable[[], None],
        meet: Meet,
    ) -> None:
        self.service = service
        self.table = table
        self.health = Health(service.name, pace)
        self._mark = mark
        self._pace = pace
        self._changed = changed
        self._meetings = Meetings(meet)
        self._signal = Signal()
        self._due: dict[CID, tuple[float, bool]] = {}  # when, and whether it was to go by then
        self._started = time.monotonic()
        self._most = CIDS_MAX
        self._saved = 0.0

    def __repr__(self) -> str:
        return f"<Follower of {self.health!r}>"

    def wake(self) -> None:
        """Rows have changed. One that is gone is forgotten: should it come back, it is a new one."""
        self._due = {cid: due for cid, due in self._due.items() if cid in self.table.rows}
        self._signal.notify()

    def check(self) -> None:
        """Look at everything again, now."""
        self._due.clear()
        self.health.hurry()
        self._signal.notify()

    async def run(self) -> None:
        """Work until cancelled. Nothing that a service says ends it."""
        client = Client(self.service, self._pace().answer)
        try:
            while True:
                waiter = self._signal.wait(self._idle())
                try:
                    if not (batch := self._batch()):
                        await self.table.save()
                        await waiter
                        continue
                    await self._round(client, batch)
                except OriginError as error:  # a full disk: no pin is asked for that would not be remembered
                    self.health.stumble("down", f"this origin: {error}")
                except Exception as error:
                    log.exception("pinning service %s", self.service.name)
                    self.health.stumble("down", f"a fault of ours: {type(error).__name__}")
                finally:
                    waiter.cancel()
        finally:
            self._meetings.end()
            await client.close()

    # -- what is due

    def _batch(self) -> list[CID]:
        if self.health.retry_in():
            return []
        now = time.monotonic()
        due = ((self._when(row), cid) for cid, row in self.table.rows.items())
        return [cid for _, cid in heapq.nsmallest(self._most, (item for item in due if item[0] <= now))]

    def _when(self, row: Remote) -> float:
        """A request that was on its way when we ended may still be: its row waits a moment before it is looked for."""
        when, going = self._due.get(row.cid, (None, None))
        if when is not None and going == row.going:
            return when
        lost = row.sent and not row.requestid and not row.foreign
        return self._started + self._pace().settle if lost else 0.0

    def _idle(self) -> float:
        if wait := self.health.retry_in():
            return wait
        now = time.monotonic()
        soonest = min(map(self._when, self.table.rows.values()), default=now + IDLE_SECONDS)
        return min(IDLE_SECONDS, max(0.0, soonest - now))

    def _again(self, row: Remote, seconds: float, **said: Any) -> None:
        """Note what was said of this row, and when to look again."""
        self._due[row.cid] = time.monotonic() + seconds, row.going
        self.table.note(row.cid, **said)

    # -- the work

    async def _round(self, client: Client, batch: list[CID]) -> None:
        try:
            found = await client.look(batch)
        except FAULTS as error:
            self._look_failed(error, batch)
            return
        self.health.well()
        self._most = CIDS_MAX
        await self._mark_sent(cid for cid in batch if not found[cid])
        for cid in batch:
            row = self.table.rows.get(cid)
            if row is None:
                self._due.pop(cid, None)
                continue
            try:
                await self._act(client, row, found[cid])
            except (Limited, Denied) as error:
                self.health.fault(error)
                return
            except FAULTS as error:
                self._row_failed(row, error)
        self._meetings.about(map(self.table.rows.get, batch))
        if time.monotonic() - self._saved >= LAZY_SECONDS:
            self._saved = time.monotonic()
            await self.table.save()

    async def _mark_sent(self, cids: Iterable[CID]) -> None:
        """Whatever may be asked for from here on is known after any end of ours."""
        wanted = set(cids)

        def mark(rows: Rows) -> Rows:
            return {cid: replace(row, sent=True) if cid in wanted else row for cid, row in rows.items()}

        await self.table.commit(mark)

    async def _act(self, client: Client, row: Remote, pins: list[PinStatus]) -> None:
        mine = [pin for pin in pins if self._is_mine(pin, row)]
        if not mine and row.requestid:  # a list may lag behind what it lists
            seen = await client.see(row.requestid)
            mine = [seen] if seen is not None and seen.cid == row.cid else []
        if row.going:
            await self._let_go(client, row, mine)
            return
        others = [] if mine else [pin for pin in pins if pin.status != FAILED]
        pin = _best(mine or others)
        if pin is None:
            if row.pinned:
                self._lost(row)
            await self._ask(client, replace(row, pinned=None))
        elif pin.status == FAILED and row.status == FAILED and row.requestid == pin.requestid:
            await client.delete(pin.requestid)
            await self._ask(client, row)
        else:
            for double in mine:
                if double is not pin:
                    await client.delete(double.requestid)
            self._told(row, pin, foreign=not mine)

    def _is_mine(self, pin: PinStatus, row: Remote) -> bool:
        """By id, or by name where no mark says that another origin made it (not every service keeps `meta`)."""
        if row.requestid:
            return pin.requestid == row.requestid or self._bears_mark(pin, row)
        return self._bears_mark(pin, row)

    def _bears_mark(self, pin: PinStatus, row: Remote) -> bool:
        return pin.name == row.name and pin.meta.get(MARK, self._mark) == self._mark

    async def _ask(self, client: Client, row: Remote) -> None:
        if not row.sent:  # what stood under another's name is gone: it becomes ours
            await self._mark_sent([row.cid])
        pin = await client.add(row.cid, row.name, {MARK: self._mark})
        self._told(row, pin, foreign=False)

    def _told(self, row: Remote, pin: PinStatus, foreign: bool) -> None:
        """Take over what the service says of a pin, and when to look again."""
        pace, now = self._pace(), int(time.time())
        if row.pinned and pin.status != PINNED:
            self._lost(row)
        if pin.status == FAILED:
            self.health.failures["failed"] += 1
            tries, since, error = row.tries + 1, None, pin.said or "the service could not pin it"
            seconds = pace.retry(tries)
        elif pin.status == PINNED:
            tries, since, error = 0, row.pinned or now, ""
            seconds = pace.reconciling(now - since)
        else:
            tries, since, error = row.tries, None, ""
            seconds = pace.following(now - row.since)
        ours = {"requestid": "" if foreign else pin.requestid, "sent": row.sent or not foreign, "foreign": foreign}
        told = {"status": pin.status, "delegates": pin.delegates, "tries": tries, "pinned": since, "error": error}
        self._again(row, seconds, **ours, **told)
        if since and not row.pinned:
            self._changed()

    def _lost(self, row: Remote) -> None:
        """It stood, and does not any more: deleted by somebody, or run out."""
        self.health.failures["lost"] += 1
        log.warning("pinning service %s no longer has %s (%s)", self.service.name, row.cid, row.name)

    async def _let_go(self, client: Client, row: Remote, mine: list[PinStatus]) -> None:
        for pin in mine:
            await client.delete(pin.requestid)
        if mine:
            tries = row.tries + 1
            self._again(row, self._pace().confirming(tries), tries=tries)
            return
        self._due.pop(row.cid, None)
        current = self.table.rows.get(row.cid)
        if current is not None and current.going:  # else somebody wants it again since
            self.table.forget(row.cid)
        self._changed()

    # -- what goes wrong

    def _look_failed(self, error: Exception, batch: list[CID]) -> None:
        """One CID may be all that a service stumbles over: then they are looked at one by one, and that one waits."""
        if isinstance(error, BadStatus | BadAnswer):
            self._most = 1
            row = self.table.rows.get(batch[0])
            if len(batch) == 1 and row is not None:
                tries = row.tries + 1
                self._again(row, self._pace().retry(tries), tries=tries, error=str(error))
        self.health.fault(error)

    def _row_failed(self, row: Remote, error: Exception) -> None:
        """A refusal is a failure of the pin; of anything else the outcome is unknown, and looked for soon."""
        tries = row.tries + 1
        if isinstance(error, BadStatus) and 400 <= error.status < 500:
            self.health.failures["refused"] += 1
            self._again(row, self._pace().retry(tries), tries=tries, error=str(error), status=FAILED)
        else:
            self.health.failures["down"] += 1
            seconds = max(self._pace().settle, self._pace().down(tries))
            self._again(row, seconds, tries=tries, error=str(error))


def _best(pins: list[PinStatus]) -> PinStatus | None:
    """The one that is furthest; of equals the first that was made."""
    order = (PINNED, PINNING, QUEUED, FAILED)
    return min(pins, key=lambda pin: (order.index(pin.status), pin.created), default=None)
