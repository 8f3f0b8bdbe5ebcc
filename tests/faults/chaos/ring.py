"""The ring of a run: an origin, edges in two regions, a member that may lie, and a wire to everyone from each region.

Here live starting it, its addresses, and what is put between its nodes. Not here: what befalls it (faults).

A wire leads from one region to one node: an edge is reached by its own region and by the other over different ones, so
that it can be away for some and not for others. Publishers have one of their own, visitors none.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from content.block import Block
from content.cid import CID
from content.errors import ContentError
from tests.faults.chaos.hop import Hop
from tests.faults.chaos.nodes import Node
from tests.faults.chaos.schedule import LIAR, REGIONS, Plan
from tests.kit.evilpeer import EvilPeer
from tests.kit.ports import free_port
from tests.kit.toxics import Toxic

MiB = 1 << 20
EDGE_DISK, ORIGIN_DISK = 96 * MiB, 256 * MiB  # of the small file systems, where they can be made
ORIGIN, DESK = "origin", "desk"  # the desk: where publishers sit


@dataclass
class Line:
    """The wire from a region to a node, under all that befalls it at once."""

    toxic: Toxic
    poisons: list[dict[str, Any]] = field(default_factory=list)
    downs: int = 0

    def add(self, poison: dict[str, Any]) -> None:
        self.poisons.append(poison)
        self._tell()

    def drop(self, poison: dict[str, Any]) -> None:
        self.poisons = [one for one in self.poisons if one is not poison]
        self._tell()

    def down(self) -> None:
        self.downs += 1
        self.toxic.down()

    def up(self) -> None:
        self.downs -= 1
        if self.downs == 0:
            self.toxic.up()

    def _tell(self) -> None:
        whole: dict[str, Any] = {}
        for poison in self.poisons:
            whole |= poison
        self.toxic.set(**whole)


class Ring:
    """All processes and wires of one run, in one folder. `close` leaves nothing."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.regions = dict(plan.edges)
        self.ports = {name: (free_port(), free_port()) for name in self.regions}  # public, private
        self.origin_port = free_port()
        self.nodes: dict[str, Node] = {}
        self.lines: dict[tuple[str, str], Line] = {}
        self.liar = EvilPeer(source=self._block)
        self.hop = Hop("", plan.seed)
        self.mounted: set[str] = set()
        self.token = self.node_token = ""
        self._stack = ExitStack()
        self._blocks: dict[CID, Block | None] = {}

    @property
    def edges(self) -> list[Node]:
        return [self.nodes[name] for name in self.regions]

    @property
    def origin(self) -> Node:
        return self.nodes[ORIGIN]

    @property
    def origin_url(self) -> str:
        return f"http://127.0.0.1:{self.origin_port}"

    def public(self, edge: str) -> int:
        return self.ports[edge][0]

    async def start(self) -> None:
        """Start all, and wait until all are ready."""
        self._disk(ORIGIN, ORIGIN_DISK)
        listen = ["origin", "--state", str(self._state(ORIGIN)), "--listen", f"127.0.0.1:{self.origin_port}", "--json"]
        self.nodes[ORIGIN] = Node(ORIGIN, self._state(ORIGIN), listen)
        await self.origin.start()
        self.token = (self._state(ORIGIN) / "admin-token").read_text().strip()
        self.node_token = await self._make_token()
        self._connect()
        for name in self.regions:
            self._disk(name, EDGE_DISK)
            self.nodes[name] = Node(name, self._state(name), self.command(name), {"RIM_NODE_TOKEN": self.node_token})
        await asyncio.gather(*(node.start() for node in self.edges))

    def command(self, name: str, members: str = "") -> list[str]:
        """How this edge is started; with another list of members, if one is given."""
        public, private = self.ports[name]
        return [
            "edge", "--name", name, "--state", str(self._state(name)), "--origin", self._way_up(name),
            "--catalog", str(self.origin.ready["catalog"]), "--public", f"127.0.0.1:{public}",
            "--private", f"127.0.0.1:{private}", "--region", self.regions[name], "--memory", "48MiB",
            "--cache", "80MiB", "--peers", members or ",".join(self.members(self.regions[name])), "--json",
        ]  # fmt: skip

    def members(self, region: str) -> list[str]:
        """The list of members, with their addresses as this region reaches them."""
        regions = {**self.regions, LIAR: REGIONS[-1]}
        return [
            f"{name}={self.lines[region, name].toxic.url};region={where};weight=1" for name, where in regions.items()
        ]

    @property
    def desk_url(self) -> str:
        """The origin, as publishers reach it."""
        return self.lines[DESK, ORIGIN].toxic.url

    async def api(
        self, method: str, path: str, body: Any = None, seconds: float = 4.0, url: str = ""
    ) -> tuple[int, Any]:
        """One request to the origin. Raises OSError, HTTPException, ValueError."""
        return await asyncio.to_thread(self._api, url or self.origin_url, method, path, body, seconds)

    async def metrics(self, edge: str) -> dict[str, float]:
        """Its counts: name with labels → value."""
        text = (await asyncio.to_thread(_read, f"http://127.0.0.1:{self.ports[edge][1]}/metrics")).decode()
        rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def heal(self) -> None:
        """Nothing is wrong with any wire, hop or member any more."""
        for line in self.lines.values():
            line.poisons = []
            line.toxic.heal()
            if line.downs:
                line.downs = 0
                line.toxic.up()
        self.hop.mode, self.liar.trick = "honest", "honest"
        self.liar.release()

    def close(self) -> None:
        """End every process, connection and mount."""
        for node in self.nodes.values():
            if node.alive and node.process is not None:
                node.process.kill()
                node.process.join(10)
        self._stack.close()
        for name in self.mounted:
            subprocess.run(["umount", "-l", str(self._state(name))], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _state(self, name: str) -> Path:
        return self.folder / name

    def _disk(self, name: str, size: int) -> None:
        """A file system of its own, where we may mount one."""
        folder = self._state(name)
        folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            options = f"size={size},mode=700"
            made = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
            )
            if made.returncode == 0:
                self.mounted.add(name)

    def _connect(self) -> None:
        """The wires, the hop and the liar."""
        self._stack.enter_context(self.liar.in_thread())
        above = {name: f"http://127.0.0.1:{private}" for name, (_, private) in self.ports.items()}
        above |= {LIAR: self.liar.url, ORIGIN: self.origin_url}
        for number, (region, name) in enumerate(self._pairs(above)):
            toxic = Toxic(above[name], seed=self.plan.seed * 100 + number)
            self.lines[region, name] = Line(self._stack.enter_context(toxic))
        toxic = Toxic(self.origin_url, seed=self.plan.seed * 100 + 99)
        self.lines[DESK, ORIGIN] = Line(self._stack.enter_context(toxic))
        self.hop.upstream = self.lines[self.regions[self.plan.behind_hop], ORIGIN].toxic.url
        self._stack.enter_context(self.hop)

    @staticmethod
    def _pairs(names: dict[str, str]) -> Iterator[tuple[str, str]]:
        return ((region, name) for region in REGIONS for name in names)

    def _way_up(self, name: str) -> str:
        if name == self.plan.behind_hop:
            return self.hop.url
        return self.lines[self.regions[name], ORIGIN].toxic.url

    async def _make_token(self) -> str:
        wanted = {"name": "edges", "scopes": ["edge"], "sites": "*", "expires": None}
        _, made = await self.api("POST", "/tokens", wanted)
        return str(made["token"])

    def _api(self, url: str, method: str, path: str, body: Any, seconds: float) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port, timeout=seconds)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            data = None if body is None else json.dumps(body)
            connection.request(method, "/api/v1" + path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text
        finally:
            connection.close()

    def _block(self, cid: CID) -> Block | None:
        """What the liar knows to lie about: the truth, from the origin."""
        if cid not in self._blocks:
            with suppress(OSError, ContentError):
                headers = {"Authorization": f"Bearer {self.node_token}"}
                self._blocks[cid] = Block(cid, _read(f"{self.origin_url}/ipfs/{cid}?format=raw", headers))
        return self._blocks.get(cid)


def _read(url: str, headers: dict[str, str] | None = None) -> bytes:
    assert urlsplit(url).scheme == "http"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=3) as answer:
        return bytes(answer.read())
