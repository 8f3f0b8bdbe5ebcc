"""Compaction: giving back the disk space of blocks that garbage collection took out of the index.

Here lives the rewriting of packs. Not here: which blocks go (origin/gc). A killed compaction leaves blocks twice, or
dead blocks alive again; both are whole and verified, and the next run takes them.

A pack is rewritten when an eighth of it is dead (rewriting 512 MiB for one dead file costs more than it gives); the
live sections are copied in runs inside the kernel to a new pack, which is durable before the old one is unlinked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from content.cid import CID
from origin.state import store_error, sync_folder
from origin.steps import step
from origin.store.pack import HEADER, Pack, prefix

if TYPE_CHECKING:
    from origin.store.embedded import Embedded, Entry

DEAD_SHARE = 8  # rewrite when dead bytes × this ≥ the pack's size

Move = tuple[bytes, "Entry", "Entry"]  # key, the old place, the new place


def compact(store: Embedded) -> int:
    """Rewrite the packs that are worth it; the bytes of disk freed. Raises StoreFull when there is no room to copy."""
    live = _live_bytes(store)
    worth = [pack for pack in tuple(store.packs) if _is_worth_it(pack, live.get(pack, 0))]
    if not worth:
        return 0
    with store.writing:
        # The pack appended to keeps the highest number (start looks for a torn tail in the last one only), so the
        # numbers of the rewritten packs are set aside below it.
        first = store.next_number
        store.packs.append(_guarded_new_pack(store, first + len(worth)))
    return sum(_rewrite(store, pack, first + index) for index, pack in enumerate(worth))


def _is_worth_it(pack: Pack, live: int) -> bool:
    dead = pack.size - len(HEADER) - live
    return dead > 0 and dead * DEAD_SHARE >= pack.size


def _live_bytes(store: Embedded) -> dict[Pack, int]:
    live: dict[Pack, int] = {}
    with store.writing:
        entries = list(store.index.items())
    for key, (pack, _, length) in entries:
        head = len(prefix(CID(key + b"\1"), length))  # a CIDv1 is one byte longer than its key
        live[pack] = live.get(pack, 0) + head + length
    return live


def _guarded_new_pack(store: Embedded, number: int) -> Pack:
    try:
        return store.new_pack(number)
    except OSError as error:
        raise store_error(error) from error


def _rewrite(store: Embedded, old: Pack, number: int) -> int:
    target = store.folder / f"{number:06}.car"
    temporary = target.with_suffix(".tmp")
    try:
        new, moves = _copy_live(store, old, temporary)
        with store.writing:
            _adopt(store, old, new, moves, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise store_error(error) from error
    return old.size - (new.size if moves else 0)


def _copy_live(store: Embedded, old: Pack, target: Path) -> tuple[Pack, list[Move]]:
    new = Pack.create(target)
    at = new.size
    moves: list[Move] = []
    for start, stop, entries in _runs(store, old):
        for key, entry in entries:
            moves.append((key, entry, (new, entry[1] - start + at, entry[2])))
        at = old.copy_to(new, start, stop, at)
    new.sync()
    new.size = at
    step("compacted pack written")
    return new, moves


def _runs(store: Embedded, pack: Pack) -> Iterator[tuple[int, int, list[tuple[bytes, Entry]]]]:
    """Stretches of sections that are all live: where they start and stop, and whose they are."""
    start = stop = 0
    entries: list[tuple[bytes, Entry]] = []
    for cid, at, offset, length in pack.sections():
        entry = store.index.get(cid.store_key)
        if entry is None or entry[0] is not pack or entry[1] != offset:
            continue
        if at != stop and entries:
            yield start, stop, entries
            entries = []
        if not entries:
            start = at
        stop = offset + length
        entries.append((cid.store_key, entry))
    if entries:
        yield start, stop, entries


def _adopt(store: Embedded, old: Pack, new: Pack, moves: list[Move], target: Path) -> None:
    if moves:
        new.path.rename(target)
        new.path = target
        sync_folder(store.folder)
        step("compacted pack named")
        store.packs.insert(len(store.packs) - 1, new)
        for key, entry, place in moves:
            if store.index.get(key) == entry:
                store.index[key] = place
    else:
        new.path.unlink()
    store.packs.remove(old)
    with suppress(OSError):  # the blocks are safe in the new pack; a file that will not go is found again at start
        old.path.unlink()
        sync_folder(store.folder)
    step("old pack removed")
