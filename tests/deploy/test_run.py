"""scripts/run as a newcomer starts it: the demo on a ring of three, and nothing left after Ctrl-C.

Actors: the real script (it makes .venv where there is none), plain HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.nodes import Answer, fetch
from tests.kit.ring import free_ports

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """The script, ready: what it said, and where."""

    process: subprocess.Popen[str]
    said: list[str]
    port: int

    def get(self, path: str, edge: int = 0, **headers: str) -> Answer:
        port = self.port + edge
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return fetch(f"http://127.0.0.1:{port}", path, f"demo.localhost:{port}", sent)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port = free_ports(3)
    command = [str(ROOT / "scripts" / "run"), "--port", str(port)]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, stdin=subprocess.DEVNULL
    )
    try:
        yield Running(process, read_until(process, f"http://demo.localhost:{port}/"), port)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        rest = process.stdout.read()
        code = process.wait(30)
        process.stdout.close()
    assert rest == "", "the URL is the last line"
    assert code in (0, 130), "Ctrl-C is how it is meant to end"
    for edge in range(3):
        with pytest.raises(OSError, match="refused"):
            fetch(f"http://127.0.0.1:{port + edge}", "/")


def read_until(process: subprocess.Popen[str], last: str) -> list[str]:
    """The lines up to this one. The first run may have to install packages: pytest's timeout bounds the wait."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line.rstrip("\n"))
        if said[-1] == last:
            return said
    raise AssertionError(f"ended after {said}")


def test_every_edge_serves_every_file(running: Running) -> None:
    """The three edges answer for all files of the demo with the very bytes, each under its own name."""
    site = ROOT / "examples" / "demo" / "site"
    rows = json.loads((site / "files.json").read_text(encoding="utf-8"))
    for edge in range(3):
        for row in rows:
            name = row["path"] + ("index.html" if row["path"].endswith("/") else "")
            got = running.get(row["path"], edge)
            assert (got.status, got.body) == (200, (site / name[1:]).read_bytes()), row["path"]
            assert got.cache_status.startswith(f"edge-{edge + 1};")


def test_the_health_names_the_release(running: Running) -> None:
    """/.rim/health says ok to a probe, and to who asks for JSON which release the Host's site is at."""
    assert running.get("/.rim/health").body == b"ok\n"
    told = [json.loads(running.get("/.rim/health", edge, Accept="application/json").body) for edge in range(3)]
    assert [one["edge"] for one in told] == ["edge-1", "edge-2", "edge-3"]
    assert {one["site"] for one in told} == {"demo"}
    assert len({one["release"] for one in told}) == len({one["root"] for one in told}) == 1
    base = f"http://127.0.0.1:{running.port}"
    nobody = json.loads(fetch(base, "/.rim/health", "x.example", {"Accept": "application/json"}).body)
    assert nobody == {"status": "ok", "edge": "edge-1"}


def test_an_app_route_is_the_shell_for_navigations_only(running: Running) -> None:
    """rim.toml of the demo says spa: a navigation anywhere gets index.html, a script that is missing gets a 404."""
    shell = running.get("/")
    assert running.get("/app/anything", Sec_Fetch_Mode="navigate").body == shell.body
    assert running.get("/assets/app.0123456789ab.js", Sec_Fetch_Mode="cors").status == 404
    assert running.get("/rim.toml").status == 404
