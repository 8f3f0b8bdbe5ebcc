"""Threads for work that leaves the interpreter alone: reading, hashing, compressing, waiting for a socket.

Here lives one way to run a job over many items and stop at once when something breaks or Ctrl-C comes. Not here: what
the jobs do. Road not taken: processes. Starting one costs more than hashing a thousand files, and all that is heavy
here releases the GIL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Cancelled(Exception):
    """Raised inside a job when the others have been given up."""


class Crew:
    """Some threads. A job looks at `check()` between slices of long work, so that it ends soon after the others;
    `on_stop` ends what a job may be waiting for."""

    def __init__(self, workers: int, on_stop: Callable[[], None] = lambda: None) -> None:
        self._workers = workers
        self._on_stop = on_stop
        self._stop = threading.Event()

    def check(self) -> None:
        """Raise Cancelled when this work is no longer wanted."""
        if self._stop.is_set():
            raise Cancelled

    def run(self, job: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results, as they come. The first error, or Ctrl-C, ends all jobs and is raised when none runs."""
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="rim")
        try:
            for future in as_completed([pool.submit(job, item) for item in items]):
                yield future.result()
        except BaseException:
            self._stop.set()
            self._on_stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))
