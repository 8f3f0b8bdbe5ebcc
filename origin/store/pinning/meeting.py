"""Meeting: our IPFS node goes to those that a service names for what it is fetching.

Here lives when, and whom. Ours may be behind a NAT, where nobody can come to it. The names are a stranger's, so those
met are few and seldom, and nothing waits for it. Not here: connecting (the store's `meet`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from origin.store.pinning.answer import PINNING, QUEUED
from origin.store.pinning.table import Remote

MEET_SECONDS = 60.0  # between two rounds of it
MEET_MAX = 8  # nodes in one
_ADDRESS = re.compile(r"/(?:ip4|ip6|dns|dns4|dns6|dnsaddr)/[!-~]{1,200}/p2p/[A-Za-z0-9]{1,100}\Z")

Meet = Callable[[Sequence[str]], Awaitable[None]]


class Meetings:
    """The meetings with one service's nodes."""

    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._running: asyncio.Future[None] | None = None
        self._last = -MEET_SECONDS

    def __repr__(self) -> str:
        return f"<Meetings {'going on' if self._running and not self._running.done() else 'at rest'}>"

    def about(self, rows: Iterable[Remote | None]) -> None:
        """Go to the nodes that are at work on these, where it is time to."""
        fetching = [row for row in rows if row is not None and not row.going and row.status in (QUEUED, PINNING)]
        named = dict.fromkeys(address for row in fetching for address in row.delegates if _ADDRESS.match(address))
        busy = self._running is not None and not self._running.done()
        if named and not busy and time.monotonic() - self._last >= MEET_SECONDS:
            self._last = time.monotonic()
            self._running = asyncio.ensure_future(self._meet(list(named)[:MEET_MAX]))

    def end(self) -> None:
        if self._running is not None:
            self._running.cancel()
