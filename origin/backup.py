"""Backup: an origin as one archive, taken while it runs or while it is down.

Here lives what goes in: every block that the Head and the pins reach, and the small files: keys, tokens, the Head, last
records of rotated keys, pins, the log up to the Head, known edges, and whatever else the folder keeps. Not leases (a
publish that is under way announces its blocks again), nor site records (a restore signs new ones, ahead of those that
resolvers have). Not here: the form of the archive (origin/archive), its way back (origin/restore).

Nothing is asked of a running origin, neither a lock nor a token: who can read the folder has its keys already, and an
answer over HTTP that holds keys would make every leaked admin token a leaked catalog key. What makes it whole: the
Head is replaced in one step and all it names was durable before, and packs that are open cannot lose a byte
(store/frozen). So: open the packs, read the Head, open what packs have come since; then all the time in the world.
Every block is hashed on its way. Should one be lacking, the Head has moved on and a collection came between the two
looks: then we look again, and what was written stays good.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from content.cid import CID, RAW
from content.errors import ContentError
from content.walk import reachable
from origin import archive, keys, log, pins
from origin.archive import STATE, Writer
from origin.catalog import read_head
from origin.errors import BackupError, StateError
from origin.feed import Head
from origin.pins import Pin
from origin.reading import Absent, read, source
from origin.records import last_word
from origin.state import VERSION, State
from origin.store.frozen import BesideKubo, Frozen, open_packs
from origin.store.opening import Place, kubo_at, remembered
from origin.store.pack import Pack

LOOKS = 5  # at an origin whose collections come between ours, or which rotates its key just now
_PIECE = 1 << 20
_AT_ONCE = 16  # blocks read ahead of the archive: 32 MiB at most
_TOGETHER = ("head", "keys/catalog.key", "keys/next.key", "pins.json")  # and records/
# The log is added by itself, up to the Head; `kubo` and `old` are about stores, of which a restore makes a new one.
_LEFT_OUT = ("lock", "log.jsonl", "packs", "leases", "sites", "kubo", "old")

Advance = Callable[[int], None]
Bar = Callable[[int], Advance]  # drawn once the total is known


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written."""

    catalog: str
    sequence: int
    sites: int
    pins: int
    blocks: int
    bytes: int
    size: int  # of the archive


@dataclass(frozen=True, slots=True)
class _Look:
    """The folder at one moment."""

    head: Head
    store: Frozen
    files: dict[str, bytes]  # which must fit together
    pinned: list[Pin]
    last: list[CID]  # the Catalogs of keys that were rotated away


def backup(folder: Path, out: BinaryIO, bar: Bar, clock: Callable[[], float] = time.time) -> Backup:
    """Write the archive of this state folder. Raises BackupError, StateError, OSError; the stream is then of no use."""
    _check_version(folder)
    made = int(clock())
    writer, written = Writer(out, made), set[bytes]()
    for left in reversed(range(LOOKS)):
        look = _look(folder)
        try:
            _copy(look, writer, written, bar)
            break
        except (Absent, ContentError) as error:
            if not left:
                raise BackupError(f"{error}, and what is live needs it: run `rim origin fsck`") from error
        finally:
            look.store.close()
    writer.end_blocks()
    for name, data in sorted(look.files.items()):
        writer.add(STATE + name, data)
    for path in _others(folder, look.files):
        _add_file(writer, STATE + path.relative_to(folder).as_posix(), path)
    end, _ = log.acknowledged(folder / "log.jsonl", look.head.sequence)
    if end:  # up to this Head: later lines may be there already, and the last may be half a line
        _add_file(writer, f"{STATE}log.jsonl", folder / "log.jsonl", end)
    writer.close(_manifest(look, writer, made))
    counts = len(look.head.world.sites), len(look.pinned), writer.blocks, writer.bytes, writer.size
    return Backup(look.head.name, look.head.sequence, *counts)


def _check_version(folder: Path) -> None:
    try:
        found = (folder / "VERSION").read_text("utf-8", errors="replace").strip()
    except FileNotFoundError:
        raise StateError(f"{folder} is no state folder of an origin") from None
    if found != VERSION:
        raise StateError(f"state folder {folder} is of version {found[:20]!r}; this Rim reads version {VERSION}")


