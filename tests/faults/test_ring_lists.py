"""Five edges that do not agree who is in the ring, and one left alone: right bytes, at most two hops between edges,
then the origin, and no storm.

Actors: an origin behind a proxy that counts, and edges as processes, each behind a wire of its own:
    edge-1  the whole list
    edge-2  itself and one other
    edge-3  takes edge-1 for one of a region where nobody is
    edge-4  a ring of one
    edge-5  the whole list, and itself once more under a name that is nobody's
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from content.block import Block
from content.cid import CID, RAW
from tests.kit.eight import GENEROUS, Eight, eight, follow, start
from tests.kit.nodes import Edge

SEED = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
PAGE = b"<!doctype html><title>home</title>"
SMALL = {"lists": 40, "alone": 40, "kept": 10}
EDGES = 5
HOPS = 2
LISTS = {
    "edge-2": "{edge_2},{edge_3}",
    "edge-3": "{edge_1_moved},{edge_2},{edge_3},{edge_4},{edge_5}",
    "edge-4": "{edge_4}",
    "edge-5": "{edge_1},{edge_2},{edge_3},{edge_4},{edge_5},{edge_5_ghost}",
}


@dataclass(frozen=True)
class Stage:
    ring: Eight
    files: dict[str, bytes]

    def of(self, play: str) -> list[str]:
        return [path for path in self.files if path.startswith(f"/{play}/")]

    def cids(self, play: str) -> list[CID]:
        return [Block.make(RAW, self.files[path]).cid for path in self.of(play)]

    def visit(self, edge: Edge, path: str) -> None:
        answer = edge.get("site", path)
        assert (answer.status, answer.body == self.files[path]) == (200, True), (edge.name, path, answer.status)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    print(f"RIM_SEED={SEED}")
    root, rng = tmp_path_factory.mktemp("lists"), random.Random(SEED)
    files = {f"/{play}/{n}.bin": rng.randbytes(3_000) for play, count in SMALL.items() for n in range(count)}
    for path, data in files.items():
        file = root / "site" / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    (root / "site" / "index.html").write_bytes(PAGE)
    with eight(root, edges=EDGES, seed=SEED, peers=LISTS) as ring:
        ring.cluster.publish(root / "site", "site", "--encode", "none", "--no-warm")
        follow(ring, "site", PAGE)
        yield Stage(ring, files)


def test_edges_that_disagree_give_right_bytes_over_two_hops_at_most(stage: Stage) -> None:
    """All files of all edges, in a mixed order, all at once."""
    ring, paths = stage.ring, stage.of("lists")
    visits = [(edge, path) for edge in ring.edges for path in paths]
    random.Random(SEED).shuffle(visits)
    with ThreadPoolExecutor(EDGES) as visitors:
        for done in [visitors.submit(stage.visit, edge, path) for edge, path in visits]:
            done.result(GENEROUS)
    questions, left = ring.questions(stage.cids("lists")), ring.left(stage.cids("lists"))
    hops = Counter(len(chain) - 1 for chain in questions)
    print(
        f"{len(visits)} cold files: {len(questions)} questions between edges ({dict(hops)} hops), {sum(left)} fetches"
    )
    assert max(hops) <= HOPS
    assert len(questions) <= HOPS * len(visits)  # what one misses climbs two rungs
    assert max(left) <= EDGES  # and nobody fetches a thing twice
    print(f"edge-5 asked itself {sum(chain[-2:] == ('edge-5', 'edge-5') for chain in questions)} times")
    print(json.loads(ring.edge("edge-5").ask("/api/v1/status").body)["ring"])
    assert all(len(chain) == len(set(chain[:-1])) + 1 for chain in questions)  # nobody is twice among those who ask


def test_with_all_others_dead_one_goes_to_the_origin_itself(stage: Stage) -> None:
    """SIGKILL to four of five: the fifth answers everything, each block leaves the origin once, and the dead are not
    asked again and again. They come back, for plays come in any order."""
    ring = stage.ring
    alone, dead = ring.edges[0], ring.edges[1:]
    for path in stage.of("kept"):
        stage.visit(alone, path)
    for edge in dead:
        edge.kill()
    try:
        before, fetched = alone.counted("rim_peer_faults_total"), len(ring.to_origin.asked)
        # An edge that saw the release between its two commits had begun to fetch its share.
        cold = {
            path: cid
            for path, cid in zip(stage.of("alone"), stage.cids("alone"), strict=True)
            if not ring.left([cid])[0]
        }
        assert len(cold) >= SMALL["alone"] // 4, "too much of the release had left the origin before"
        for path in cold:
            stage.visit(alone, path)
        for path in stage.of("kept"):  # hits stay hits
            stage.visit(alone, path)
        after = alone.counted("rim_peer_faults_total")
        vain = sum(after.values()) - sum(before.values())
        print(f"{len(cold)} cold files: {vain:.0f} attempts in vain")
        for cid, left in zip(cold.values(), ring.left(list(cold.values())), strict=True):
            who = [
                asked.headers.get("cdn-loop") for asked in ring.to_origin.asked[fetched:] if str(cid) in asked.target
            ]
            assert left == 1, (cid, who)
        assert vain <= 6 * len(dead)  # three strikes each, and what was on its way then
    finally:
        start(dead)
        follow(ring, "site", PAGE)
