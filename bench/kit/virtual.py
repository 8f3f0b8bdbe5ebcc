"""Virtual: an event loop whose clock jumps to the next timer, so an hour passes in the time its events take.

Here live the loop and its running. Not here: what is simulated on it (kit/world).

All that code sees of time must be the loop's: `loop.time()`, `asyncio.sleep`, timeouts, and clocks that are handed in.
Then nothing is left to the machine's speed, and a seed tells of every event. Threads have no place here: their end is
no timer, and a loop with nothing left to wait for but a thread ends with Standstill.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Standstill(Exception):
    """Nothing is left that could happen, and what is run has not ended."""


class _Jump(selectors.BaseSelector):
    """In place of waiting for sockets: the wait is over at once, and the clock says that it took its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Standstill
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a clock that starts at 0 and moves only when all else waits."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run this to its end in virtual time. Raises Standstill."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
