"""A lying member of the ring: asked at least once in each of five ways, and never believed.

Actors: an origin, two honest edges, and a member that answers blocks with another block, one byte more, another CID's
block, a wrong length, an HTML page.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from content.block import Block
from content.cid import RAW
from tests.kit.evilpeer import LIES, EvilPeer
from tests.kit.nodes import Cluster, Edge, Origin
from tests.stories.test_ring import files_of, make_site


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_peer_is_asked_and_never_believed(tmp_path: Path, lie: str) -> None:
    """The liar owns its share of the blocks; every file is right all the same, and the lie is counted."""
    folder = make_site(tmp_path / "site", 1, files=40)
    files = files_of(folder)
    blocks = [Block.make(RAW, data) for data in files.values() if len(data) <= 1 << 20]
    origin = Origin(tmp_path / "origin")
    origin.start()
    ring = Cluster(origin, [])
    try:
        with EvilPeer({block.cid: block for block in blocks}, trick=lie).in_thread() as liar:
            token = origin.node_token()
            edges = [Edge(f"edge-{n}", tmp_path / f"edge-{n}") for n in (1, 2)]
            evil = Edge("evil", tmp_path / "evil")
            evil.private = f"http://127.0.0.1:{urlsplit(liar.url).port}"
            evil.member = f"evil={evil.private};region=local;weight=1"
            for edge in edges:
                edge.join(origin.url, origin.catalog, token, [*edges, evil]).start()
                ring.edges.append(edge)
            ring.publish(folder, "site", "--encode", "none")
            for edge in edges:
                for path, data in files.items():
                    answer = edge.get("site", path)
                    assert (answer.status, answer.body == data) == (200, True), (lie, path, answer.status)
            asked = [a for a in liar.asked if a.path.startswith("/ipfs/")]
            print(f"{lie}: the liar was asked {len(asked)} times")
            assert asked
            lies = [edge.lies() for edge in edges]
            print(f"{lie}: counted as {lies}")
            assert any(lies)
    finally:
        ring.stop()
