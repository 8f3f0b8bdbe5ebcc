"""Catalog: the writer that orders all commits and signs one Head for those that come together.

Here lives the group commit and the order that makes it durable: blocks fsynced → lines of the log fsynced → Head
replaced (temporary file, fsync, rename, fsync of the folder) → answer. Killed anywhere, the old Head or the new one is
there, and what it names is whole. Compare-and-swap is per site (origin/changes), so publishers of different sites never
lose against each other. Also here: renewal of the Head and rotation of the catalog key. Not here: checks of a release,
which come before.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns
from content.block import Block
from content.cid import CID
from content.errors import BadRecord, ContentError
from origin import world as worlds
from origin.errors import OriginError, StateError
from origin.feed import Feed, Head
from origin.keys import Keys
from origin.log import By, Entry, Log
from origin.plans import Plans
from origin.reading import Absent, Readable
from origin.records import RENEW_AT, VALIDITY, Clock, Records
from origin.signing import Signing
from origin.state import State, replace_file
from origin.steps import step
from origin.store import Store
from origin.world import Draft, World

HEAD_TTL = 5.0  # nodes follow by a waiting request; this is for others who look
LAST_WORD = 10 * 365 * 86_400.0  # a rotated key's last record: it must outlive every node that was away
log = logging.getLogger("rim.origin")

T = TypeVar("T")
Change = Callable[[Draft], T]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A change that is durable: what it returned, and the sequence that has it."""

    value: T
    sequence: int


@dataclass(slots=True)
class _Waiting:
    change: Change[Any]
    future: asyncio.Future[Done[Any]]


