"""Denylists: the lists that this edge was given, as files and as URLs, and how they are kept up to date.

Here live reading a file whenever it has changed, fetching a URL every so often, and what is done with a list that is
no good. Not here: the format (content/denyfile), what is in force (edge/denials), the Catalog's own list, which comes
with the Head.

A list of a million rules takes seconds to read: at the start that is done before anybody is served, later in slices
beside the answers. What was fetched is kept below the state folder, so an edge starts with the last good copy. Whatever
comes of a list later (it is gone, empty, does not read), the last good one holds, and a counter says so. One process of
an edge fetches; the others see the copy change.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from content.denyfile import Reader
from content.denylist import Denylist
from content.errors import ContentError
from content.limits import DENYLIST_BYTES, KiB, check
from edge.state import StateError, replace_file

POLL = 2.0  # s between two looks at the files
FIRST_WITHIN = 10.0  # s that a start waits for a list of which there is no copy yet
FETCH = aiohttp.ClientTimeout(total=300, sock_connect=5, sock_read=30)
REDIRECTS = 3
_PIECE = 32 * KiB  # read and given to the reader at a time
_ETAG_CHARS = 1_000
logger = logging.getLogger("rim.edge")


class BadList(Exception):
    """What came is no list to go by. The text says why."""


@dataclass(slots=True)
class Source:
    """One list. `path` is where it is read: the file itself, or what is kept of a URL."""

    name: str
    path: Path
    url: str | None = None
    list: Denylist | None = None
    seen: tuple[int, ...] = ()  # the file as it was last looked at
    good: float | None = None  # unix seconds when it was last known to be as it should
    errors: int = 0

    @property
    def etag_path(self) -> Path:
        return self.path.with_suffix(".json")


class Sources:
    """The lists of one edge, in their order."""

    def __init__(
        self,
        texts: Sequence[str],
        folder: Path,
        interval: float,
        session: Callable[[], aiohttp.ClientSession],
        on_change: Callable[[Sequence[Denylist]], None],
        *,
        fetches: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`texts`: paths and URLs. `folder`: for the copies. `fetches`: whether it is this process that does."""
        self._folder = folder
        self._interval = interval
        self._session = session
        self._on_change = on_change
        self.fetches = fetches
        self._clock = clock
        self._asked = asyncio.Event()
        self._fetch_at = 0.0
        self._told = 0  # changes
        self.sources = [self._source(text) for text in texts]
        names = [source.name for source in self.sources]
        for number, source in enumerate(self.sources):
            if names.index(source.name) < number:
                source.name = f"{source.name}#{number + 1}"

    # At the start.

    def load(self) -> None:
        """Read what lies here. Raises StateError for a file that cannot be gone by: who was told to deny must not begin
        without. Of a URL there may be no copy yet."""
        self._make_folder()
        for source in self.sources:
            try:
                source.seen = _state(source.path)
                reader = Reader(source.name)
                with open(source.path, "rb") as file:
                    for piece in iter(lambda: file.read(_PIECE), b""):
                        _exhaust(reader.feed(piece))
                _exhaust(reader.end())
                _check(reader, source)
            except (OSError, ContentError, BadList) as error:
                if source.url is None:
                    raise StateError(f"denylist {source.path}: {_why(error)}") from error
                continue
            self._take(source, reader, source.path.stat().st_mtime if source.url else self._clock())
        self._tell()

    def _make_folder(self) -> None:
        """A folder for the copies, without those of lists that are not wanted any more."""
        known = {path for source in self.sources for path in (source.path, source.etag_path)}
        try:
            if any(source.url for source in self.sources):
                self._folder.mkdir(mode=0o700, exist_ok=True)
            if self.fetches and self._folder.exists():
                for leftover in set(self._folder.iterdir()) - known:
                    leftover.unlink()
        except OSError as error:
            raise StateError(f"{self._folder}: {_why(error)}") from error

    async def first(self) -> None:
        """Fetch the lists of which there is no copy, before anybody is served; not for long."""
        missing = [source for source in self.sources if source.url is not None and source.list is None]
        if missing and self.fetches:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_WITHIN):
                    await asyncio.gather(*(self._refresh(source) for source in missing))
        for source in missing:
            if source.list is None:
                logger.error("denylist %s: there is no copy of it yet: what it denies is served", source.name)

    # From then on.

    async def run(self, settle: Callable[[], Awaitable[None]]) -> None:
        """Keep up, for ever. `settle` is waited for after each change."""
        while self.sources:
            told = self._told
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._asked.wait()
            hurry = self._asked.is_set()
            self._asked.clear()
            for source in self.sources:
                await self._look(source)
            if self.fetches and (hurry or self._clock() >= self._fetch_at):
                self._fetch_at = self._clock() + self._interval
                for source in self.sources:
                    if source.url is not None:
                        await self._refresh(source)
            if told != self._told:
                await settle()

    def hurry(self) -> None:
        """Look at all of them now."""
        self._asked.set()

    def ages(self) -> dict[str, float]:
        """Seconds since each was last known to be as it should; without end where there is none."""
        now = self._clock()
        return {one.name: float("inf") if one.good is None else max(0.0, now - one.good) for one in self.sources}

    async def _look(self, source: Source) -> None:
        """Read the file again, if it has changed."""
        try:
            state = await asyncio.to_thread(_state, source.path)
            if state != source.seen:
                source.seen = state
                self._take(source, await self._read(source), self._clock())
                self._tell()
            elif source.url is None and source.list is not None:
                source.good = self._clock()
        except FileNotFoundError as error:
            if source.url is None:
                self._fail(source, error)
        except (OSError, ContentError, BadList) as error:
            self._fail(source, error)
        except Exception as error:  # a fault of ours must not be the end of keeping up
            logger.exception("denylist %s", source.name)
            self._fail(source, error)

    async def _read(self, source: Source, path: Path | None = None) -> Reader:
        """The list in this file, read in slices. Raises OSError, ContentError, BadList."""
        reader = Reader(source.name)
        file = await asyncio.to_thread(open, path or source.path, "rb")
        with file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                for _ in reader.feed(piece):
                    await asyncio.sleep(0)
        for _ in reader.end():
            await asyncio.sleep(0)
        _check(reader, source)
        return reader

    def _take(self, source: Source, reader: Reader, good: float) -> None:
        for number, problem in reader.problems:
            logger.warning("denylist %s, line %d: %s", source.name, number, problem)
        if reader.malformed:
            logger.warning("denylist %s: %d lines are no rules and were left out", source.name, reader.malformed)
        source.list, source.good = reader.list, good

    def _tell(self) -> None:
        self._told += 1
        self._on_change([source.list for source in self.sources if source.list is not None])

    def _fail(self, source: Source, error: Exception) -> None:
        source.errors += 1
        logger.error("denylist %s: %s; what it said before holds", source.name, _why(error))

    # URLs.

    async def _refresh(self, source: Source) -> None:
        """Fetch a list, if it has changed, and keep it. Whatever comes of that, the last good one holds."""
        incoming = source.path.with_suffix(f".{os.getpid()}.new")  # another process may take this one's place by now
        try:
            etag = await self._fetch(source, incoming)
            if etag is not None:
                reader = await self._read(source, incoming)
                await asyncio.to_thread(self._keep, source, incoming, etag)
                source.seen = _state(source.path)
                self._take(source, reader, self._clock())
                self._tell()
            else:
                await asyncio.to_thread(os.utime, source.path)
                source.seen, source.good = _state(source.path), self._clock()
        except (aiohttp.ClientError, TimeoutError, OSError, ContentError, BadList) as error:
            self._fail(source, error)
        except Exception as error:  # as above
            logger.exception("denylist %s", source.name)
            self._fail(source, error)
        finally:
            with suppress(OSError):
                incoming.unlink(missing_ok=True)

    async def _fetch(self, source: Source, incoming: Path) -> str | None:
        """Write what is there now into a file; its ETag, or None where it has not changed."""
        assert source.url is not None
        headers = {"Accept-Encoding": "identity", "User-Agent": "rim"}
        if source.list is not None and (known := await asyncio.to_thread(_etag_of, source)):
            headers["If-None-Match"] = known
        get = self._session().get(source.url, headers=headers, timeout=FETCH, max_redirects=REDIRECTS)
        async with get as response:
            if response.status == 304 and "If-None-Match" in headers:
                return None
            if response.status != 200:
                raise BadList(f"{response.status} {response.reason}")
            if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
                raise BadList(f"it came encoded ({coding[:20]}), which nobody asked for")
            size = 0
            file = await asyncio.to_thread(open, incoming, "wb")
            with file:
                async for piece in response.content.iter_chunked(_PIECE):
                    size += len(piece)
                    check("size of a denylist", size, DENYLIST_BYTES)
                    await asyncio.to_thread(file.write, piece)
            return response.headers.get("ETag", "")[:_ETAG_CHARS]

    def _keep(self, source: Source, incoming: Path, etag: str) -> None:
        """The ETag goes first: killed in between, the next start asks with one that is of no copy, and is given all."""
        source.etag_path.unlink(missing_ok=True)
        os.replace(incoming, source.path)
        replace_file(source.etag_path, json.dumps({"url": source.url, "etag": etag}).encode())

    def _source(self, text: str) -> Source:
        if not text.startswith(("http://", "https://")):
            return Source(Path(text).name, Path(text))
        parts = urlsplit(text)
        name = f"{parts.hostname}{parts.path}"  # without the query: it may hold a secret, and names are told
        return Source(name, self._folder / f"{sha256(text.encode()).hexdigest()[:32]}.deny", text)

    def __repr__(self) -> str:
        return f"<Sources {', '.join(source.name for source in self.sources) or 'none'}>"


def _check(reader: Reader, source: Source) -> None:
    """Raises BadList for what is text, and no list: a page of some portal; or a file in the middle of being written."""
    if len(reader.list):
        return
    if source.list:
        raise BadList("it has no rule any more; take it out of --denylists if that is meant")
    if reader.malformed:
        raise BadList(f"not one of its {reader.malformed} lines is a rule: {reader.problems[0][1]}")


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):  # to open a pipe could take for ever
        raise OSError(errno.EINVAL, "it is no regular file")
    return found.st_ino, found.st_size, found.st_mtime_ns


def _etag_of(source: Source) -> str:
    try:
        told = json.loads(source.etag_path.read_text())
    except (OSError, ValueError):
        return ""
    return str(told.get("etag", "")) if isinstance(told, dict) and told.get("url") == source.url else ""


def _exhaust(steps: Iterator[None]) -> None:
    for _ in steps:
        pass


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
