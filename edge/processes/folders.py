"""Folders: what in an edge's state folder belongs to one of its processes.

Here live their names, and what becomes of them when an edge starts with another number of processes than before. Not
here: the files themselves (edge/control/stored, edge/cache/shelf), the edge's own key (edge/control/identity).

Each process stores the Head that it has carried out, because it may be killed when others are a step further: it must
start where it was, or the purges between would never reach its part of the disk. An edge of one process has its Head in
the state folder itself, so nothing changes there.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from edge.cache.shelf import retire_indexes
from edge.control.stored import CONTROL, HEAD, RESERVE, TRUSTED, HeadStore
from edge.control.trust import Trust
from edge.state import replace_files

COUNTED = "counted"  # below a process's folder: what it told of its counts
BLOCKS = "blocks"
_NAME = re.compile(r"process-[0-9]+\Z")
_KEPT = (TRUSTED, CONTROL, HEAD)  # in this order they come: who has a `head` has the others


def name_of(index: int, count: int) -> str:
    """The name below the state folder, and of the index below the blocks' folder; empty for an edge of one process."""
    return "" if count == 1 else f"process-{index}"


def folder_of(state: Path, index: int, count: int) -> Path:
    """Where a process keeps its own."""
    return state / name_of(index, count)


def trust_in(state: Path, catalog: Iterable[str]) -> Trust:
    """Whom the processes of this folder believe: those who are configured, and who followed them, as any has noted."""
    trust = Trust(catalog)
    noted = [HeadStore(folder).trusted() for folder in _found(state)]
    trust.handovers = tuple(dict.fromkeys(kept for handovers in noted for kept in handovers))
    return trust


def _found(state: Path) -> list[Path]:
    return [path for path in (state, *state.glob("process-*")) if path == state or _NAME.match(path.name)]


def level(state: Path, count: int, sequence_of: Callable[[bytes], int]) -> None:
    """Make ready for so many processes, before any of them runs. Raises OSError.

    Where it was another number, parts of the disk have new owners. All of them begin with the oldest Head that any
    process had stored, so each purge since is carried out by whoever owns the blocks now; and with what any of them
    owed.
    """
    wanted = [folder_of(state, index, count) for index in range(count)]
    found = _found(state)
    for folder in found:
        shutil.rmtree(folder / COUNTED, ignore_errors=True)
    holders = [folder for folder in found if (folder / HEAD).exists()]
    if holders and set(holders) != set(wanted):
        oldest = min(holders, key=lambda folder: sequence_of((folder / HEAD).read_bytes()))
        files = {name: (oldest / name).read_bytes() for name in _KEPT if (oldest / name).exists()}
        stored = {folder: HeadStore(folder).load() for folder in holders}
        owed = {block.cid: block for head in stored.values() if head is not None for block in head.owed}
        if owed and (head := stored[oldest]) is not None:
            files[CONTROL] = replace(head, owed=tuple(owed.values())).to_car()
        for folder in found:
            (folder / RESERVE).unlink(missing_ok=True)  # the room for this, on a full disk; it is taken again
        for folder in wanted:
            folder.mkdir(mode=0o700, exist_ok=True)
            replace_files(folder, files)  # whole or not at all: whoever is killed here, or finds no room, begins again
            for name in set(_KEPT) - set(files):
                (folder / name).unlink(missing_ok=True)
        for folder in set(holders) - set(wanted):
            _leave(folder, state)
    for folder in wanted:
        folder.mkdir(mode=0o700, exist_ok=True)
    retire_indexes(state / BLOCKS, [name_of(index, count) for index in range(count)])


def _leave(folder: Path, state: Path) -> None:
    (folder / HEAD).unlink(missing_ok=True)  # first: what is left of it by a kill is no Head's
    if folder != state:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for name in _KEPT:
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
