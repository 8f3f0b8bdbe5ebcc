"""A ring of real edges in rooms of their own, in three regions: packets between them can vanish, one's clock can jump,
one's disk can fill.

Here live its start, all edges at once, and which edge stands where. Not here: what befalls the rooms (tests/kit/netns),
or what a play expects. Visitors come from the hub; the origin is reached over a proxy there that counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from content.cid import CID
from edge.peers.ring import Ring
from tests.kit.disks import small_disk
from tests.kit.eight import GENEROUS, start, stop
from tests.kit.faketime import Clock
from tests.kit.netns import Net, Room
from tests.kit.nodes import Cluster, Edge, Origin
from tests.kit.proxy import CountingProxy


@dataclass(frozen=True)
class Far:
    """The ring; `rooms` by edge; the edge whose clock jumps, and the edge whose disk is small and where that is."""

    cluster: Cluster
    net: Net
    rooms: Mapping[str, Room]
    counting: CountingProxy
    clock: Clock
    jumpy: Edge
    narrow: Edge
    disk: Path

    @property
    def edges(self) -> list[Edge]:
        return self.cluster.edges

    @property
    def ring(self) -> Ring:
        return self.cluster.ring

    def region(self, name: str) -> list[Edge]:
        return [edge for edge in self.edges if edge.region == name]

    def rooms_of(self, edges: Sequence[Edge]) -> list[Room]:
        return [self.rooms[edge.name] for edge in edges]

    def home(self, cid: CID) -> str | None:
        """The region through which a block leaves the origin."""
        return self.ring.home_region(cid.store_key)

    def owner(self, cid: CID, region: str) -> Edge:
        name = self.ring.order(cid.store_key, region)[0].name
        return next(edge for edge in self.edges if edge.name == name)

    def left(self, cids: Sequence[CID]) -> list[int]:
        """How many times each of these blocks has left the origin."""
        return [self.counting.blocks[str(cid)] for cid in cids]


@contextmanager
def far(root: Path, regions: Sequence[str] = ("eu", "us", "ap"), edges: int = 8) -> Iterator[Far]:
    """Start it. The calling thread is in the hub until the end."""
    with ExitStack() as stack:
        net = stack.enter_context(Net())
        stack.enter_context(net.inside())
        origin = Origin(root / "origin")
        stack.callback(stop, [origin])
        origin.start(GENEROUS)
        token = origin.node_token()
        counting = stack.enter_context(CountingProxy(origin.url, net.counter))
        disk = stack.enter_context(small_disk(root / "disk", "size=24m"))
        members = [Edge(f"edge-{n + 1}", root / f"edge-{n + 1}", regions[n % len(regions)]) for n in range(edges)]
        jumpy, narrow, clock = members[3], members[4], Clock(root / "clock")
        narrow.state = disk / "edge"
        rooms = {edge.name: net.room() for edge in members}
        for edge in members:
            address = rooms[edge.name].address
            edge.public, edge.private = f"http://{address}:8080", f"http://{address}:8081"
            edge.member = f"{edge.name}={edge.private};region={edge.region};weight=1"
        for edge in members:
            edge.join(counting.url, origin.catalog, token, members, "--memory", "96MiB", "--cache", "64MiB")
            edge.command = rooms[edge.name].command(*edge.command)
        jumpy.env = {**jumpy.env, **clock.env}
        stack.callback(stop, members)
        start(members)
        yield Far(Cluster(origin, members, token), net, rooms, counting, clock, jumpy, narrow, disk)
