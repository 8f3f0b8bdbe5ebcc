"""Denials: what this origin denies: the Catalog's own list, and those it was given as files.

Here live the lists in force, and the check of a release against them. Not here: changing the Catalog's list
(origin/denying), answering (origin/gateway), what edges deny besides (edge/control/denylists).

Files are looked at again every POLL seconds, and read whole when they have changed. One that does not read, or is empty
where it was not, leaves what was.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from content import tree
from content.cid import CID
from content.denyfile import Reader
from content.denylist import Denylist
from content.denylists import Denylists, Refusal, own_list
from content.errors import ContentError
from content.paths import Place
from content.release import Asset, Release
from origin.check import Difference
from origin.errors import OriginError, StateError, Unprocessable
from origin.reading import read
from origin.store import Store
from origin.world import World

POLL = 5.0  # s between two looks at the files
_PIECE = 1 << 20
_CLEAN = 64  # Indexes of which it is known that nothing in them is denied
log = logging.getLogger("rim.origin")


class Gone(OriginError):
    """It is denied. The status is the rule's: 410, or 451."""

    status = 410
    code = "denied"

    def __init__(self, what: str, refusal: Refusal) -> None:
        super().__init__(f"{what} is denied{': ' * bool(refusal.reason)}{refusal.reason}")
        self.status = refusal.status


@dataclass(slots=True)
class _File:
    """One list that lies on disk, as it was last read."""

    path: Path
    seen: tuple[int, ...] = ()
    list: Denylist | None = None


class Denials:
    """The lists of one origin. Questions may come from any thread."""

    def __init__(self, store: Store, world: Callable[[], World], paths: Sequence[Path] = ()) -> None:
        """Raises StateError where a file cannot be read: an origin that was told to deny must not begin without."""
        self._store = store
        self._world = world
        self._files = [_File(path) for path in paths]
        self._lock = threading.Lock()
        self._own: tuple[CID, Denylist] | None = None
        self._lists = Denylists()
        self._clean: dict[CID, bytes] = {}  # Index → the mark of the lists that it was found clean by
        self.refused = 0
        for file in self._files:
            if problem := self._look(file):
                raise StateError(f"denylist {file.path}: {problem}")

    def __repr__(self) -> str:
        return f"<Denials {self.lists!r}>"

    @property
    def lists(self) -> Denylists:
        """What is in force as of the newest commit."""
        world = self._world()
        with self._lock:
            if self._own is None or self._own[0] != world.catalog.denied:
                self._own = (
                    world.catalog.denied,
                    own_list([(rule, row.to_value()) for rule, row in world.denied.items()]),
                )
                self._make()
            return self._lists

    def check(self, cid: CID, segments: Sequence[str] = ()) -> None:
        """Raises Gone where a block is denied, or a path below it."""
        lists = self.lists
        if not lists.mark:
            return
        if refusal := lists.refusal(cid) or (lists.refusal_of_path(cid, segments) if segments else None):
            self.refused += 1
            raise Gone("/".join((f"/ipfs/{cid}", *segments)) if segments else f"block {cid}", refusal)

    def check_name(self, name: str) -> None:
        """Raises Gone where an IPNS name is denied."""
        if refusal := self.lists.refusal_of_name(name):
            self.refused += 1
            raise Gone(f"/ipns/{name}", refusal)

    def check_way(self, place: Place, segments: Sequence[str]) -> None:
        """Raises Gone where a path is denied below any node that it leads through."""
        if refusal := self.lists.refusal_on_way(place.passed, segments):
            self.refused += 1
            raise Gone("/".join((f"/ipfs/{place.passed[0]}", *segments)), refusal)

    def check_release(self, release: Release, base: Release | None, rows: Difference) -> None:
        """Raises Unprocessable where a release holds what is denied. `rows`: how it differs from `base`; where that is
        known to be clean, nothing else is looked at. Call it in a thread."""
        lists = self.lists
        if not lists.mark:
            return
        if refusal := lists.refusal_of_path(release.root, ()):
            raise _refused("this folder", str(release.root), refusal)
        if base is None or self._clean.get(base.index) != lists.mark:
            rows = [(path, None, row) for path, row in read(self._store, tree.rows(release.index))]
        by_path = lists.names_paths_below(release.root)
        for path, _, row in rows:
            if row is None:
                continue
            asset = Asset.from_row(row)
            for cid in (asset.cid, *(encoding.cid for encoding in asset.encodings.values())):
                if refusal := lists.refusal(cid):
                    raise _refused(path, str(cid), refusal)
            if by_path and (refusal := lists.refusal_of_path(release.root, path.split("/")[1:])):
                raise _refused(path, f"/ipfs/{release.root}{path}", refusal)
        while len(self._clean) >= _CLEAN:
            del self._clean[next(iter(self._clean))]
        self._clean[release.index] = lists.mark

    async def keep(self) -> None:
        """Look at the files again and again, for ever."""
        while self._files:
            await asyncio.sleep(POLL)
            try:
                await asyncio.to_thread(self.look)
            except Exception:  # a fault of ours must not be the end of keeping up
                log.exception("denylists")

    def look(self) -> None:
        """Read again what has changed; in a thread."""
        for file in self._files:
            if problem := self._look(file):
                log.error("denylist %s: %s; what it said before holds", file.path, problem)

    def told(self) -> list[tuple[str, int]]:
        """Each list in force and how many rules it has."""
        return [(one.name, len(one)) for one in self.lists.lists]

    def _look(self, file: _File) -> str:
        """Read a file if it has changed; what is wrong with it."""
        try:
            state = os.stat(file.path)
            if not stat.S_ISREG(state.st_mode):  # to open a pipe could take for ever
                return "it is no regular file"
            seen = (state.st_ino, state.st_size, state.st_mtime_ns)
            if seen == file.seen:
                return ""
            file.seen = seen
            reader = _read(file.path)
        except (OSError, ContentError) as error:
            return (isinstance(error, OSError) and error.strerror) or str(error)
        for number, problem in reader.problems:
            log.warning("denylist %s, line %d: %s", file.path, number, problem)
        if not len(reader.list) and file.list:
            return "it has no rule any more; take it out of the settings if that is meant"
        if not len(reader.list) and reader.malformed:
            return f"not one of its {reader.malformed} lines is a rule: {reader.problems[0][1]}"
        with self._lock:
            file.list = reader.list
            self._make()
        return ""

    def _make(self) -> None:
        given = [file.list for file in self._files if file.list is not None]
        self._lists = Denylists((*given, *(() if self._own is None else (self._own[1],))))


def _refused(path: str, what: str, refusal: Refusal) -> Unprocessable:
    why = f"{path} is denied ({refusal.source}){': ' * bool(refusal.reason)}{refusal.reason}"
    return Unprocessable(f"{why}; nothing was published", "denied", path=path, denied=what)


def _read(path: Path) -> Reader:
    reader = Reader(path.name)
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            for _ in reader.feed(piece):
                pass
    for _ in reader.end():
        pass
    return reader
