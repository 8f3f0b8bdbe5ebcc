"""Feed: what nodes are told about the Head, and when.

Here lives the log of recent commits, the CAR that brings a node from the sequence it serves to the newest, and the
signal its waiting request waits on. Not here: HTTP (origin/api), signing (origin/catalog).

The answer holds the record, the Catalog and the control blocks that came since; a node that is further behind than the
log reaches gets all of them. More than it needs does no harm: blocks are named by their hash.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from content import car
from content.block import Block
from content.cid import CID, RAW
from content.limits import KiB, MiB
from origin.store import Store
from origin.waiting import Signal
from origin.world import World, control_of

LOG_BYTES = 8 * MiB  # of control blocks remembered: thousands of commits
AHEAD_BYTES = 128 * KiB  # of control blocks that are packed at once, in the loop: 60 µs (seen)


@dataclass(frozen=True, slots=True)
class Head:
    """The signed pointer and the World it names."""

    name: str
    record: bytes
    eol: float
    world: World

    @property
    def sequence(self) -> int:
        return self.world.sequence


@dataclass(frozen=True, slots=True)
class _Step:
    before: int
    sequence: int
    blocks: list[Block]
    size: int


class Feed:
    """The newest Head and the way to it."""

    def __init__(self, head: Head, store: Store) -> None:
        self.head = head
        self.signal = Signal()
        self._store = store
        self._log: deque[_Step] = deque()
        self._bytes = 0
        self._answer: tuple[int, bytes, bytes] = (-1, b"", b"")  # since, record, CAR
        self._making: dict[tuple[int, bytes], asyncio.Future[bytes]] = {}

    def __repr__(self) -> str:
        return f"<Feed {self.head.sequence}, {len(self._log)} steps back>"

    def push(self, head: Head, control: list[Block]) -> None:
        """A new Head is durable: tell those who wait. What nearly all of them lack is this one step, so its CAR is made
        before they wake: they would wait for a thread that waits for the interpreter that they keep busy."""
        if head.sequence > self.head.sequence:
            size = sum(len(block.data) for block in control)
            self._log.append(_Step(self.head.sequence, head.sequence, control, size))
            self._bytes += size
            if size <= AHEAD_BYTES:
                self._answer = self.head.sequence, head.record, pack(head.record, head.world.cid, control)
            while self._bytes > LOG_BYTES:
                self._bytes -= self._log.popleft().size
        self.head = head
        self.signal.notify()

    async def answer(self, sequence: int) -> bytes:
        """`since`, made once for all who ask for the same: a commit wakes every waiter, and nearly all of them stand
        where the last Head left them. A thread for each would be most of what a commit costs."""
        if (made := self._made(sequence)) is not None:
            return made
        asked = (sequence, self.head.record)
        making = self._making.get(asked)
        if making is None:
            making = self._making[asked] = asyncio.ensure_future(asyncio.to_thread(self.since, sequence))
            making.add_done_callback(lambda _: self._making.pop(asked, None))
        return await asyncio.shield(making)

    def _made(self, sequence: int) -> bytes | None:
        since, record, answer = self._answer
        return answer if (since, record) == (sequence, self.head.record) else None

    def since(self, sequence: int) -> bytes:
        """The CAR for a node that serves this sequence. May read the store: call it in a thread."""
        head, log = self.head, list(self._log)
        if (made := self._made(sequence)) is not None:
            return made
        steps = [step for step in log if step.sequence > sequence]
        if steps and steps[0].before == sequence:
            blocks: Iterable[Block] = (block for step in steps for block in step.blocks)
        else:
            blocks = control_of(head.world, self._store)
        answer = pack(head.record, head.world.cid, blocks)
        self._answer = (sequence, head.record, answer)
        return answer


def pack(record: bytes, catalog: CID, blocks: Iterable[Block]) -> bytes:
    """A CAR: roots are the record (as a raw block) and the Catalog; the record comes first."""
    first = Block.make(RAW, record)
    unique = {block.cid: block for block in (first, *blocks)}
    return car.write((first.cid, catalog), tuple(unique.values()))
