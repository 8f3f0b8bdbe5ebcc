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
from collections.abc import Iterator
from pathlib import Path

from tests.kit.kubo import Kubo
from tests.kit.nodes import fetch, free_port, listens, until
from tests.kit.programs import needed

_USER, _PASSWORD = "rim", "only-for-this-play"
_START_SECONDS = 60


class Node(Kubo):
    """A Kubo that others can fetch from: it listens on loopback, and finds nobody by itself."""

    mode = ()

    def __init__(self, repo: Path) -> None:
        super().__init__(repo)
        port = free_port()
        self.configure({"Addresses.Swarm": [f"/ip4/127.0.0.1/tcp/{port}"]})
        name = json.loads((repo / "config").read_text())["Identity"]["PeerID"]
        self.address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{name}"

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
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [needed("ipfs-cluster-service"), "daemon"],
                env={**os.environ, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            until("IPFS Cluster to be ready", lambda: process.poll() is not None or self._is_ready(), _START_SECONDS)
            assert process.poll() is None, self._log.read_text()
            yield self
        finally:
            process.terminate()
            process.communicate(timeout=60)

    def token(self) -> str:
        """A bearer token, as its users get one: for name and password."""
        basic = base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode()
        answer = fetch(self.url, "/token", headers={"Authorization": f"Basic {basic}"}, method="POST")
        assert answer.status == 200, answer
        return str(json.loads(answer.body)["token"])

    def _is_ready(self) -> bool:
        return listens(self.port) and "Cluster is READY" in self._log.read_text()

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
        config["ipfs_connector"]["ipfshttp"]["node_multiaddress"] = (node.repo / "api").read_text().strip()
        config["datastore"]["pebble"]["pebble_options"].update(cache_size_bytes=1 << 24, mem_table_size=1 << 22)
        path.write_text(json.dumps(config))
