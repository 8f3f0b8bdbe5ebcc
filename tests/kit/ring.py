"""`rim up` as a real process: an origin and a ring of edges on free ports, with a state folder of their own.

Here lives what most plays need: start it, use it, kill one of its nodes, stop it. Not here: nodes started one by one
(tests/kit/nodes).

    with Up(tmp_path, edges=3) as up:
        up.publish(folder, "demo")
        up.get("demo", "/index.html", edge=1)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.kit.nodes import RIM, Answer, Process, call_api, fetch, quoted, run_rim
from tests.kit.ports import free_ports


class Up(Process):
    """A running `rim up`; `info` is its JSON line. Publishers started from here keep their memos in `root/home`."""

    def __init__(
        self, root: Path, folder: Path | None = None, *more: str, edges: int = 1, env: Mapping[str, str] | None = None
    ) -> None:
        self.root, self.state, self.port = root, root / "up", free_ports(edges)
        root.mkdir(parents=True, exist_ok=True)
        command = [*RIM, "up", *([str(folder)] if folder else []), "--json", "--state", str(self.state)]
        command += ["--edges", str(edges), "--port", str(self.port), *more]
        home = {"XDG_STATE_HOME": str(root / "home")}
        super().__init__(command, {**home, **(env or {})}, errors=root / "up.log")

    def __enter__(self) -> Up:
        self.start(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def info(self) -> dict[str, Any]:
        return self.ready

    @property
    def origin(self) -> str:
        return str(self.info["origin"])

    @property
    def token(self) -> str:
        return str(self.info["token"])

    @property
    def edges(self) -> list[dict[str, Any]]:
        return list(self.info["edges"])

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a command that speaks to this ring."""
        mine = {"RIM_ORIGIN": self.origin, "RIM_TOKEN": self.token, "XDG_STATE_HOME": str(self.root / "home")}
        return {**os.environ, **mine, **more}

    def rim(
        self, *arguments: str, check: bool = True, timeout: float = 300, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a `rim` command as its user would, against this ring."""
        return run_rim(arguments, self.environment(**(env or {})), check, timeout)

    def publish(self, folder: Path, site: str, *more: str) -> dict[str, Any]:
        """`rim publish --json`: its result."""
        done = self.rim("publish", str(folder), "--site", site, "--json", *more)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def get(
        self, site: str, path: str, edge: int = 0, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """One request for a path of a site (as a folder spells it), at one of the edges."""
        base = str(self.edges[edge]["public"])
        host = f"{site}.localhost:{base.rpartition(':')[2]}"
        return fetch(base, quoted(path), host=host, headers=headers, method=method)

    def api(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """One request to the origin's API, below /api/v1."""
        return call_api(self.origin, token or self.token, method, path, body)

    def counted(self, name: str, edge: int, **labels: str) -> float:
        """The sum of an edge's samples of this metric that have these labels."""
        text = fetch(str(self.edges[edge]["private"]), "/metrics").body.decode()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        samples = (line.rpartition(" ") for line in text.splitlines() if line.startswith((name + "{", name + " ")))
        return sum(float(value) for head, _, value in samples if all(label in head for label in wanted))

    def kill_edge(self, edge: int) -> None:
        """SIGKILL to one edge's process."""
        os.kill(int(self.edges[edge]["pid"]), signal.SIGKILL)

    def kill_origin(self) -> None:
        os.kill(int(self.info["origin_pid"]), signal.SIGKILL)
