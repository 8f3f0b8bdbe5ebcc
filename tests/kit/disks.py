"""Small disks: a file system that a test can fill.

Here lives its mounting: a tmpfs, which needs root. Not here: filling it, or what should happen then.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """An empty file system at this new folder, `options` as mount takes them (size=32m). Skips, saying why, where
    nothing can be mounted; in CI that is a failure."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if made.returncode:
        said = f"cannot mount a tmpfs here (root is needed): {made.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
