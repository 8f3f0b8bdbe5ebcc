"""Ghosts: names of blocks that were here lately, without the blocks. S3-FIFO's third queue.

Here lives one compact table. Not here: who becomes a ghost, and what it is good for (admission).

A queue of keys would cost as much memory as the blocks that are there. So a ghost is 12 bytes in a table of small rows:
64 bits of its digest, and when it came, on a clock that counts the pages of all that came. It is forgotten when its
time is over, or when its row is full and it is the oldest there. That 64 bits meet by chance would cost one write.
"""

from __future__ import annotations

from array import array

_WAYS = 8  # ghosts to a row
_ROWS = 128  # rows at first
_CLOCK = 0xFFFF_FFFF


class Ghosts:
    """Keys, each remembered until as many pages as `limit` have followed it."""

    def __init__(self, limit: int) -> None:
        self._limit = min(limit, _CLOCK // 2)
        self._now = 0
        self._make(_ROWS)

    def add(self, key: bytes, pages: int, blocks: int) -> None:
        """Remember a key. `pages` is what its block took; `blocks` how many ghosts are worth their memory."""
        self._now = (self._now + pages) & _CLOCK
        mark = _mark(key)
        way = self._oldest(mark)
        if self._marks[way] and self._age(way) <= self._limit and len(self._marks) < blocks:
            self._grow()
            way = self._oldest(mark)
        self._marks[way], self._times[way] = mark, self._now

    def take(self, key: bytes) -> bool:
        """Whether the key is remembered; it no longer is."""
        mark = _mark(key)
        for way in self._row(mark):
            if self._marks[way] == mark:
                self._marks[way] = 0
                return self._age(way) <= self._limit
        return False

    def __len__(self) -> int:
        return sum(mark != 0 and self._age(way) <= self._limit for way, mark in enumerate(self._marks))

    def _make(self, rows: int) -> None:
        self._marks = array("Q", bytes(8 * rows * _WAYS))  # 0: nobody
        self._times = array("I", bytes(4 * rows * _WAYS))

    def _grow(self) -> None:
        old = [(mark, time) for mark, time in zip(self._marks, self._times, strict=True) if mark]
        self._make(len(self._marks) // _WAYS * 2)
        for mark, time in old:
            way = self._oldest(mark)
            self._marks[way], self._times[way] = mark, time

    def _row(self, mark: int) -> range:
        start = mark % (len(self._marks) // _WAYS) * _WAYS
        return range(start, start + _WAYS)

    def _age(self, way: int) -> int:
        return (self._now - self._times[way]) & _CLOCK

    def _oldest(self, mark: int) -> int:
        """The place for this mark: its own, else a free one, else that of the oldest in its row."""
        return max(self._row(mark), key=lambda way: (self._marks[way] == mark, not self._marks[way], self._age(way)))


def _mark(key: bytes) -> int:
    return int.from_bytes(key[3:11], "big") or 1
