"""The door: how errors of any kind become an exit code and a sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from content.errors import LimitExceeded
from rim import app as application
from rim.cli import run
from rim.exits import Failed, Partial, Refused, TimedOut, Usage
from tests.rim.conftest import Shell, site_folder

ERRORS: list[tuple[BaseException, int]] = [
    (Failed("what", "next"), 1),
    (Usage("what", "next"), 2),
    (Refused("what", "next"), 3),
    (TimedOut("what", "next"), 4),
    (Partial("what", "next"), 5),
    (LimitExceeded("what", 2, 1), 3),
    (OSError(28, "what", "/full"), 1),
]


HEAVY = (
    "asyncio",
    "aiohttp",
    "dns",
    "starlette",
    "uvicorn",
    "cryptography.hazmat.primitives.serialization",
    "ipfshttpclient",
)


def test_a_command_that_is_typed_pays_for_no_server() -> None:
    """An unchanged publish is mostly start-up: the settings of nodes are read without what nodes are made of."""
    script = "import sys; from rim.cli import run; run(['--version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {name for name in HEAVY if name in done.stdout.split()} == set()


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_errors_are_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    """What happened on one line, what to do next on another, nothing on stdout."""
    monkeypatch.setattr(application, "app_for", raising(error))
    assert run(["sites"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert err.startswith("rim: ")
    assert "what" in err


@pytest.mark.parametrize("arguments", [[], ["site"], ["token"], ["key"]])
def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """The help is the whole answer: no error without words behind it."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert ("Usage" in out, err) == (True, "")


def test_ctrl_c_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever pressed it knows."""
    monkeypatch.setattr(application, "app_for", raising(KeyboardInterrupt()))
    assert run(["sites"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_fault_of_ours_shows_its_traceback() -> None:
    """A bug is no refusal: exit code 1, and the traceback that a report needs."""
    code = "import rim.cli; rim.cli.run = lambda arguments: 1 / 0; rim.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_output_to_a_closed_pipe(shell: Shell) -> None:
    """`rim --help | head -0` ends without a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rim", "completions", "bash"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(30)
    assert b"Traceback" not in err


def test_a_message_over_its_limit(user: Shell, tmp_path: object) -> None:
    """A limit of the release is refused with 3, by name."""
    folder = site_folder(user.home / "wordy")
    done = user.rim("publish", folder, "--message", "x" * 4097)
    assert (done.returncode, "release message" in done.stderr) == (3, True)
    assert user.rim("publish", folder, "--message", "x" * 4096).returncode == 0


def raising(error: BaseException) -> Callable[..., object]:
    def app(arguments: object) -> object:
        raise error

    return app
