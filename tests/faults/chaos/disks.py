"""Sick disks under running nodes: full, refusing, rotten.

Here lives what is done to the files. Not here: when (faults), or the file systems they lie on (ring).
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path

_FILLER = "filler"
_PIECE = 1 << 22


def fill(folder: Path) -> None:
    """Take all room there is on this file system, to the last byte."""
    with open(folder / _FILLER, "ab", buffering=0) as file:
        for size in (_PIECE, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


def free(folder: Path) -> None:
    """Give it back."""
    (folder / _FILLER).unlink(missing_ok=True)


@contextlib.contextmanager
def refusing(pid: int) -> Iterator[None]:
    """Every write of this process to a file beyond its first page fails (EFBIG: RLIMIT_FSIZE; Python ignores the
    signal). For who may mount nothing, and as a disk of another sort: it has room, and takes nothing."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def rot(folder: Path, kind: str, value: float) -> int:
    """Flip a bit in, cut or delete some of the files that lie there now; how many."""
    rng = random.Random(value)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and len(path.parent.name) == 2)
    chosen = rng.sample(files, min(len(files), rng.randrange(1, 12)))
    hit = 0
    for path in chosen:
        with contextlib.suppress(OSError, ValueError):  # it went meanwhile, or is empty
            hit += _spoil(path, kind, rng)
    return hit


def _spoil(path: Path, kind: str, rng: random.Random) -> int:
    size = path.stat().st_size
    if kind == "delete_blocks":
        path.unlink()
    elif kind == "truncate":
        os.truncate(path, rng.randrange(size))
    else:
        place = rng.randrange(size)
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << rng.randrange(8)]))
    return 1
