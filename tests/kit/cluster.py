"""IPFS Cluster over a real Kubo: an independent server of the Pinning Service API, which really fetches and pins.

Here live a Kubo that speaks to other nodes (bitswap on loopback, nobody else is told of it), and one peer of IPFS
Cluster over it with its pinning service, which takes bearer tokens of its own making. Not here: a service that lies
(tests/kit/pinservice).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.kit.kubo import Kubo
from tests.kit.nodes import fetch, free_port, listens
from tests.kit.programs import needed

_USER, _PASSWORD = "rim", "only-for-this-play"
_START_SECONDS = 60


class Node(Kubo):
    """A Kubo that others can fetch from: it listens on loopback, and finds nobody by itself."""

    def __init__(self, repo: Path) -> None:
        super().__init__(repo)
        path = repo / "config"
        config = json.loads(path.read_text())
        self.port = free_port()
        config["Addresses"]["Swarm"] = [f"/ip4/127.0.0.1/tcp/{self.port}"]
        path.write_text(json.dumps(config))
        self.address = f"/ip4/127.0.0.1/tcp/{self.port}/p2p/{config['Identity']['PeerID']}"

    @contextlib.contextmanager
    def online(self) -> Iterator[Node]:
        """Run the daemon until the block ends."""
        log = self.repo / "daemon.log"
        with _daemon([needed("ipfs"), "daemon"], {"IPFS_PATH": str(self.repo)}, log) as process:
            _ready(process, log, lambda: "Daemon is ready" in log.read_text())
            yield self

    @property
    def api(self) -> str:
        return (self.repo / "api").read_text().strip()

    def pinned(self) -> list[str]:
        """The CIDs it pins recursively."""
        return [line.split()[0] for line in self.run("pin", "ls", "--type=recursive").decode().splitlines()]

    def offline(self, *arguments: str) -> bytes:
        """A command that may ask no other node: what it gives was here."""
        return self.run(*arguments, "--offline")


class Cluster:
    """One peer of IPFS Cluster, and the pinning service of it at `url`."""

    def __init__(self, folder: Path, node: Node) -> None:
        self._folder = folder
        self._log = folder / "cluster.log"
        folder.mkdir(parents=True)
        self._env = {"IPFS_CLUSTER_PATH": str(folder)}
        subprocess.run(
            [needed("ipfs-cluster-service"), "init", "--consensus", "crdt"],
            env={**os.environ, **self._env},
            check=True,
            capture_output=True,
            timeout=60,
        )
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._configure(node)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Cluster]:
        """Run it until the block ends."""
        self._log.unlink(missing_ok=True)
        with _daemon([needed("ipfs-cluster-service"), "daemon"], self._env, self._log) as process:
            _ready(process, self._log, lambda: listens(self.port) and "Cluster is READY" in self._log.read_text())
            yield self

    def token(self) -> str:
        """A bearer token, as its users get one: for name and password."""
        basic = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        answer = fetch(self.url, "/token", headers={"Authorization": f"Basic {basic}"}, method="POST")
        assert answer.status == 200, answer
        return str(json.loads(answer.body)["token"])

    def _configure(self, node: Node) -> None:
        path = self._folder / "service.json"
        config = json.loads(path.read_text())
        config["cluster"].update(
            listen_multiaddress=[f"/ip4/127.0.0.1/tcp/{free_port()}"], mdns_interval="0s", enable_relay_hop=False
        )
        service = config["api"]["pinsvcapi"]
        service["http_listen_multiaddress"] = f"/ip4/127.0.0.1/tcp/{self.port}"
        service["basic_auth_credentials"] = {_USER: _PASSWORD}
        config["api"] = {"pinsvcapi": service}
        config["ipfs_connector"]["ipfshttp"]["node_multiaddress"] = node.api
        config["datastore"]["pebble"]["pebble_options"].update(cache_size_bytes=1 << 24, mem_table_size=1 << 22)
        path.write_text(json.dumps(config))


@contextlib.contextmanager
def _daemon(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env={**os.environ, "IPFS_TELEMETRY": "off", **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    end = time.monotonic() + _START_SECONDS
    while not ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, f"not ready in {_START_SECONDS} s:\n{log.read_text()}"
        time.sleep(0.05)
