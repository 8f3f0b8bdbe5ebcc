"""Shelf: block files and their index, as plain blocking calls. The lower half of the disk tier.

Here live the names of files, writing and reading one, and the only contact with diskcache (our `Disk` subclass).
Not here: threads, budgets, recency, what is counted (edge/cache/disk).

The files are the truth and the index is a help: it makes a start quick and remembers which blocks were used last. So
it may be lost, locked or wrong at any time: names and sizes are walked, and bytes are hashed whenever they are read.

Of diskcache we use the table and its transactions, never its pickle (CVE-2025-69872), its way of writing (in place, no
rename), its eviction (an UPDATE on every read), nor its deleting: `set`, `add` and a lock Timeout all call
`Disk.remove` on the very name that was just written, which with content-named files is the live one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import diskcache
from diskcache.core import MODE_BINARY

from content.limits import BLOCK_ACCEPTED, MiB
from edge.cache.steps import step

T = TypeVar("T")

DATABASE = "cache.db"
TEMPORARY = "tmp"
DOOMED = "doomed"
MIN_FREE = 512 * MiB
MIN_FREE_SHARE = 100
PREFIXES = tuple(f"{number:02x}" for number in range(256))
INDEX_ERRORS = (sqlite3.Error, diskcache.Timeout)
_LOCK_PATIENCE = 0.1  # s waited for another process that holds the index; then we live without it for a while
_BROKEN = (sqlite3.Error, diskcache.Timeout, TypeError, ValueError, KeyError, AttributeError)
# SQLite's result codes for trouble that passes by itself, and says nothing about the rows.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
}
_SHA2_256 = b"\x12\x20"
_KEY_BYTES = 35  # room, and a multihash of sha2-256


def name_of(key: bytes) -> str:
    """`ab/b1220ab…`: the first byte of the digest, the room (b content, c control), the multihash in hex."""
    multihash = key[1:]
    if key[:1] not in (b"b", b"c") or len(multihash) != 34 or multihash[:2] != _SHA2_256:
        raise ValueError(f"{key!r} is not the key of a block that is kept on disk")
    text = multihash.hex()
    return f"{text[4:6]}/{chr(key[0])}{text}"


def key_of(name: str) -> bytes | None:
    """The key of a file's name (without folder); None for a name that is not ours."""
    try:
        key = name[:1].encode("ascii") + bytes.fromhex(name[1:])
        return key if name_of(key).endswith(name) else None
    except ValueError:
        return None


