"""Pour: a long answer on its way out, a block at a time as the client takes it.

Here lives where it stands, and the bringing of a block that has left memory meanwhile. Not here: the wire's pace
(edge/http/protocol), or the first look whether all is at hand (edge/ready).

Nothing is copied and nothing is held on to: of an answer of a gigabyte, what a client who does not read makes us keep
is the one block that is being written.
"""

from __future__ import annotations

from content.block import Block
from edge.http.heads import Plain
from edge.kept import Shot
from edge.ready import Ready


class Pour:
    """The pieces of one body, in order."""

    __slots__ = ("_at", "_block", "_leaves", "_ready", "request", "sent", "shot")

    def __init__(self, ready: Ready, shot: Shot, request: Plain) -> None:
        self.shot = shot
        self.request = request
        self.sent = 0
        self._ready = ready
        self._leaves = shot.leaves
        self._at = 0
        self._block: Block | None = None

    @property
    def is_over(self) -> bool:
        return self._at == len(self._leaves)

    def take(self) -> memoryview | None:
        """The next piece; None where its block is not in memory: then `fetch` it. Raises BadNode."""
        leaf = self._leaves[self._at]
        block = self._block or self._ready.blocks.get(leaf.cid)
        if block is None:
            return None
        self._block = None
        piece = memoryview(leaf.cut(block))
        self._at += 1
        self.sent += len(piece)
        return piece

    async def fetch(self) -> None:
        """Bring the block of the next piece. Raises Unavailable, or ContentError."""
        assert self._ready.load is not None
        self._block = await self._ready.load(self._leaves[self._at].cid)
