"""Ctrl-C in `rim up` and `rim publish`, at each named step and at 50 seeded moments.

After each: no process and no port is left, on disk are only whole verified blocks, and a later try goes on from there.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.kit.nodes import RIM, Origin, free_port
from tests.stories.test_ring import make_site

MOMENTS = 50
INTERRUPTED = 130
SEED = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


def members(session: int) -> list[int]:
    """The processes of this session that still live (zombies of a reaped parent do not count)."""
    alive = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            alive.append(int(entry.name))
    return alive


def interrupted(command: list[str], env: dict[str, str], after: float | None) -> tuple[int, int]:
    """Run in a session of its own, SIGINT to its foreground group `after` seconds (None: it interrupts itself)."""
    process = subprocess.Popen(
        command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    if after is not None:
        time.sleep(after)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"still running 60 s after Ctrl-C at {after or env}") from None
    end = time.monotonic() + 5
    while members(process.pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not members(process.pid), f"left behind after Ctrl-C at {after}: {members(process.pid)}"
    if b"Traceback" in errors:  # Python's own start may be cut; ours may not
        assert not re.search(rb'File "[^"]*/(rim|content|origin|edge)/', errors), errors.decode()
        return INTERRUPTED, process.pid
    print(errors.decode(), end="")
    return process.returncode, process.pid


def assert_no_debris(*folders: Path) -> None:
    """No temporary file is left anywhere."""
    left = [p for folder in folders for p in folder.rglob("*") if p.name.endswith((".tmp", ".part", ".new"))]
    assert not left, left


def check_store(origin: Origin) -> None:
    """Every stored block is whole: fsck on the stopped origin says so."""
    origin.stop()
    done = subprocess.run([*RIM, "origin", "fsck", "--state", str(origin.state)], capture_output=True, text=True)
    assert done.returncode == 0, done


def test_publish_interrupted_at_each_step_and_at_seeded_moments(tmp_path: Path) -> None:
    """`rim publish` ends with 130 (or had finished), leaves nothing, and the next publish resumes."""
    rng = random.Random(SEED)
    print(f"seed {SEED} (RIM_SEED replays)")
    origin = Origin(tmp_path / "origin")
    origin.start()
    try:
        state = tmp_path / "publisher"
        env = {"RIM_ORIGIN": origin.url, "RIM_TOKEN": origin.token, "XDG_STATE_HOME": str(state)}
        folder = make_site(tmp_path / "site", 1, files=20)
        command = [*RIM, "publish", str(folder), "--site", "site"]
        for n in range(1, 200):
            make_site(folder, n + 1, files=20)
            code, _ = interrupted(command, {**env, "RIM_PUBLISH_INTERRUPT_AT": str(n)}, None)
            assert code in (0, 130), (n, code)
            assert_no_debris(state)
            if code == 0:
                break
        print(f"publish: {n - 1} steps interrupted")
        assert n > 5
        begun = time.monotonic()
        make_site(folder, 500, files=20)
        subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
        whole = time.monotonic() - begun
        codes = []
        for moment in range(MOMENTS):
            make_site(folder, 1000 + moment, files=20)
            codes.append(interrupted(command, env, rng.uniform(0.02, whole * 1.1))[0])
            assert_no_debris(state)
        print(f"publish: exit codes at {MOMENTS} moments: { {c: codes.count(c) for c in set(codes)} }")
        assert set(codes) <= {0, 130, -2}, codes  # -2: before Python had installed its own handler
        subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
        check_store(origin)
    finally:
        if origin.process and origin.process.poll() is None:
            origin.stop()


def test_up_interrupted_at_each_step_and_at_seeded_moments(tmp_path: Path) -> None:
    """`rim up` takes its origin and edges with it, frees its ports, and starts again from what is on disk."""
    rng = random.Random(SEED + 1)
    print(f"seed {SEED} (RIM_SEED replays)")
    folder = make_site(tmp_path / "site", 1, files=5)
    state, port = tmp_path / "state", free_port()
    command = [*RIM, "up", str(folder), "--edges", "2", "--port", str(port), "--state", str(state), "--json"]
    steps = count_steps(command, tmp_path / "steps.log")
    for n in range(1, steps + 1):
        shutil.rmtree(state)  # a state folder that has the site already passes fewer steps
        code, _ = interrupted(command, {"RIM_PUBLISH_INTERRUPT_AT": str(n)}, None)
        assert code in (0, 130), (n, code)
        assert_no_debris(state)
    print(f"up: {steps} steps interrupted")
    assert steps > 10
    for _ in range(MOMENTS):
        code, _ = interrupted(command, {}, rng.uniform(0.02, 6.0))
        assert code in (0, 130, -2), code
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))  # the port is free again
        assert_no_debris(state)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        assert process.stdout is not None
        assert b'"sites"' in process.stdout.readline()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]


def count_steps(command: list[str], log: Path) -> int:
    """How many named steps one whole first start of `rim up` passes; it is ended when ready."""
    process = subprocess.Popen(
        command, env={**os.environ, "RIM_STEPS_LOG": str(log)}, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    process.stdout.readline()
    steps = sum(" " not in line for line in log.read_text().splitlines())  # the origin numbers its own
    process.send_signal(signal.SIGINT)
    process.wait(30)
    process.stdout.close()
    return steps
