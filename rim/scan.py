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
from hashlib import sha256
from struct import pack

from content.cid import CID
from content.limits import NAME_BYTES, PATH_BYTES, RELEASE_ENTRIES, check
from rim.crew import Crew, cores
from rim.exits import Failed, Refused, Usage
from rim.ignore import Filter, is_secret
from rim.last import Kept, Last
from rim.memo import Known, Memo, Stat
from rim.output import Advance
from rim.reading import Changed, Reading, is_young, read, stat_key
from rim.steps import step

_BATCH = 64  # files a thread takes at once: handing them out one by one costs more than hashing them
_BATCH_BYTES = 8 << 20
_NAMED = 5  # how many of many a message names


@dataclass(frozen=True, slots=True)
class File:
    """One file to publish. `path` is relative to the folder, posix; `stat` is what it was known by when read.

    `edits` are bytes to insert into it (rim/pages/edits); then CID, SHA-256 and size are those of the result, and
    `plain` is the CID of what lies in the folder.
    """

    path: str
    stat: Stat
    cid: CID
    sha256: bytes
    edits: tuple[tuple[int, bytes], ...] = ()
    plain: CID | None = None

    @property
    def size(self) -> int:
        return self.stat[0] + sum(len(insertion) for _, insertion in self.edits) if self.edits else self.stat[0]


