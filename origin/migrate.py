"""Migrate: a whole origin's blocks from one store to another, while the origin is down.

Here lives the order that makes it safe to kill: bring every block that is needed (what is there already is passed over,
so the same command again goes on) → pin each release, where the store keeps roots → look that nothing is lacking →
write down durably that the folder now has the other store. Until that last step the folder opens with the old one,
after it with the new one, and with no other (store/opening). Every block is hashed when it is read. Not here: the
stores.

The old blocks stay until they are to be removed; before that, every block is read from the new store and hashed. Packs
stay as hard links in the folder `old`, since the origin's next collection would take from `packs` what Kubo has: it
appends to packs and replaces them, and never writes into what they held. What Kubo has stays under its pins, which are
noted in the folder `kubo`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from content.block import Block
from content.cid import CID
from content.errors import BadBlock, ContentError, LimitExceeded
from content.limits import MiB
from content.walk import reachable
from origin.catalog import Catalog
from origin.config import OriginConfig
from origin.errors import BackupError, StateError
from origin.gc import PIN_NAME, pin_name
from origin.keys import Keys
from origin.pins import Pins
from origin.reach import Reach
from origin.reading import Absent, Readable, read, source
from origin.records import Clock
from origin.state import State, sync_folder
from origin.steps import step
from origin.store import Store
from origin.store.embedded import Embedded
from origin.store.kubo.journal import Journal
from origin.store.opening import Place, kubo_at, make_store, remember, remembered, wanted
from origin.world import named

OLD, KUBO = "old", "kubo"  # in the state folder
BATCH_BYTES = 16 * MiB  # brought at a time, and durable together
READERS = 8  # of a Kubo: each waits for an answer over HTTP
AT_ONCE = 16  # blocks read ahead
TRIES = 3  # at a root that cannot be pinned because something is lacking

Bar = Callable[[int], Callable[[int], None]]  # drawn once the total is known
Get = Callable[[CID], Block]


@dataclass(frozen=True, slots=True)
class Migrated:
    """What has come about."""

    store: str
    brought: int  # blocks that were not there yet
    blocks: int  # that are needed
    roots: int  # releases and pins
    removed: bool  # the old ones


@dataclass(frozen=True, slots=True)
class _Needed:
    """What the Head and the pins need."""

    head: CID
    roots: dict[CID, str]  # releases and pins, and what their pins are called
    partial: list[CID]  # pins of which as much is kept as is here
    last: list[CID]  # the Catalogs of keys that were rotated away


def migrate(
    folder: Path, config: OriginConfig, bar: Bar, remove_old: bool = False, clock: Clock = time.time
) -> Migrated:
    """Move the blocks of this folder to `config.store`. Raises StateError, BackupError, OriginError, OSError; then the
    folder is what it was, and the same again goes on."""
    if not (folder / "VERSION").exists() or not (folder / "head").exists():
        raise StateError(f"{folder} is no state folder of an origin that was ever started")
    with State(folder) as state:
        kept = remembered(state) or Place()
        place = wanted(kept, config)
        if kept.store == Place().store:  # of a run that was cut short, or what came back from Kubo since: packs have it
            shutil.rmtree(state / OLD, ignore_errors=True)
        brought = 0
        if place.store != kept.store:
            with closing(make_store(state, place if place.store == KUBO else kept)) as store:
                needed = _needed(state, store, clock)
                brought = (_to_kubo if place.store == KUBO else _to_packs)(store, _packs(store), needed, bar)
            _keep_old(state, place)
            remember(state, place)
            step("store switched")
            if place.store != KUBO:
                shutil.rmtree(state / OLD, ignore_errors=True)
        with closing(make_store(state, place)) as store:
            needed = _needed(state, store, clock)
            cids = [*_content(store, needed.roots), *_parts(store, needed.partial)]
            if remove_old:
                _check_copy(store, cids, bar)
                _remove_old(state, place)
        return Migrated(place.store, brought, len(cids), len(needed.roots), remove_old)


def _packs(store: Store) -> Embedded:
    packs = getattr(store, "packs", store)
    assert isinstance(packs, Embedded)
    return packs


def _needed(state: State, store: Store, clock: Clock) -> _Needed:
    catalog = Catalog(state, store, Keys(state / "keys"), threading.RLock(), clock)
    roots = {release: pin_name(site.name) for site in catalog.world.sites.values() for release in named(site)}
    pins = Pins(state / "pins.json").all()
    roots |= {pin.cid: PIN_NAME for pin in pins if pin.cid not in roots and not pin.partial}
    partial = [pin.cid for pin in pins if pin.partial]
    return _Needed(catalog.world.cid, roots, partial, [last.catalog for last in catalog.last_words.values()])


def _content(store: Readable, roots: Iterable[CID]) -> list[CID]:
    """Every block at or below these roots. Raises BackupError where one with links is lacking."""
    found: dict[bytes, CID] = {}
    try:
        read(store, reachable(roots, lambda cid: found.setdefault(cid.store_key, cid)))
    except (Absent, ContentError) as error:
        raise _damaged(error) from error
    return list(found.values())


def _parts(store: Store, roots: Iterable[CID]) -> list[CID]:
    """As much of these as is here."""
    reach = Reach(store)
    try:
        reach.walk(roots)
    except (Absent, ContentError) as error:
        raise _damaged(error) from error
    return [cid for cid in store.cids() if cid.store_key in reach.keys] if reach.keys else []


def _damaged(error: Exception) -> BackupError:
    return BackupError(f"{error}, and what is kept needs it: run `rim origin fsck`")


# -- to Kubo


def _to_kubo(store: Store, packs: Embedded, needed: _Needed, bar: Bar) -> int:
    """Bring what releases and pins hold, and pin them. The origin's own state stays where it is."""
    cids, parts = _content(packs, needed.roots), _parts(packs, needed.partial)
    advance = bar(sum(packs.length(cid) or 0 for cid in (*cids, *parts)))
    brought = store.put(_lacking(store, packs, cids, advance))
    brought += store.put(_lacking(store, packs, parts, advance))  # by themselves: a lease's pin holds them on
    like: dict[str, CID] = {}
    for root, name in needed.roots.items():
        brought += _pin(store, packs, root, name, like.get(name))
        like[name] = root
    if unpinned := store.unpinned(needed.roots):
        raise BackupError(f"Kubo does not pin {unpinned[0]}, though it said so: look at its log, then run this again")
    return brought