class BlockFiles(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """diskcache's storage seam, narrowed: bytes keys, bytes values, files named by content, nothing deleted."""

    def __init__(self, directory: str, temporary: Path | None = None, **settings: Any) -> None:
        super().__init__(directory, **settings)
        self._folder = Path(directory)
        self._temporary = temporary or self._folder / TEMPORARY

    def put(self, key: Any) -> tuple[Any, bool]:
        if type(key) is not bytes:
            raise TypeError("the key of a block is bytes")
        return sqlite3.Binary(key), True

    def get(self, key: Any, raw: bool) -> bytes:
        if not raw:
            raise TypeError("this index holds no pickled keys")
        return bytes(key)

    def filename(self, key: Any = diskcache.UNKNOWN, value: Any = diskcache.UNKNOWN) -> tuple[str, str]:
        name = name_of(key)
        return name, str(self._folder / name)

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> tuple[int, int, str, None]:
        """Write the file, whole or not at all. A file of that name and size is taken for it: reading proves it."""
        if type(value) is not bytes or read:
            raise TypeError("the value of a block is bytes")
        name, path = self.filename(key)
        if _size(path) != len(value):
            _write_whole(self._temporary, path, value)
        return len(value), MODE_BINARY, name, None

    def fetch(self, mode: int, filename: str, value: Any, read: bool) -> bytes | BinaryIO:
        if mode != MODE_BINARY or read:
            raise TypeError("this index knows files of bytes only, never MODE_PICKLE")
        return read_file(self._folder / filename)

    def remove(self, file_path: str) -> None:
        """Do nothing: see the head of this file. `Shelf.remove` unlinks, after the row is gone."""


def read_file(path: Path, since: int = 0) -> bytes:
    """A file's bytes, in memory of our own, never a mapping: what is verified there can change under the proof.

    Raises OSError; FileNotFoundError also for a file not written since (ns of the wall clock).
    """
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if status.st_mtime_ns <= since:
            raise FileNotFoundError(path)
        size = status.st_size
        data = file.read(min(size, BLOCK_ACCEPTED) + 1) or b""
        while len(data) < size <= BLOCK_ACCEPTED and (more := file.read(size - len(data))):
            data += more
        return data


class Shelf:
    """The folder of one node's blocks. Writing calls come from one thread; `read` from any.

    What one process alone writes (the index, the list of the doomed, files half-written) lies in a folder `index` below
    it where several share it, else right here.
    """

    def __init__(self, folder: Path, index: str = "") -> None:
        self.folder = folder
        self.own = folder / index
        self._index: Any = None
        self._files = BlockFiles(str(folder), self.own / TEMPORARY)

    # Reading: by name, never through the index, so nobody who holds a lock there can hold up a hit.

    def read(self, key: bytes, since: int = 0) -> bytes | None:
        """The bytes that lie under this key's name, unproved; None when there are none, or none written since (ns of
        the wall clock). Raises OSError."""
        try:
            return read_file(self.folder / name_of(key), since)
        except FileNotFoundError:
            return None

    # Writing.

    def spare(self, min_free: int | None) -> int:
        """Bytes that the filesystem has above those to be left free (None: MIN_FREE, or a MIN_FREE_SHARE of it all,
        whichever is less); below 0 when it has too little. Raises OSError."""
        status = os.statvfs(self.folder)
        if min_free is None:
            min_free = min(MIN_FREE, status.f_blocks * status.f_frsize // MIN_FREE_SHARE)
        return status.f_bavail * status.f_frsize - min_free

    def prepare(self) -> None:
        """Make the folder and sweep what writers left when they died. Raises OSError."""
        (self.own / TEMPORARY).mkdir(parents=True, exist_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Unlink files half-written in another life. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            for leftover in os.scandir(self.own / TEMPORARY):
                os.unlink(leftover.path)

    def store(self, items: Sequence[tuple[bytes, bytes]]) -> list[Exception | None]:
        """Write blocks and their rows; per block None or what went wrong with its *file*. Raises INDEX_ERRORS: then
        all files that could be written are, without rows."""
        results: list[Exception | None] = []
        with self._transaction() as index:
            for key, data in items:
                try:
                    if index is None:
                        self._files.store(data, False, key)
                    else:
                        index.set(key, data)
                        step("row")
                    results.append(None)
                except OSError as error:
                    results.append(error)
        step("committed")
        return results

    def store_files(self, items: Sequence[tuple[bytes, bytes]]) -> list[Exception | None]:
        """Write blocks without rows: what is left of `store` when the index is sick."""
        results: list[Exception | None] = []
        for key, data in items:
            try:
                self._files.store(data, False, key)
                results.append(None)
            except OSError as error:
                results.append(error)
        return results

    def remove(self, keys: Sequence[bytes]) -> list[bytes]:
        """Forget rows, then unlink their files: a crash between leaves a file, which the next walk finds again.
        Returns the keys whose files are still there. Raises INDEX_ERRORS, when the files are gone."""
        stuck: list[bytes] = []
        try:
            with self._transaction() as index:
                for key in keys if index is not None else ():
                    index.delete(key)
            step("unrowed")
        finally:
            for key in keys:
                try:
                    os.unlink(self.folder / name_of(key))
                    step("unlinked")
                except (FileNotFoundError, NotADirectoryError):
                    pass
                except OSError:
                    stuck.append(key)
        return stuck

    # What is to go, written down before it went.

    def doom(self, keys: Sequence[bytes]) -> None:
        """Add these keys to the list of what is to go; durable on return. Raises OSError."""
        self.own.mkdir(parents=True, exist_ok=True)
        with open(self.own / DOOMED, "ab", buffering=0) as file:
            file.write(b"".join(keys))
            os.fsync(file.fileno())
        step("doomed")

    def doomed(self) -> list[bytes]:
        """The keys on the list. One cut short by a power cut was never acknowledged, and stands at the end."""
        return _listed(self.own / DOOMED)

    def doomed_by_others(self) -> dict[bytes, int]:
        """The keys on the lists of other processes of the folder, and when (ns) such a list was last written."""
        found: dict[bytes, int] = {}
        with contextlib.suppress(OSError):
            for path in (self.folder / DOOMED, *self.folder.glob(f"*/{DOOMED}")):
                if path.parent != self.own and (keys := _listed(path)):
                    found.update(dict.fromkeys(keys, path.stat().st_mtime_ns))
        return found

    def end_doom(self) -> None:
        """Nothing on the list is there any more. Raises OSError."""
        (self.own / DOOMED).unlink(missing_ok=True)

    # The index.

    @property
    def has_index(self) -> bool:
        return self._index is not None

    def open_index(self) -> str:
        """Open the index, or make a new one: "kept", "new", or "rebuilt" (there was one, and it is broken).

        Raises INDEX_ERRORS or OSError when it can be neither opened nor replaced now (locked, disk full).
        """
        self.close()
        self.own.mkdir(parents=True, exist_ok=True)
        found = "new" if not (self.own / DATABASE).exists() else "kept" if self._looks_sound() else "rebuilt"
        if found != "kept":
            self.discard_index()
        try:
            self._index = _open(self.own, self._files)
        except _BROKEN as error:
            if found != "kept" or _is_passing(error):
                raise
            self.discard_index()  # sound as SQLite sees it, but not what diskcache once wrote
            self._index = _open(self.own, self._files)
            found = "rebuilt"
        return found

    def discard_index(self) -> None:
        """Close and delete the index. The blocks stay."""
        self.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.own / (DATABASE + suffix))

    def rows(self, slice_of: int) -> Iterator[list[tuple[bytes, int, int]]]:
        """(key, size, uses) of all rows, last used first, in slices. Rows that make no sense are left out."""
        cursor = self._index._sql(
            "SELECT key, size, access_count FROM Cache WHERE raw = 1 ORDER BY access_time DESC, rowid DESC"
        )
        while page := cursor.fetchmany(slice_of):
            yield [(bytes(key), size, _uses(count)) for key, size, count in page if _makes_sense(key, size)]

    def touch(self, used: Iterable[tuple[bytes, int]]) -> None:
        """Write down that these were used, so often each, in this order, all later than every row before."""
        if self._index is None:
            return
        now = time.time()
        with self._transaction() as index:
            for number, (key, uses) in enumerate(used):
                index._sql(
                    "UPDATE Cache SET access_time = ?, access_count = ? WHERE key = ? AND raw = 1",
                    (now + number * 1e-6, uses, key),
                )

    def close(self) -> None:
        """Let go of the index (SQLite checkpoints its log as the last connection closes)."""
        index, self._index = self._index, None
        if index is not None:
            with contextlib.suppress(*_BROKEN):
                index.close()

    def _looks_sound(self) -> bool:
        """SQLite's own quick check, and that nobody holds the lock: diskcache would wait a minute for it."""
        with contextlib.closing(
            sqlite3.connect(self.own / DATABASE, timeout=_LOCK_PATIENCE, isolation_level=None)
        ) as connection:
            try:
                connection.execute("PRAGMA mmap_size = 0")
                connection.execute("BEGIN IMMEDIATE")
                sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
                connection.execute("ROLLBACK")
                return bool(sound)
            except sqlite3.Error as error:
                if _is_passing(error):
                    raise
                return False

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Any]:
        if self._index is None:
            yield None
            return
        with self._index.transact():
            yield self._index

    # The walk that needs no index.

    def walk(
        self, prefix: str, known: frozenset[bytes], owns: Callable[[bytes], bool] | None = None
    ) -> tuple[list[tuple[bytes, int]], list[bytes]]:
        """One folder: the blocks of ours that lie in it with their sizes, and the keys thought to be there that are
        not."""
        found: dict[bytes, int] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder / prefix) as entries:
            for entry in entries:
                if (key := key_of(entry.name)) is not None and (owns is None or owns(key)):
                    with contextlib.suppress(FileNotFoundError):
                        found[key] = entry.stat(follow_symlinks=False).st_size
        return list(found.items()), [key for key in known if key not in found]

    def add_rows(self, items: Sequence[tuple[bytes, int]]) -> None:
        """Write rows for files that already lie there, as used longest ago of all."""
        with self._transaction() as index:
            for key, size in items if index is not None else ():
                index._sql(
                    "INSERT INTO Cache (key, raw, store_time, access_time, size, mode, filename)"
                    " VALUES (?, 1, 0, 0, ?, ?, ?) ON CONFLICT (key, raw) DO UPDATE SET size = excluded.size",
                    (key, size, MODE_BINARY, name_of(key)),
                )

    def drop_rows(self, keys: Sequence[bytes]) -> None:
        """Forget rows whose files are gone."""
        with self._transaction() as index:
            for key in keys if index is not None else ():
                index.delete(key)


