"""What an edge answered, line by line, from its own access log: the requests of pages, of workers and of the browser.

Here lives the reading of it, with a barrier. Not here: the log (edge/control/log).

    log = AccessLog(tmp_path / "access.log")
    with Up(tmp_path, env=log.environment) as up:
        mark = log.mark(up, "demo")
        ...
        lines = log.since(up, "demo", mark)
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import NamedTuple

from tests.kit.ring import Up

_MARK = "/mark-of-the-kit-"


class Line(NamedTuple):
    """One answer. `path` with its query; `size`: bytes of the body as it was sent, encoded; `agent`: who asked."""

    site: str
    method: str
    path: str
    status: int
    size: int
    agent: str


class AccessLog:
    """The log of a ring with one edge."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {"RIM_ACCESS_LOG": "json", "RIM_ACCESS_LOG_FILE": str(path)}
        self._marks = itertools.count()

    def mark(self, up: Up, site: str) -> int:
        """How many lines there are, all answers given up to now among them: they are written in the order in which
        they were given, so one more is asked for, and waited for."""
        path = f"{_MARK}{next(self._marks)}"
        up.get(site, path)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            lines = self._lines()
            if any(line.path == path for line in lines):
                return len(lines)
            time.sleep(0.02)
        raise AssertionError(f"no line of {path} in {self.path}")

    def since(self, up: Up, site: str, mark: int) -> list[Line]:
        """What this site's browsers were answered from that mark to now. The kit itself says no User-Agent."""
        self.mark(up, site)
        return [line for line in self._lines()[mark:] if line.site == site and line.agent]

    def _lines(self) -> list[Line]:
        if not self.path.exists():
            return []
        *whole, _ = self.path.read_bytes().split(b"\n")
        return [_line(json.loads(text)) for text in whole]


def _line(said: dict[str, str | int]) -> Line:
    path = "/" + str(said["target"]).partition("/")[2]
    return Line(
        str(said["site"]), str(said["method"]), path, int(said["status"]), int(said["bytes"]), str(said["agent"])
    )
