"""Pour: a long answer on its way out, as the client takes it.

Here lives where it stands, what is next, and the bringing of a block that has left memory meanwhile. Not here: the
wire's pace (edge/http/protocol), or the first look whether all is at hand (edge/ready).

Nothing is held on to: of an answer of a gigabyte, what a client who does not read makes us keep is the one piece that
is being written. Where the system can, pieces go from sealed memory to the socket without a copy (edge/cache/sheet).
"""

from __future__ import annotations

from content.block import Block
from edge.cache.memory import Slot
from edge.cache.sheet import SMALLEST, Sheet
from edge.http.heads import Plain
from edge.kept import Shot
from edge.ready import Ready

_NUDGED = 64 * 1024  # bytes; what is left of a block, and less, is not worth a call of its own


class Pour:
    """The pieces of one body, in order."""

    __slots__ = ("_at", "_block", "_leaves", "_offset", "_ready", "request", "sent", "shot")

    def __init__(self, ready: Ready, shot: Shot, request: Plain) -> None:
        self.shot = shot
        self.request = request
        self.sent = 0
        self._ready = ready
        self._leaves = shot.leaves
        self._at = 0  # which leaf ...
        self._offset = 0  # ... and how much of it has gone
        self._block: Block | None = None  # the leaf's, where it was fetched

    @property
    def is_over(self) -> bool:
        return self._at == len(self._leaves)

    def take(self, most: int | None = None) -> memoryview | None:
        """The next piece, of at most so many bytes; None where its block is not in memory: then `fetch` it. Raises
        BadNode."""
        leaf = self._leaves[self._at]
        block = self._block or self._ready.blocks.get(leaf.cid)
        if block is None:
            return None
        piece = memoryview(leaf.cut(block))[self._offset :][:most]
        self._go(len(piece))
        return piece

    def send(self, to: int) -> int | None:
        """Bytes of the next block that a socket took; 0: it is full. None: this block goes by `take`. Raises OSError
        where the connection is broken."""
        leaf = self._leaves[self._at]
        left = leaf.stop - leaf.start - self._offset
        slot = self._ready.blocks.slot(leaf.cid)
        if slot is None or left < _NUDGED:
            return None
        sheet = slot.sheet or self._sheet(slot)
        if sheet is None or sheet.size != leaf.size:
            return None
        sent = sheet.send(to, leaf.skip + self._offset, left)
        self._go(sent)
        return sent

    def _sheet(self, slot: Slot[Block]) -> Sheet | None:
        """For a block that was asked for before."""
        block = slot.value
        if block is None or not slot.mark or len(block.data) < SMALLEST:
            slot.mark = True
            return None
        return self._ready.blocks.write_sheet(slot, block.data)

    def _go(self, size: int) -> None:
        self.sent += size
        self._offset += size
        leaf = self._leaves[self._at]
        if self._offset == leaf.stop - leaf.start:
            self._at, self._offset, self._block = self._at + 1, 0, None

    async def fetch(self) -> None:
        """Bring the block of the next piece. Raises Unavailable, or ContentError."""
        assert self._ready.load is not None
        self._block = await self._ready.load(self._leaves[self._at].cid)
