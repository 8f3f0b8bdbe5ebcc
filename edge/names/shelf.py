"""Shelf: what names led to, as it lies in the edge's state folder.

The best record of each key, so that a sequence never goes back, and the last good DNSLink of each domain, so that an
edge which is started while DNS is away has it.

Here live the files, one a name, shared by all processes of an edge: compared and replaced under one lock. Not here:
what is believed (edge/names/records, dnslink). Losing the folder loses these memories, and nothing else. A disk that
fails costs them too, and not the answer. All methods block: call them in a thread.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from content import ipns
from content.errors import ContentError
from content.limits import IPNS_RECORD
from edge.names.limits import NAMES_KEPT, PATH_BYTES
from edge.names.record import Held, better
from edge.names.spelling import content_path
from edge.state import replace_file

logger = logging.getLogger("rim.edge")


class _Files:
    """Small files of one kind, at most NAMES_KEPT of them: who was used least lately goes."""

    suffix = ""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.errors = 0

    def _write(self, path: Path, data: bytes) -> None:
        is_new = not path.exists()
        replace_file(path, data)
        if is_new:
            self._make_room()

    def _make_room(self) -> None:
        entries = [entry for entry in os.scandir(self._folder) if entry.name.endswith(self.suffix)]
        for path in sorted(entries, key=lambda entry: entry.stat().st_mtime)[: max(0, len(entries) - NAMES_KEPT)]:
            with suppress(OSError):
                os.unlink(path)

    def _alone(self, name: str, keep: Callable[[], None]) -> None:
        """Keep it alone with the folder, among the threads and processes of this edge. What fails is said, not
        raised."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                keep()
            finally:
                os.close(descriptor)
        except OSError as error:
            self.errors += 1
            logger.error("what %s leads to was not kept: %s", name, error)


class Shelf(_Files):
    """Records."""

    suffix = ".record"

    def load(self, name: str) -> Held | None:
        """What is kept of this name, ended or not; None for nothing that still verifies."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                raw = file.read(IPNS_RECORD + 1)
            return Held(name, ipns.verify(name, raw), raw)
        except FileNotFoundError:
            return None
        except (OSError, ContentError) as error:
            logger.warning("%s: %s", path, error)
            return None

    def keep(self, held: Held) -> None:
        """Keep this record unless a better one, or the same, is kept. Durable on return."""
        path = self._path(held.name)

        def keep() -> None:
            kept = self.load(held.name)
            if better(kept, held) is not held or _is_fork(kept, held):
                os.utime(path)
            else:
                self._write(path, held.raw)

        self._alone(held.name, keep)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{self.suffix}"


def _is_fork(kept: Held | None, held: Held) -> bool:
    """Another process was first, with another value under the same sequence: the old one stays here, too."""
    return kept is not None and kept.rank[0] == held.rank[0] and kept.record.value != held.record.value


class LinkShelf(_Files):
    """DNSLinks. A file's time is that of the last good answer."""

    suffix = ".link"

    def __init__(self, folder: Path, wall: Callable[[], float] = time.time) -> None:
        super().__init__(folder)
        self._wall = wall

    def load(self, domain: str) -> tuple[str, float] | None:
        """The path that DNS gave for this domain, and how many seconds ago."""
        path = self._path(domain)
        try:
            with path.open(encoding="utf-8") as file:
                kept, link = file.read(PATH_BYTES + 512).split("\n", 1)
            age = max(0.0, self._wall() - path.stat().st_mtime)
        except (OSError, ValueError):
            return None
        return (link, age) if kept == domain and content_path(link) is not None else None

    def keep(self, domain: str, link: str) -> None:
        """DNS has just said this."""
        path = self._path(domain)

        def keep() -> None:
            known = self.load(domain)
            if known is None or known[0] != link:
                self._write(path, f"{domain}\n{link}".encode())
            now = self._wall()
            os.utime(path, (now, now))

        self._alone(domain, keep)

    def forget(self, domain: str) -> None:
        """DNS has just said that there is none."""
        with suppress(OSError):
            self._path(domain).unlink(missing_ok=True)

    def _path(self, domain: str) -> Path:
        digest = sha256(domain.encode()).hexdigest()  # a domain and a suffix may be longer than a file's name
        return self._folder / f"{digest}{self.suffix}"
