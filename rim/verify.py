"""Verify: every file of a folder, fetched over plain HTTP and compared byte by byte.

Here lives the view of an outsider: no CIDs, no tokens, nothing of Rim's but a URL. Not here: which edges there are
(rim/commands/look asks the origin).

`*.localhost` is taken to loopback by us (RFC 6761 says resolvers should; not every one does), with the Host header as a
browser would send it. Bodies are compared as they come, so a file of any size needs no memory.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from rim.crew import Crew
from rim.exits import FAILED, OK, PARTIAL
from rim.pages.edits import Edits, applied

_PART = 1 << 20
_WORKERS = 4
_HOPS = 3  # a file's name, and at most two redirects to its address
_BATCH = 32
NEVER_FILES = frozenset({"_headers", "_redirects", "rim.toml"})  # a site's own settings: never served


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask: an address to connect to, and the Host to ask for."""

    name: str
    secure: bool
    address: tuple[str, int]
    host: str
    prefix: str = ""


@dataclass(slots=True)
class Verified:
    """What one target answered."""

    target: Target
    files: int = 0
    bytes: int = 0
    differences: list[tuple[str, str]] = field(default_factory=list)  # path, what is wrong
    unreachable: str = ""

    def value(self) -> dict[str, Any]:
        differences = [{"path": path, "what": what} for path, what in self.differences]
        value: dict[str, Any] = {"node": self.target.name, "files": self.files, "bytes": self.bytes}
        return value | {"differences": differences} | ({"error": self.unreachable} if self.unreachable else {})


def target_of(url: str, name: str = "", host: str = "") -> Target:
    """A URL as somewhere to connect to; `host` replaces the one to ask for."""
    parts = urlsplit(url)
    at, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    asked = host or parts.netloc.rpartition("@")[2]
    if at == "localhost" or at.endswith(".localhost") or at in ("0.0.0.0", "::"):  # noqa: S104 - an edge's "everywhere"
        at = "127.0.0.1"
    return Target(name or url, parts.scheme == "https", (at, port), asked, parts.path.rstrip("/"))


def verify(folder: str, paths: Sequence[str], target: Target, edits: Mapping[str, Edits] | None = None) -> Verified:
    """Fetch all these files of the folder from one target; `edits`: what a publish inserts into some of them."""
    result, crew = Verified(target), Crew(_WORKERS)
    batches = [paths[at : at + _BATCH] for at in range(0, len(paths), _BATCH)]

    def job(batch: Sequence[str]) -> list[tuple[str, int, str]]:
        return list(_compare_all(folder, batch, target, crew, edits or {}))

    try:
        for done in crew.run(job, batches):
            for path, count, wrong in done:
                result.files += 1
                result.bytes += count
                if wrong:
                    result.differences.append((path, wrong))
    except (OSError, http.client.HTTPException) as error:
        result.unreachable = str(error) or type(error).__name__
    result.differences.sort()
    return result


def exit_code(results: Sequence[Verified]) -> int:
    """1 when bytes differ or nobody answered, 5 when some nodes could not be asked, else 0."""
    away = sum(bool(result.unreachable) for result in results)
    if any(result.differences for result in results) or (away and away == len(results)):
        return FAILED
    return PARTIAL if away else OK


def _compare_all(
    folder: str, paths: Sequence[str], target: Target, crew: Crew, edits: Mapping[str, Edits]
) -> Iterator[tuple[str, int, str]]:
    connection = _connect(target)
    try:
        for path in paths:
            crew.check()
            try:
                yield path, *_compare(connection, folder, path, target, edits.get(path))
            except (http.client.HTTPException, ConnectionError):  # an idle connection may be closed: once more
                connection.close()
                connection = _connect(target)
                try:
                    yield path, *_compare(connection, folder, path, target, edits.get(path))
                except (http.client.HTTPException, ConnectionResetError) as error:
                    yield path, 0, f"the answer broke off ({type(error).__name__})"
                    connection.close()
                    connection = _connect(target)
    finally:
        connection.close()


def _connect(target: Target) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if target.secure else http.client.HTTPConnection
    connection = kind(*target.address, timeout=30)
    connection.connect()
    return connection


def _compare(
    connection: http.client.HTTPConnection, folder: str, path: str, target: Target, edits: Edits | None
) -> tuple[int, str]:
    """Bytes received, and what is wrong with them (empty: nothing). A file may have another address of its own on its
    host, as /about is of /about.html: there it is."""
    headers = {"Host": target.host, "Accept-Encoding": "identity"}
    asked = target.prefix + "/" + quote(path, safe="/")
    for _ in range(_HOPS):
        connection.request("GET", asked, headers=headers)
        response = connection.getresponse()
        asked = response.headers.get("Location", "")
        if response.status != 308 or not asked.startswith("/") or asked.startswith("//"):
            break
        response.read()
    if response.status != 200:
        response.read()
        return 0, f"status {response.status}"
    count, wrong = 0, ""
    with _published(f"{folder}/{path}", edits) as file:
        while part := response.read(_PART):
            if not wrong and part != file.read(len(part)):
                wrong = f"other bytes within {count:,} to {count + len(part):,}"
            count += len(part)
        if not wrong and file.read(1):
            wrong = f"ends after {count:,} of {file.seek(0, os.SEEK_END):,} bytes"
    return count, wrong


@contextmanager
def _published(full: str, edits: Edits | None) -> Iterator[BinaryIO]:
    """The file as it was published."""
    with open(full, "rb") as file:
        yield BytesIO(applied(file.read(), edits)) if edits else file