@dataclass(slots=True)
class Scan:
    """The folder: all of it, or, beside the last build, what of it was looked at closely.

    Prefixes name folders: "" the top, "a/b/" others. `files`, `links`, `dirs` and `closely` leave out the folders that
    are as they were in `last`; `prints` has all.
    """

    folder: str  # absolute
    files: list[File] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)  # path → target
    dirs: list[str] = field(default_factory=list)
    hashed: int = 0  # files read in this run
    last: Last | None = None
    prints: dict[str, bytes] = field(default_factory=dict)
    closely: dict[str, list[str]] = field(default_factory=dict)  # prefix → the names of its folders
    young: set[str] = field(default_factory=set)  # prefixes of folders that hold something to be read again next time

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to publish."""
        return not self.files and not self.links and not any(kept.names for kept in self.untouched().values())

    def untouched(self) -> dict[str, Kept]:
        """The folders that are as they were in the last build, and all below them."""
        if self.last is None:
            return {}
        return {
            prefix: kept
            for prefix, kept in self.last.dirs.items()
            if prefix in self.prints and prefix not in self.closely
        }

    def gone(self) -> list[str]:
        """Paths of the last build that are no longer there."""
        if self.last is None:
            return []
        here = {file.path for file in self.files} | self.links.keys()
        return [
            prefix + name
            for prefix, kept in self.last.dirs.items()
            if prefix in self.closely or prefix not in self.prints
            for name in kept.names
            if prefix + name not in here
        ]


def scan(folder: str, accept: Filter, memo: Memo, bar: Callable[[int], Advance], last: Last | None = None) -> Scan:
    """Walk and hash. If a file changes or vanishes meanwhile all is looked at once more, then it is Failed.

    What is as it was in the last build is not looked at closely, nor listed in the result.
    """
    fresh = _Fresh()
    try:
        return _scan(Scan(folder, last=last), accept, memo, fresh, bar)
    except Changed:
        pass
    try:
        return _scan(Scan(folder, last=last), accept, memo, fresh, bar)
    except Changed as error:
        raise twice(error) from error


def twice(error: Changed) -> Failed:
    """What a file that is still moving at the second try ends in."""
    return Failed(
        f"{error.path} {error.what} while it was read, twice",
        "publish again when nothing writes to the folder, or publish a copy of it",
    )


@dataclass(slots=True)
class _Fresh:
    """What this run has read itself: it believes that however young it is."""

    known: dict[str, Known] = field(default_factory=dict)
    young: set[str] = field(default_factory=set)


def _scan(result: Scan, accept: Filter, memo: Memo, fresh: _Fresh, bar: Callable[[int], Advance]) -> Scan:
    """One try; `fresh` outlives it."""
    folder = result.folder
    found = walk(folder, accept, result)
    step("scan.walked")
    known = memo.files(folder) if result.last is None else memo.known(folder, found)
    gone = known.keys() - found.keys()
    known |= fresh.known
    todo = {path: stat for path, stat in found.items() if path not in known or known[path].stat != stat}
    settled = _hash(folder, todo, memo, fresh, bar(sum(stat[0] for stat in todo.values()))) if todo else {}
    known |= fresh.known
    for path in found:
        it = known[path]
        result.files.append(File(path, it.stat, it.cid, it.sha256))
    gone |= set(result.gone())
    if settled or gone:
        memo.learn(folder, settled, gone)
    result.hashed = len(todo)
    result.young |= {prefix_of(path) for path in fresh.young & found.keys()}
    step("scan.done")
    return result


def _hash(folder: str, todo: dict[str, Stat], memo: Memo, fresh: _Fresh, advance: Advance) -> dict[str, Known]:
    """Read these files; all go to `fresh`, those old enough to be believed next time are returned."""
    crew, settled = Crew(cores()), dict[str, Known]()

    def job(batch: list[str]) -> list[tuple[str, Reading]]:
        return [(path, read(folder, path, crew, advance)) for path in batch]

    for done in crew.run(job, _batches(todo)):
        for path, reading in done:
            fresh.known[path] = reading.known
            fresh.young.discard(path)
            if reading.young:
                fresh.young.add(path)
            else:
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
    """Every file to publish and its stat; links and folders go into `into`. Raises Usage, Refused or Changed.

    Beside a last build only folders that are not as they were, and those above them, whose nodes change too.
    """
    files: dict[str, Stat] = {}
    secrets: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        listing = _list(folder, prefix, accept)
        into.prints[prefix] = listing.print
        pending += [f"{prefix}{name}/" for name in listing.folders]
        kept = into.last.dirs.get(prefix) if into.last else None
        if kept is None or kept.print != listing.print:
            _closely(listing, accept, into, files, secrets)
    if into.last is not None:
        above = {folder for prefix in into.closely for folder in _above(prefix)}
        for prefix in sorted(above - into.closely.keys()):
            listing = _list(folder, prefix, accept)
            if listing.print != into.prints[prefix]:
                raise Changed(prefix)
            _closely(listing, accept, into, files, secrets)
    if secrets:
        raise _secrets_found(sorted(secrets))
    untouched = sum(len(kept.names) for kept in into.untouched().values())
    check("entries of a release", len(files) + len(into.links) + untouched, RELEASE_ENTRIES)
    return files


@dataclass(slots=True)
class _Listing:
    """What lies in one folder, as it is told apart from what lay there before."""

    prefix: str
    print: bytes
    folders: list[str]
    others: list[tuple[str, os.stat_result]]


def _list(folder: str, prefix: str, accept: Filter) -> _Listing:
    """The hot loop of a publish that changes little: all that it does for each of a hundred thousand files."""
    folders: list[str] = []
    others: list[tuple[str, os.stat_result]] = []
    numbers: list[int] = []  # signed: a file may be older than 1970
    inodes: list[int] = []
    try:
        with os.scandir(f"{folder}/{prefix}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    path = _check_name(prefix, entry.name)
                    if not accept.ignored(path, True):
                        folders.append(entry.name)
                    continue
                info = entry.stat(follow_symlinks=False)
                others.append((entry.name, info))
                numbers += (info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
                inodes.append(info.st_ino)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not prefix:
            raise Usage(f"there is no folder {folder}", "name the folder that holds the site's files") from error
        raise Changed(prefix.rstrip("/"), "vanished") from error
    except OSError as error:
        raise unreadable(prefix or folder, error) from error
    names = "/".join([*folders, "", *(name for name, _ in others)])
    digest = sha256(names.encode(errors="surrogateescape"))
    digest.update(pack(f"{len(numbers)}q{len(inodes)}Q", *numbers, *inodes))
    return _Listing(prefix, digest.digest(), folders, others)


def _closely(listing: _Listing, accept: Filter, into: Scan, files: dict[str, Stat], secrets: list[str]) -> None:
    """Take in the files and links of one folder."""
    prefix = listing.prefix
    into.closely[prefix] = listing.folders
    into.dirs += [prefix + name for name in listing.folders]
    for name, info in listing.others:
        path = _check_name(prefix, name)
        if accept.ignored(path, False):
            continue
        if accept.secrets and is_secret(name):
            secrets.append(path)
        if modes.S_ISLNK(info.st_mode):
            into.links[path] = _target(f"{into.folder}/{path}", path)
            if is_young(info):
                into.young.add(prefix)
        elif modes.S_ISREG(info.st_mode):
            files[path] = stat_key(info)
        else:
            raise Usage(f"{path} is no file, folder or link", f"remove it, or name it in {into.folder}/.rimignore")


def prefix_of(path: str) -> str:
    """The folder of a path, as a prefix."""
    return path[: path.rfind("/") + 1]


def _above(prefix: str) -> Iterator[str]:
    """The folders above this one, the top included."""
    while prefix:
        prefix = prefix_of(prefix[:-1])
        yield prefix


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
