"""Control blocks are for nodes: asked without a node token, no listener gives a Catalog, Site, Release or Index.

Actors: an origin, an edge, a stranger on loopback who knows every CID, and a publisher whose token is no node's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from content import car
from content.block import Block
from content.catalog import Catalog, Site
from content.cid import CID, DAG_CBOR, RAW
from content.release import Release
from tests.kit.nodes import Cluster, cluster, fetch
from tests.stories.test_ring import make_site


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("ring")
    whole = cluster(root, 2)
    try:
        whole.publish(make_site(root / "site", 1), "site")
        yield whole
    finally:
        whole.stop()


@pytest.fixture(scope="module")
def control(ring: Cluster) -> dict[str, CID]:
    """One CID of each kind of control block, from the answer that nodes get."""
    bearer = {"Authorization": f"Bearer {ring.token}"}
    answer = fetch(ring.origin.url, "/api/v1/head?since=0&node=test&region=local", headers=bearer)
    roots, blocks = car.read(answer.body)
    found = {"catalog": roots[1]}
    for block in blocks:
        found.update(_kind(block))
    assert sorted(found) == ["catalog", "index", "release", "site", "tree"], found
    return found


def _kind(block: Block) -> dict[str, CID]:
    if block.cid.codec != DAG_CBOR:
        return {}
    for kind, read in (("site", Site.from_block), ("catalog", Catalog.from_block)):
        try:
            read(block)  # type: ignore[operator]
            return {kind: block.cid}
        except Exception:
            continue
    try:
        return {"release": block.cid, "index": Release.from_block(block).index}
    except Exception:
        return {"tree": block.cid}


@pytest.mark.parametrize("kind", ["catalog", "site", "release", "index", "tree"])
@pytest.mark.parametrize("disguise", ["as it is", "as raw", "upper case"])
def test_without_a_node_token_it_is_refused_on_every_listener(
    ring: Cluster, control: dict[str, CID], kind: str, disguise: str
) -> None:
    """By its own CID, by the raw codec of the same hash, in another base; raw and CAR; GET and HEAD."""
    cid = control[kind]
    name = {
        "as it is": str(cid),
        "as raw": str(CID.of_digest(RAW, cid.digest)),
        "upper case": "B" + str(cid)[1:].upper(),
    }[disguise]
    edge = ring.edges[0]
    listeners = {"origin": (ring.origin.url, None), "private": (edge.private, None), "public": (edge.public, None)}
    listeners["site"] = (edge.public, f"site.localhost:{edge.public.rpartition(':')[2]}")
    for listener, (base, host) in listeners.items():
        for query in ("?format=raw", "?format=car", ""):
            for token in ({}, {"Authorization": "Bearer rim_wrong"}):
                for method in ("GET", "HEAD"):
                    answer = fetch(base, f"/ipfs/{name}{query}", host=host, headers=token, method=method)
                    assert answer.status in (400, 401, 403, 404, 405, 406, 421), (
                        listener,
                        query,
                        token,
                        method,
                        answer,
                    )
                    assert "tree" not in answer.body.decode(errors="replace")


def test_with_a_node_token_a_node_gets_it(ring: Cluster, control: dict[str, CID]) -> None:
    """The same questions with the token: the block, and it hashes (so the refusals above refused something)."""
    bearer = {"Authorization": f"Bearer {ring.token}"}
    for kind, cid in control.items():
        answer = fetch(ring.origin.url, f"/ipfs/{cid}?format=raw", headers=bearer)
        assert answer.status == 200, kind
        Block(cid, answer.body)
    index = fetch(ring.edges[0].private, f"/ipfs/{control['index']}?format=raw", headers=bearer)
    assert index.status == 200
    Block(control["index"], index.body)
