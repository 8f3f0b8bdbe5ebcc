"""Threaded: a server of the kit on a loop and a thread of its own, from `with` to its end.

Here lives the start, the waiting until it listens, and the end. Not here: what is served (tests/kit/proxy,
tests/kit/tap, tests/faults/chaos/hop).
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self


class Threaded:
    """Base of such a server: `_serve` sets `_ready` once it listens, and ends when `_stop` is set."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        raise NotImplementedError
