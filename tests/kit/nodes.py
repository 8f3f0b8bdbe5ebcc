"""Real nodes, each a process of its own: an origin and edges started one by one, as an operator would.

Here lives what a play needs to put something *between* nodes (a proxy, a liar) or to kill one. Not here: `rim up`
(tests/kit/ring), which starts them all in one go.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from edge.peers.client import LIES
from edge.peers.ring import Member, Ring
from tests.kit.ports import free_port

RIM = [sys.executable, "-m", "rim"]


def listens(port: int) -> bool:
    """Whether somebody takes connections on this port of loopback."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def until(what: str, ready: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Ask again until it is so: for states of other processes, which send no signal here."""
    end = time.monotonic() + seconds
    while True:
        value = ready()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(0.02)


@dataclass
class Answer:
    """What came back: status, headers in lower case, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cache_status(self) -> str:
        return self.headers.get("cache-status", "")


def fetch(
    base: str,
    path: str,
    host: str | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    timeout: float = 60.0,
) -> Answer:
    """One request on a connection of its own. `path` is sent as it is."""
    url = urlsplit(base)
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=timeout)
    try:
        sent = {"Host": host or url.netloc, **(headers or {})}
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def run_rim(
    arguments: Sequence[str], env: Mapping[str, str], check: bool, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a `rim` command as its user would, without a terminal; with `check`, it must end with 0."""
    done = subprocess.run(
        [*RIM, *arguments], env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )
    assert not check or done.returncode == 0, f"rim {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def call_api(origin: str, token: str, method: str, path: str, body: Any = None) -> Answer:
    """One request to an origin's API, below /api/v1."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return fetch(origin, "/api/v1" + path, headers=headers, method=method, body=data)


def quoted(path: str) -> str:
    """A path of a folder as a browser would send it."""
    return quote(path, safe="/-_.~!$&'()*+,;=:@")


@dataclass
class Process:
    """A node process whose first line on stdout (JSON) says it is ready."""

    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    errors: Path | None = None

    def start(self, seconds: float = 30.0) -> dict[str, Any]:
        self._reap(0)  # one that died by itself may still hold its pipe
        stderr = open(self.errors, "ab") if self.errors else subprocess.DEVNULL  # noqa: SIM115 - the child holds it
        self.process = subprocess.Popen(
            self.command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.env},
        )
        if self.errors:
            stderr.close()  # type: ignore[union-attr]
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            self.stop()
            raise AssertionError(f"{self.command} did not become ready: {self.stderr()}")
        self.ready = json.loads(line)
        return self.ready

    def stderr(self) -> str:
        return self.errors.read_text(errors="replace") if self.errors and self.errors.exists() else ""

    @contextmanager
    def obituary(self) -> Iterator[None]:
        """A connection that comes to nothing says, where the node has ended, how and with which words."""
        try:
            yield
        except OSError as error:
            if self.process is not None and (code := self.process.poll()) is not None:
                error.add_note(f"{self.command}\nhad ended with {code}; its last words:\n{self.stderr()[-4_000:]}")
            raise

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        self._reap(10)

    def stop(self) -> int:
        """SIGTERM, and wait: the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._reap(15)

    def _reap(self, seconds: float) -> int:
        if self.process is None:
            return 0
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.command} did not end within {seconds} s") from None
        finally:
            if self.process.stdout:
                self.process.stdout.close()
        return code


