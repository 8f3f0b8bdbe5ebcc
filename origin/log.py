"""Log: one line for every commit, append-only, each holding the hash of the line before it.

Here lives log.jsonl: appending (durable before the Head is replaced, so no acknowledged commit lacks its line), cutting
at start what was never acknowledged, reading from the end, and the check of the chain. Not here: what a commit does
(origin/changes), or who may read of which site (origin/api/log).

A line: sequence, time, site, action, detail, author, message, token (its name), before (SHA-256 of the line before).
A line that is taken out or changed breaks the chain, and `rim origin fsck` says where. Commits that come together have
one sequence and one line each. The file is never rewritten and never held in memory; it grows by some 400 bytes a
commit.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from origin.errors import StateError
from origin.state import replace_file, store_error
from origin.steps import step

FIRST = "0" * 64  # what the first line has as the hash of the one before
_CHUNK = 64 * 1024  # of one read from the end

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class By:
    """Who made a change: author and message as the client gave them, and the name of its token."""

    author: str = ""
    message: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one change did. `site` is empty where it is the whole origin's; `detail` is JSON."""

    site: str
    action: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    by: By = By()

    def to_row(self) -> Row:
        return {
            "site": self.site,
            "action": self.action,
            "detail": dict(self.detail),
            "author": self.by.author,
            "message": self.by.message,
            "token": self.by.token,
        }


class Log:
    """The log of one origin. One writer (origin/catalog); anyone may read, in a thread."""

    def __init__(self, path: Path, head: int, now: float) -> None:
        """Open it, as of a Head of this sequence: lines above it, and a torn last one, were never acknowledged."""
        self._path = path
        try:
            self._end, last = acknowledged(path, head)
            if last is None:  # a new origin, or one whose Rim kept no log yet
                first = _line(Entry("", "begin").to_row(), head, now, FIRST)
                replace_file(path, first + b"\n")
                self._end, last = len(first) + 1, first
            elif path.stat().st_size > self._end:
                _cut(path, self._end)
        except OSError as error:
            raise StateError(f"{path} cannot be read: {error}") from error
        self._hash = sha256(last).hexdigest()
        self._before = self._end, self._hash

    def __repr__(self) -> str:
        return f"<Log {self._end:,} bytes>"

    def append(self, entries: Iterable[Entry], sequence: int, now: float) -> None:
        """Durable on return. Raises StoreFull, StoreFailed; then no line of these is left."""
        self._before = self._end, self._hash
        data, before = bytearray(), self._hash
        for entry in entries:
            line = _line(entry.to_row(), sequence, now, before)
            before = sha256(line).hexdigest()
            data += line + b"\n"
        try:
            _write(self._path, self._end, data)
        except OSError as error:
            self.take_back()
            raise store_error(error) from error
        self._end, self._hash = self._end + len(data), before
        step("log synced")

    def take_back(self) -> None:
        """The last `append` is not to be: its Head could not be written."""
        self._end, self._hash = self._before
        with suppress(OSError):  # the next append, and every start, cut it too
            _cut(self._path, self._end)

    def read(self, wanted: Callable[[Row], bool], head: int, limit: int, since: int | None = None) -> list[Row]:
        """Lines up to this Head, newest last: the newest so many; with `since` the first so many above that sequence
        (and those that share the last one's), so that one can go on from there."""
        found: deque[Row] = deque()
        for line in _backwards(self._path, self._end):
            row: Row = json.loads(line)
            if row["sequence"] <= (since or 0) or (since is None and len(found) >= limit):
                break
            if row["sequence"] > head or not wanted(row):
                continue
            del row["before"]
            found.appendleft(row)
            while len(found) > limit and found[limit - 1]["sequence"] != found[-1]["sequence"]:
                found.pop()
        return list(found)


def broken(path: Path, head: int) -> Iterator[str]:
    """What is wrong with the chain, as sentences: a line that was changed, one that is gone, an end before the Head."""
    before, sequence, number = FIRST, 0, 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            row = _parsed(line.rstrip(b"\n"))
            if row is None:
                yield f"{path.name}, line {number}: not a line of the log"
                continue
            if row.get("before") != before:
                yield f"{path.name}, line {number}: the line before it is not the one it was written after"
            if row["sequence"] < sequence:
                yield f"{path.name}, line {number}: its sequence goes back"
            before, sequence = sha256(line.rstrip(b"\n")).hexdigest(), row["sequence"]
    if sequence < head:
        yield f"{path.name} ends at {sequence}, and the Head is at {head}: its last lines were taken out"


def acknowledged(path: Path, head: int) -> tuple[int, bytes | None]:
    """Where the lines end that were acknowledged, and the last of them."""
    try:
        end = _after_last_line(path)
    except FileNotFoundError:
        return 0, None
    for line in _backwards(path, end):
        row = _parsed(line)
        if row is not None and row["sequence"] <= head:
            return end, line
        end -= len(line) + 1
    return 0, None


def _after_last_line(path: Path) -> int:
    with open(path, "rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at:
            start = max(0, at - _CHUNK)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            at = start
    return 0


def _backwards(path: Path, end: int) -> Iterator[bytes]:
    """The lines before `end`, which is the end of one, newest first, without their line ends."""
    with open(path, "rb") as file:
        at, rest = max(0, end - 1), b""
        while at > 0:
            size = min(_CHUNK, at)
            at -= size
            file.seek(at)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
        if rest:
            yield rest


def _line(row: Row, sequence: int, now: float, before: str) -> bytes:
    whole = {"sequence": sequence, "time": round(now, 3), **row, "before": before}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _parsed(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("sequence"), int) else None


def _write(path: Path, at: int, data: bytearray) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, at)
        os.lseek(descriptor, at, os.SEEK_SET)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        step("log lines written")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cut(path: Path, end: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    step("log cut")
