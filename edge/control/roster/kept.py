"""Kept: the last good list of members, in the state folder.

So that an edge that starts while DNS or the origin is away still knows its ring, and whom to ask for what they hold.
Only memory: it is no truth, and lost it costs one look. A list that was found another way is not believed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from edge.control.roster.asking import member
from edge.peers.ring import Member
from edge.state import replace_file

FILE = "ring.json"
logger = logging.getLogger("rim.edge")


class Kept:
    """The file. `found`: how members are found, in the form of `--peers`; `writes` is for one process of an edge."""

    def __init__(self, state: Path, found: str, writes: bool = True) -> None:
        self._path = state / FILE
        self._found = found
        self._writes = writes

    def load(self) -> tuple[Member, ...]:
        """The members kept; none where there are none that can be read."""
        try:
            told = json.loads(self._path.read_bytes())
            if told["found"] != self._found:
                return ()
            return tuple(member(row, str(row["url"])) for row in told["members"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("%s cannot be read (%s): the ring is found anew", self._path, error)
            return ()

    def save(self, members: Iterable[Member]) -> None:
        """Write them down. On a full disk the last ones stay."""
        if not self._writes:
            return
        rows = [
            {"name": one.name, "url": one.url, "region": one.region, "weight": one.weight, "version": one.version}
            for one in members
        ]
        try:
            replace_file(self._path, json.dumps({"found": self._found, "members": rows}).encode())
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._path, error)
