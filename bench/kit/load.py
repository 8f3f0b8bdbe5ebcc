"""Load: wrk on a core of its own, and what it counted.

Here lives a closed loop of connections that ask as fast as they are answered. Not here: an open loop at a given rate
(bench/latency), or the servers.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.peers import FILES
from kit.servers import LOAD_CORE, Server, needed, on_core

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for: one target with these fields, or all of a file's in turn."""

    target: str = "/"
    fields: Mapping[str, str] = field(default_factory=dict)
    turns: Path | None = None  # a file with one target a line
    queries: bool = False  # a random query on each
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Counted:
    """A round's load as its sender saw it."""

    requests: int
    seconds: float
    bytes: int
    p50: float  # µs
    p99: float


def run(server: Server, load: Load, seconds: int) -> Counted:
    """Ask for `seconds`. Exits where an answer was no 2xx or 3xx, or a connection broke."""
    script = FILES / ("fixed.lua" if load.turns is None else "turns.lua")
    command = [*on_core(LOAD_CORE), needed("wrk"), "-t1", f"-c{load.connections}"]
    command += [f"-d{seconds}s", "-s", str(script), "-H", f"Host: {server.host}"]
    for name, value in load.fields.items():
        command += ["-H", f"{name}: {value}"]
    command += [server.base + load.target]
    if load.turns is not None:
        command += ["--", str(load.turns), "query" if load.queries else ""]
    env = {**os.environ, "RIM_BENCH_PEERS": str(FILES)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    said = json.loads(done.stdout.splitlines()[-1])
    if said["errors"]:
        raise SystemExit(f"{server.name}: {said['errors']} of {said['requests']} requests failed\n{done.stdout}")
    return Counted(said["requests"], said["microseconds"] / 1e6, said["bytes"], said["p50"], said["p99"])
