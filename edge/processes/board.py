"""Board: how far each process of an edge has come, in memory that they all see.

Here live a row per process and the bells that are rung when a row changes. Not here: what follows from it (edge/
processes/unison), or who is alive (edge/processes/parent).

Each process has two rows' room: one that takes another's place has the row that the other has not. A row outlives its
process: one that died keeps back what the edge says of itself until its successor, in the same row, has come as far.
Each number is eight aligned bytes with one writer, so no reader sees half of one.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from dataclasses import dataclass, replace

_NUMBER = struct.Struct("@Q")
_FIELDS = 3
_ROW = _FIELDS * _NUMBER.size
FREE = 2**64 - 1  # in a row that is nobody's: it keeps nobody back


@dataclass(frozen=True, slots=True)
class Row:
    """One process: its pid, the Head whose purges it has carried out, and the one it gives a receipt for."""

    pid: int = 0
    forgot: int = FREE
    cleared: int = FREE


def rows_of(count: int) -> int:
    """How many rows so many processes need."""
    return 2 * count


def make(count: int) -> tuple[int, tuple[int, ...]]:
    """The descriptors of a new board and its bells for so many processes, for whoever inherits them."""
    descriptor = os.memfd_create("rim-board")
    os.ftruncate(descriptor, _NUMBER.size + rows_of(count) * _ROW)
    bells = tuple(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(rows_of(count)))
    board = Board(descriptor, bells)
    for row in range(rows_of(count)):
        board.put(row, Row())
    board.close()
    return descriptor, bells


class Board:
    """The board as one process sees it, which writes its own row."""

    def __init__(self, descriptor: int, bells: tuple[int, ...], row: int = 0) -> None:
        self.row = row
        self._bells = bells
        self._memory = mmap.mmap(descriptor, _NUMBER.size + len(bells) * _ROW)

    @property
    def bell(self) -> int:
        """Readable when another has written."""
        return self._bells[self.row]

    def rows(self) -> list[Row]:
        numbers = struct.iter_unpack("@QQQ", self._memory[_NUMBER.size :])
        return [Row(*row) for row in numbers]

    def write(self, row: Row) -> None:
        """Tell all others of this."""
        self.put(self.row, row)

    def put(self, number: int, row: Row) -> None:
        """Write this row; for the parent, when nobody else does."""
        at = _NUMBER.size + number * _ROW
        for place, value in enumerate((row.pid, row.forgot, row.cleared)):
            _NUMBER.pack_into(self._memory, at + place * _NUMBER.size, value)
        for other, bell in enumerate(self._bells):
            if other != number:
                with suppress(BlockingIOError):  # rung so often that it is heard anyway
                    os.eventfd_write(bell, 1)

    def hand_over(self, number: int, other: int) -> None:
        """Give what stands in a dead process's row to its successor's, for as long as that one has not written."""
        self.put(other, replace(self.rows()[number], pid=0))
        self.put(number, Row())

    def answer(self) -> None:
        """The bell has been heard."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.bell)

    @property
    def forgot(self) -> int:
        """The newest Head whose purges all processes have carried out."""
        return min(row.forgot for row in self.rows())

    @property
    def cleared(self) -> int:
        """The newest Head that the edge as a whole gives a receipt for; 0: none yet."""
        least = min(row.cleared for row in self.rows())
        return 0 if least == FREE else least

    @property
    def restarts(self) -> int:
        """Times a process died and was started anew."""
        return int(_NUMBER.unpack_from(self._memory)[0])

    def count_restart(self) -> None:
        _NUMBER.pack_into(self._memory, 0, self.restarts + 1)

    def close(self) -> None:
        self._memory.close()
