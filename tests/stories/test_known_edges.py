"""Who is waited for: edges that are known, whether they are here or not.

Actors: an origin, three edges in two regions, a publisher. One edge is killed, then ends as it should.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.kit.nodes import Cluster, Edge, cluster, until
from tests.stories.test_ring import make_site


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Cluster]:
    whole = cluster(tmp_path, 3, regions=("eu", "us"))
    try:
        until("all edges have introduced themselves", lambda: len(states(whole)) == 3)
        yield whole
    finally:
        whole.stop()


def states(ring: Cluster) -> dict[str, tuple[bool, bool]]:
    rows = json.loads(ring.origin.api("GET", "/edges").body)["edges"]
    return {row["node"]: (row["expected"], row["present"]) for row in rows}


def publish(ring: Cluster, folder: Path, *more: str) -> tuple[int, str, dict[str, Any]]:
    """Its exit code, what it says of edges, its result."""
    done = ring.rim("publish", str(folder), "--site", "site", "--json", *more, check=False)
    said = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("returning visitors")]
    return done.returncode, "".join(said), json.loads(done.stdout)


def test_a_killed_edge_is_waited_for_until_it_is_forgotten(ring: Cluster, tmp_path: Path) -> None:
    """Away it is named and makes --wait all end with 5, after a restart of the origin too; forgotten it is not."""
    folder = make_site(tmp_path / "site", 1, files=3)
    code, said, result = publish(ring, folder, "--wait", "all")
    assert (code, said) == (0, "")
    assert [(row["node"], row["region"], row["ok"]) for row in result["edges"]] == [
        ("edge-1", "eu", True),
        ("edge-2", "us", True),
        ("edge-3", "eu", True),
    ]
    assert sum(row["blocks"] for row in result["edges"]) >= 5
    assert all(row["ms"] >= 0 and row["bytes"] >= 0 for row in result["edges"])

    ring.edges[1].kill()
    until("its request is given up", lambda: states(ring)["edge-2"] == (True, False))
    assert "away" in next(line for line in ring.rim("status").stdout.splitlines() if line.startswith("edge-2"))
    code, said, _ = publish(ring, make_site(folder, 2, files=3), "--wait", "all", "--timeout", "8")
    assert code == 5
    assert "edge-2 is away" in said or "not yet: edge-2" in said
    ring.origin.stop()
    ring.origin.start()
    until("the living are back", lambda: states(ring)["edge-1"][1] and states(ring)["edge-3"][1])
    code, said, _ = publish(ring, make_site(folder, 3, files=3), "--wait", "all", "--timeout", "8")
    assert (code, "not yet: edge-2" in said) == (5, True)
    code, said, _ = publish(ring, make_site(folder, 4, files=3))  # nobody waits, but the remark tells
    assert (code, "edge-2 is away and was not waited for" in said) == (0, True)
    ring.rim("edges", "forget", "edge-2")
    code, said, result = publish(ring, make_site(folder, 5, files=3), "--wait", "all")
    assert (code, said, len(result["edges"])) == (0, "", 2)


def test_an_edge_that_ends_says_goodbye(ring: Cluster, tmp_path: Path) -> None:
    """SIGTERM: nobody waits for it from then on; started again, it is expected again."""
    assert ring.edges[2].stop() == 0
    assert states(ring)["edge-3"] == (False, False)
    code, said, result = publish(ring, make_site(tmp_path / "site", 1, files=3), "--wait", "all")
    assert (code, said, len(result["edges"])) == (0, "", 2)
    ring.edges[2].start()
    until("it is back", lambda: states(ring)["edge-3"] == (True, True))


def test_the_gate_opens_with_enough_edges_of_each_region(ring: Cluster, tmp_path: Path) -> None:
    """--gate 1, and rim.toml's gate: an edge that is away holds nobody up where its region has another one."""
    ring.edges[0].kill()
    until("its request is given up", lambda: not states(ring)["edge-1"][1])
    folder = make_site(tmp_path / "site", 1, files=3)
    code, said, result = publish(ring, folder, "--gate", "1")
    assert (code, said) == (0, "")
    assert [row["node"] for row in result["edges"] if row["ok"]] == ["edge-2", "edge-3"]
    (folder / "rim.toml").write_text("gate = 1\n")
    assert publish(ring, make_site(folder, 2, files=3))[:2] == (0, "")
    (folder / "rim.toml").write_text('gate = "most"\n')
    assert ring.rim("publish", str(folder), check=False).returncode == 2


def test_a_second_node_of_a_name_is_refused(ring: Cluster, tmp_path: Path) -> None:
    """With the same token and another folder: it says what to do, and the first one's receipts stand, goodbyes too."""
    twin = Edge("edge-1", tmp_path / "twin", "eu")
    twin.join(ring.origin.url, ring.origin.catalog, ring.token, ring.edges)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(twin.start, 60)
        until("it says what to do", lambda: "rim edges forget edge-1" in twin.stderr())
        assert not starting.done()
        assert twin.process is not None
        twin.process.terminate()
        assert isinstance(starting.exception(), AssertionError)  # it never became ready
    assert states(ring)["edge-1"] == (True, True)
    key = ring.edges[0].state / "node.key"
    assert key.stat().st_mode & 0o777 == 0o600
    ring.edges[0].kill()
    ring.edges[0].start()  # the same folder: the same node
    assert publish(ring, make_site(tmp_path / "site", 1, files=3), "--wait", "all")[:2] == (0, "")
