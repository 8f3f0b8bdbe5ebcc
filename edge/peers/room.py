"""Room: how many bytes of other nodes' answers are being received at once.

Here lives the waiting for room, first come first. Not here: the receiving (edge/peers/client). What waits here waits in
the sockets, which push back; without a bound a thousand answers of a MiB each would come in together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Room:
    """So many bytes. One answer larger than all of it takes all of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    async def enter(self, size: int) -> int:
        """Wait until there is room for so many bytes; how many to give back with `leave`."""
        size = min(size, self.size)
        if self._waiting or self.taken + size > self.size:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.cancelled():
                    with suppress(ValueError):  # passed over already
                        self._waiting.remove((size, turn))
                    self._admit()
                else:  # let in, and never came to know
                    self.leave(size)
                raise
        else:
            self.taken += size
        return size

    def leave(self, size: int) -> None:
        """So many bytes are somewhere else now, or gone."""
        self.taken -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.taken + self._waiting[0][0] <= self.size:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.taken += size
                turn.set_result(None)

    def __repr__(self) -> str:
        return f"<Room {self.taken} of {self.size} B, {len(self._waiting)} wait>"
