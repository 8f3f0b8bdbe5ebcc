"""Restore: an origin from an archive, or nothing.

Here lives the way back: the archive read once, every block hashed and stored, every small file held against its sum;
the Head verified and all it names found whole; then one commit, and the folder is an origin's. Not here: the form of
the archive (origin/archive), what went in (origin/backup).

All is built in `.restoring` inside the folder, not beside it: a state folder is often the top of a disk or of a
container's volume, which nobody can rename. At the end its parts are moved up one by one, VERSION last, and a folder
without VERSION is no origin's. Killed anywhere, the same command again begins anew.

Why a restore commits: what the ring serves may be newer than the archive, and edges never go backwards. The operator
who restores says that this is the truth now, so that is signed, ahead of all that was lost (origin/catalog, restored).
Road not taken: to keep still until the next publish. Edges would serve what the origin no longer has, and whether they
do would depend on who was restarted when.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from content import car
from content.errors import ContentError
from origin import archive, fsck, keys
from origin.archive import BLOCKS, FIRST, MANIFEST, STATE, SUMS, BadArchive, Member
from origin.catalog import Catalog
from origin.errors import BackupError
from origin.keys import Keys
from origin.log import By
from origin.pins import Pins
from origin.state import NOBODYS, RESTORING, VERSION, State, replace_file, sync_folder, take_lock
from origin.steps import step
from origin.store import Store
from origin.store.opening import Place, make_store, remember, remembered
from origin.tokens import Tokens
from origin.world import World

MOVED = "moved"  # in .restoring: the names that are moved up, so that another try can tell them from a stranger's
FILES_MAX = 1_000_000  # small files of one archive: a key for each of so many sites
CLOCK_SLACK = 300  # s that two machines' clocks may differ by
_NOT_OURS = ("lock", "packs", "leases", "sites", "kubo", "old")  # never in an archive of ours: the restore makes them
_NEEDED = ("head", "keys/catalog.key")  # where they are missing, a start makes them


@dataclass(frozen=True, slots=True)
class Restored:
    """What an archive has become."""

    made: int  # when it was
    before: int  # the sequence it had
    catalog: str
    world: World
    blocks: int
    bytes: int
    was: str  # the store that had the blocks


def restore(
    file: BinaryIO,
    folder: Path,
    by: By,
    advance: Callable[[int], None] = lambda count: None,
    successor: bytes | None = None,
    clock: Callable[[], float] = time.time,
) -> Restored:
    """Make this folder, empty or new, the origin of this archive. `successor`: the PEM of the key that the catalog's
    was rotated to after the backup. Raises BadArchive, BackupError, StateError, OriginError, OSError; then the folder
    is as it was."""
    made_here = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = take_lock(folder)
    try:
        _check_empty(folder)
        try:
            restored = _build(file, folder / RESTORING / "state", by, advance, successor, clock)
            _move(folder)
        except BaseException:
            _clear(folder)
            raise
    except BaseException:
        (folder / "lock").unlink(missing_ok=True)
        if made_here:
            folder.rmdir()
        raise
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
    return restored


def _check_empty(folder: Path) -> None:
    """Raise BackupError unless nothing is here but what a restore that was cut short has left, which goes."""
    if (folder / "VERSION").exists():
        raise BackupError(f"{folder} is an origin's state folder already: choose an empty one")
    _clear(folder)
    strangers = sorted(entry.name for entry in folder.iterdir() if entry.name not in NOBODYS)
    if strangers:
        raise BackupError(f"{folder} is not empty (it has {strangers[0]!r}): choose an empty folder")


def _clear(folder: Path) -> None:
    """Take away what a restore made here, and nothing else."""
    building = folder / RESTORING
    if not building.is_dir():
        return
    if (folder / "VERSION").exists():  # interrupted after all was done
        shutil.rmtree(building)
        return
    try:
        moved = json.loads((building / MOVED).read_bytes())
    except (OSError, ValueError):
        moved = []  # it came not so far
    for name in moved:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.rmtree(building)


def _move(folder: Path) -> None:
    """From here on it is an origin's."""
    building = folder / RESTORING
    names = sorted(entry.name for entry in (building / "state").iterdir() if entry.name not in ("lock", "VERSION"))
    replace_file(building / MOVED, json.dumps(names).encode())
    for name in names:
        os.rename(building / "state" / name, folder / name)
        step("restored part moved")
    sync_folder(folder)
    os.rename(building / "state" / "VERSION", folder / "VERSION")
    sync_folder(folder)
    step("restored")
    shutil.rmtree(building)


def _build(
    file: BinaryIO,
    folder: Path,
    by: By,
    advance: Callable[[int], None],
    successor: bytes | None,
    clock: Callable[[], float],
) -> Restored:
    folder.parent.mkdir(mode=0o700)
    with State(folder) as state:
        store = make_store(state, Place())
        manifest = _Intake(state, store, advance).take(file)
        step("archive read")
        _check_clock(manifest, clock())
        for name in _NEEDED:
            if not (state / name).exists():
                raise BadArchive(f"it has no {name}")
        was = _remember(state)
        catalog = Catalog(state, store, Keys(state / "keys"), threading.RLock(), clock)
        before = catalog.world
        _check(state, store, catalog, manifest)
        handing_over = successor is not None and _place_successor(state, catalog, successor)
        catalog.restored(_detail(manifest), by, handing_over)
        made, name = int(manifest["made"]), catalog.head.name
        return Restored(made, before.sequence, name, catalog.world, store.blocks, store.bytes, was)


