"""`rim up`: an origin and a ring of edges on this machine, each a process of its own, for as long as this one runs.

Here lives which processes there are, what they are told and what is said of them. Not here: holding on to a process
(rim/children), serving (origin/node, edge/node).

In the state folder: origin/, edge-1/ …, node-token, log/, up.lock (held while running) and up.json, by which other
commands find this ring.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

from rim import output
from rim.children import Child, end
from rim.client import Origin
from rim.exits import INTERRUPTED, OK, Failed, Usage
from rim.steps import step
from rim.urls import local_url
from rim.watching import Watcher, republish

if TYPE_CHECKING:
    from rim.job import Outcome

_HOST = "127.0.0.1"
_MIB = 1 << 20
_MEMORY_LEAST = 512 * _MIB
_CACHE_MOST = 10 << 30
_NAP_SECONDS = 0.5
_INNER_PORTS = range(20_000, 32_768)  # Linux lends from 32,768 on (ip_local_port_range)
_JOIN_SECONDS = 30.0  # for the edges to appear at the origin


@dataclass(frozen=True, slots=True)
class Plan:
    """What `rim up` was asked for."""

    state: Path
    folder: Path | None = None
    edges: int = 1
    port: int = 8080
    site: str | None = None
    encode: str | None = None
    spa: bool | None = None
    memory: str | None = None
    cache: str | None = None
    as_json: bool = False
    processes: int = 1  # of each edge
    watch: bool = False  # publish again on save, and have open pages reload


class _Terminated(BaseException):
    """SIGTERM came. Not an Exception: nothing between here and serve() may catch it."""


def serve(plan: Plan) -> int:
    """Run the ring until SIGINT (130) or SIGTERM (0)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell that backgrounds had it ignored
    signal.signal(signal.SIGTERM, _terminate)
    state = plan.state.absolute()
    ring = Ring(plan, state)
    try:
        with _locked(state):
            try:
                ring.start()
                ring.announce()
                ring.wait()
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)  # once is enough: what follows must not be cut short
                ring.stop()
    except _Terminated:
        return OK if ring.ready else INTERRUPTED
    return OK


