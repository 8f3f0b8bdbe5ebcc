"""Real input and real builds: packages of npm, fetched once per machine and kept in a cache folder.

Not here: what is done with them (tests/stories).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("monaco-editor@0.45.0", "bootstrap-icons@1.11.3", "three@0.160.0")


def cache() -> Path:
    """The folder in which what was fetched is kept."""
    named = os.environ.get("RIM_TEST_CACHE", Path(tempfile.gettempdir()) / f"rim-test-{os.getuid()}")
    folder = Path(named) / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else of this machine is here for the same folder: runs, and the processes of one run, share the cache."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def package(spec: str) -> Path:
    """The unpacked folder of this package, as published. Needs npm the first time."""
    kept = cache()
    folder = kept / spec.replace("/", "+")
    with alone(folder):
        if not (folder / "package").is_dir():
            work = Path(tempfile.mkdtemp(dir=kept))
            command = ["npm", "pack", "--silent", spec]
            subprocess.run(command, cwd=work, check=True, stdin=subprocess.DEVNULL, timeout=300)
            with tarfile.open(next(work.glob("*.tgz"))) as tar:
                tar.extractall(work / "unpacked", filter="data")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(work / "unpacked", folder)
            shutil.rmtree(work, ignore_errors=True)
    return folder / "package"


def writable_copy(spec: str, target: Path) -> Path:
    """A copy of the package that a test may change."""
    shutil.copytree(package(spec), target, symlinks=True)
    return target


def installed(spec: str) -> Path:
    """The `node_modules` of this package and of what it needs. Needs npm the first time."""
    kept = cache()
    folder = kept / f"{spec.replace('/', '+')}-installed"
    with alone(folder):
        if not (folder / "node_modules").is_dir():
            work = Path(tempfile.mkdtemp(dir=kept))
            quiet = ("--silent", "--no-audit", "--no-fund")
            command = ["npm", "install", *quiet, "--prefix", str(work), spec]
            subprocess.run(command, cwd=work, check=True, stdin=subprocess.DEVNULL, timeout=300)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(work, folder)
    return folder / "node_modules"