class Catalog:
    """The one writer of the Head.

    `gate` orders whatever may not interleave with the end of a garbage collection: commits, leases, pins.
    """

    def __init__(self, state: State, store: Store, keys: Keys, gate: threading.RLock, clock: Clock = time.time) -> None:
        self._head_path = state / "head"
        self._store = store
        self._keys = keys
        self._gate = gate
        self._clock = clock
        self._queue: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "commit")
        self.signing = Signing(store, keys, clock)
        self.plans = Plans(store, self.signing)
        self.records = Records(state, store, keys, clock)
        self.commits = 0  # Heads written for changes
        self.changes = 0  # changes in them: more than commits when publishers come together
        self.head = self._open()  # what is durable; the feed tells of it a moment later, from the loop's thread
        self.log = Log(state / "log.jsonl", self.head.sequence, clock())
        self._finish_rotation()
        self.last_words = self.records.last_words()
        self.feed = Feed(self.head, store)

    def __repr__(self) -> str:
        return f"<Catalog {self.feed.head.name} at {self.world.sequence}, {len(self._queue)} waiting>"

    @property
    def world(self) -> World:
        return self.head.world

    async def submit(self, change: Change[T]) -> Done[T]:
        """Make this change, with whatever others are waiting. Returns when it is durable; raises why it is refused."""
        future: asyncio.Future[Done[T]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(change, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(future)

    async def rotate(self, by: By) -> str:
        """A new catalog key. The old one's last word names it; the answer is the new name."""
        for head, control in await self._in_thread(self._rotate, by):
            self.feed.push(head, control)
        return self.head.name

    async def renew(self) -> bool:
        """Sign the Head again, same sequence and value, when half its time is over."""
        if self.head.eol - self._clock() > RENEW_AT:
            return False
        self.feed.push(await self._in_thread(self._renew), [])
        return True

    async def close(self) -> None:
        """Finish what has begun; refuse what comes."""
        if self._running is not None:
            await asyncio.wait([self._running])
        self._thread.shutdown()

    async def _in_thread(self, action: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action, *arguments)

    async def _run(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            try:
                for head, control in await self._in_thread(self._finish_rotation):
                    self.feed.push(head, control)
                answers, heads = await self._in_thread(self._commit, [waiting.change for waiting in batch])
            except Exception as error:
                if not isinstance(error, OriginError):
                    log.exception("commit failed")
                answers, heads = [error] * len(batch), []
            for head, control in heads:
                self.feed.push(head, control)
            for waiting, answer in zip(batch, answers, strict=True):
                _settle(waiting.future, answer)

    def _commit(self, changes: list[Change[Any]]) -> tuple[list[Done[Any] | Exception], list[tuple[Head, list[Block]]]]:
        with self._gate:
            draft = Draft(self.world, self._store, self.plans, self.signing, self._keys.site_name)
            values = [_attempt(change, draft) for change in changes]
            heads = [self._write(draft, self._keys.catalog)] if draft.changed else []
        sequence = heads[0][0].sequence if heads else self.world.sequence
        self.changes += sum(not isinstance(value, Exception) for value in values)
        return [value if isinstance(value, Exception) else Done(value, sequence) for value in values], heads

    def _write(self, draft: Draft, key: Ed25519PrivateKey) -> tuple[Head, list[Block]]:
        """Make a draft durable under a Head signed by this key."""
        sequence = max(draft.world.sequence + 1, int(self._clock() * 1e6))
        written = draft.write(sequence)
        self._store.write(written.blocks)
        step("catalog stored")
        head = self._sign(key, written.world)
        self.log.append(draft.entries, sequence, self._clock())
        try:
            replace_file(self._head_path, head.record)
        except BaseException:
            self.log.take_back()
            raise
        self.head = head
        step("head written")
        self.commits += 1
        for name in draft.touched:
            self._follow(name, written.world)
        return head, written.control

    def _follow(self, name: str, world: World) -> None:
        """Bring the site's own record after the Catalog; no reason to refuse the commit, which stands."""
        site = world.sites.get(name)
        if site is None:
            self.records.drop(name)
            return
        try:
            self.records.of_site(site, world.sequence)
        except (Absent, ContentError):
            log.exception("record of site %s", name)
        step("site record written")

    def _sign(self, key: Ed25519PrivateKey, world: World, validity: float = VALIDITY) -> Head:
        eol = self._clock() + validity
        record = ipns.create(key, f"/ipfs/{world.cid}", world.sequence, eol, HEAD_TTL)
        return Head(ipns.name_of(key.public_key()), record, eol, world)

    def _renew(self) -> Head:
        with self._gate:
            head = self._sign(self._keys.catalog, self.world)
            replace_file(self._head_path, head.record)
            self.head = head
        return head

    def _rotate(self, by: By) -> list[tuple[Head, list[Block]]]:
        with self._gate:
            if unfinished := self._finish_rotation():
                return unfinished
            successor = self._keys.make_successor()
            step("successor key made")
            draft = Draft(self.world, self._store, self.plans, self.signing, self._keys.site_name, again=True)
            draft.successor = ipns.name_of(successor.public_key())
            draft.note(Entry("", "rotate", {"catalog": draft.successor, "previous": self._keys.name}, by))
            last = self._write(draft, self._keys.catalog)
            return [last, self._hand_over(last[0].world)]

    def _hand_over(self, world: World) -> tuple[Head, list[Block]]:
        """The second half of a rotation, also done at a start that finds a first half. Every part may be repeated."""
        with self._gate:
            if self._keys.name != world.catalog.successor:
                self.records.keep_previous(self._keys.name, self._sign(self._keys.catalog, world, LAST_WORD).record)
                step("last record of the old key kept")
            self._keys.adopt_successor()
            step("successor adopted")
            self.last_words = self.records.last_words()
            draft = Draft(world, self._store, self.plans, self.signing, self._keys.site_name, again=True)
            draft.note(Entry("", "adopt", {"catalog": self._keys.name}))
            return self._write(draft, self._keys.catalog)

    def _finish_rotation(self) -> list[tuple[Head, list[Block]]]:
        """What a full disk or a kill left of one. Before anything else is signed: nodes that have taken the old key's
        last Catalog believe its successor, and that key no more."""
        with self._gate:
            return [] if self.world.catalog.successor is None else [self._hand_over(self.world)]

    def restored(self, detail: Mapping[str, Any], by: By, successor: bool = False) -> None:
        """The commit that a restore ends with, before anyone follows. All that was lost may be held by nodes and
        resolvers, so all of it is said anew and ahead of that: the Head and every site's record by a sequence of now,
        every site by a generation of now (else a purge could get a number that a lost one had, and a node that had
        seen that would take it for done), every manifest by a serial of now (a browser takes none that is older than
        what it has). `successor`: the key of a rotation after the backup is at hand; hand over."""
        with self._gate:
            draft = Draft(self.world, self._store, self.plans, self.signing, self._keys.site_name, again=True)
            for site in self.world.sites.values():
                draft.put(replace(site, generation=max(site.generation + 1, int(self._clock())), signed=()))
            draft.note(Entry("", "restore", detail, by))
            self._write(draft, self._keys.catalog)
            if successor:
                self._rotate(by)

    def _open(self) -> Head:
        """The Head on disk, or the first one."""
        try:
            record = self._head_path.read_bytes()
        except FileNotFoundError:
            return self._first()
        except OSError as error:
            raise StateError(f"{self._head_path} cannot be read: {error}") from error
        return self._verified(record)

    def _first(self) -> Head:
        world, blocks = worlds.empty(int(self._clock() * 1e6))
        self._store.write(blocks)
        head = self._sign(self._keys.catalog, world)
        replace_file(self._head_path, head.record)
        return head

    def _verified(self, record: bytes) -> Head:
        try:
            return read_head(record, self._keys.name, self.records.last_words(), self._store)
        except (Absent, ContentError) as error:
            raise StateError(f"the catalog is damaged ({error}): run `rim origin fsck`") from error


def read_head(record: bytes, key: str, rotated: Iterable[str], store: Readable) -> Head:
    """The Head of a folder with this catalog key: signed by it, or by one whose rotation to it was cut short.
    Raises StateError, and what is wrong with the world it names: Absent, ContentError."""
    for name in (key, *rotated):
        try:
            found = ipns.verify(name, record)
        except BadRecord:
            continue
        world = worlds.load(CID.parse(found.value.removeprefix("/ipfs/")), store)
        if name == key or world.catalog.successor == key:
            return Head(name, record, found.eol, world)
    raise StateError("the head is not signed by this folder's catalog key: restore the two together")


def _attempt(change: Change[Any], draft: Draft) -> Any:
    """One change; a refusal is its own and no other's. The log tells of what changed something, and of nothing else."""
    changes, told = draft.changes, len(draft.entries)
    try:
        return change(draft)
    except (OriginError, ContentError, Absent) as error:
        return error
    finally:
        if draft.changes == changes:
            del draft.entries[told:]
        elif len(draft.entries) == told:
            draft.note(Entry(next(reversed(draft.touched)), "change"))


def _settle(future: asyncio.Future[Done[Any]], answer: Done[Any] | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
