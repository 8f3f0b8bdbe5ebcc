"""Sites: the folders that benches serve, made once and kept in the cache folder of the tests.

Here live a site of real files out of npm packages, single files of a given size, and a large site around a small
working set. Not here: who serves them.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tests.kit.nodes import quoted
from tests.kit.npm import cache, package

PACKAGES = (
    "monaco-editor@0.45.0",
    "ace-builds@1.32.3",
    "three@0.160.0",
    "pdfjs-dist@4.0.379",
    "bootstrap-icons@1.11.3",
)
REAL = 5_000
SINGLE = {"4k": 4 << 10, "64k": 64 << 10, "2m": 2 << 20, "10m": 10 << 20}
WORKING_SET = 100  # files that are asked for, of however many the site has
_SEED = 20


def real_site() -> Path:
    """5,000 files of real packages, mean about 42 kB: scripts, styles, source maps, wasm, icons."""

    def fill(folder: Path) -> None:
        left = REAL
        for spec in PACKAGES:
            source = package(spec)
            for path in sorted(path for path in source.rglob("*") if _is_served(path, source))[:left]:
                target = folder / spec.partition("@")[0] / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                left -= 1

    return _made(f"site-{REAL}", fill)


def single_files() -> Path:
    """One file of each size, named by it, of bytes that do not compress."""

    def fill(folder: Path) -> None:
        rng = random.Random(_SEED)
        for name, size in SINGLE.items():
            (folder / f"{name}.jpg").write_bytes(rng.randbytes(size))

    return _made("single", fill)


def sized_site(files: int) -> Path:
    """The same working set, /set/N.jpg of 4 KiB each, among so many files in all."""

    def fill(folder: Path) -> None:
        rng = random.Random(_SEED)
        (folder / "set").mkdir()
        for number in range(WORKING_SET):
            (folder / "set" / f"{number}.jpg").write_bytes(rng.randbytes(4 << 10))
        for number in range(files - WORKING_SET):
            page = folder / f"section-{number // 250}" / f"page-{number}.html"
            page.parent.mkdir(exist_ok=True)
            page.write_bytes(rng.randbytes(400))

    return _made(f"sized-{files}", fill)


def targets(folder: Path) -> list[str]:
    """Every file's request target, in an order that says nothing, the same each time."""
    found = [quoted(f"/{path.relative_to(folder)}") for path in sorted(folder.rglob("*")) if path.is_file()]
    random.Random(_SEED).shuffle(found)
    return found


def size_of(folder: Path) -> tuple[int, int]:
    """Files and bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def _is_served(path: Path, top: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(top).parts)


def _made(name: str, fill: Callable[[Path], None]) -> Path:
    folder = cache().parent / "bench" / name
    if not folder.is_dir():
        work = folder.with_name(f"{name}.{os.getpid()}")
        work.mkdir(parents=True)
        fill(work)
        os.replace(work, folder)
        time.sleep(2.5)  # a publisher must hash what is younger than 2 s again; real folders are older
    return folder
