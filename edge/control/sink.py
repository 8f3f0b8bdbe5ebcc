"""Sink: where lines of a log go, and the thread that may wait there.

Here lives writing to a file, or to stderr, without ever holding up the event loop. Not here: what a line says
(edge/control/log). The thread holds the GIL for no longer than it takes to call write(2).
"""

from __future__ import annotations

import logging
import os
import queue
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

logger = logging.getLogger("rim.edge")
_BATCHES = 2  # that wait for the thread
_ATOMIC = 4096  # PIPE_BUF: what is written to a pipe in one go stays in one piece, whoever else writes to it


class Sink:
    """Lines in, by batches; they are written in order, or counted as lost."""

    def __init__(self, path: Path | None) -> None:
        """`path` None: stderr. Raises OSError."""
        self._path = path
        self._descriptor = sys.stderr.fileno() if path is None else _open(path)
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._is_torn = False  # what was written last ended within a line
        self._reopen = False
        self._full = 0
        self._failed = 0  # lines; only the thread counts here
        self._batches: queue.Queue[Sequence[bytes] | None] = queue.Queue(_BATCHES)
        # A daemon: one that hangs in a write must not keep the process from ending
        self._thread = threading.Thread(target=self._work, name="access log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were not written."""
        return self._full + self._failed

    @property
    def is_free(self) -> bool:
        """Whether another batch finds room."""
        return not self._batches.full()

    def put(self, lines: Sequence[bytes], seconds: float = 0) -> None:
        """Write these, each ended by LF, when what came before is written. Waits so long for room at most."""
        try:
            self._batches.put(lines, seconds > 0, seconds)
        except queue.Full:
            self._full += len(lines)

    def reopen(self) -> None:
        """Open the file anew before the next batch. Stderr stays."""
        self._reopen = True

    def close(self, seconds: float) -> None:
        """Let the thread write what is left for so long, then leave it to itself."""
        try:
            self._batches.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _work(self) -> None:
        while (lines := self._batches.get()) is not None:
            if self._reopen:
                self._reopen = False
                self._open_anew()
            left = len(lines)
            try:
                for piece in [list(lines)] if self._is_file else _pieces(lines):
                    self._write(b"".join(piece))
                    left -= len(piece)
            except OSError as error:
                if not self._failed:
                    logger.error("access log: %s: lines are lost, see rim_log_lost_total", error.strerror or error)
                self._failed += left
        if self._path is not None:
            os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        rest = memoryview(b"\n" + data if self._is_torn else data)
        while rest:
            written = os.write(self._descriptor, rest)
            self._is_torn = rest[written - 1] != 0x0A
            rest = rest[written:]

    def _open_anew(self) -> None:
        if self._path is None:
            return
        try:
            descriptor = _open(self._path)
        except OSError as error:
            logger.error("access log: %s: %s: the file that is open stays", self._path, error.strerror)
            return
        os.close(self._descriptor)
        self._descriptor, self._is_torn = descriptor, False
        self._is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    def __repr__(self) -> str:
        return f"<Sink {self._path or 'stderr'}, {self.lost} lost>"


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _pieces(lines: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, together short enough to be written in one piece; one that is not goes alone."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > _ATOMIC:
            yield piece
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    if piece:
        yield piece
