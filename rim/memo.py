"""What the publisher remembers between runs: hashes of files it has read, encodings it has made, what it found
in pages, builds it has done.

Here lives one SQLite file below the user's state folder. Not here: when a memo may be believed (rim/scan), how an
encoding is made (rim/encode), or what a build was (rim/last).

Everything in it can be made again, so it never fails a publish: a file that is corrupt or of another version is begun
anew, one that cannot be written is replaced by a private one that lasts as long as the run. Encodings are kept whole,
because a new origin may ask for them; those that no publish used for 60 days are dropped.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from content.cid import CID

_VERSION = 3
_KEEP_DAYS = 60
_TRIES = 20  # at opening, while others open or close it
_DAY = 86_400
_SCHEMA = """
CREATE TABLE files
  (path TEXT PRIMARY KEY, size INT, mtime INT, ctime INT, ino INT, cid BLOB, sha256 BLOB) WITHOUT ROWID;
CREATE TABLE dags (cid BLOB PRIMARY KEY, leaves BLOB, inner BLOB) WITHOUT ROWID;
CREATE TABLE encodings (sha256 BLOB, level TEXT, found TEXT, used INT, PRIMARY KEY (sha256, level)) WITHOUT ROWID;
CREATE TABLE blobs (cid BLOB PRIMARY KEY, data BLOB);
CREATE TABLE pages (key BLOB PRIMARY KEY, found TEXT, used INT) WITHOUT ROWID;
CREATE TABLE lasts (id INTEGER PRIMARY KEY, folder TEXT, recipe BLOB, data BLOB, used INT, UNIQUE (folder, recipe));
CREATE TABLE nodes (last INT, cid BLOB, data BLOB, PRIMARY KEY (last, cid));
"""

Stat = tuple[int, int, int, int]  # size, mtime ns, ctime ns, inode


@dataclass(frozen=True, slots=True)
class Known:
    """What was found when a file of this stat was read."""

    stat: Stat
    cid: CID
    sha256: bytes


class Memo:
    """The memo file, opened. One connection behind a lock: threads hash and compress, they hardly ever come here."""

    def __init__(self, folder: Path | None) -> None:
        self._lock = threading.Lock()
        self._db = _open(folder)

    def close(self) -> None:
        with self._lock, suppress(sqlite3.Error):
            self._db.close()

    def files(self, folder: str) -> dict[str, Known]:
        """What is known of the files below this absolute path, by their paths in it."""
        low, cut = folder + "/", len(folder) + 1
        query = "SELECT path, size, mtime, ctime, ino, cid, sha256 FROM files WHERE path >= ? AND path < ?"
        rows = self._read(query, (low, folder + "0"))  # "0" is what follows "/" in ASCII
        return {
            path[cut:]: Known((size, mtime, ctime, ino), CID(cid), sha)
            for path, size, mtime, ctime, ino, cid, sha in rows
        }

    def known(self, folder: str, paths: Iterable[str]) -> dict[str, Known]:
        """What is known of these files: for few of many."""
        query = "SELECT size, mtime, ctime, ino, cid, sha256 FROM files WHERE path = ?"
        found: dict[str, Known] = {}
        for path in paths:
            for size, mtime, ctime, ino, cid, sha in self._read(query, (f"{folder}/{path}",)):
                found[path] = Known((size, mtime, ctime, ino), CID(cid), sha)
        return found

    def learn(self, folder: str, known: Mapping[str, Known], gone: Iterable[str]) -> None:
        """Keep what was found, and forget what is no longer there."""
        with self._write() as db:
            db.executemany("DELETE FROM files WHERE path = ?", ((f"{folder}/{path}",) for path in gone))
            rows = ((f"{folder}/{path}", *k.stat, k.cid, k.sha256) for path, k in known.items())
            db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def dag(self, cid: CID) -> tuple[bytes, bytes] | None:
        """Of a file of many chunks: its leaves' digests in order, and its inner nodes as CAR sections."""
        rows = self._read("SELECT leaves, inner FROM dags WHERE cid = ?", (cid,))
        return rows[0] if rows else None

    def keep_dag(self, cid: CID, leaves: bytes, inner: bytes) -> None:
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO dags VALUES (?, ?, ?)", (cid, leaves, inner))

    def encodings(self, digests: Iterable[bytes], level: str) -> dict[bytes, str]:
        """The encodings already made of these files (by SHA-256) at this level, in the form encode.py writes them."""
        wanted, found, old = list(digests), {}, []
        now = int(time.time())
        for at in range(0, len(wanted), 500):
            part = wanted[at : at + 500]
            marks = ",".join("?" * len(part))
            query = f"SELECT sha256, found, used FROM encodings WHERE level = ? AND sha256 IN ({marks})"  # noqa: S608
            for sha, text, used in self._read(query, (level, *part)):
                found[sha] = text
                if used < now - _DAY:
                    old.append((now, sha, level))
        if old:
            with self._write() as db:
                db.executemany("UPDATE encodings SET used = ? WHERE sha256 = ? AND level = ?", old)
        return found

    def keep_encodings(self, sha256: bytes, level: str, found: str, blobs: Mapping[CID, bytes]) -> None:
        with self._write() as db:
            db.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?)", blobs.items())
            db.execute("INSERT OR REPLACE INTO encodings VALUES (?, ?, ?, ?)", (sha256, level, found, int(time.time())))

    def blob(self, cid: CID) -> bytes | None:
        """The bytes of an encoding."""
        rows = self._read("SELECT data FROM blobs WHERE cid = ?", (cid,))
        return rows[0][0] if rows else None

    def page(self, key: bytes) -> str | None:
        """What was found in a page, in the form that rim/pages writes it."""
        rows = self._read("SELECT found FROM pages WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def keep_pages(self, found: Mapping[bytes, str], used: Iterable[bytes] = ()) -> None:
        """Keep these, and those that were of use again."""
        now = int(time.time())
        with self._write() as db:
            db.executemany("INSERT OR REPLACE INTO pages VALUES (?, ?, ?)", ((k, v, now) for k, v in found.items()))
            old = ((now, key, now - _DAY) for key in used)
            db.executemany("UPDATE pages SET used = ? WHERE key = ? AND used < ?", old)

    def last(self, folder: str, recipe: bytes) -> bytes | None:
        """The last build of this folder by this recipe, as rim/last wrote it."""
        rows = self._read("SELECT data FROM lasts WHERE folder = ? AND recipe = ?", (folder, recipe))
        return rows[0][0] if rows else None

    def node(self, folder: str, recipe: bytes, cid: CID) -> bytes | None:
        """A node of that build's Index."""
        query = "SELECT nodes.data FROM lasts JOIN nodes ON last = id WHERE folder = ? AND recipe = ? AND cid = ?"
        rows = self._read(query, (folder, recipe, cid))
        return rows[0][0] if rows else None

    def keep_last(
        self, folder: str, recipe: bytes, data: bytes, nodes: Mapping[CID, bytes], only: Iterable[CID] | None
    ) -> None:
        """Keep a build and these nodes of its Index; of those kept before `only` these (None: all of them)."""
        now = int(time.time())
        with self._write() as db:
            query = "INSERT INTO lasts (folder, recipe) VALUES (?, ?) ON CONFLICT DO NOTHING"
            db.execute(query, (folder, recipe))
            where = "WHERE folder = ? AND recipe = ?"
            ((last,),) = db.execute(f"SELECT id FROM lasts {where}", (folder, recipe))  # noqa: S608
            db.execute("UPDATE lasts SET data = ?, used = ? WHERE id = ?", (data, now, last))
            if only is not None:
                stay = set(only)
                kept = db.execute("SELECT cid FROM nodes WHERE last = ?", (last,)).fetchall()
                dead = [(last, cid) for (cid,) in kept if cid not in stay]
                db.executemany("DELETE FROM nodes WHERE last = ? AND cid = ?", dead)
            rows = ((last, cid, data) for cid, data in nodes.items())
            db.executemany("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)", rows)

    def prune(self) -> None:
        """Drop encodings and builds that no publish used for 60 days."""
        limit = int(time.time()) - _KEEP_DAYS * _DAY
        if self._read("SELECT 1 FROM lasts WHERE used < ? LIMIT 1", (limit,)):
            with self._write() as db:
                db.execute("DELETE FROM nodes WHERE last IN (SELECT id FROM lasts WHERE used < ?)", (limit,))
                db.execute("DELETE FROM lasts WHERE used < ?", (limit,))
        if self._read("SELECT 1 FROM pages WHERE used < ? LIMIT 1", (limit,)):
            with self._write() as db:
                db.execute("DELETE FROM pages WHERE used < ?", (limit,))
        if not self._read("SELECT 1 FROM encodings WHERE used < ? LIMIT 1", (limit,)):
            return
        with self._write() as db:
            db.execute("DELETE FROM encodings WHERE used < ?", (limit,))
            named = {
                bytes.fromhex(h) for (text,) in db.execute("SELECT found FROM encodings") for h in text.split()[1::3]
            }
            dead = [(cid,) for (cid,) in db.execute("SELECT cid FROM blobs") if cid not in named]
            db.executemany("DELETE FROM blobs WHERE cid = ?", dead)

    def _read(self, query: str, values: tuple[object, ...]) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error:
                return []

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction. A memo that cannot be kept costs time on the next run, never this one."""
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error:
                return


def _open(folder: Path | None) -> sqlite3.Connection:
    """The memo of this folder; a private one, gone with us, where it cannot be had."""
    if folder is not None:
        for attempt in range(_TRIES):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                return _prepare(sqlite3.connect(folder / "memo.sqlite", timeout=30, check_same_thread=False))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    break  # not ours to write, or the disk is full
                time.sleep(0.02 * (attempt + 1))  # the switch to WAL, and its end, wait for nobody
            except sqlite3.DatabaseError:
                for name in folder.glob("memo.sqlite*"):
                    name.unlink(missing_ok=True)
            except OSError:
                break
    return _prepare(sqlite3.connect("", check_same_thread=False))


def _prepare(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        if db.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")  # no fsync per commit: a memo lost in a power cut is made again
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            _create(db)
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"memo of version {version}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _create(db: sqlite3.Connection) -> None:
    """The tables, once, even if two first publishes start together."""
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("COMMIT")
