"""Eight edges in two regions whose wires go sick: a herd on one cold object, fillers that die, and peers that stall,
stop without a word, or flap. Visitors get the right bytes, and the origin hardly notices.

Actors: an origin behind a proxy that counts, eight edges as processes, each behind a wire of its own, a herd of
clients. All plays share the ring; each has files that nobody else asks for. What these plays assert are counts; how
long things take is bench/herd.py and bench/stall.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from content.block import Block
from content.cid import CID, RAW
from content.limits import MiB
from tests.kit.eight import GENEROUS, Eight, descriptors, eight, follow
from tests.kit.herd import herd
from tests.kit.nodes import Edge, until

SEED = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
CLIENTS = 1_000 if os.environ.get("RIM_LONG") else 200
PAGE = b"<!doctype html><title>home</title>"
SMALL = {"warm": 40, "gone": 2, "killed": 16, "slow": 240, "dead": 120, "flap": 600}  # files of each play
SLACK = 64  # descriptors of an edge's pools of idle connections to its peers


@dataclass(frozen=True)
class Stage:
    ring: Eight
    files: dict[str, bytes]
    descriptors: dict[str, int]  # of each edge before any play

    def cids(self, path: str) -> list[CID]:
        data = self.files[path]
        return [Block.make(RAW, data[n : n + MiB]).cid for n in range(0, len(data), MiB)]

    def small(self, play: str) -> list[str]:
        return [path for path in self.files if path.startswith(f"/{play}/")]

    def owned(self, play: str, edge: Edge) -> list[str]:
        """The files of a play that this edge owns in its region."""
        return [path for path in self.small(play) if self.ring.owner(self.cids(path)[0], edge.region) is edge]

    def visit(self, edge: Edge, path: str) -> float:
        """One visitor gets what was published; how long it took."""
        begin = time.monotonic()
        answer = edge.get("site", path)
        took = time.monotonic() - begin
        assert (answer.status, answer.body == self.files[path]) == (200, True), (edge.name, path, answer.status)
        return took

    def asked(self, edge: Edge, by: Edge, paths: Sequence[str]) -> int:
        """Questions for these files that one edge sent to another."""
        cids = [cid for path in paths for cid in self.cids(path)]
        return sum(chain[-2:] == (by.name, edge.name) for chain in self.ring.questions(cids))

    def others(self, edge: Edge) -> list[Edge]:
        """Its neighbours: the other edges of its region."""
        return [other for other in self.ring.edges if other.region == edge.region and other is not edge]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    print(f"RIM_SEED={SEED}")
    root, rng = tmp_path_factory.mktemp("wire"), random.Random(SEED)
    files = {f"/{play}/{n}.bin": rng.randbytes(3_000) for play, count in SMALL.items() for n in range(count)}
    files["/herd.bin"] = rng.randbytes(8 * MiB)
    for path, data in files.items():
        file = root / "site" / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (root / "site" / "index.html").write_bytes(PAGE)
    with eight(root, seed=SEED) as ring:
        ring.cluster.publish(root / "site", "site", "--encode", "none", "--no-warm")
        follow(ring, "site", PAGE)
        stage = Stage(ring, files, {edge.name: descriptors(edge) for edge in ring.edges})
        for edge in ring.edges:  # so that each has the Index, a picture of its peers, and open connections
            for path in stage.small("warm"):
                stage.visit(edge, path)
        yield stage


@pytest.fixture(autouse=True)
def healthy(stage: Stage) -> Iterator[None]:
    """Each play begins and ends with a ring that is well, in the eyes of each of its edges."""
    yield
    stage.ring.heal()
    for edge in stage.ring.edges:
        until(f"nobody is out for {edge.name}", lambda edge=edge: not ejected(edge), GENEROUS)


def ejected(edge: Edge) -> list[str]:
    """Whom this edge leaves alone now."""
    return list(json.loads(edge.ask("/api/v1/status").body)["ejected"])


def trouble(edge: Edge) -> float:
    """Questions of this edge that came to nothing, ever, but for true answers ("I do not hold it")."""
    return sum(count for fault, count in edge.counted("rim_peer_faults_total").items() if fault != "not_held")


def test_a_herd_on_one_cold_object_costs_the_origin_one_fetch(stage: Stage) -> None:
    """8 MiB, eight edges, two regions: 200 clients, 1,000 with RIM_LONG, get it whole, and
    each block left the origin exactly once, as long as nobody is so late that he is given up."""
    ring, body = stage.ring, stage.files["/herd.bin"]
    before = given_up(ring)
    fed = herd([edge.public for edge in ring.edges], "site.localhost", "/herd.bin", CLIENTS)
    assert [one for one in fed if not one.whole] == []
    assert {one.digest for one in fed if one.digest} == {hashlib.sha256(body).hexdigest()}
    assert {one.length for one in fed} == {len(body)}
    questions = ring.questions(stage.cids("/herd.bin"))
    print(f"the last of {CLIENTS} was done after {max(one.last for one in fed):.1f} s; {len(questions)} questions")
    left, lost = ring.left(stage.cids("/herd.bin")), given_up(ring) - before
    print(f"left the origin {left} times; {lost:.0f} questions were given up, or asked of another too, for lateness")
    assert min(left) == 1
    assert sum(left) - len(left) <= lost  # nothing is late on a machine that has the time: then exactly once
    assert max(len(chain) for chain in questions) <= 3  # two askers, and who was asked: two hops


def test_the_fillers_only_client_leaves_and_the_fill_goes_on(stage: Stage) -> None:
    """The one visitor who asked hangs up before a byte has come: who comes next finds it, fetched once."""
    ring, path = stage.ring, stage.small("gone")[0]
    cids = stage.cids(path)
    ring.to_origin.set(stall=0)
    filler = ring.filler(cids[0])
    port = urlsplit(filler.public).port
    with socket.create_connection(("127.0.0.1", port or 0)) as visitor:
        visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: site.localhost:{port}\r\n\r\n".encode())
        until("the filler asks the origin", lambda: asks(ring, cids[0]), GENEROUS)
    ring.to_origin.heal()
    for edge in ring.edges:
        stage.visit(edge, path)
    assert ring.left(cids) == [1]


def test_a_filler_killed_in_its_fill_costs_at_most_one_more_fetch(stage: Stage) -> None:
    """SIGKILL to the edge through which a block is coming from the origin, while all others wait for it."""
    ring = stage.ring
    path = stage.small("killed")[0]
    cids = stage.cids(path)
    victim, before = ring.filler(cids[0]), ring.left(stage_cids(stage, "warm"))
    stalled = ring.faults()["stalled"]
    ring.to_origin.set(stall=200)
    with ThreadPoolExecutor(8) as visitors:
        waiting = [visitors.submit(stage.visit, edge, path) for edge in ring.edges if edge is not victim]
        until("the filler asks the origin", lambda: asks(ring, cids[0]), GENEROUS)
        victim.kill()
        ring.to_origin.heal()
        for one in waiting:
            one.result(GENEROUS)
    stalled = int(ring.faults()["stalled"] - stalled)  # fetches that the play held up for longer than an edge waits
    print(f"left the origin {ring.left(cids)[0]} times, {stalled} of them in vain")
    assert ring.left(cids)[0] <= 2 + stalled
    for edge in ring.edges:  # hits stay hits whoever is dead
        if edge is not victim:
            stage.visit(edge, stage.small("warm")[0])
    victim.start(GENEROUS)
    fetched = ring.left(cids)
    stage.visit(victim, path)
    assert ring.left(cids) == fetched  # who comes back asks its neighbours
    assert ring.left(stage_cids(stage, "warm")) == before


def test_a_peer_that_stalls_is_left_alone_and_costs_nothing_more(stage: Stage) -> None:
    """Half a second late with every answer: out after a while of traffic, and from then on at most 5 % more fetches."""
    ring = stage.ring
    slow = ring.edges[0]
    asker = stage.others(slow)[0]
    owned, rest = stage.owned("slow", slow), list(stage.small("slow"))
    ring.wires[slow.name].set(latency=0.5)
    took, first = [], list(owned[: len(owned) * 3 // 4])
    for path in first:
        took.append(stage.visit(asker, path))
        if slow.name in ejected(asker):
            break
        time.sleep(0.1)  # visitors come at a pace: strikes take time to be three
    print(f"out after {len(took)} files and {sum(took):.1f} s")
    assert slow.name in ejected(asker)
    later = [path for path in rest if path not in first]
    begun, failed = ring.left(cids_of(stage, later)), trouble(asker)
    for path in later:
        stage.visit(asker, path)
    extra = stage.asked(slow, asker, later) + trouble(asker) - failed
    fetched = sum(ring.left(cids_of(stage, later))) - sum(begun)
    print(f"{len(later)} files more: {extra:.0f} questions in vain or to the slow one, {fetched} left the origin")
    assert extra <= 0.05 * len(later) + 1  # one probe
    assert fetched <= 1.05 * len(later)


def test_a_peer_that_stops_without_a_word_is_asked_once(stage: Stage) -> None:
    """SIGSTOP: its kernel takes connections, nobody answers. Its neighbours wait for it once, and it comes back."""
    ring = stage.ring
    dead = ring.edges[1]
    asker, owned = stage.others(dead)[0], stage.owned("dead", dead)
    assert dead.process is not None
    with stopped(dead):
        took = [stage.visit(asker, path) for path in owned]
        asked = stage.asked(dead, asker, owned)
    print(f"{len(owned)} files of the dead one: the slowest {max(took):.2f} s, {asked} questions to it")
    assert asked <= 3
    assert max(ring.left(cids_of(stage, owned))) == 1
    until("it is asked again", lambda: not ejected(asker), GENEROUS)


def test_a_flapping_peer_costs_a_tenth_more_attempts_at_most(stage: Stage) -> None:
    """It dies and comes back four times a second, while its neighbour is asked for cold files."""
    ring = stage.ring
    flapping = ring.edges[2]
    asker = stage.others(flapping)[0]
    failed, over, flaps = trouble(asker), threading.Event(), 0

    def flap() -> None:
        nonlocal flaps
        while not over.wait(0.125):
            ring.wires[flapping.name].down() if flaps % 2 == 0 else ring.wires[flapping.name].up()
            flaps += 1

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        for path in stage.small("flap"):
            stage.visit(asker, path)
    finally:
        over.set()
        thread.join()
    vain = trouble(asker) - failed
    print(f"{flaps} changes, {len(stage.small('flap'))} files: {vain:.0f} attempts in vain")
    assert flaps >= 4
    assert vain <= 0.1 * len(stage.small("flap"))


def test_descriptors_return_to_where_they_were(stage: Stage) -> None:
    """After all that, nothing is held that was not held before, but idle connections between nodes."""
    for edge in stage.ring.edges:
        before = stage.descriptors[edge.name]
        until(f"{edge.name} is back", lambda edge=edge, before=before: descriptors(edge) <= before + SLACK, GENEROUS)


def given_up(ring: Eight) -> float:
    """Questions between nodes that ended without a block, and those that another was asked as well, ever."""
    failed = sum(count for fault, count in ring.faults().items() if fault != "not_held")
    return failed + sum(sum(edge.counted("rim_peer_hedges_total").values()) for edge in ring.edges)


def asks(ring: Eight, cid: CID) -> bool:
    """Whether this block has been asked of the origin."""
    return any(str(cid) in asked.target for asked in ring.to_origin.asked)


def cids_of(stage: Stage, paths: Sequence[str]) -> list[CID]:
    return [cid for path in paths for cid in stage.cids(path)]


def stage_cids(stage: Stage, play: str) -> list[CID]:
    return cids_of(stage, stage.small(play))


@contextmanager
def stopped(edge: Edge) -> Iterator[None]:
    """SIGSTOP within the block."""
    assert edge.process is not None
    edge.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        edge.process.send_signal(signal.SIGCONT)
