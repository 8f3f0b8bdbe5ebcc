"""Place: what a process of an edge is told by the parent that started it, and the words they exchange.

Here live the descriptors it inherits, by number, and the channel to the parent. Not here: starting processes
(edge/processes/parent), or what a process does with its place (edge/node).

A process is started anew (exec), never forked off a running one: it reads the settings again, and runs the code that is
installed now. So a rolling restart is how an edge of several processes takes up either.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "RIM_PROCESS"
# The words of the channel, a byte each. The parent says GO, DRAIN, and STAND_IN or STAND_DOWN for the process with the
# index that is added to it; the process says the others.
READY_TO_GO, GO, SERVING, DRAIN, RELEASED = b"p", b"g", b"s", b"d", b"r"
STAND_IN, STAND_DOWN = 0x80, 0xC0


@dataclass(frozen=True, slots=True)
class Place:
    """One process among those of an edge. The sockets, the board, the bells and the channel are descriptors."""

    index: int
    urls: tuple[str, ...]  # of all inner listeners, by index
    public: tuple[int, ...]  # the sockets of visitors, by index: each process takes from its own
    private: int
    inner: int  # its own inner listener: what the other processes ask it
    row: int  # its row of the board
    board: int
    bells: tuple[int, ...]  # by row: rung when the board has changed
    channel: int
    secret: str  # what processes of this edge prove themselves with
    parent: int = 0  # pid

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (*self.public, self.private, self.inner, self.board, *self.bells, self.channel)

    def to_env(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def take(cls, env: MutableMapping[str, str] = os.environ) -> Place | None:
        """The place that this process was started in; None: it is an edge by itself."""
        text = env.pop(VARIABLE, None)  # what this process starts is no part of the edge
        if text is None:
            return None
        told: dict[str, Any] = json.loads(text)
        told |= {name: tuple(told[name]) for name in ("urls", "public", "bells")}
        return cls(**told)

    def die_with_parent(self) -> None:
        """From now on the kernel ends this process when its parent is gone, however that went (prctl(2))."""
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
        if os.getppid() != self.parent:
            raise SystemExit(1)  # it went before we could say so


class Channel:
    """The process's end of the channel to its parent."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)

    def say(self, word: bytes) -> None:
        try:
            self._socket.send(word)
        except OSError:
            return  # the parent is gone, and so are we in a moment

    def hear(self) -> bytes:
        """The words that have come; empty when the parent is gone."""
        try:
            return self._socket.recv(64)
        except BlockingIOError:
            return b" "
        except OSError:
            return b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()