def _lacking(store: Store, packs: Embedded, cids: Iterable[CID], advance: Callable[[int], None]) -> Iterator[Block]:
    get = source(packs)
    for cid in cids:
        if not store.holds(cid):
            try:
                yield get(cid)
            except Absent as error:
                raise _damaged(error) from error
        advance(packs.length(cid) or 0)


def _pin(store: Store, packs: Embedded, root: CID, name: str, like: CID | None) -> int:
    """Pin it; a Kubo that lacks what was brought before (another one, or an emptied one) gets it again."""
    brought = 0
    for left in reversed(range(TRIES)):
        try:
            store.pin(root, name, like)
            break
        except Absent as error:
            if not left:
                raise BackupError(f"Kubo cannot pin {root}: {error}; look at its log, then run this again") from error
            brought += store.put(_lacking(store, packs, _content(packs, (root,)), lambda count: None))
    return brought


# -- to packs


def _to_packs(store: Store, packs: Embedded, needed: _Needed, bar: Bar) -> int:
    """Bring everything into the folder, and look that it is whole there."""
    every = [*_content(store, (needed.head, *needed.roots)), *_parts(store, needed.partial)]
    cids = [cid for cid in every if not packs.has(cid)]
    advance = bar(sum(store.length(cid) or 0 for cid in cids) if len(cids) < AT_ONCE else store.bytes)
    batch: list[Block] = []
    size = brought = 0
    for block in _read_all(source(store), cids):
        batch.append(block)
        size += len(block.data)
        advance(len(block.data))
        if size >= BATCH_BYTES:
            brought += packs.put(batch)
            batch, size = [], 0
    brought += packs.put(batch)
    lacking = packs.missing([*_content(packs, (needed.head, *needed.roots)), *needed.last])
    if lacking:
        raise _damaged(Absent(lacking[0]))
    return brought


def _read_all(get: Get, cids: list[CID]) -> Iterator[Block]:
    """Blocks in this order, some of them read ahead. Raises BackupError for one that is not to be had."""
    with ThreadPoolExecutor(READERS, "migrate") as pool:
        for at in range(0, len(cids), AT_ONCE):
            try:
                yield from pool.map(get, cids[at : at + AT_ONCE])
            except (Absent, ContentError) as error:
                raise _damaged(error) from error


# -- what is old


def _keep_old(state: State, place: Place) -> None:
    """Another name for every pack, so that no collection takes it away."""
    if place.store != KUBO:
        return
    (state / OLD).mkdir(mode=0o700)
    for pack in (state / "packs").glob("*.car"):
        os.link(pack, state / OLD / pack.name)
    sync_folder(state / OLD)
    sync_folder(state.path)
    step("old packs kept")


def _check_copy(store: Store, cids: list[CID], bar: Bar) -> None:
    """Read and hash every block where it is now, and nowhere else. Raises BackupError naming one."""
    advance = bar(store.bytes)
    for block in _read_all(_strictly(store), cids):
        advance(len(block.data))


def _strictly(store: Store) -> Get:
    rpc = getattr(store, "rpc", None)
    if rpc is None:
        return source(store)

    def get(cid: CID) -> Block:
        data = rpc.block(cid)
        if data is None:
            raise Absent(cid)
        try:
            return Block(cid, data)
        except (BadBlock, LimitExceeded) as error:
            raise Absent(cid) from error

    return get


def _remove_old(state: State, place: Place) -> None:
    if place.store == KUBO:
        shutil.rmtree(state / OLD, ignore_errors=True)
        return
    if not (state / KUBO).exists():
        return
    with closing(kubo_at(place)) as rpc:
        journal = Journal(state / KUBO / "pins.jsonl")
        for root in journal.all():
            rpc.unpin(root)
            step("old pin let go")
    shutil.rmtree(state / KUBO)
