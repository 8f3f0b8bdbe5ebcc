"""Steps: how much work one input was, counted in lines of our code that ran, not in seconds.

A clock would make a target fail on a slow machine and pass on a fast one; lines are the same everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.table import Module

_OURS = tuple(str(Path(__file__).parents[2] / room) + "/" for room in ("content", "edge"))


class Steps:
    """A count that grows while counting() is open."""

    def __init__(self) -> None:
        self.lines = 0

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(_OURS) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.lines += 1
        return self._line

    def check(self, most: int) -> None:
        assert self.lines <= most, f"{self.lines:,} lines ran, {most:,} are the bound"


def bound(module: Module, data: bytes) -> int:
    """The lines that this input may run."""
    base, per_byte = module.STEPS
    return base + per_byte * len(data)


@contextmanager
def counting() -> Iterator[Steps]:
    """Count the lines of content/ and edge/ that run inside."""
    steps, before = Steps(), sys.gettrace()
    sys.settrace(steps._enter)
    try:
        yield steps
    finally:
        sys.settrace(before)
