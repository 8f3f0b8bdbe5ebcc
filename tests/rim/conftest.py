"""What the tests of the command line share: a memo, an origin process, and `rim` as a user starts it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rim.memo import Memo
from tests.kit.nodes import RIM, Origin


@pytest.fixture
def memo(tmp_path: Path) -> Iterator[Memo]:
    """A memo in a folder of its own."""
    kept = Memo(tmp_path / "memo")
    yield kept
    kept.close()


@dataclass
class Shell:
    """A user's shell: an environment, and commands run in it."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RIM_")}
        return {**clean, "XDG_STATE_HOME": str(self.home), **self.env, **more}

    def rim(self, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end; nothing is asserted."""
        return subprocess.run(
            [*RIM, *map(str, arguments)],
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            cwd=self.home,
        )

    def result(self, *arguments: object, **env: str) -> dict[str, Any]:
        """Run it with --json; it must end well and print exactly one line."""
        done = self.rim(*arguments, "--json", **env)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        (line,) = done.stdout.splitlines()
        value: dict[str, Any] = json.loads(line)
        return value


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell without an origin."""
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """A real origin, shared by a module's tests: each uses a site of its own."""
    node = Origin(tmp_path_factory.mktemp("origin") / "state")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def user(shell: Shell, origin: Origin) -> Shell:
    """A shell whose commands speak to the origin as its admin."""
    shell.env = {"RIM_ORIGIN": origin.url, "RIM_TOKEN": origin.token}
    return shell


def site_folder(path: Path, files: Mapping[str, bytes | str] | None = None) -> Path:
    """A small site on disk."""
    default = {"index.html": "<h1>hi</h1>" * 50, "css/app.css": "body{}" * 99, "img/a.png": os.urandom(2000)}
    for name, data in (default if files is None else files).items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
    path.mkdir(exist_ok=True)
    return path
