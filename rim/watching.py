"""Watching: a folder that is published again when something in it was saved.

Here live the way from the system's events to "these files changed", for one folder that may be taken away and made
anew by a build, and the loop that publishes. Not here: one publish (rim/publisher), or the reloading of pages
(edge/reload).

A thread waits for events and puts them into a queue; whoever publishes takes all of them at once, so there is one
publish at a time and what was saved meanwhile is the next. The main thread stays free for signals.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Never

from content.errors import ContentError
from rim import output
from rim.exits import Stop
from rim.ignore import LEFT_OUT
from rim.project import locate

if TYPE_CHECKING:
    from rim.job import Outcome

_STEP_MS = 60  # quiet for so long: the save, or the build, is over
_DEBOUNCE_MS = 2_000  # but a build that never rests is published so often
_LOOK_MS = 500  # between two looks at whether the folder is still the same one
_GONE_SECONDS = 0.2
_NAP_SECONDS = 0.5
_NAMED = 3  # how many of many saved files a line names


def republish(watcher: Watcher, publish: Callable[[], Outcome | None], *, as_json: bool) -> Never:
    """Publish whenever something was saved, until a signal raises. One line for each release; an error is printed, and
    what was live stays."""
    while True:
        changed = watcher.changes(_NAP_SECONDS)
        if changed is not None:
            _publish(publish, changed, as_json)


def _publish(publish: Callable[[], Outcome | None], changed: Sequence[str], as_json: bool) -> None:
    start = time.perf_counter()
    try:
        outcome = publish()
    except Stop as stop:
        output.note(f"rim: {stop.message}\n     {stop.hint}; the release before stays")
        return
    except (ContentError, OSError) as error:
        output.note(f"rim: {error}; the release before stays")
        return
    if outcome is None or outcome.unchanged:
        return
    took = round((time.perf_counter() - start) * 1000)
    named = ", ".join(changed[:_NAMED]) + (f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else "")
    value = {"site": outcome.site, "release": outcome.release, "changed": list(changed), "ms": took}
    output.result(f"{named or 'the folder'}: live in {took} ms", value, as_json=as_json)


class Watcher:
    """Watches from `start` to `stop`; `changes` says what was saved since it was last asked."""

    def __init__(self, folder: Path) -> None:
        """`folder`: absolute. The rim.toml that speaks of it counts too, wherever it is."""
        beside = locate(folder)
        self._folder = folder
        self._also = [] if beside is None or beside.parent == folder else [beside.absolute()]
        self._queue: queue.SimpleQueue[frozenset[str]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._watching = threading.Event()

    def start(self) -> None:
        """Returns once no save can be missed."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()
        self._watching.wait()

    def stop(self) -> None:
        self._stopping.set()

    def changes(self, seconds: float) -> Sequence[str] | None:
        """The paths saved since the last call, sorted, relative to the folder; None when there are none in this time.
        They are empty where the folder itself was replaced."""
        try:
            found = set(self._queue.get(timeout=seconds))
        except queue.Empty:
            return None
        while not self._queue.empty():
            found |= self._queue.get()
        return sorted(found)

    def _run(self) -> None:
        anew = False
        while not self._stopping.is_set():
            try:
                self._watch(anew)
            except (FileNotFoundError, NotADirectoryError):
                self._watching.set()
                self._stopping.wait(_GONE_SECONDS)  # a build has taken it away, and will bring it back
            anew = True

    def _watch(self, anew: bool) -> None:
        """Until the folder is another one. `anew`: it is another one, so all in it may be new. Raises FileNotFoundError
        when it is gone."""
        from watchfiles import Change, watch

        known = _identity(self._folder)
        for changes in watch(
            self._folder,
            *self._also,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            stop_event=self._stopping,
            raise_interrupt=False,
        ):
            self._watching.set()
            found = frozenset(path for _, path in changes if not self._is_left_out(path))
            if found or anew:
                self._queue.put(frozenset(os.path.relpath(path, self._folder) for path in found))
            anew = False
            if (Change.deleted, str(self._folder)) in changes or _identity(self._folder) != known:
                return  # asked in both ways: a folder made anew may get the number of the old one

    def _is_left_out(self, path: str) -> bool:
        return not LEFT_OUT.isdisjoint(Path(os.path.relpath(path, self._folder)).parts)


def _identity(folder: Path) -> tuple[int, int]:
    """Which folder this is, whatever stands in it."""
    found = folder.stat()
    return found.st_dev, found.st_ino
