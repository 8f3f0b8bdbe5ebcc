"""Peers: the servers that a bench can set beside each other, each over one folder.

Here lives how each is started: Rim as `rim up` with one edge, the others from their files in bench/peers. Not here: the
processes themselves (kit/servers), or what is asked of them.
"""

from __future__ import annotations

import getpass
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from kit import ROOT
from kit.servers import (
    LOAD_CORE,
    SERVER_CORE,
    Server,
    environment,
    free_port,
    needed,
    pin,
    spawned,
    until,
    until_listening,
)

FILES = ROOT / "bench" / "peers"
SITE = "bench"
HOST = f"{SITE}.localhost"
RIM = (sys.executable, "-m", "rim")
# Which of these serves a case best was tried once with `hits.py --tune`; the winner is the peer.
TUNINGS = {
    "sendfile": "sendfile on; tcp_nopush on;",
    "sendfile-whole": "sendfile on; tcp_nopush on; sendfile_max_chunk 0;",
    "buffers": "sendfile off; output_buffers 1 128k;",
    "large-buffers": "sendfile off; output_buffers 2 1m;",
    "threads": "sendfile on; tcp_nopush on; aio threads;",
}


@dataclass(slots=True)
class Ring:
    """A running `rim up` with one edge."""

    server: Server
    private: str  # the edge's private listener
    origin: str
    origin_pid: int
    token: str
    state: Path
    stack: ExitStack  # what was started besides

    def metric(self, name: str) -> float:
        """A number of the edge's, by its full name."""
        with urlopen(self.private + "/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.rsplit(" ", 1)[1])
        return 0.0

    def restart(self, between: Callable[[Path], None]) -> None:
        """End the edge, do something to its state folder, and start it again."""
        state, pid = self.state / "edge-1", self.server.pids[0]
        self.stack.close()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}/stat").exists() or _is_dead(pid), "the edge's end")
        between(state)
        command = [*RIM, "edge", "--state", str(state), "--json"]
        process = self.stack.enter_context(spawned(command, log=self.state / "edge.log"))
        said = json.loads(_line(process, 60) or _fail(command, self.state / "edge.log"))
        self.server = replace(self.server, pids=(said["pid"],))

    def rim(self, *arguments: str) -> dict[str, Any]:
        """A `rim` command against this ring; its JSON. Exits where it fails."""
        env = environment(
            {"RIM_ORIGIN": self.origin, "RIM_TOKEN": self.token, "XDG_STATE_HOME": str(self.state.parent / "home")}
        )
        done = subprocess.run([*RIM, *arguments, "--json"], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"rim {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said


@contextmanager
def rim(
    work: Path,
    folder: Path,
    *more: str,
    log: bool = False,
    core: int | None = SERVER_CORE,
    env: Mapping[str, str] | None = None,
) -> Iterator[Ring]:
    """An origin and one edge, the folder published without encodings: both peers then hold the same bytes. The edge's
    CPU is what counts; the origin is the world outside, on the other core, and idle once all is published."""
    work.mkdir(parents=True)
    port, errors = free_port(), work / "up.log"
    command = [*RIM, "up", str(folder), "--site", SITE, "--encode", "none", "--json", "--state", str(work / "up")]
    command += ["--port", str(port), "--edges", "1", "--memory", "1GiB", *more]
    told = {**(env or {}), "XDG_STATE_HOME": str(work / "home"), **({"RIM_ACCESS_LOG": "combined"} if log else {})}
    with spawned(command, log=errors, core=core, env=told) as process:
        said = json.loads(_line(process, 120) or _fail(command, errors))
        edge = said["edges"][0]
        shown = " ".join(["rim", *command[len(RIM) :], *(["(RIM_ACCESS_LOG=combined)"] if log else [])])
        if core is not None:
            pin(said["origin_pid"], LOAD_CORE)
        server = Server("rim", edge["public"], HOST, (edge["pid"],), shown)
        with ExitStack() as stack:
            yield Ring(server, edge["private"], said["origin"], said["origin_pid"], said["token"], work / "up", stack)


@contextmanager
def nginx(work: Path, folder: Path, tuning: str = "sendfile", log: bool = False) -> Iterator[Server]:
    """Debian's nginx over the folder, one worker."""
    location = f"root {folder};"
    access = f"{work}/access.log combined buffer=64k flush=1s" if log else "off"
    with _nginx(work, location, TUNINGS[tuning], access) as server:
        yield server


@contextmanager
def _nginx(
    work: Path, location: str, tuning: str, access: str, more: str = "", core: int | None = SERVER_CORE
) -> Iterator[Server]:
    work.mkdir(parents=True)
    port, errors = free_port(), work / "error.log"
    values = {"work": work, "port": port, "user": getpass.getuser(), "access": access}
    config = (FILES / "nginx.conf.in").read_text()
    for name, value in {**values, "tuning": tuning, "location": location, "more": more}.items():
        config = config.replace(f"@{name}@", str(value))
    (work / "nginx.conf").write_text(config)
    command = [needed("nginx"), "-e", str(errors), "-p", str(work), "-c", str(work / "nginx.conf")]
    with spawned(command, log=errors, core=core) as process:
        until_listening(process, port, errors)
        yield Server("nginx", f"http://127.0.0.1:{port}", HOST, (process.pid,), config)


@contextmanager
def proxy_cache(work: Path, upstream: str) -> Iterator[Server]:
    """Debian's nginx as a cache in front of an address, on any core."""
    zone = f"proxy_cache_path {work}/cache keys_zone=bench:8m max_size=8g inactive=1h use_temp_path=off;"
    location = (
        f"proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_cache bench; "
        "proxy_cache_valid 200 1h; proxy_cache_lock on; add_header X-Cache $upstream_cache_status;"
    )
    with _nginx(work, location, TUNINGS["sendfile"], "off", zone, core=None) as server:
        yield server


@contextmanager
def varnish(work: Path, backend: Server) -> Iterator[Server]:
    """Debian's Varnish, in memory, in front of nginx."""
    work.mkdir(parents=True)
    port, errors = free_port(), work / "varnish.log"
    vcl = (FILES / "varnish.vcl.in").read_text().replace("@port@", backend.base.rpartition(":")[2])
    (work / "varnish.vcl").write_text(vcl)
    options = ["thread_pools=1", "thread_pool_min=100", "thread_pool_max=1000"]
    command = [needed("varnishd"), "-F", "-j", "none", "-n", str(work / "run"), "-a", f"127.0.0.1:{port}"]
    command += ["-T", "none", "-f", str(work / "varnish.vcl"), "-s", "malloc,512m", "-i", "bench"]
    command += [part for option in options for part in ("-p", option)]
    with spawned(command, log=errors) as process:
        until_listening(process, port, errors)
        shown = " ".join(command[1:]) + "\n" + vcl
        yield Server("varnish", f"http://127.0.0.1:{port}", HOST, (process.pid,), shown)


@contextmanager
def staticfiles(work: Path, folder: Path) -> Iterator[Server]:
    """starlette's StaticFiles under uvicorn with httptools and uvloop."""
    work.mkdir(parents=True)
    port, errors = free_port(), work / "static.log"
    script = FILES / "staticfiles.py"
    with spawned([sys.executable, str(script), str(folder), str(port)], log=errors) as process:
        until_listening(process, port, errors)
        yield Server("StaticFiles", f"http://127.0.0.1:{port}", HOST, (process.pid,), script.read_text())


@contextmanager
def kubo(work: Path, folder: Path, core: int | None = SERVER_CORE) -> Iterator[tuple[Server, str]]:
    """Kubo's gateway over its own repository, the folder added; and the folder's Root."""
    os.environ.setdefault("RIM_IPFS", needed("ipfs"))
    from tests.kit.kubo import Kubo

    work.mkdir(parents=True)
    node = Kubo(work / "repo")
    root = str(node.add(folder))
    env = {"IPFS_PATH": str(node.repo), "IPFS_TELEMETRY": "off"}
    with spawned([needed("ipfs"), "daemon", "--offline"], log=work / "kubo.log", core=core, env=env) as process:
        assert process.stdout is not None
        if not any(line.startswith(b"Daemon is ready") for line in process.stdout):
            raise SystemExit(f"Kubo ended:\n{(work / 'kubo.log').read_text(errors='replace')}")
        base = (node.repo / "gateway").read_text().strip()
        config = (node.repo / "config").read_text()
        yield Server("kubo", base, base.removeprefix("http://"), (process.pid,), config), root


def _is_dead(pid: int) -> bool:
    """Whether it has ended, and only waits to be told of."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline() if ready else b""


def _fail(command: Sequence[str], errors: Path) -> bytes:
    raise SystemExit(f"{' '.join(command)} did not start:\n{errors.read_text(errors='replace')}")
