"""The wheel: built from what is committed, and it works in an environment that never saw this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path, timeout: float = 300) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources: building leaves nothing in this folder."""
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("content", "edge", "origin", "rim"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", work, source, cwd=work)
    return next(work.glob("*.whl"))


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    """No tests, no benches; the licence and the marks of typed packages are in it."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"content", "edge", "origin", "rim"}
    assert {f"{top}/py.typed" for top in tops} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    sources = {p.relative_to(ROOT).as_posix() for top in tops for p in (ROOT / top).rglob("*.py")}
    assert sources <= set(names), "a folder without __init__.py is not packaged"
    assert {f"edge/site/browser/{name}" for name in ("worker.js", "off.js", "client.js", "client.d.ts")} <= set(names)


def test_the_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    """Installed from the lock and the wheel alone, `rim` says its version, its help, and what is lacking."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "run.txt", cwd=tmp_path)
    run(*pip, "--no-deps", wheel, cwd=tmp_path)
    run(python, "-m", "pip", "--disable-pip-version-check", "check", cwd=tmp_path)
    rim = place / "bin" / "rim"
    assert run(rim, "--version", cwd=tmp_path).strip() == f"rim {wheel.name.split('-')[1]}"
    assert "--dry-run" in run(rim, "publish", "--help", cwd=tmp_path)
    for command in ("up", "edge", "origin"):
        assert "--state" in run(rim, command, "--help", cwd=tmp_path)