def _look(folder: Path) -> _Look:
    """Raises StateError for a folder that does not hold together."""
    for left in reversed(range(LOOKS)):
        packs = open_packs(folder / "packs")
        files = _fitting(folder)
        store = _frozen(folder, packs | open_packs(folder / "packs"))
        try:
            return _understood(files, store)
        except (Absent, ContentError) as error:
            store.close()
            if not left:
                raise StateError(f"{folder} is damaged ({error}): run `rim origin fsck`") from error
    raise AssertionError


def _frozen(folder: Path, packs: dict[int, Pack]) -> Frozen:
    place = remembered(State(folder)) or Place()
    return Frozen(packs) if place.store == Place().store else BesideKubo(packs, kubo_at(place))


def _fitting(folder: Path) -> dict[str, bytes]:
    """The Head, the keys and the records as of one moment: a rotation changes all of them, one after another."""
    before: dict[str, bytes] | None = None
    while True:
        records = (f"records/{path.name}" for path in (folder / "records").glob("*.ipns"))
        found = ((name, _bytes(folder / name)) for name in (*_TOGETHER, *records))
        files = {name: data for name, data in found if data is not None}
        if files == before:
            return files
        before = files


def _understood(files: dict[str, bytes], store: Frozen) -> _Look:
    if "head" not in files or "keys/catalog.key" not in files:
        raise StateError("there is no Head, or no key, yet: start the origin once")
    key = keys.name_of(files["keys/catalog.key"], "keys/catalog.key")
    rotated = {Path(name).stem: data for name, data in files.items() if name.startswith("records/")}
    head = read_head(files["head"], key, rotated, store)
    pinned = pins.parse(files.get("pins.json", b'{"pins": []}'), "pins.json")
    last = [last_word(name, data).catalog for name, data in rotated.items()]
    return _Look(head, store, files, pinned, last)


def _copy(look: _Look, writer: Writer, written: set[bytes], bar: Bar) -> None:
    """Every block of this look that is not written yet, as they lie on the disk. Raises Absent."""
    found = {cid.store_key: cid for cid in look.last}  # of those the Catalog alone: what they named may be gone
    whole = [look.head.world.cid, *(pin.cid for pin in look.pinned if not pin.partial)]
    read(look.store, reachable(whole, lambda cid: found.setdefault(cid.store_key, cid)))
    needed = set(found)
    partly = [pin.cid for pin in look.pinned if pin.partial]  # as much of them as is here
    enter = partial(_is_here, look.store)
    read(look.store, reachable(partly, lambda cid: found.setdefault(cid.store_key, cid), enter=enter))
    wanted = sorted((cid for key, cid in found.items() if key not in written), key=look.store.place)
    advance, get = bar(sum(map(look.store.length, wanted))), source(look.store)
    with ThreadPoolExecutor(look.store.readers, "backup") as pool:
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            for block in pool.map(lambda cid: get(cid) if cid.store_key in needed else look.store.get(cid), some):
                if block is not None:
                    writer.add_block(block)
                    written.add(block.cid.store_key)
                    advance(len(block.data))


def _is_here(store: Frozen, cid: CID) -> bool:
    """Blocks without links are looked for when they are read."""
    return cid.codec == RAW or store.get(cid) is not None


def _others(folder: Path, known: dict[str, bytes]) -> Iterator[Path]:
    """The small files that need not fit together to the moment. Not what is hidden or on its way."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] in _LEFT_OUT or name in (*_TOGETHER, *known) or path.suffix == ".tmp":
            continue
        if archive.is_name(STATE + name) and path.is_file() and not path.is_symlink():
            yield path


def _add_file(writer: Writer, name: str, path: Path, size: int | None = None) -> None:
    """A file as it is now, which others replace but never write into; or so much of one that only grows."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size if size is None else size
        pieces = [_PIECE] * (end // _PIECE) + [end % _PIECE]
        writer.add_stream(name, end, (file.read(piece) for piece in pieces))


def _manifest(look: _Look, writer: Writer, made: int) -> bytes:
    head = look.head
    value = {
        "format": archive.FORMAT,
        "made": made,
        "catalog": head.name,
        "sequence": head.sequence,
        "sites": len(head.world.sites),
        "blocks": writer.blocks,
        "bytes": writer.bytes,
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
