"""State: the folder of an edge, who may use it, and how a small file in it is replaced.

Here live VERSION, the lock, the durable replacement, and what becomes of a newer Rim's folder. Not here: what the files
say (edge/control/stored), nor the blocks (edge/cache/disk, below blocks/). Losing the folder costs warmth and nothing
else: all of it can be fetched anew.

An older Rim that is put back into a newer one's folder must not read what it cannot know. Some files prove themselves
whoever wrote them: a block by its name, the record by its signature, what lies in a CAR by its hashes, a key by being
one. Those stay. All others, and the index of the disk, are set aside.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

VERSION = "1"
NEWER = "newer-"  # a folder of what a newer version's files are set aside in; for people, nobody reads it
_PROVEN = frozenset({"lock", "lost+found", "blocks", "control.car", "head", "node.key", "edge.json"})
_INDEXES = ("cache.db*", "process-*/cache.db*")  # of the blocks; made anew from their names
logger = logging.getLogger("rim.edge")


class StateError(Exception):
    """The folder cannot be used. The text says why, and what would do."""


class State:
    """An open, locked folder. The lock goes with this object's descriptor, so a killed edge leaves none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def open(self) -> None:
        """Take the folder. Raises StateError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            self._check_version()
            for leftover in self.path.glob("*.tmp"):
                leftover.unlink()
        except OSError as error:
            self.close()
            raise StateError(f"state folder {self.path}: {error.strerror or error}") from error
        except StateError:
            self.close()
            raise

    def close(self) -> None:
        """Leave the folder to others. The lock's file stays: unlinking it would race another edge's start."""
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child between fork and exec may hold the descriptor too
            os.close(self._lock)
            self._lock = -1

    def _take_lock(self) -> None:
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "?"
            os.close(descriptor)
            raise StateError(f"state folder is in use by process {owner}: {self.path}") from None
        self._lock = descriptor
        with suppress(OSError):  # the owner's number is a courtesy; a full disk must not keep an edge from starting
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def _set_aside(self, found: int) -> None:
        """Keep what proves itself; VERSION comes last, so that what is cut short begins anew."""
        aside = self.path / f"{NEWER}{found}"
        aside.mkdir(mode=0o700, exist_ok=True)
        doubted = [entry for entry in self.path.iterdir() if entry.name not in _PROVEN and entry.name != "VERSION"]
        doubted = [entry for entry in doubted if not entry.name.startswith(NEWER)]
        doubted += [entry for form in _INDEXES for entry in (self.path / "blocks").glob(form)]
        for entry in doubted:
            name = str(entry.relative_to(self.path)).replace(os.sep, "-")
            os.replace(entry, aside / name) if entry.is_file() else _move(entry, aside / name)
        replace_file(self.path / "VERSION", f"{VERSION}\n".encode())
        logger.warning(
            "state folder %s was written by a newer Rim (version %d; this one reads %s): blocks and Head are kept, for "
            "they prove themselves, all else is set aside in %s and made anew",
            self.path,
            found,
            VERSION,
            aside,
        )

    def _check_version(self) -> None:
        path = self.path / "VERSION"
        try:
            found = path.read_text("utf-8", errors="replace").strip()
        except FileNotFoundError:
            if any(entry.name not in ("lock", "VERSION.tmp", "edge.json") for entry in self.path.iterdir()):
                raise StateError(
                    f"{self.path} is not empty and has no VERSION: choose an empty folder, or an edge's own"
                ) from None
            replace_file(path, f"{VERSION}\n".encode())
            return
        if found.isascii() and found.isdecimal() and int(found) > int(VERSION):
            self._set_aside(int(found))
        elif found != VERSION:
            raise StateError(
                f"state folder {self.path} is of version {found[:20]!r}; this Rim reads version {VERSION}. "
                "Start it with the Rim that wrote it, or choose another folder with --state"
            )


def _move(folder: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)  # of an earlier time, or of a move that was cut short
    os.rename(folder, to)


def replace_file(path: Path, data: bytes) -> None:
    """Put these bytes under this name, whole or not at all, durable on return. Raises OSError."""
    replace_files(path.parent, {path.name: data})


def replace_files(folder: Path, files: Mapping[str, bytes], placed: Callable[[str], None] = lambda name: None) -> None:
    """Put these bytes under these names, in this order, each whole or not at all, all durable on return. Raises
    OSError.

    All bytes are on disk before the first name turns, so what finds no room leaves every name as it was; and one sync
    of the folder is for all names. `placed` hears of each name that has turned.
    """
    temporaries = {folder / (name + ".tmp"): folder / name for name in files}
    try:
        for temporary, data in zip(temporaries, files.values(), strict=True):
            _write(temporary, data)
        for temporary, path in temporaries.items():
            os.rename(temporary, path)
            placed(path.name)
        _sync(folder)
    except OSError:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def _write(path: Path, data: bytes) -> None:
    """A new file of these bytes, on disk. In few calls: a thread waits for the interpreter after each."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
