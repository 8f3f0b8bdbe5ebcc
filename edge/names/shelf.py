"""Shelf: the best record of each name as it lies in the edge's state folder, so that a sequence never goes back.

Here live the files, one a name, shared by all processes of an edge: compared and replaced under one lock. Not here:
which record is believed (edge/names/records). Losing the folder loses the memory of sequences, and nothing else.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from content import ipns
from content.errors import ContentError
from content.limits import IPNS_RECORD
from edge.names.limits import NAMES_KEPT
from edge.names.record import Held, better
from edge.state import replace_file

_SUFFIX = ".record"
logger = logging.getLogger("rim.edge")


class Shelf:
    """The folder. Its methods block: call them in a thread. A disk that fails costs the memory, not the answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.errors = 0

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
        try:
            with self._locked():
                kept = self.load(held.name)
                if better(kept, held) is not held:
                    os.utime(self._path(held.name))
                    return
                replace_file(self._path(held.name), held.raw)
                if kept is None:
                    self._make_room()
        except OSError as error:
            self.errors += 1
            logger.error("the record of %s was not kept: %s", held.name, error)

    def _make_room(self) -> None:
        """Forget the names that were used least lately."""
        files = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(self._folder) if _is_record(entry.name)]
        for _, path in sorted(files)[: max(0, len(files) - NAMES_KEPT)]:
            with suppress(OSError):
                os.unlink(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"


def _is_record(name: str) -> bool:
    return name.endswith(_SUFFIX)
