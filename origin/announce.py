"""Announce: tells others of the sites' IPNS records, so that any IPFS client can follow a site by its key.

Here lives the queue: the newest record of each name, for each of those who are told; tried again until it is taken,
never holding up a commit. And one kind of those who are told, a delegated router (PUT /routing/v1/ipns/{name}). Not
here: making and renewing records (origin/records), which happens in time whether anybody is told or not.

Nothing of this is on disk: at a start every record is told anew, which is also how a router that lost them has them
back.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from content.cid import CID
from content.trustless import RECORD_TYPE

PUT_SECONDS = 30.0  # for one; a router that puts into the DHT takes its time
CONNECT_SECONDS = 5.0
FIRST_PAUSE, LAST_PAUSE = 1.0, 300.0  # s between tries, doubled; the record has a day left when it is made
AT_A_TIME = 4  # records that one listener is told at once: 1,000 sites do not wait for one slow DHT put after another
AGAIN_SECONDS = 4 * 3600.0  # told again although nothing changed, as Kubo republishes: DHT servers come and go
log = logging.getLogger("rim.origin")


class Unheard(Exception):
    """It was not taken; another try may work, after `pause` seconds where that was said."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class Refused(Exception):
    """It was not taken and never will be: this record is told no more."""


class Listener(Protocol):
    """Somebody who is told: a delegated router, or a Kubo."""

    @property
    def url(self) -> str:
        """How it is named in logs."""
        ...

    async def put(self, name: str, record: bytes) -> None:
        """Tell this record. Raises Unheard or Refused."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Told:
    record: bytes
    due: float = 0.0  # of the loop's clock
    pause: float = 0.0
    heard: bool = False


class Announcer:
    """All listeners, each with workers of its own: one that is slow or gone keeps no other waiting."""

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self.counts: Counter[str] = Counter()  # by result: told, failed, refused
        self._lock = threading.Lock()  # records are signed in the thread of commits, too
        self._desks = [_Desk(listener, self.counts, self._lock) for listener in listeners]
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """Records that somebody has not taken yet."""
        with self._lock:
            return sum(not told.heard for desk in self._desks for told in desk.book.values())

    def tell(self, name: str, record: bytes) -> None:
        """This is the name's record from now on. From any thread; returns at once."""
        with self._lock:
            for desk in self._desks:
                known = desk.book.get(name)
                if known is None or known.record != record:
                    desk.book[name] = _Told(record)
        self._ring()

    def keep_only(self, names: Collection[str]) -> None:
        """These are all names there are: records of others are told no longer, and end by themselves."""
        with self._lock:
            for desk in self._desks:
                desk.book = {name: told for name, told in desk.book.items() if name in names}

    async def run(self) -> None:
        """Tell, until cancelled."""
        self._loop = asyncio.get_running_loop()
        works = [desk.work() for desk in self._desks for _ in range(AT_A_TIME)]
        try:
            await asyncio.gather(*works)
        finally:
            self._loop = None
            for desk in self._desks:
                await desk.listener.close()

    def _ring(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just closed: the next start tells all
                for desk in self._desks:
                    loop.call_soon_threadsafe(desk.bell.set)


class _Desk:
    """What one listener is still to be told. `book` is read and changed under the lock."""

    def __init__(self, listener: Listener, counts: Counter[str], lock: threading.Lock) -> None:
        self.listener = listener
        self.book: dict[str, _Told] = {}
        self.bell = asyncio.Event()
        self._flying: set[str] = set()  # names being told: two records of one name must not overtake each other
        self._counts = counts
        self._lock = lock

    async def work(self) -> None:
        """Tell what is due, the longest waiting first."""
        now = asyncio.get_running_loop().time
        while True:
            self.bell.clear()
            name, told = self._next()
            if told.due > now():
                await _sleep(self.bell, None if told.due == math.inf else told.due - now())
                continue
            self._flying.add(name)
            try:
                told.due = now() + await self._tell(name, told)
            finally:
                self._flying.discard(name)
                self.bell.set()  # the others sleep until what was due next when they looked

    def _next(self) -> tuple[str, _Told]:
        with self._lock:
            rows = [row for row in self.book.items() if row[0] not in self._flying]
        return min(rows, key=lambda row: row[1].due, default=("", _Told(b"", math.inf)))

    async def _tell(self, name: str, told: _Told) -> float:
        """Tell one record; in how many seconds it is due again."""
        try:
            await self.listener.put(name, told.record)
        except Unheard as error:
            first = not told.pause
            told.pause = min(LAST_PAUSE, max(FIRST_PAUSE, 2 * told.pause))
            self._counts["failed"] += 1
            log.log(logging.WARNING if first else logging.DEBUG, "%s: %s", self.listener.url, error)
            return max(error.pause, told.pause) * random.uniform(0.75, 1.25)  # noqa: S311 (spreads, guards nothing)
        except Refused as error:
            self._counts["refused"] += 1
            log.error("%s refuses the record of %s: %s", self.listener.url, name, error)
        except Exception:  # a listener's own fault is no reason to tell the others nothing
            self._counts["failed"] += 1
            log.exception("%s: telling the record of %s", self.listener.url, name)
            return LAST_PAUSE
        else:
            self._counts["told"] += 1
        told.heard, told.pause = True, 0.0
        return AGAIN_SECONDS


async def _sleep(bell: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return


class Router:
    """A delegated router."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def put(self, name: str, record: bytes) -> None:
        """PUT /routing/v1/ipns/{name}. 4xx but 408 and 429: refused, it says that the record or we are at fault."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        timeout = aiohttp.ClientTimeout(total=PUT_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.put(
                f"{self.url}/routing/v1/ipns/{CID.parse(name).base36()}",
                data=record,
                headers={"Content-Type": RECORD_TYPE, "User-Agent": "rim"},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                _check(response.status, response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unheard(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _check(status: int, headers: Mapping[str, str]) -> None:
    if status == 200:
        return
    if 400 <= status < 500 and status not in (401, 403, 408, 429):
        raise Refused(f"status {status}")
    after = headers.get("Retry-After", "")
    raise Unheard(f"status {status}", min(LAST_PAUSE, float(after)) if after.isascii() and after.isdigit() else 0.0)