def retire_indexes(folder: Path, kept: Sequence[str]) -> None:
    """Before the processes of a folder start: end what indexes of another number of them leave behind. Raises OSError.

    The blocks stay, but for those on a list of the doomed; when each was used last is forgotten.
    """
    with contextlib.suppress(FileNotFoundError):
        for entry in [folder, *folder.iterdir()]:
            index = "" if entry == folder else entry.name
            if index in kept or index in PREFIXES or index == TEMPORARY or not entry.is_dir():
                continue
            shelf = Shelf(folder, index)
            shelf.sweep()
            if keys := shelf.doomed():
                shelf.remove(keys)
            shelf.end_doom()
            shelf.discard_index()
            for leftover in (entry / TEMPORARY, entry) if index else ():
                with contextlib.suppress(OSError):
                    leftover.rmdir()  # only when it is empty: a stranger's folder is not ours to take


def _listed(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except OSError:
        return []
    return [data[at : at + _KEY_BYTES] for at in range(0, len(data) - _KEY_BYTES + 1, _KEY_BYTES)]


def _open(folder: Path, files: BlockFiles) -> Any:
    cache = diskcache.Cache.__new__(diskcache.Cache)  # so that a failed __init__ leaves something to close
    try:
        cache.__init__(
            str(folder),
            timeout=_LOCK_PATIENCE,
            disk=BlockFiles,
            disk_min_file_size=0,
            eviction_policy="none",
            cull_limit=0,
            size_limit=2**62,
            statistics=0,
            tag_index=0,
            sqlite_mmap_size=0,
            sqlite_cache_size=2_048,
        )
    except BaseException:
        cache.close()
        raise
    cache._disk = files  # diskcache would have them lie where the index does
    return cache


def _is_passing(error: Exception) -> bool:
    return isinstance(error, diskcache.Timeout) or (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _PASSING


def _makes_sense(key: Any, size: Any) -> bool:
    if type(key) is not bytes or type(size) is not int or not 0 <= size <= 2 * BLOCK_ACCEPTED + MiB:
        return False
    try:
        return bool(name_of(key))
    except ValueError:
        return False


def _uses(count: Any) -> int:
    return count if type(count) is int and 0 < count < 256 else 0


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1


def _write_whole(beside: Path, path: str, data: bytes) -> None:
    """Write beside, then rename: under its name a block is whole or absent, whenever the process dies.

    No fsync: after a power cut a file may be short or empty, and is found out when it is read. Waiting for the disk on
    every block of a cache would buy nothing that the hash does not give.
    """
    temporary = str(beside / f"{os.path.basename(path)}.{os.getpid()}")
    try:
        with _in_its_folder(temporary, lambda: open(temporary, "wb", buffering=0)) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        step("written")
        _in_its_folder(path, lambda: os.rename(temporary, path))
        step("renamed")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _in_its_folder(path: str, act: Callable[[], T]) -> T:
    """Do something that needs the folder of this path; make the folder when it turns out to be missing."""
    try:
        return act()
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return act()
