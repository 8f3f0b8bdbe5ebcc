"""Keeper: all pinning services of one origin.

Here lives the assembly: a table and a follower for each service, and the plan that is made anew whenever the Head
moves, a service changes, or a pin begins to stand. A publish never waits for any of it: the plan reads what is live,
after the fact. Not here: the work at one service (store/pinning/follower), HTTP (origin/api/services).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from content.cid import CID
from content.errors import ContentError
from origin.catalog import Catalog
from origin.errors import BadRequest, Conflict, Forbidden, Missing, OriginError
from origin.reading import Absent
from origin.state import State
from origin.store import Store
from origin.store.pinning import plan
from origin.store.pinning.answer import NAME_BYTES
from origin.store.pinning.follower import Follower
from origin.store.pinning.pace import Pace
from origin.store.pinning.service import Service, Services
from origin.store.pinning.table import Remote, Table
from origin.store.pinning.wanted import Judge, wanted
from origin.waiting import Signal

PLAN_SECONDS = 60.0  # without a reason to: a denylist in a file has changed, a disk was full
log = logging.getLogger("rim.origin")


class Keeper:
    """The services, and who works at each. All methods are called in the loop's thread."""

    def __init__(self, state: State, store: Store, catalog: Catalog, judge: Judge) -> None:
        self.services = Services(state / "services.json")
        self.pace = Pace()
        self._folder = state / "remote"
        self._catalog = catalog
        self._judge = judge
        self._store = store
        self._meeting = asyncio.Lock()
        self._signal = Signal()
        self._changing = asyncio.Lock()
        self._running = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._followers = {service.name: self._follower(service) for service in self.services}

    def __repr__(self) -> str:
        return f"<Keeper {list(self._followers.values())}>"

    # -- the loop

    async def run(self) -> None:
        """Work at every service until cancelled."""
        self._running = True
        for name in self._followers:
            self._start(name)
        while True:
            moved = (self._catalog.feed.signal.wait(PLAN_SECONDS), self._signal.wait(PLAN_SECONDS))
            for follower in list(self._followers.values()):
                try:
                    await self._plan(follower)
                except (OriginError, ContentError, Absent) as error:
                    log.warning("pinning service %s: no plan: %s", follower.service.name, error)
                except Exception:  # a fault of ours at one service must not end the plans of all
                    log.exception("pinning service %s: no plan", follower.service.name)
            await asyncio.wait(moved, return_when=asyncio.FIRST_COMPLETED)
            for waiter in moved:
                waiter.cancel()
            await asyncio.sleep(self.pace.plan)

    async def close(self) -> None:
        """End the work; keep what the services said."""
        self._running = False
        for name in list(self._tasks):
            await self._stop(name)
        for follower in self._followers.values():
            with suppress(OriginError):
                await follower.table.save()

    async def _plan(self, follower: Follower) -> None:
        service, world = follower.service, self._catalog.world
        desired = await asyncio.to_thread(wanted, world, service, self._judge)
        denied = await asyncio.to_thread(self._judge.denied, follower.table.rows)
        if self._followers.get(service.name) is not follower:
            return  # it was changed meanwhile, and the next plan knows how
        now = int(time.time())
        await follower.table.commit(lambda rows: plan.settled(rows, service, desired, denied, now))
        follower.wake()
        if service.leaving and not follower.table.rows:
            async with self._changing:
                if self._followers.get(service.name) is follower:
                    await self._drop(service.name)

    # -- services

    async def add(self, name: str, given: Mapping[str, Any]) -> Service:
        """A new service. The same again is no change: its answer may have been lost. Raises BadRequest, Conflict."""
        async with self._changing:
            service = Service.made(name, given)
            if name in self._followers:
                if self._followers[name].service == service:
                    return service
                raise Conflict(f"there is a service {name!r} already: `rim service set` changes it", "service_exists")
            self._file(name).unlink(missing_ok=True)  # of one that was removed, had we ended in the middle of it
            return await self._put(service)

    async def change(self, name: str, given: Mapping[str, Any]) -> Service:
        """Other settings for a service. Raises Missing, BadRequest."""
        async with self._changing:
            return await self._put(self._of(name).service.changed(given))

    async def remove(self, name: str, unpin: bool) -> int:
        """Forget a service; with `unpin`, once our pins at it are gone. How many pins there are."""
        async with self._changing:
            follower = self._of(name)
            left = len(follower.table.rows)
            if unpin and left:
                await self._put(replace(follower.service, leaving=True))
            else:
                await self._drop(name)
            return left

    def check(self, name: str) -> None:
        """Look at every pin of this service again, now; what failed is tried again."""
        self._of(name).check()

    def public(self, follower: Follower) -> dict[str, Any]:
        """A service and how it is, without its token."""
        return {**follower.service.public(), **self._condition(follower)}

    def all(self) -> list[Follower]:
        return [self._followers[name] for name in sorted(self._followers)]

    def summary(self) -> list[dict[str, Any]]:
        """How each service is, for whoever may see the origin's status."""
        return [{"name": f.service.name, "auto": f.service.auto, **self._condition(f)} for f in self.all()]

    def one(self, name: str) -> dict[str, Any]:
        return self.public(self._of(name))

    # -- pins

    def pins(self, name: str) -> list[Remote]:
        return sorted(self._of(name).table.rows.values(), key=lambda row: (row.name, row.cid))

    def pin_of(self, name: str, cid: CID) -> Remote:
        row = self._of(name).table.rows.get(cid.v1)
        if row is None:
            raise Missing(f"{cid} is not pinned at {name!r}: `rim pins --service {name}` shows what is", "no_pin")
        return row

    async def pin(self, name: str, cid: CID, label: str) -> Remote:
        """Have this pinned; durable on return. Raises Missing, BadRequest, Conflict, Forbidden."""
        follower = self._of(name)
        if self._judge.denied([cid]):
            raise Forbidden(f"{cid} is denied here: `rim allow` it first, if it may be kept elsewhere", "denied")
        if follower.service.leaving:
            raise Conflict(f"service {name!r} is being removed", "service_leaving")
        if len(label.encode()) > NAME_BYTES:
            raise BadRequest(f"name: at most {NAME_BYTES} bytes")
        now = int(time.time())
        await follower.table.commit(lambda rows: plan.asked(rows, cid.v1, label, now))
        follower.wake()
        return self.pin_of(name, cid)

    async def unpin(self, name: str, cid: CID) -> None:
        """Have this pin taken away; that it will be is durable on return. Raises Missing, Conflict."""
        follower, row = self._of(name), self.pin_of(name, cid)
        if row.site and follower.service.takes(row.site):
            raise Conflict(
                f"{cid} is a release of {row.site!r}, which is pinned at {name!r} by itself: take the site out with "
                f"`rim service set {name} --no-auto` (or --site) first",
                "pinned_by_itself",
            )
        await follower.table.commit(lambda rows: plan.unasked(rows, cid.v1))
        follower.wake()

    # -- parts

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.jsonl"

    def _of(self, name: str) -> Follower:
        follower = self._followers.get(name)
        if follower is None:
            raise Missing(f"no pinning service {name[:80]!r}: `rim service list` shows them", "no_service")
        return follower

    def _condition(self, follower: Follower) -> dict[str, Any]:
        return {
            "state": follower.health.state,
            "error": follower.health.error,
            "retry_in": round(follower.health.retry_in(), 1),
            "pins": follower.table.counts(),
            "failures": dict(follower.health.failures),
        }

    async def _put(self, service: Service) -> Service:
        """Durable; and worked at from here on, with what it is now."""
        await asyncio.to_thread(self.services.put, service)
        old = self._followers.get(service.name)
        await self._stop(service.name)
        self._followers[service.name] = self._follower(service, old)
        if self._running:
            self._start(service.name)
        self._signal.notify()
        return service

    async def _drop(self, name: str) -> None:
        await asyncio.to_thread(self.services.drop, name)
        await self._stop(name)
        await self._followers.pop(name).table.remove()

    def _follower(self, service: Service, old: Follower | None = None) -> Follower:
        table = old.table if old is not None else Table(self._file(service.name))
        made = Follower(service, table, self.services.origin, lambda: self.pace, self._signal.notify, self._meet)
        if old is not None:
            made.health.failures = old.health.failures
        return made

    async def _meet(self, addresses: Sequence[str]) -> None:
        """One service's nodes at a time: each time holds a thread for some seconds."""
        async with self._meeting:
            await asyncio.to_thread(self._store.meet, addresses)

    def _start(self, name: str) -> None:
        self._tasks[name] = asyncio.create_task(self._followers[name].run(), name=f"pinning {name}")

    async def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
