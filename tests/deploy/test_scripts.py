"""The set-up scripts on machines that are not ready, and the lock that they install from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "scripts" / "venv"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that has what scripts/venv reads, and no .venv."""
    folder = tmp_path / "clone"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(SETUP, folder / "scripts")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def setup(clone: Path, python: Path, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "PYTHON": str(python), "HOME": str(clone)}
    command = [str(clone / "scripts" / "venv"), "run"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)


def stand_in(folder: Path, text: str) -> Path:
    """A python3 that does as the text says and else hands over to the real one."""
    path = folder / "python3"
    path.write_text(f'#!/bin/sh\n{text}\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def tools(folder: Path) -> str:
    """A PATH without any Python."""
    folder.mkdir()
    for name in ("bash", "env", "cat", "dirname", "rm", "sh"):
        (folder / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    return str(folder)


def test_an_old_python_is_told_so(clone: Path, tmp_path: Path) -> None:
    """Below 3.11 the script says what it found and what to do, and makes nothing."""
    old = stand_in(tmp_path, 'case "$1" in -c) exit 1;; -V) echo "Python 3.9.2"; exit 0;; esac')
    done = setup(clone, old, tools(tmp_path / "bin"))
    assert done.returncode == 1
    assert "Rim needs Python 3.11 or later" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_told_so(clone: Path, tmp_path: Path) -> None:
    """Debian's bare python3: the package to install is named, and no half .venv stays."""
    bare = stand_in(tmp_path, 'if [ "$2" = venv ]; then mkdir .venv; echo "ensurepip is not available" >&2; exit 1; fi')
    done = setup(clone, bare)
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_a_second_run_does_nothing(clone: Path) -> None:
    """Where .venv is as the lock says, nothing is installed or even asked; a changed lock is seen."""
    ready = clone / ".venv" / "rim-lock"
    ready.parent.mkdir()
    first = setup_stamp(clone)
    ready.write_text(first, encoding="utf-8")
    done = setup(clone, Path(sys.executable))
    assert (done.returncode, done.stderr) == (0, "")
    lock = clone / "requirements" / "run.txt"
    lock.write_text(lock.read_text() + "# changed\n")
    assert setup_stamp(clone) != first


def setup_stamp(clone: Path) -> str:
    """What the script wants to see: its own words, run for themselves."""
    wanted = SETUP.read_text(encoding="utf-8").partition("stamp() {")[2].partition("made=")[0]
    script = f'python="{sys.executable}"\nstamp() {{{wanted}\nstamp requirements/run.txt'
    return subprocess.run(["bash", "-c", script], cwd=clone, capture_output=True, text=True, check=True).stdout


def test_every_pin_has_hashes_and_no_address() -> None:
    """The lock pins and hashes everything, and names no index, link or option."""
    for name in ("run.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        packages = [part for part in re.split(r"\n(?=\S)", text) if not part.startswith("#")]
        assert all(PIN.match(part) and "--hash=sha256:" in part for part in packages)
        assert "://" not in text
        assert not re.search(r"^--", text, re.MULTILINE)


def test_both_locks_agree_and_cover_the_project() -> None:
    """dev.txt holds run.txt's pins, so one .venv serves both; and every dependency of the project is pinned."""
    run, dev = (dict(PIN.findall((ROOT / "requirements" / f"{name}.txt").read_text())) for name in ("run", "dev"))
    assert {name: dev.get(name) for name in run} == run
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(wanted: list[str]) -> set[str]:
        return {re.split(r"[<>=\[;]", one)[0] for one in wanted}

    assert names(project["dependencies"]) | {"setuptools"} <= set(run)
    assert names(project["optional-dependencies"]["dev"]) <= set(dev)


def test_scripts_are_executable_and_stop_at_errors() -> None:
    """Each script starts with bash's strict mode, so that no step fails unseen."""
    scripts = [ROOT / ".ci" / "run", *(ROOT / "scripts" / name for name in ("run", "test", "check", "venv"))]
    for path in scripts:
        assert os.access(path, os.X_OK), path
        assert "set -euo pipefail" in path.read_text(encoding="utf-8")
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
