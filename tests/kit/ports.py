"""Ports of loopback for what a play starts and will start again at the same address.

Here lives the choice: nobody else may take a port between our look and the bind, nor while a killed node is away. So
they lie below those of `rim up`'s inner listeners (rim/dev: from 20,000 on) and those that the kernel lends to outgoing
connections (from 32,768 on), no process of a run shares them with another (pytest-xdist), and none is handed out twice
before all the others were. Not here: listeners that stay for as long as they are needed; those bind port 0.
"""

from __future__ import annotations

import os
import random
import socket

_ALL = range(11_000, 20_000)  # Chromium refuses 10,080, and others below
_SHARES = 8  # workers beyond the eighth would share with the first ones, and chance keeps them apart


def _mine() -> range:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = len(_ALL) // _SHARES
    first = _ALL.start + number % _SHARES * size
    return range(first, first + size)


_ports = _mine()
_next = random.SystemRandom().choice(_ports)  # another run on this machine begins elsewhere


def free_port() -> int:
    """A port that nobody uses now, and that is handed out to nobody else soon."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of `count` such ports in a row, as `rim up --port` takes them."""
    global _next
    for _ in _ports:
        first, _next = _next, _next + count
        if _next > _ports.stop:
            _next = _ports.start
        elif all(map(_is_free, range(first, first + count))):
            return first
    raise AssertionError(f"no {count} ports in a row are free in {_ports}")


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
