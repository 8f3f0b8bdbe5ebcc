"""The systemd units as they are shipped: systemd reads them, finds them hardened, and their command lines run.

Actors: systemd-analyze (which needs no running systemd), an origin and an edge started by hand as the units say, under
strace, so that every system call they make is held against SystemCallFilter. What takes a running systemd is not shown
here: that the sandbox is set up, credentials, restarts.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.nodes import RIM, fetch, free_port, until
from tests.kit.programs import needed

pytestmark = pytest.mark.needs("systemd-analyze")
FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = ("rim-origin.service", "rim-edge@.service")
EXPOSURE = "15"  # of 100: 1.5, where 10 is a unit without any of it
INSTALLED = "/opt/rim/bin/rim"


def settings(unit: str, name: str, **specifiers: str) -> list[str]:
    """All values of this setting, in order, with %i and its like filled in."""
    found = re.findall(rf"(?m)^{name}=(.*)$", (FOLDER / unit).read_text())
    return [re.sub(r"%(\w)", lambda match: specifiers[match[1]], value) for value in found]


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    command = [needed("systemd-analyze"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault(unit: str, tmp_path: Path) -> None:
    """`systemd-analyze verify`, with an executable where /opt/rim/bin/rim would be."""
    rim = tmp_path / "rim"
    rim.write_text("#!/bin/sh\n")
    rim.chmod(0o755)
    copy = tmp_path / unit.replace("@.", "@edge-1.")
    copy.write_text((FOLDER / unit).read_text().replace(INSTALLED, str(rim)))
    done = analyze("verify", "--man=no", copy)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_hardened(unit: str) -> None:
    """Exposure as `systemd-analyze security` counts it, and what it does not count."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", FOLDER / unit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert settings(unit, "MemoryMax")
    assert settings(unit, "LimitNOFILE") == ["65536"]
    assert int(settings(unit, "TimeoutStopSec")[0]) > 10, "SIGTERM to the end takes up to ten seconds"


def test_the_readme_names_what_the_units_read() -> None:
    """Files of settings and of the token, the state folders, the program, and how each is started."""
    readme = (FOLDER / "README.md").read_text()
    for unit in UNITS:
        files = settings(unit, "EnvironmentFile", i="NAME") + settings(unit, "LoadCredential")
        for path in (file.removeprefix("-").rpartition(":")[2] for file in files):
            assert path in readme, path
        (state,) = settings(unit, "StateDirectory", i="NAME")
        assert f"`/var/lib/{state}`" in readme
        assert unit.removesuffix(".service") in readme
    assert INSTALLED in readme
    assert f"after {settings(UNITS[1], 'TimeoutStopSec')[0]} s it is killed" in readme


@pytest.mark.needs("strace")
def test_their_commands_run_and_call_what_they_may(tmp_path: Path) -> None:
    """ExecStart of both, by hand, with Environment and a credential as the units give them; SIGHUP as ExecReload sends
    it; SIGTERM ends both with 0; and no system call is outside the filter."""
    listen, public, private = (f"127.0.0.1:{free_port()}" for _ in range(3))
    with unit("rim-origin.service", tmp_path, RIM_ORIGIN_LISTEN=listen) as (_, origin_log):
        until("the origin listens", lambda: "token" in origin_log.read_text(), 60)
        said = origin_log.read_text().split()
        catalog, admin = said[said.index("catalog") + 1], said[said.index("token") + 1]
        env = {**os.environ, "RIM_ORIGIN": f"http://{listen}", "RIM_TOKEN": admin}
        added = subprocess.run([*RIM, "token", "add", "edges", "--scope", "edge"], env=env, capture_output=True)
        (tmp_path / "node-token").write_bytes(added.stdout)
        given = {"RIM_ORIGIN": env["RIM_ORIGIN"], "RIM_CATALOG": catalog, "RIM_PUBLIC": public, "RIM_PRIVATE": private}
        with unit("rim-edge@.service", tmp_path, **given) as (edge, edge_log):
            until("the edge serves", lambda: "edge edge-1 serves" in edge_log.read_text(), 60)
            assert fetch(f"http://{public}", "/.rim/health", "localhost").status == 200
            assert settings("rim-edge@.service", "ExecReload") == ["/bin/kill -HUP $MAINPID"]
            os.kill(within(edge), signal.SIGHUP)
            assert fetch(f"http://{public}", "/.rim/health", "localhost").status == 200


@contextmanager
def unit(name: str, folder: Path, **env: str) -> Iterator[tuple[int, Path]]:
    """The unit's service, started by hand: strace's pid, and the file of what it says. Ended with SIGTERM."""
    specifiers = {"i": "edge-1", "S": str(folder), "d": str(folder)}
    (line,) = settings(name, "ExecStart", **specifiers)
    program, *words = shlex.split(line)
    assert program == INSTALLED
    own = dict(value.split("=", 1) for value in settings(name, "Environment", **specifiers))
    log, calls = folder / f"{name}.log", folder / f"{name}.calls"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [needed("strace"), "-f", "-qq", "-c", "-o", str(calls), *RIM, *words],
            env={**os.environ, **own, **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield process.pid, log
        os.kill(within(process.pid), signal.SIGTERM)
        assert process.wait(int(settings(name, "TimeoutStopSec")[0])) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    made = {line.split()[-1] for line in calls.read_text().splitlines()[2:-2] if line.split()}
    as_root = {"fchown"} if os.geteuid() == 0 else set()  # SQLite's, and root's only; the unit's user is not root
    assert made - allowed(name) - as_root == set(), "calls that SystemCallFilter refuses"


def within(strace: int) -> int:
    """The process that strace runs, once it has said anything: before that strace has children for its own tests."""
    return int(Path(f"/proc/{strace}/task/{strace}/children").read_text().split()[0])


def allowed(name: str) -> set[str]:
    """The calls that the unit's SystemCallFilter lets through, its lines taken in order as systemd.exec(5) has it."""
    groups: dict[str, set[str]] = {}
    current = ""
    for line in analyze("syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            current = line.strip()
            groups[current] = set()
        elif current and (word := line.strip()) and not word.startswith("#"):
            groups[current].add(word)

    def calls(word: str) -> set[str]:
        return set().union(*map(calls, groups[word])) if word.startswith("@") else {word}

    found: set[str] = set()
    for line in settings(name, "SystemCallFilter"):
        words = set().union(*map(calls, line.removeprefix("~").split()))
        found = found - words if line.startswith("~") else found | words
    return found
