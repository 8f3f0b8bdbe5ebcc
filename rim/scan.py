"""The folder as it is: walked, filtered, hashed; every file read whole and unchanged, or an error that names it.

Here lives what a folder must survive to be published, and when a memo is believed. Not here: which names are left out
(rim/ignore), how one file is read (rim/reading), the memo's storage (rim/memo), or encodings (rim/encode).

A file is known by (size, mtime, ctime, inode), as in git's index. And as in git ("racy git") a file that was younger
than 2 s when it was read is read again next time: it may have changed again within one tick of the clock.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from content.cid import CID
from content.limits import NAME_BYTES, PATH_BYTES, RELEASE_ENTRIES, check
from rim.crew import Crew, cores
from rim.exits import Failed, Refused, Usage
from rim.ignore import Filter, is_secret
from rim.memo import Known, Memo, Stat
from rim.output import Advance
from rim.reading import Changed, Reading, read, stat_key
from rim.steps import step

_BATCH = 64  # files a thread takes at once: handing them out one by one costs more than hashing them
_BATCH_BYTES = 8 << 20
_NAMED = 5  # how many of many a message names


@dataclass(frozen=True, slots=True)
class File:
    """One file to publish. `path` is relative to the folder, posix; `stat` is what it was known by when read."""

    path: str
    stat: Stat
    cid: CID
    sha256: bytes

    @property
    def size(self) -> int:
        return self.stat[0]


@dataclass(slots=True)
class Scan:
    """The whole folder."""

    folder: str  # absolute
    files: list[File] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)  # path → target
    dirs: list[str] = field(default_factory=list)
    hashed: int = 0  # files read in this run

    @property
    def size(self) -> int:
        return sum(file.stat[0] for file in self.files)


def scan(folder: str, accept: Filter, memo: Memo, bar: Callable[[int], Advance]) -> Scan:
    """Walk and hash. If a file changes or vanishes meanwhile all is looked at once more, then it is Failed."""
    fresh: dict[str, Known] = {}
    try:
        return _scan(folder, accept, memo, fresh, bar)
    except Changed:
        pass
    try:
        return _scan(folder, accept, memo, fresh, bar)
    except Changed as error:
        raise twice(error) from error


def twice(error: Changed) -> Failed:
    """What a file that is still moving at the second try ends in."""
    return Failed(
        f"{error.path} {error.what} while it was read, twice",
        "publish again when nothing writes to the folder, or publish a copy of it",
    )


def _scan(folder: str, accept: Filter, memo: Memo, fresh: dict[str, Known], bar: Callable[[int], Advance]) -> Scan:
    """One try. `fresh` outlives it: what this run has read itself it believes however young it is."""
    result = Scan(folder)
    found = walk(folder, accept, result)
    step("scan.walked")
    known = memo.files(folder)
    gone = known.keys() - found.keys()
    known |= fresh
    todo = {path: stat for path, stat in found.items() if path not in known or known[path].stat != stat}
    if todo:
        settled = _hash(folder, todo, memo, fresh, bar(sum(stat[0] for stat in todo.values())))
        memo.learn(folder, settled, gone)
        known |= fresh
    elif gone:
        memo.learn(folder, {}, gone)
    result.hashed = len(todo)
    for path in found:
        it = known[path]
        result.files.append(File(path, it.stat, it.cid, it.sha256))
    step("scan.done")
    return result


def _hash(
    folder: str, todo: dict[str, Stat], memo: Memo, fresh: dict[str, Known], advance: Advance
) -> dict[str, Known]:
    """Read these files; all go to `fresh`, those old enough to be believed next time are returned."""
    crew, settled = Crew(cores()), dict[str, Known]()

    def job(batch: list[str]) -> list[tuple[str, Reading]]:
        return [(path, read(folder, path, crew, advance)) for path in batch]

    for done in crew.run(job, _batches(todo)):
        for path, reading in done:
            fresh[path] = reading.known
            if not reading.young:
                settled[path] = reading.known
            if reading.leaves:
                memo.keep_dag(reading.known.cid, reading.leaves, reading.inner)
    return settled


def _batches(todo: dict[str, Stat]) -> Iterator[list[str]]:
    batch: list[str] = []
    weight = 0
    for path, stat in todo.items():
        batch.append(path)
        weight += stat[0]
        if len(batch) == _BATCH or weight > _BATCH_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def walk(folder: str, accept: Filter, into: Scan) -> dict[str, Stat]:
    """Every file to publish and its stat; links and folders go into `into`. Raises Usage, Refused or Changed."""
    files: dict[str, Stat] = {}
    secrets: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        for entry in _list(folder, prefix):
            path = _check_name(prefix, entry.name)
            kind, is_folder = _stat(entry, path)
            if accept.ignored(path, is_folder):
                continue
            if is_folder:
                into.dirs.append(path)
                pending.append(path + "/")
                continue
            if accept.secrets and is_secret(entry.name):
                secrets.append(path)
            if modes.S_ISLNK(kind.st_mode):
                into.links[path] = _target(entry.path, path)
            elif modes.S_ISREG(kind.st_mode):
                files[path] = stat_key(kind)
            else:
                raise Usage(f"{path} is no file, folder or link", f"remove it, or name it in {folder}/.rimignore")
    if secrets:
        raise _secrets_found(sorted(secrets))
    check("entries of a release", len(files) + len(into.links), RELEASE_ENTRIES)
    return files


def _list(folder: str, prefix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{folder}/{prefix}") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not prefix:
            raise Usage(f"there is no folder {folder}", "name the folder that holds the site's files") from error
        raise Changed(prefix.rstrip("/"), "vanished") from error
    except OSError as error:
        raise unreadable(prefix or folder, error) from error


def _stat(entry: os.DirEntry[str], path: str) -> tuple[os.stat_result, bool]:
    try:
        return entry.stat(follow_symlinks=False), entry.is_dir(follow_symlinks=False)
    except FileNotFoundError as error:
        raise Changed(path, "vanished") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _target(full: str, path: str) -> str:
    try:
        target = os.readlink(full)
        target.encode()
    except UnicodeEncodeError as error:
        raise Usage(f"the target of the link {path} is not UTF-8", "make the link again with a UTF-8 target") from error
    except OSError as error:
        raise Changed(path, "vanished") from error
    return target


def _check_name(prefix: str, name: str) -> str:
    path = prefix + name
    try:
        check("bytes of a name", len(name.encode()), NAME_BYTES)
        check("bytes of a path", len(path.encode()) + 1, PATH_BYTES)
    except UnicodeEncodeError as error:
        shown = path.encode(errors="surrogateescape")
        raise Usage(f"the name {shown!r} is not UTF-8", "rename it; URLs and IPFS paths are UTF-8") from error
    return path


def unreadable(path: str, error: OSError) -> Usage:
    return Usage(f"{path} cannot be read: {error.strerror or error}", "make it readable, or name it in .rimignore")


def _secrets_found(paths: list[str]) -> Refused:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return Refused(
        f"these look like secrets: {', '.join(paths[:_NAMED])}{more}",
        "move them out of the folder, name them in .rimignore, or publish them with --allow-secret",
    )
