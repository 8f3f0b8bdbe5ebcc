"""Eight edges in three regions, each in a network namespace of its own: a region cut off and healed, packets lost, a
neighbour dead without a FIN, a full disk, and a clock that jumps by hours and years.

Actors: an origin behind a proxy that counts, eight edges as processes in rooms of their own, visitors from the hub.
All plays share the ring; each has files that nobody else asks for, and leaves the ring as well as it found it.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, RAW
from content.limits import MiB
from tests.kit.eight import GENEROUS
from tests.kit.far import Far, far
from tests.kit.nodes import Answer, Edge, until

pytestmark = pytest.mark.needs("ip", "nsenter", "iptables", "faketime")
SEED = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
SMALL = {"warm": 12, "parted": 40, "healed": 20, "lossy": 24, "silent": 60, "clock": 24}  # files of each play
BIG = 6  # MiB of each file of the play with the full disk
HOURS = {"+1h": 3_600, "-1h": -3_600, "+10y": 10 * 365 * 86_400}


@dataclass(frozen=True)
class Stage:
    far: Far
    folder: Path
    files: dict[str, bytes]

    def cids(self, paths: Sequence[str]) -> list[CID]:
        return [
            Block.make(RAW, self.files[path][n : n + MiB]).cid
            for path in paths
            for n in range(0, len(self.files[path]), MiB)
        ]

    def of(self, play: str) -> list[str]:
        return [path for path in self.files if path.startswith(f"/{play}/")]

    def visit(self, edge: Edge, path: str) -> Answer:
        """One visitor gets what was published."""
        answer = edge.get("site", path)
        assert (answer.status, answer.body == self.files[path]) == (200, True), (edge.name, path, answer.status)
        return answer

    def release(self, page: str) -> None:
        """Publish the site again with another page. Edges are not waited for."""
        (self.folder / "index.html").write_text(page)
        self.far.cluster.publish(self.folder, "site", "--encode", "none", "--no-warm")

    def shows(self, edges: Sequence[Edge], page: str) -> None:
        """Wait until all of these show this page."""
        for edge in edges:
            until(f"{edge.name} shows {page}", lambda edge=edge: edge.get("site", "/").body == page.encode(), GENEROUS)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    print(f"RIM_SEED={SEED}")
    root, rng = tmp_path_factory.mktemp("rooms"), random.Random(SEED)
    files = {f"/{play}/{n}.bin": rng.randbytes(3_000) for play, count in SMALL.items() for n in range(count)}
    files |= {f"/full/{n}.bin": rng.randbytes(BIG * MiB) for n in range(4)}
    for path, data in files.items():
        file = root / "site" / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    with far(root) as ring:
        stage = Stage(ring, root / "site", files)
        stage.release("one")
        stage.shows(ring.edges, "one")
        for edge in ring.edges:  # so that each has the Index, a picture of its peers, and open connections
            for path in stage.of("warm"):
                stage.visit(edge, path)
        yield stage


@pytest.fixture(autouse=True)
def healed(stage: Stage) -> Iterator[None]:
    yield
    stage.far.net.heal()
    stage.far.clock.true()


def test_a_region_cut_off_serves_what_it_has_and_catches_up_when_healed(stage: Stage) -> None:
    """No packet passes between one region and all else, the origin included. It shows the old release, whole; the
    others show the new one, with blocks whose home is the lost region, each of which leaves the origin once."""
    ring = stage.far
    lost, rest = ring.region("ap"), [edge for edge in ring.edges if edge.region != "ap"]
    stage.release("before the parting")
    stage.shows(ring.edges, "before the parting")
    ring.net.part(ring.rooms_of(lost), ring.rooms_of(rest))
    ring.net.cut_off(ring.rooms_of(lost))
    refused = {edge.name: refusals(edge) for edge in lost}
    stage.release("two")
    stage.shows(rest, "two")
    for edge in lost:
        assert edge.get("site", "/").body == b"before the parting"
        for path in stage.of("warm"):
            stage.visit(edge, path)
    cold = edge_refuses(lost[0], stage.of("parted")[0])
    assert cold.headers.get("cache-control") == "no-store"
    for path in stage.of("parted")[1:]:
        for edge in rest[:3]:
            stage.visit(edge, path)
    left = ring.left(stage.cids(stage.of("parted")[1:]))
    print(f"{len(left)} blocks left the origin {sum(left)} times")
    assert sum(left) <= 2.1 * len(left)  # once for each region that can be reached
    assert refusals(lost[0]) > refused[lost[0].name]  # every 5xx is counted
    ring.net.heal()
    stage.shows(lost, "two")
    for edge in lost:
        for path in stage.of("healed"):
            until(
                f"{edge.name} has {path}", lambda edge=edge, path=path: edge.get("site", path).status == 200, GENEROUS
            )
            stage.visit(edge, path)


def test_a_twentieth_of_the_packets_lost_costs_time_and_nothing_else(stage: Stage) -> None:
    """Every room loses 5 % of what comes to it: all files come right at every edge."""
    ring, paths = stage.far, stage.of("lossy")
    for edge in ring.edges:
        ring.net.lose(ring.rooms[edge.name], 0.05)
    for number, path in enumerate(paths):
        stage.visit(ring.edges[number % len(ring.edges)], path)
    for edge in ring.edges:
        stage.visit(edge, paths[0])
    left = ring.left(stage.cids(paths))
    print(f"{len(paths)} blocks left the origin {sum(left)} times")
    assert sum(left) <= 2 * len(paths)


def test_a_neighbour_dead_without_a_fin_is_waited_for_once(stage: Stage) -> None:
    """Its packets vanish, on open connections and new ones: its neighbour goes on to the next in order."""
    ring = stage.far
    dead, asker = ring.region("eu")[0], ring.region("eu")[2]
    owned = [path for path in stage.of("silent") if ring.owner(stage.cids([path])[0], "eu") is dead]
    ring.net.silence(ring.rooms[dead.name])
    before, took = trouble(asker), []
    for path in owned:
        begin = time.monotonic()
        stage.visit(asker, path)
        took.append(time.monotonic() - begin)
    vain = trouble(asker) - before
    print(f"{len(owned)} files of the dead one: the slowest {max(took):.2f} s, {vain:.0f} attempts in vain")
    assert vain <= 4
    ring.net.heal()
    until("it is asked again", lambda: dead.name not in ejected(asker), GENEROUS)


def test_a_full_disk_keeps_nobody_from_anything(stage: Stage) -> None:
    """24 MiB for an edge, and somebody else's file takes all that is left: it serves on, cold files and the next
    release too; room again, and it stores again."""
    ring, narrow = stage.far, stage.far.narrow
    ballast, paths = ring.disk / "ballast", stage.of("full")
    stage.visit(narrow, paths[0])
    old = narrow.get("site", "/").body
    fill(ballast)
    for path in paths:
        stage.visit(narrow, path)
    stage.release("three")
    until("its neighbours show the release", lambda: ring.edges[0].get("site", "/").body == b"three", GENEROUS)
    full = narrow.get("site", "/")
    assert (full.status, full.body) in {(200, old), (200, b"three")}  # whole, and never an error
    ballast.unlink()
    stage.shows([narrow], "three")
    stored = narrow.metric("rim_disk_written_bytes_total")
    for path in paths:
        stage.visit(narrow, path)
    print(f"written before {stored:.0f} B, refused {narrow.metric('rim_disk_short_of_space_total'):.0f} times")
    assert narrow.process is not None
    assert narrow.process.poll() is None


@pytest.mark.parametrize("jump", HOURS)
def test_a_clock_that_jumps_is_nobodys_trouble(stage: Stage, jump: str) -> None:
    """An edge's wall clock is an hour or ten years off: visitors get what is there, its peers trust it as before, no
    Age is negative; ten years on its Head has ended, which is counted, and nothing newer is refused for long."""
    ring, edge = stage.far, stage.far.jumpy
    paths = stage.of("clock")[list(HOURS).index(jump) * 8 :][:8]
    neighbour = next(one for one in ring.region(edge.region) if one is not edge)
    ring.clock.off(jump)
    until("its clock has jumped", lambda: abs(ahead(edge) - HOURS[jump]) < 7 * 86_400 / (1 if "y" in jump else 168), 20)
    for path in paths[:4]:
        stage.visit(edge, path)
    for path in paths[4:]:
        stage.visit(neighbour, path)
        stage.visit(edge, path)
    for path in (*paths, "/", stage.of("warm")[0]):
        answer = edge.get("site", path)
        assert answer.status == 200
        assert float(answer.headers.get("age", "0")) >= 0
    page = f"clock {jump}"
    stage.release(page)
    stage.shows([neighbour], page)
    if "y" not in jump:
        stage.shows([edge], page)
    until("its neighbour asks it", lambda: edge.name not in ejected(neighbour), GENEROUS)
    ring.clock.true()
    stage.shows([edge], page)
    until("it is not stale", lambda: edge.metric("rim_head_stale") == 0, GENEROUS)


def ahead(edge: Edge) -> float:
    """Seconds that this edge's clock, by its Date, is ahead of ours."""
    return parsedate_to_datetime(edge.get("site", "/").headers["date"]).timestamp() - time.time()


def edge_refuses(edge: Edge, path: str) -> Answer:
    """What is not held and cannot be had: an error that says so, with an end."""
    answer = edge.get("site", path)
    assert answer.status in (502, 503, 504), answer.status
    return answer


def fill(file: Path) -> None:
    """Take all the room that the file system has."""
    with file.open("wb", buffering=0) as out:
        size = 1 << 20
        while size >= 4_096:
            try:
                out.write(bytes(size))
            except OSError:
                size //= 2


def refusals(edge: Edge) -> float:
    """Answers of 5xx that an edge has counted."""
    return sum(count for status, count in edge.counted("rim_responses_total").items() if status.startswith("5"))


def ejected(edge: Edge) -> list[str]:
    """Whom this edge leaves alone now."""
    return list(json.loads(edge.ask("/api/v1/status").body)["ejected"])


def trouble(edge: Edge) -> float:
    """Questions of this edge that came to nothing, ever, but for true answers ("I do not hold it")."""
    return sum(count for fault, count in edge.counted("rim_peer_faults_total").items() if fault != "not_held")
