"""Holding: what outlives every process of an edge, because its parent holds it.

Here live the sockets, the board, and what a process inherits of them. Not here: the processes (edge/processes/parent).

Each process takes visitors from a socket of its own, one of several on the same port (SO_REUSEPORT): the kernel spreads
connections over them by hash, and what waits in one waits there for the next process with this place. Road not taken:
one socket for all, from which whoever wakes first takes all that waits. Of 300 connections made at once, one process of
three got 256; with a socket each they got 95 to 107. The private listener has one for all: it is never asked so much.
"""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from dataclasses import replace

from edge.config import EdgeConfig, address
from edge.http.listener import BindError, bind
from edge.processes import board
from edge.processes.place import Place


class Holding:
    """Sockets that are bound, and the rest that processes share. Raises BindError."""

    def __init__(self, config: EdgeConfig) -> None:
        self._sockets: list[socket.socket] = []
        try:
            host, port = address(config.public, "public")
            public = [self._bind(host, port, 0)]
            for number in range(1, config.processes):
                public.append(self._bind(host, public[0].getsockname()[1], number))
            private = self._bind(*address(config.private, "private"))
            self._inner = [self._bind("127.0.0.1", 0) for _ in range(config.processes)]
        except BindError:
            self.close()
            raise
        self.public_url = _url(public[0], "https" if config.tls_cert is not None else "http")
        self.private_url = _url(private)
        memory, bells = board.make(config.processes)
        self.board = board.Board(memory, bells)
        self._place = Place(
            index=0,
            urls=tuple(_url(sock) for sock in self._inner),
            public=tuple(sock.fileno() for sock in public),
            private=private.fileno(),
            inner=0,
            row=0,
            board=memory,
            bells=bells,
            channel=0,
            secret=secrets.token_hex(32),
            parent=os.getpid(),
        )

    def place(self, index: int, row: int, channel: int) -> Place:
        """What a process with this index is told."""
        inner = self._inner[index].fileno()
        return replace(self._place, index=index, row=row, inner=inner, channel=channel)

    def close(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.close()

    def _bind(self, host: str, port: int, number: int | None = None) -> socket.socket:
        sock = bind(host, port, number)
        self._sockets.append(sock)
        return sock


def _url(sock: socket.socket, scheme: str = "http") -> str:
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
