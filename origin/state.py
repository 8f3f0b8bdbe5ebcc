"""The state folder: who may use it, which version it is, and how a file in it is replaced.

Here live VERSION, the lock and the durable replacement of small files. Not here: what the files say (keys, tokens,
leases, pins, catalog) nor the packs (store/embedded).

Layout: VERSION · lock · head · store.json · log.jsonl · keys/ · records/ · sites/ · leases/ · packs/ · tokens.json ·
pins.json · admin-token · edges.json · services.json · remote/.
Everything is 0700/0600: it holds keys.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from origin.errors import StateError, StoreFailed, StoreFull
from origin.steps import step

VERSION = "1"
FOLDERS = ("keys", "keys/sites", "records", "sites", "leases", "packs", "remote")
NOBODYS = ("lock", "lost+found")  # in an empty folder of ours, or at the top of a fresh disk
RESTORING = ".restoring"  # where a restore builds; while it is there and VERSION is not, the folder is no origin's yet
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class State:
    """An open, locked state folder. The lock lives as long as this object's descriptor, so a killed origin frees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def __enter__(self) -> State:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            self._check_version()
            for name in FOLDERS:
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.path)
            for leftover in self.path.glob("**/*.tmp"):
                leftover.unlink()  # a replacement that was cut short; the old file stands
            shutil.rmtree(self.path / RESTORING, ignore_errors=True)  # of a restore that was killed when it was done
        except StateError:
            self._release()
            raise
        except OSError as error:
            self._release()
            raise StateError(f"state folder {self.path}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        if self._lock >= 0:
            # Closing alone would not do while a child between fork and exec has the descriptor too. The file stays:
            # unlinking it would race a second origin.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = -1

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def _take_lock(self) -> None:
        self._lock = take_lock(self.path)

    def _check_version(self) -> None:
        path = self.path / "VERSION"
        try:
            found = path.read_text("utf-8", errors="replace").strip()
        except FileNotFoundError:
            if (self.path / RESTORING).exists():
                raise StateError(f"a restore into {self.path} was cut short: run `rim origin restore` again") from None
            if any(entry.name not in NOBODYS and entry.suffix != ".tmp" for entry in self.path.iterdir()):
                raise StateError(
                    f"{self.path} is not empty and has no VERSION: choose an empty folder, or an origin's own"
                ) from None
            replace_file(path, f"{VERSION}\n".encode())
            return
        if found != VERSION:
            raise StateError(
                f"state folder {self.path} is of version {found[:20]!r}; this Rim reads version {VERSION}. "
                "Start it with the Rim that wrote it, or choose another folder with --state"
            )


def take_lock(folder: Path) -> int:
    """A descriptor that holds the folder's lock. Raises StateError, naming the process that has it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "?"
        os.close(descriptor)
        raise StateError(f"state folder is in use by process {owner}: {folder}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def replace_file(path: Path, data: bytes, sync: bool = True, what: str = "") -> None:
    """Put these bytes under this name, whole or not at all, durable on return (temporary file, fsync, rename, fsync).

    `what` names it in crash points (else the file's own name does). With sync=False a power loss may bring the old file
    back (a killed process never does): for what can be made again.
    """
    temporary = path.with_name(f"{path.name}.{threading.get_ident()}.tmp")  # two threads may replace the same file
    try:
        _write_new(temporary, data, sync)
        step(f"{what or path.name}: temporary file written")
        os.rename(temporary, path)
        step(f"{what or path.name}: renamed")
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise store_error(error) from error


def sync_folder(path: Path) -> None:
    """Make renames and unlinks in this folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def store_error(error: OSError) -> StoreFull | StoreFailed:
    """An OSError of the disk in the origin's own words."""
    if error.errno in _NO_SPACE:
        return StoreFull("the origin's disk is full: free space or run `rim gc`, then repeat; nothing was half-written")
    return StoreFailed(f"the origin's disk failed: {error.strerror or error}")


def _write_new(path: Path, data: bytes, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
