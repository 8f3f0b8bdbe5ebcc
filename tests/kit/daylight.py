"""The example app of examples/app, built by a real Vite; also with another version of one of its dependencies.

Here live its build and what is in it. Not here: what is done with it (tests/browser).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.kit.npm import alone, cache, package
from tests.kit.programs import needed

SOURCES = Path(__file__).parents[2] / "examples" / "app"
CHART = "chart.js@4.4.4"  # the app's own is 4.4.3: what a weekly update of dependencies changes


def build(folder: Path, *others: str) -> Path:
    """Build the app below `folder`, with `others` (`name@version`) in place of its own: the folder to publish.

    rim.toml lies beside it, as in the example; copied into it here, because commands run elsewhere. Needs npm and node.
    """
    left_out = shutil.ignore_patterns("node_modules", "dist")
    shutil.copytree(SOURCES, folder, ignore=left_out)
    shutil.copytree(_installed(), folder / "node_modules", symlinks=True, copy_function=_same)
    for spec in others:
        here = folder / "node_modules" / spec.rpartition("@")[0]
        shutil.rmtree(here)
        shutil.copytree(package(spec), here)
    command = [needed("node"), str(folder / "node_modules" / "vite" / "bin" / "vite.js"), "build", "--logLevel", "warn"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"vite: {done.returncode}\n{done.stdout}\n{done.stderr}"
    shutil.copy(SOURCES / "rim.toml", folder / "dist")
    return folder / "dist"


def hashed(dist: Path, stem: str) -> str:
    """The path of the one script that Vite named `stem` and a hash."""
    (found,) = (dist / "assets").glob(f"{stem}-*.js")
    return f"/assets/{found.name}"


def _same(source: str, target: str) -> None:
    """A file that is only read needs no second copy; across file systems it does."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _installed() -> Path:
    """The `node_modules` that the example's lock names, fetched once per lock."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    folder = cache() / f"daylight-{hashlib.sha256(lock).hexdigest()[:12]}"
    with alone(folder):
        if not (folder / "node_modules").is_dir():
            work = Path(tempfile.mkdtemp(dir=cache()))
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(SOURCES / name, work)
            command = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(command, cwd=work, check=True, stdin=subprocess.DEVNULL, timeout=300)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(work, folder)
    return folder / "node_modules"
