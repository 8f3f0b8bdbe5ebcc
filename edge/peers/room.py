"""Room: how many bytes of other nodes' answers are being received at once.

Here lives the waiting for room, first come first, through a door for each node. Not here: the receiving (edge/peers/
client). What waits here waits in the sockets, which push back; without a bound a thousand answers of a MiB each would
come in together. Without doors one node whose answers drip in would take all of it, and nobody else's could come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

WAIT = 10.0  # s for room; past it an answer is let go: whoever sends it is not to be kept waiting, nor blamed
DOOR = 2  # 1/2 of the room is what comes through one door, at most


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

    @property
    def is_empty(self) -> bool:
        """Whether nobody is there, or waits."""
        return not self.taken and not self._waiting

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


class Doors:
    """The ways into a room, by who answers."""

    def __init__(self) -> None:
        self._doors: dict[str, Room] = {}

    def is_full(self, who: str) -> bool:
        """Whether answers of this one wait for others of its own."""
        return who in self._doors and self._doors[who].is_full

    @asynccontextmanager
    async def enter(self, room: Room, who: str, size: int) -> AsyncIterator[None]:
        """Have room for so many bytes, within WAIT. Raises TimeoutError."""
        door = self._doors.setdefault(who, Room(room.size // DOOR))
        through = within = 0
        try:
            async with asyncio.timeout(WAIT):
                through = await door.enter(size)
                within = await room.enter(size)
            yield
        finally:
            room.leave(within)
            door.leave(through)
            if door.is_empty:
                self._doors.pop(who, None)

    def __len__(self) -> int:
        return len(self._doors)
