"""Unison: the processes of an edge speak as one. Nothing is said of the edge before it holds for all of them.

Here lives keeping step after a purge, and the telling when all have come as far. Not here: the numbers that all see
(edge/processes/board), carrying out a purge in one process (edge/control/head), the wire between them (inner).

A purge is carried out by each process for itself: all drop what it covers from memory, the owner of a block from disk
too. One that is early may have had such a block again from one that is late. So what was dropped is dropped once more
when all have forgotten it, and only then is the process's row raised to that Head. The lowest row is the edge's
receipt.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from content.cid import CID
from edge.cache.loader import Loader
from edge.processes.board import Board, Row


class Unison:
    """This process's part. `speaks` says whether it tells the origin, `tell` does."""

    def __init__(
        self, board: Board, loader: Loader, speaks: Callable[[], bool], tell: Callable[[], Awaitable[object]]
    ) -> None:
        self.board = board
        self._loader = loader
        self._speaks = speaks
        self._tell = tell
        self._pending: list[tuple[int, frozenset[CID] | None]] = []  # of a Head; None: everything
        self._forgot = self._cleared = self._told = 0
        self._woken = asyncio.Event()

    def begin(self, stored: int) -> None:
        """Take the row, with the Head that this process was left with. What it had asked others about is unknown, so
        where one of them is behind, nothing that comes from it meanwhile is kept."""
        self._forgot = stored
        others = [row.forgot for number, row in enumerate(self.board.rows()) if number != self.board.row]
        self._cleared = min(stored, *others)
        if self._cleared < stored:
            self._pending.append((stored, None))
        self._write()
        asyncio.get_running_loop().add_reader(self.board.bell, self._hear)
        self._woken.set()

    def stored(self, sequence: int) -> None:
        """This process has carried out the purges up to this Head, stored it and serves it."""
        again = self._loader.take_again()
        if again is None or again:
            self._pending.append((sequence, again))
        if sequence > self._forgot:
            self._forgot = sequence
            self._write()
            self._woken.set()

    async def run(self) -> None:
        """Keep step, for ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            reached = min(self._forgot, self.board.forgot)
            if reached > self._cleared:
                await self._settle(reached)
                self._cleared = reached
                self._write()
            if self._speaks() and (cleared := self.board.cleared) != self._told:
                self._told = cleared
                await self._tell()

    def close(self) -> None:
        """Hear no more. The row stays, for the parent or a successor."""
        asyncio.get_running_loop().remove_reader(self.board.bell)
        self.board.close()

    async def _settle(self, reached: int) -> None:
        due = [again for sequence, again in self._pending if sequence <= reached]
        self._pending = [row for row in self._pending if row[0] > reached]
        for again in due:
            await self._loader.drop_again(again)

    def _hear(self) -> None:
        self.board.answer()
        self._woken.set()

    def _write(self) -> None:
        self.board.write(Row(os.getpid(), self._forgot, self._cleared))

    def __repr__(self) -> str:
        return f"<Unison forgot {self._forgot}, cleared {self._cleared}, all {self.board.cleared}>"