def _remember(state: State) -> str:
    """The blocks are in the folder now, whatever had them: a Kubo may be lost as well, or not be there yet."""
    place = remembered(state) or Place()
    remember(state, replace(place, store=Place().store))
    return place.store


def _detail(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {"sequence": manifest["sequence"], "made": manifest["made"]}


def _check(state: State, store: Store, catalog: Catalog, manifest: Mapping[str, Any]) -> None:
    """That what the archive holds is an origin, whole. Raises BadArchive naming the first finding, StateError."""
    if catalog.world.sequence < manifest["sequence"]:
        raise BadArchive(f"its Head is at {catalog.world.sequence}, and should be at {manifest['sequence']}")
    Tokens(state / "tokens.json")
    Pins(state / "pins.json")
    for finding in fsck.contents(state, store, catalog):
        raise BadArchive(f"what it holds is not whole: {finding}")


def _check_clock(manifest: Mapping[str, Any], now: float) -> None:
    """Sequences follow the clock; one that stands in the past would sign what every edge refuses."""
    if manifest["made"] > now + CLOCK_SLACK:
        made, here = (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) for at in (manifest["made"], now))
        raise BackupError(f"the backup was made at {made} UTC, and this machine's clock says {here}: set the clock")


def _place_successor(state: State, catalog: Catalog, pem: bytes) -> bool:
    """Put the key that took the catalog key's place where a rotation looks for it. False: it is that key."""
    name = keys.name_of(pem, "given")
    if name == catalog.head.name:
        return False
    if name in catalog.last_words:
        raise BackupError(f"the key given ({name}) was rotated away before this backup was made")
    replace_file(state / "keys" / "next.key", pem)
    return True


class _Intake:
    """Takes in an archive: blocks to the store, small files to the folder."""

    def __init__(self, state: State, store: Store, advance: Callable[[int], None]) -> None:
        self._state = state
        self._store = store
        self._advance = advance
        self._sums: dict[str, str] = {}
        self._seen: set[str] = set()

    def take(self, file: BinaryIO) -> dict[str, Any]:
        """Read it to its end; its manifest. Raises BadArchive, StoreFull, OSError."""
        manifest = sums = None
        for member in archive.read(file):
            if sums is not None or (manifest is not None and member.name != SUMS):
                raise BadArchive(f"{member.name} comes after the end")
            if not self._seen and member.name != FIRST:
                raise BadArchive(f"it begins with {member.name}: it is no backup of an origin")
            if member.name in self._seen or len(self._seen) > FILES_MAX:
                raise BadArchive(f"it has {member.name} twice, or too many files")
            if member.name.startswith(BLOCKS):
                self._blocks(member)
            elif member.name.startswith(STATE):
                self._file(member)
            elif member.name == SUMS:
                sums = member.whole()
            else:
                data = self._summed(member)
                manifest = data if member.name == MANIFEST else manifest
            self._seen.add(member.name)
        if manifest is None or sums is None:
            raise BadArchive("it is cut short: its last files are missing")
        self._check_sums(sums)
        return _manifest(manifest)

    def _blocks(self, member: Member) -> None:
        reader = car.Reader()
        blocks = []
        try:
            for piece in member.pieces():
                blocks += reader.feed(piece)
                self._advance(len(piece))
            reader.finish()
        except ContentError as error:
            raise BadArchive(f"it is damaged in {member.name}: {error}") from error
        self._store.put(blocks)
        step("restored blocks stored")

    def _file(self, member: Member) -> None:
        """Write it straight to the disk: a log may be long."""
        name = member.name.removeprefix(STATE)
        path = self._state / name
        if name.split("/")[0] in _NOT_OURS or name.endswith(".tmp"):
            raise BadArchive(f"it has {member.name}, which no backup of ours has")
        if name == "VERSION":
            self._check_version(member)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = sha256()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
            for piece in member.pieces():
                digest.update(piece)
                out.write(piece)
                self._advance(len(piece))
            out.flush()
            os.fsync(out.fileno())
        sync_folder(path.parent)
        self._sums[member.name] = digest.hexdigest()

    def _check_version(self, member: Member) -> None:
        found = self._summed(member).decode("utf-8", "replace").strip()
        if found != VERSION:
            raise BackupError(f"the archive is of version {found[:20]!r}; this Rim reads version {VERSION}")

    def _summed(self, member: Member) -> bytes:
        data = member.whole()
        self._sums[member.name] = sha256(data).hexdigest()
        return data

    def _check_sums(self, data: bytes) -> None:
        """Every file has the sum that the archive says, and none is missing or too many."""
        rows = [line.partition("  ") for line in data.decode("ascii", "replace").splitlines()]
        said = {name: digest for digest, _, name in rows}
        for name in sorted(said.keys() | self._sums.keys()):
            if said.get(name) != self._sums.get(name):
                what = "is missing" if name not in self._sums else "is damaged, or was added"
                raise BadArchive(f"{name[:100]} {what}")


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
        if value["format"] != archive.FORMAT:
            raise BackupError(f"the archive is of format {value['format']!r}; this Rim reads format {archive.FORMAT}")
        return {**value, "made": int(value["made"]), "sequence": int(value["sequence"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BadArchive(f"{MANIFEST} cannot be read: {error}") from error
