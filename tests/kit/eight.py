"""A ring of real edges, eight unless told otherwise, with a wire before every one of them that can be made sick.

Here live its start, all edges at once; what plays ask of it (who owns a block, who asked whom, how many times a block
left the origin); and its end. Not here: the faults (tests/kit/toxics), or what a play expects.

    edges → a wire each → edges;   edges → the origin's wire → a counting proxy → the origin
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from content.cid import CID
from edge.peers.ring import Ring
from tests.kit.nodes import Cluster, Edge, Origin, Process, until
from tests.kit.proxy import CountingProxy
from tests.kit.toxics import Toxic

GENEROUS = 120.0  # s: eight processes start on whatever cores others leave; a bound against hanging, no claim
_CONTROL = "bafyrei"  # DAG-CBOR; questions for them go to nodes as well, and are no content


@dataclass(frozen=True)
class Eight:
    """The ring, its wires by the name of whom they lead to, and the counting proxy before the origin."""

    cluster: Cluster
    wires: Mapping[str, Toxic]
    to_origin: Toxic
    counting: CountingProxy

    @property
    def edges(self) -> list[Edge]:
        return self.cluster.edges

    @property
    def ring(self) -> Ring:
        return self.cluster.ring

    def edge(self, name: str) -> Edge:
        return next(edge for edge in self.edges if edge.name == name)

    def owner(self, cid: CID, region: str) -> Edge:
        """Who owns a block in a region."""
        return self.edge(self.ring.order(cid.store_key, region)[0].name)

    def filler(self, cid: CID) -> Edge:
        """The one edge through which a block leaves the origin."""
        return self.owner(cid, self.ring.home_region(cid.store_key) or "")

    def left(self, cids: Sequence[CID]) -> list[int]:
        """How many times each of these blocks has left the origin."""
        return [self.counting.blocks[str(cid)] for cid in cids]

    def questions(self, cids: Sequence[CID]) -> list[tuple[str, ...]]:
        """The questions for these blocks that went from edge to edge: the chain of who asked, and at last who was."""
        wanted = {str(cid) for cid in cids}
        return [
            (*chain(asked.headers.get("cdn-loop", "")), name)
            for name, wire in self.wires.items()
            for asked in wire.asked
            if asked.target.partition("?")[0].removeprefix("/ipfs/") in wanted
        ]

    def faults(self) -> Counter[str]:
        """Questions between nodes that came to nothing, by how, as the edges that run count them."""
        total: Counter[str] = Counter()
        for edge in self.edges:
            if edge.process is not None and edge.process.poll() is None:
                total.update(edge.counted("rim_peer_faults_total"))
        return total

    def heal(self) -> None:
        for wire in [*self.wires.values(), self.to_origin]:
            wire.up()
            wire.heal()


def chain(cdn_loop: str) -> tuple[str, ...]:
    """The nodes named in a CDN-Loop field (RFC 8586), in order."""
    return tuple(part.split('"')[1] for part in cdn_loop.split(",") if '"' in part)


@contextmanager
def eight(
    root: Path,
    regions: Sequence[str] = ("eu", "us"),
    edges: int = 8,
    seed: int = 0,
    peers: Mapping[str, str] | None = None,
    more: Sequence[str] = ("--memory", "96MiB"),
) -> Iterator[Eight]:
    """Start it, all edges at once, and wait until each has a Head. `peers` says who is given another list than all:
    `{edge_1},{edge_2_moved}` (see _spellings)."""
    with ExitStack() as stack:
        origin = Origin(root / "origin")
        cluster = Cluster(origin, [])
        stack.callback(stop, [origin])
        origin.start(GENEROUS)
        cluster.token = origin.node_token()
        counting = stack.enter_context(CountingProxy(origin.url))
        to_origin = stack.enter_context(Toxic(counting.url, seed))
        members = [Edge(f"edge-{n + 1}", root / f"edge-{n + 1}", regions[n % len(regions)]) for n in range(edges)]
        wires = {edge.name: stack.enter_context(Toxic(edge.private, seed + n)) for n, edge in enumerate(members, 1)}
        for edge in members:
            edge.member = f"{edge.name}={wires[edge.name].url};region={edge.region};weight=1"
        for edge in members:
            edge.join(to_origin.url, origin.catalog, cluster.token, members, *more)
            if peers and edge.name in peers:
                edge.command[edge.command.index("--peers") + 1] = peers[edge.name].format(**_spellings(members))
        cluster.edges.extend(members)
        stack.callback(stop, members)
        start(members)
        yield Eight(cluster, wires, to_origin, counting)


def _spellings(members: Sequence[Edge]) -> dict[str, str]:
    """Each as others list it, by `edge_1`; `edge_1_moved`: as one of a region that it is not in; `edge_1_ghost`: under
    a name that it does not have."""
    known = {}
    for edge in members:
        key = edge.name.replace("-", "_")
        known[key] = edge.member
        known[f"{key}_moved"] = edge.member.replace(f"region={edge.region}", "region=elsewhere")
        known[f"{key}_ghost"] = edge.member.replace(f"{edge.name}=", f"{edge.name}-ghost=")
    return known


def start(edges: Sequence[Edge]) -> None:
    """Start all of them at once."""
    with ThreadPoolExecutor(len(edges)) as pool:
        for _ in pool.map(lambda edge: edge.start(GENEROUS), edges):
            pass


def stop(nodes: Sequence[Process]) -> None:
    """End those that run, gently where it can be; the first failure to end is raised when all have been tried."""
    running = [node for node in nodes if node.process and node.process.poll() is None]
    with ThreadPoolExecutor(max(1, len(running))) as pool:
        for _ in pool.map(lambda node: node.stop(), running):
            pass


def descriptors(edge: Edge) -> int:
    """Files and sockets that this edge has open."""
    assert edge.process is not None
    return len(os.listdir(f"/proc/{edge.process.pid}/fd"))


def follow(eight: Eight, site: str, page: bytes) -> None:
    """Wait until every edge that runs shows this page: it has the newest release."""
    for edge in eight.edges:
        if edge.process is not None and edge.process.poll() is None:
            until(f"{edge.name} shows the release", lambda edge=edge: edge.get(site, "/").body == page, GENEROUS)