class Ring:
    """The running processes, and what is known of them."""

    def __init__(self, plan: Plan, state: Path) -> None:
        self._plan = plan
        self._state = state
        self._children: list[Child] = []
        self._watcher = Watcher(plan.folder) if plan.watch and plan.folder is not None else None
        self.ready = False
        self.info: dict[str, Any] = {}
        self._first = ""  # the URL that the human output ends with

    def start(self) -> None:
        """Start everything, in order; raises Failed with nothing left to clean but what stop() knows."""
        public = _public_ports(self._plan.port, self._plan.edges)
        (self._state / "log").mkdir(mode=0o700, exist_ok=True)
        port = _free_ports(1, public)[0]
        step("up.begun")
        keeper = self._spawn(
            "origin", "origin", "--state", str(self._state / "origin"), "--listen", f"{_HOST}:{port}", "--json"
        )
        told = keeper.ready()
        token = (self._state / "origin" / "admin-token").read_text(encoding="ascii").strip()
        self.info = {"origin": told["origin"], "origin_pid": keeper.pid, "catalog": told["catalog"], "token": token}
        step("up.origin")
        with Origin(told["origin"], token) as origin:
            self.info["edges"] = self._start_edges(origin, public)
            step("up.edges")
            self._write_file("up.json", json.dumps({"pid": os.getpid(), **self.info}))
            for child in self._children:
                child.watch(self._report)
            if self._watcher is not None:
                self._watcher.start()  # before the first publish: what is saved during it is the second
            outcome = self._publish()
            if outcome is not None:
                step("up.published")
                if outcome.remark:
                    output.note(outcome.remark)
            sites = [site for site in origin.get("/api/v1/sites")["sites"] if site["live"]]
        first = self.info["edges"][0]
        self.info["sites"] = [
            {"name": site["name"], "url": local_url(site["name"], first), "root": site["live"]["root"]}
            for site in sites
        ]
        urls = [site["url"] for site in self.info["sites"]]
        published = local_url(outcome.site, first) if outcome is not None else ""
        self._first = published or (urls[0] if urls else f"http://localhost:{self._plan.port}/")
        self._write_file("up.json", json.dumps({"pid": os.getpid(), **self.info}))
        self.ready = True
        step("up.ready")

    def announce(self) -> None:
        """Say that all is ready: one line of JSON, or a table that ends with the URL to open."""
        if self._plan.as_json:
            output.result("", self.info, as_json=True)
            return
        rows = [(edge["name"], edge["public"], edge["private"], edge["pid"]) for edge in self.info["edges"]]
        print(
            output.table(
                [("origin", "", self.info["origin"], self.info["origin_pid"]), *rows], ("", "PUBLIC", "PRIVATE", "PID")
            )
        )
        for site in self.info["sites"]:
            if site["url"] != self._first:
                print(site["url"])
        print(self._first, flush=True)

    def wait(self) -> None:
        """Until a signal raises. Children that die are told of meanwhile, by threads of their own."""
        if self._watcher is not None:
            republish(self._watcher, self._publish, as_json=self._plan.as_json)
        while True:
            time.sleep(_NAP_SECONDS)  # not pause(): a signal just before it would be slept over

    def stop(self) -> None:
        """End every process, edges first: they say goodbye to the origin. And take back what says that we run."""
        with contextlib.suppress(OSError):
            (self._state / "up.json").unlink(missing_ok=True)
        if self._watcher is not None:
            self._watcher.stop()
        end(self._children[1:])
        end(self._children[:1])

    def _start_edges(self, origin: Origin, public: list[int]) -> list[dict[str, Any]]:
        self._write_file("node-token", self._node_token(origin))
        private = _free_ports(len(public), public)
        names = [f"edge-{number}" for number in range(1, len(public) + 1)]
        peers = ",".join(
            f"{name}=http://{_HOST}:{port};region=local;weight=1" for name, port in zip(names, private, strict=True)
        )
        shared = {
            "origin": self.info["origin"],
            "catalog": self.info["catalog"],
            "token_file": str(self._state / "node-token"),
            "peers": peers,
            "memory": self._plan.memory or _memory(len(public)),
            "cache": self._plan.cache or _cache(self._state),
            "processes": self._plan.processes,
            "reload": self._plan.watch,
            "gateway_hosts": "localhost",  # http://localhost:8080/ipfs/ROOT, of what is published and pinned here
        }
        edges = []
        for name, port, inner in zip(names, public, private, strict=True):
            own = {"name": name, "public": f"{_HOST}:{port}", "private": f"{_HOST}:{inner}"}
            own["gateway_url"] = f"http://localhost:{port}"
            (self._state / name).mkdir(mode=0o700, exist_ok=True)
            self._write_file(f"{name}/edge.json", json.dumps(own | shared, indent=1))
            child = self._spawn(name, "edge", "--state", str(self._state / name), "--json")
            urls = {"public": f"http://{own['public']}", "private": f"http://{own['private']}"}
            edges.append({"name": name, **urls, "pid": child.pid})
        for child in self._children[1:]:
            child.ready()
        self._await_joined(origin, set(names))
        return edges

    def _await_joined(self, origin: Origin, names: set[str]) -> None:
        """Until the origin has heard of every edge, and where its gateway is: from then on a publish waits for all of
        them, and its manifest names them."""
        deadline = time.monotonic() + _JOIN_SECONDS
        while not names <= {edge["node"] for edge in origin.get("/api/v1/edges")["edges"] if _has_joined(edge)}:
            if time.monotonic() > deadline:
                raise Failed("the edges do not follow the origin", f"look into {self._state / 'log'}")
            time.sleep(0.02)
        for edge in origin.get("/api/v1/edges")["edges"]:  # of a larger ring that was here once, and was killed
            if edge["node"] not in names and not edge["present"]:
                origin.send("DELETE", f"/api/v1/edges/{quote(str(edge['node']), safe='')}")

    def _node_token(self, origin: Origin) -> str:
        """The token all edges of this ring share; made anew where the origin does not know it any more."""
        path = self._state / "node-token"
        with contextlib.suppress(OSError):
            known = path.read_text(encoding="ascii").strip()
            if known and _is_known(self.info["origin"], known):
                return known
        body = {"name": "rim up: edges", "scopes": ["edge"], "sites": "*", "expires": None}
        return str(origin.send("POST", "/api/v1/tokens", body)["token"])

    def _publish(self) -> Outcome | None:
        """Publish the folder, if there is one."""
        plan = self._plan
        if plan.folder is None:
            return None
        from rim.commands.publish import encode_level, publishing, site_name, spa_rule
        from rim.job import Job
        from rim.project import load
        from rim.settings import Settings

        settings = Settings(self.info["origin"], self.info["token"], self._state, load(plan.folder))
        site = site_name(plan.folder, plan.site, settings)
        level, spa = encode_level(plan.encode, settings), spa_rule(plan.spa, settings)
        job = Job(plan.folder, site, encode=level, spa=spa, wait="all", project=settings.project)
        with publishing(job, settings) as publisher:
            return publisher.publish()

    def _spawn(self, name: str, *arguments: str) -> Child:
        child = Child(name, arguments, self._state / "log" / f"{name}.log")
        self._children.append(child)
        return child

    def _report(self, child: Child, status: int) -> None:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        again = f"rim {'origin' if child.name == 'origin' else 'edge'} --state {self._state / child.name}"
        if child.name == "origin":
            again += f" --listen {self.info['origin'].removeprefix('http://')}"
        output.note(f"rim: {child.name} (process {child.pid}) {how}; the others serve on. To bring it back: {again}")

    def _write_file(self, name: str, text: str) -> None:
        """A file for this user's eyes, whole or not at all."""
        path = self._state / name
        temporary = path.with_name(path.name + ".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(temporary, path)


@contextlib.contextmanager
def _locked(state: Path) -> Iterator[None]:
    """The state folder for us alone. Raises Failed naming the process that has it."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failed(
            f"the state folder {state} cannot be used: {error.strerror}", "choose another with --state"
        ) from error
    try:
        _take(descriptor, state)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, state: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "?"
        raise Failed(
            f"the state folder {state} is in use by process {owner}",
            "end that `rim up`, or choose another with --state",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _public_ports(first: int, count: int) -> list[int]:
    """These ports in a row, all free now. Raises Failed naming the one that is not."""
    ports = list(range(first, first + count))
    if ports[-1] > 65_535:
        raise Usage(f"port {ports[-1]} does not exist", "choose a lower --port")
    for port in ports:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no listener
            try:
                sock.bind((_HOST, port))
            except OSError as error:
                raise Failed(
                    f"port {port} cannot be had: {error.strerror}",
                    "end what listens there, or choose another with --port",
                ) from error
    return ports


def _free_ports(count: int, spoken_for: Collection[int]) -> list[int]:
    """Ports that nobody has now, and none that another node of this ring will take. Below those that the kernel
    lends to outgoing connections: one of these could take a port between our look and the child's bind."""
    ports: list[int] = []
    for port in random.SystemRandom().sample(_INNER_PORTS, len(_INNER_PORTS)):
        if port in spoken_for:
            continue
        with socket.socket() as sock:
            try:
                sock.bind((_HOST, port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed("no port is free for the nodes of this ring", "end other servers on this machine")


def _has_joined(edge: Mapping[str, Any]) -> bool:
    return bool(edge["present"] and edge["gateway"])


def _is_known(url: str, token: str) -> bool:
    """Whether the origin still takes this token: asked with it, for what any token may see."""
    from rim.client import Rejected

    try:
        with Origin(url, token) as origin:
            origin.get("/api/v1/edges")
    except Rejected:
        return False
    return True


def _memory(edges: int) -> str:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return str(max(_MEMORY_LEAST, whole // 4 // edges))


def _cache(state: Path) -> str:
    return str(min(_CACHE_MOST, shutil.disk_usage(state).free // 10))


def _terminate(number: int, frame: object) -> NoReturn:
    raise _Terminated
