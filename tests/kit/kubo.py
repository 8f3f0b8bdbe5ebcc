"""A real Kubo, the oracle for Roots and the peer for CARs: its own repository, nothing outside loopback.

Here lives its set-up under the profile that we build for, and the few commands that tests use. Not here: what is
compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from content.cid import CID
from tests.kit.ports import free_port
from tests.kit.programs import needed

_QUIET = {  # no peers, no resolvers, no discovery, no telemetry: what a test says must not depend on the world
    "Addresses.Swarm": [],
    "Addresses.API": "/ip4/127.0.0.1/tcp/0",
    "Addresses.Gateway": "/ip4/127.0.0.1/tcp/0",
    "AutoConf.Enabled": False,
    "AutoTLS.Enabled": False,
    "Bootstrap": [],
    "DNS.Resolvers": {},
    "Discovery.MDNS.Enabled": False,
    "Gateway.NoFetch": True,
    "Ipns.DelegatedPublishers": [],
    "Plugins.Plugins.telemetry.Disabled": True,
    "Routing.DelegatedRouters": [],
    "Routing.Type": "none",
    "Swarm.DisableNatPortMap": True,
}


class Kubo:
    """`ipfs` over one repository. Commands work with or without the daemon; `serving` starts it."""

    mode: tuple[str, ...] = ("--offline",)  # of a daemon that is not said to be online

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.gateway = ""  # "http://127.0.0.1:PORT" while serving
        self.api = ""  # as well
        self.daemon: subprocess.Popen[bytes] | None = None
        self._env = {**os.environ, "IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off"}
        if not (repo / "config").exists():
            self.run("init", "--profile=unixfs-v1-2025")
            self.configure(_QUIET)

    def run(self, *arguments: str | Path, stdin: bytes | None = None) -> bytes:
        """The stdout of this command. A failure is an AssertionError with its stderr."""
        done = subprocess.run(
            [needed("ipfs"), *map(str, arguments)], env=self._env, input=stdin or b"", capture_output=True, timeout=300
        )
        assert done.returncode == 0, f"ipfs {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def version(self) -> str:
        return self.run("version", "--number").decode().strip()

    def add(self, path: Path, *, store: bool = True) -> CID:
        """The Root that Kubo makes of this file or folder; `store` False only names it."""
        arguments = ("add", "-rQ", "--hidden") if store else ("add", "-rQn", "--hidden")
        return CID.parse(self.run(*arguments, path).decode().split()[-1])

    def add_all(self, paths: Sequence[Path]) -> list[CID]:
        """The Roots of many folders from one run (`-n`): starting Kubo costs more than a small folder does."""
        lines = self.run("add", "-rn", "--hidden", "--progress=false", *paths).decode(errors="replace").splitlines()
        named = dict(reversed(line.split(" ", 2)[1:]) for line in lines if line.startswith("added "))
        return [CID.parse(named[path.name]) for path in paths]

    def dag_import(self, car: bytes) -> list[CID]:
        """Import a CAR, pinning its roots: Kubo reads every block below them, so a hole is an error."""
        lines = self.run("dag", "import", "--enc=json", stdin=car).splitlines()
        said = [json.loads(line)["Root"] for line in lines if b'"Root"' in line]
        assert not any(root.get("PinErrorMsg") for root in said), said
        return [CID.parse(root["Cid"]["/"]) for root in said]

    def dag_export(self, cid: CID) -> bytes:
        return self.run("dag", "export", "--progress=false", str(cid))

    def cat(self, path: str) -> bytes:
        return self.run("cat", path)

    @contextlib.contextmanager
    def serving(self, *, online: bool = False) -> Iterator[Kubo]:
        """Run the daemon (`--offline`) until the block ends; `gateway` and `api` say where. `online`: it asks those
        whom its configuration names, which is nobody unless a play has named one."""
        try:
            self.start(online=online)
            yield self
        finally:
            self.end()

    def start(self, *, online: bool = False) -> None:
        """Start the daemon; on return it answers."""
        mode = () if online else self.mode
        self.daemon = subprocess.Popen(
            [needed("ipfs"), "daemon", *mode], env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self.daemon.stdout is not None
        said = []
        for line in self.daemon.stdout:
            said.append(line.decode(errors="replace"))
            if line.startswith(b"Daemon is ready"):
                break
        else:
            raise AssertionError("Kubo did not start:\n" + "".join(said))
        self.gateway = (self.repo / "gateway").read_text().strip()
        _, _, host, _, port = (self.repo / "api").read_text().strip().split("/")
        self.api = f"http://{host}:{port}"

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the daemon (SIGKILL: at once), if there is one. The next start is at the same addresses where
        `stay` has fixed them."""
        if self.daemon is not None:
            self.daemon.send_signal(number)
            self.daemon.communicate(timeout=60)
            self.daemon = None
        self.gateway = self.api = ""

    def stay(self) -> None:
        """Listen at addresses that are the same after each start. To be said before the first: the ones that Kubo takes
        by itself are lent to whoever connects somewhere while it is away."""
        names = ("Addresses.API", "Addresses.Gateway")
        self.configure({name: f"/ip4/127.0.0.1/tcp/{free_port()}" for name in names})

    def configure(self, settings: Mapping[str, object]) -> None:
        """Set these in its configuration, before it starts; "A.B" is B of A."""
        path = self.repo / "config"
        config = json.loads(path.read_text())
        for name, value in settings.items():
            *parents, last = name.split(".")
            at = config
            for parent in parents:
                at[parent] = at.get(parent) or {}  # Kubo writes null for what is not set
                at = at[parent]
            at[last] = value
        path.write_text(json.dumps(config))
