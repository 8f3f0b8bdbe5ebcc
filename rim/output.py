"""What a command says: its result on stdout, its progress on stderr, and only on a terminal.

Here lives the one place that prints. Not here: what the words are (each command's), or exit codes (rim/exits).

rich is imported only when there is a terminal to draw on: it costs 40 ms, and a script that publishes an unchanged
folder waits for 400 in all.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Advance = Callable[[int], None]  # bytes done since the last call


def result(text: str, value: Any = None, *, as_json: bool = False) -> None:
    """The command's result: one line of text, or one line of JSON."""
    print(json.dumps(value, ensure_ascii=False) if as_json else text, flush=True)


def note(text: str) -> None:
    """A remark beside the result."""
    print(text, file=sys.stderr, flush=True)


def table(rows: Iterable[Sequence[object]], heads: Sequence[str]) -> str:
    """Rows in aligned columns; the same on a terminal and in a pipe, so that what is seen is what a script gets."""
    cells = [tuple(heads), *(tuple("" if c is None else str(c) for c in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def size(count: float) -> str:
    """A number of bytes for people: 1.5 MB, decimal as disks and networks count."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def count(number: int, noun: str) -> str:
    """So many of these: 1 block, 2 blocks."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def moment(seconds: int) -> str:
    """A point in time, in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


class Bars:
    """Progress bars with bytes, rate and time left; silent unless stderr is a terminal."""

    def __init__(self, enabled: bool | None = None) -> None:
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._progress: Progress | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[Callable[[int], Advance]]:
        """A phase of the work; what it yields draws the bar, once its total in bytes is known."""
        if not self._enabled:
            yield lambda total: lambda count: None
            return
        tasks: list[TaskID] = []

        def bar(total: int) -> Advance:
            task = self._open().add_task(name, total=total)
            tasks.append(task)
            return lambda count: self._open().advance(task, count)

        yield bar
        for task in tasks:
            self._open().update(task, completed=self._open().tasks[task].total)

    def say(self, text: str) -> None:
        """A line above the bars, where there are any."""
        if self._enabled:
            self._open().console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the terminal as it was found."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _open(self) -> Progress:
        if self._progress is None:
            self._progress = _rich_progress()
            self._progress.start()
        return self._progress


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description:<7}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=Console(stderr=True),
    )
