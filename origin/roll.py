"""Roll: the known edges on disk, so that a restarted origin knows whom to expect.

Here lives edges.json: reading it, and writing it a moment after something in it has changed. It is no truth, only
memory: lost, every node is known again at its next word. Not here: what being known means (origin/edges).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

from origin.edges import Edge, Edges
from origin.errors import OriginError
from origin.state import replace_file

LAZY_SECONDS = 1.0
SEEN_SECONDS = 60.0  # how old the times of last sight on disk may get
FIELDS = ("node", "region", "public", "gateway", "seen", "left", "key", "private", "weight", "version")
log = logging.getLogger("rim.origin")


class Roll:
    """The file of an origin's edges."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = time.monotonic()
        self.edges = Edges(_load(path))

    def __repr__(self) -> str:
        return f"<Roll of {self.edges!r}>"

    async def keep(self) -> None:
        """Follow what changes, until cancelled."""
        while True:
            await asyncio.sleep(LAZY_SECONDS)
            if self.edges.changed or time.monotonic() - self._written > SEEN_SECONDS:
                await asyncio.to_thread(self._save, self._rows())

    def close(self) -> None:
        if self.edges.changed:
            self._save(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        """What is to be written, as of now: taken in the loop's thread, where it changes."""
        now = time.time()
        self.edges.changed = False
        self._written = time.monotonic()
        seen = ((edge, now if edge.waiting else edge.seen) for edge in self.edges.known())
        return [{key: getattr(edge, key) for key in FIELDS} | {"seen": round(at, 3)} for edge, at in seen]

    def _save(self, rows: list[dict[str, Any]]) -> None:
        try:
            replace_file(self._path, json.dumps({"edges": rows}, indent=1).encode())
        except OriginError as error:  # a full disk: the next change tries again
            log.warning("%s: %s", self._path, error)


def _load(path: Path) -> list[Edge]:
    try:
        return [
            Edge(**{key: row[key] for key in FIELDS if key in row}) for row in json.loads(path.read_bytes())["edges"]
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): edges are known again as they speak", path, error)
        return []
