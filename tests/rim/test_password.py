"""`rim password`: a hash out of a secret that is never shown, kept, or given as a flag."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from content.password import Password
from rim.project import read
from tests.kit.nodes import RIM
from tests.rim.conftest import Shell


def test_from_the_environment(shell: Shell) -> None:
    """One line, another salt each time, and rim.toml takes it."""
    first, second = (shell.rim("password", RIM_PREVIEW_PASSWORD="open sesame") for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout != second.stdout
    line = first.stdout.rstrip("\n")
    assert Password.parse(line).matches("open sesame")
    assert read(f'[preview]\npassword = "{line}"', Path("rim.toml"))[1] == []


def test_without_a_terminal(shell: Shell) -> None:
    """Exit 2; a secret on stdin is not read, since a pipe has no second try."""
    done = shell.rim("password")
    assert (done.returncode, done.stdout) == (2, "")
    assert "RIM_PREVIEW_PASSWORD" in done.stderr


def typed(shell: Shell, *lines: str) -> tuple[int, str, str]:
    """Run it on a terminal and answer its questions: exit code, what the terminal showed, stdout."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*RIM, "password"],
        env=shell.environment({}),
        stdin=child,
        stderr=child,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    os.close(child)
    shown = b""
    for line in lines:
        shown += _until_asked(parent)
        os.write(parent, line.encode() + b"\n")
    out, _ = process.communicate(timeout=60)
    os.close(parent)
    return process.returncode, shown.decode(), out


def _until_asked(terminal: int) -> bytes:
    got = b""
    while not got.endswith(b": "):
        got += os.read(terminal, 1024)
    return got


def test_typed_twice(shell: Shell) -> None:
    """Asked twice, not echoed."""
    code, shown, out = typed(shell, "hunter2", "hunter2")
    assert code == 0
    assert "hunter2" not in shown
    assert Password.parse(out.strip()).matches("hunter2")


def test_typed_differently(shell: Shell) -> None:
    """Two that differ make no hash."""
    code, _, out = typed(shell, "hunter2", "hunter3")
    assert (code, out) == (2, "")