class Origin(Process):
    """`rim origin` on a fixed free port, so that it can be restarted at the same address."""

    def __init__(self, state: Path, env: Mapping[str, str] | None = None) -> None:
        self.state, self.port = state, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*RIM, "origin", "--state", str(state), "--listen", f"127.0.0.1:{self.port}", "--json"]
        super().__init__(command, env or {}, errors=state.with_suffix(".log"))
        state.parent.mkdir(parents=True, exist_ok=True)

    @property
    def token(self) -> str:
        return (self.state / "admin-token").read_text().strip()

    @property
    def catalog(self) -> str:
        return str(self.ready["catalog"])

    def api(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        return call_api(self.url, token or self.token, method, path, body)

    def metric(self, name: str) -> float:
        """One sample of /metrics, by its full name with labels as printed."""
        for line in fetch(self.url, "/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def node_token(self, name: str = "edges") -> str:
        answer = self.api("POST", "/tokens", {"name": name, "scopes": ["edge"], "sites": "*", "expires": None})
        assert answer.status in (200, 201), answer
        return str(json.loads(answer.body)["token"])


class Edge(Process):
    """`rim edge` with fixed ports, so that peers find it again after a restart."""

    def __init__(self, name: str, state: Path, region: str = "local") -> None:
        self.name, self.state, self.region = name, state, region
        self.public, self.private = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.member = f"{name}={self.private};region={region};weight=1"
        super().__init__([], errors=state.with_suffix(".log"))

    def join(self, origin: str, catalog: str, token: str, peers: list[Edge], *more: str) -> Edge:
        """Set the command: whom it follows, and who its peers are."""
        self.command = [
            *RIM, "edge", "--name", self.name, "--state", str(self.state), "--origin", origin, "--catalog", catalog,
            "--public", self.public.removeprefix("http://"), "--private", self.private.removeprefix("http://"),
            "--region", self.region, "--peers", ",".join(p.member for p in peers), "--json", *more,
        ]  # fmt: skip
        self.env = {"RIM_NODE_TOKEN": token}
        return self

    def get(self, site: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
        port = urlsplit(self.public).port
        with self.obituary():
            return fetch(self.public, quoted(path), f"{site}.localhost:{port}", headers, method)

    def ask(self, path: str) -> Answer:
        """One question to the private listener, as a node asks."""
        token = self.env.get("RIM_NODE_TOKEN", "")
        with self.obituary():
            return fetch(self.private, path, headers={"Authorization": f"Bearer {token}"})

    def metric(self, name: str) -> float:
        for line in self.ask("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def counted(self, name: str) -> dict[str, float]:
        """The samples of a metric with one label, by its value."""
        samples = (line.rpartition(" ") for line in self.ask("/metrics").body.decode().splitlines()
                   if line.startswith(name + "{"))  # fmt: skip
        return {labels.split('"')[1]: float(value) for labels, _, value in samples}

    def lies(self) -> dict[str, float]:
        """The lies of other nodes that this one has counted, by kind."""
        return {kind: count for kind, count in self.counted("rim_peer_faults_total").items() if kind in LIES}


@dataclass
class Cluster:
    """An origin and its edges; `via` is the address edges use for the origin (a proxy's, when one stands between)."""

    origin: Origin
    edges: list[Edge]
    token: str = ""

    @property
    def ring(self) -> Ring:
        """The ring as its edges have it: who owns what."""
        return Ring(Member.parse(edge.member) for edge in self.edges)

    def env(self) -> dict[str, str]:
        """The environment of a publisher."""
        return {**os.environ, "RIM_ORIGIN": self.origin.url, "RIM_TOKEN": self.origin.token}

    def rim(self, *arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a `rim` command as its user would, against this origin."""
        return run_rim(arguments, self.env(), check, timeout)

    def publish(self, folder: Path, site: str, *more: str) -> dict[str, Any]:
        done = self.rim("publish", str(folder), "--site", site, "--json", *more)
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def stop(self) -> None:
        for node in [*self.edges, self.origin]:
            if node.process and node.process.poll() is None:
                node.stop()


def cluster(
    root: Path, edges: int = 3, via: Callable[[str], str] = str, regions: tuple[str, ...] = ("local",)
) -> Cluster:
    """Start an origin and a ring; `via` turns the origin's address into the one the edges are given."""
    origin = Origin(root / "origin")
    origin.start()
    token = origin.node_token()
    members = [Edge(f"edge-{n + 1}", root / f"edge-{n + 1}", regions[n % len(regions)]) for n in range(edges)]
    whole = Cluster(origin, members, token)
    try:
        address = via(origin.url)
        for edge in members:
            edge.join(address, origin.catalog, token, members).start()
    except BaseException:
        whole.stop()
        raise
    return whole
