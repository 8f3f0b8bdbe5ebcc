"""Denials over a ring of eight in two regions: how soon everybody refuses, under which spellings, and what survives.

Actors: an origin, eight edges as processes, an operator with `rim deny` and `rim allow`. What is denied is warm on all
of them: as ready answers, in memory, on disk. Nothing here asserts how fast a machine is: who has given a receipt must
refuse, and how long it took from the acknowledgement on is printed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID, DAG_PB, RAW
from content.limits import MiB
from tests.kit.nodes import Answer, Cluster, Edge, Origin, cluster, fetch, until

EDGES = 8
GENEROUS = 20.0  # s: eight edges and a publisher share the cores of whoever runs this
CODINGS = ("identity", "br", "gzip", "zstd")
TEXT = b"a text that comes encoded too, and is to be denied\n" * 60
LONG = os.urandom(2 * MiB + 5)


@dataclass(frozen=True)
class Stage:
    ring: Cluster
    site: dict[str, Any]

    def operator(self, *arguments: str, check: bool = True) -> Any:
        """A command's JSON."""
        return json.loads(self.ring.rim(*arguments, "--json", check=check).stdout)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("deny")
    folder = root / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>home</title>")
    (folder / "bad.txt").write_bytes(TEXT)
    (folder / "docs" / "good.txt").write_text("nobody minds this")
    (folder / "long.bin").write_bytes(LONG)
    ring = cluster(root / "ring", EDGES, regions=("eu", "us"))
    try:
        site = ring.publish(folder, "demo", "--wait", "all")
        ring.publish(folder, "demo", "--preview", "pr", "--wait", "all")
        yield Stage(ring, site)
    finally:
        ring.stop()


def block(edge: Edge, cid: CID | str) -> Answer:
    """The block as another node asks for it."""
    return fetch(edge.private, f"/ipfs/{cid}?format=raw")


def spellings(data: bytes) -> dict[str, str]:
    cid = CID.of(RAW, data)
    other = CID.of_digest(DAG_PB, cid.digest)
    return {"v0": str(CID(cid.multihash)), "v1": str(cid), "other codec": str(other), "base36": cid.base36()}


def forms(edge: Edge) -> dict[str, int]:
    """The status of the denied file under each of its names at this edge."""
    port = edge.public.rpartition(":")[2]
    told = {f"path, {coding}": edge.get("demo", "/bad.txt", {"Accept-Encoding": coding}).status for coding in CODINGS}
    told["path, range"] = edge.get("demo", "/bad.txt", {"Range": "bytes=0-9"}).status
    told["path, HEAD"] = edge.get("demo", "/bad.txt", method="HEAD").status
    told["preview"] = fetch(edge.public, "/bad.txt", f"pr--demo.localhost:{port}").status
    told |= {f"block, {name}": block(edge, text).status for name, text in spellings(TEXT).items()}
    return told


def warm(stage: Stage) -> None:
    """Every form is a ready answer, or in memory, at every edge; the third time is a hit."""
    for edge in stage.ring.edges:
        for _ in range(3):
            assert set(forms(edge).values()) <= {200, 206}
        assert "hit" in edge.get("demo", "/bad.txt").cache_status


def soon(what: str, stage: Stage, status: int, path: str = "/bad.txt") -> None:
    """Ask every edge from the acknowledgement on, until all say so; print how long it took."""
    begun, left = time.monotonic(), list(stage.ring.edges)
    while left:
        left = [edge for edge in left if edge.get("demo", path).status != status]
        assert time.monotonic() - begun < GENEROUS, f"{what}: not yet {[edge.name for edge in left]}"
    print(f"\n{what}: {EDGES} edges within {time.monotonic() - begun:.3f} s of the acknowledgement")


def test_a_warm_file_is_refused_everywhere_and_allowed_again(stage: Stage) -> None:
    """Acknowledged, then refused at all eight: its path in every encoding and its preview, its blocks in every
    spelling, at the origin too. Allowed, then all answer. What nobody minds answers throughout."""
    warm(stage)
    told = stage.ring.origin.api("POST", "/deny", {"what": str(CID.of(RAW, TEXT)), "status": 451, "reason": "a court"})
    soon("denied", stage, 451)
    assert told.status == 200
    stage.ring.rim("deny", str(CID.of(RAW, TEXT)), "--status", "451", "--reason", "a court", "--wait", "all")
    for edge in stage.ring.edges:
        assert set(forms(edge).values()) == {451}, (edge.name, forms(edge))
        assert b"a court" in edge.get("demo", "/bad.txt").body
        assert edge.get("demo", "/docs/good.txt").status == 200
        assert edge.metric('rim_denied_total{status="451"}') > 0
    node = {"Authorization": f"Bearer {stage.ring.token}"}
    for text in spellings(TEXT).values():
        assert fetch(stage.ring.origin.url, f"/ipfs/{text}?format=raw", headers=node).status == 451
    assert fetch(stage.ring.origin.url, f"/ipfs/{CID.of(RAW, TEXT)}?format=raw").status == 451, "to anybody"
    rules = json.loads(told.body)["rules"]
    assert len(rules) == 4, "the file and its three encodings"
    for rule in rules:
        assert block(stage.ring.edges[0], rule.removeprefix("/ipfs/")).status == 451, rule
    assert [rule["rule"] for rule in stage.operator("denied")["rules"]] == sorted(rules)

    told = stage.ring.origin.api("POST", "/allow", {"what": str(CID.of(RAW, TEXT))})
    soon("allowed", stage, 200)
    assert sorted(json.loads(told.body)["removed"]) == sorted(rules)
    stage.ring.rim("allow", str(CID.of(RAW, TEXT)), "--wait", "all")
    for edge in stage.ring.edges:
        assert set(forms(edge).values()) <= {200, 206}, (edge.name, forms(edge))
    assert stage.operator("denied")["rules"] == []


WORDS = {
    "a path of the Root": ("/ipfs/{root}/bad.txt", "/bad.txt"),
    "ipfs: and a folder below": ("ipfs://{root}/docs/*", "/docs/good.txt"),
    "the URL of a file": ("http://demo.localhost:8080/bad.txt", "/bad.txt"),
    "the URL of a page": ("https://demo.localhost/", "/"),
    "the site's key": ("/ipns/{ipns}", "/docs/good.txt"),
    "a domain": ("/ipns/demo.localhost", "/bad.txt"),
    "a file of many blocks": ("{long}", "/long.bin"),
}


@pytest.mark.parametrize(("words", "path"), WORDS.values(), ids=WORDS)
def test_words_for_what_is_denied(stage: Stage, words: str, path: str) -> None:
    """What an operator may type, with `--wait all`: when the command ends, every edge refuses; and after `rim allow`
    of the same words every edge answers."""
    ipns = json.loads(stage.ring.origin.api("GET", "/sites/demo").body)["ipns"]
    what = words.format(root=stage.site["root"], ipns=ipns, long=_top(stage))
    for edge in stage.ring.edges:
        assert edge.get("demo", path).status == 200
    done = stage.operator("deny", what, "--wait", "all")
    assert len(done["edges"]) == EDGES
    assert {edge.get("demo", path).status for edge in stage.ring.edges} == {410}
    stage.operator("allow", what, "--wait", "all")
    assert {edge.get("demo", path).status for edge in stage.ring.edges} == {200}


def _top(stage: Stage) -> str:
    """The CID of the file of many blocks: its entity tag says it."""
    return stage.ring.edges[0].get("demo", "/long.bin", method="HEAD").headers["etag"].strip('"')


def test_a_publish_of_what_is_denied_is_refused(stage: Stage, tmp_path: Path) -> None:
    """Exit 3, and the path is named; what was live stays. Allowed, the same publish goes through."""
    data = b"never to be published\n" * 50
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>other</title>")
    stage.ring.publish(folder, "other", "--wait", "all")
    (folder / "hidden.txt").write_bytes(data)
    stage.operator("deny", str(CID.of(RAW, data)))
    done = stage.ring.rim("publish", str(folder), "--site", "other", check=False)
    assert (done.returncode, "/hidden.txt is denied" in done.stderr) == (3, True), done
    assert "rim denied" in done.stderr
    assert stage.ring.edges[0].get("other", "/hidden.txt").status == 404
    stage.operator("allow", str(CID.of(RAW, data)))
    stage.ring.publish(folder, "other", "--wait", "all")
    assert stage.ring.edges[0].get("other", "/hidden.txt").status == 200


def test_what_is_denied_survives(stage: Stage) -> None:
    """An edge is killed and starts while the origin is gone: it refuses from its first answer on. The origin is killed
    and starts: it still refuses, and edges that could not reach it kept the last they heard."""
    what = str(CID.of(RAW, TEXT))
    stage.operator("deny", what, "--wait", "all")
    edge, origin = stage.ring.edges[2], stage.ring.origin
    origin.kill()
    edge.kill()
    assert {other.get("demo", "/bad.txt").status for other in stage.ring.edges if other is not edge} == {410}
    edge.start()
    assert set(forms(edge).values()) == {410}
    assert edge.get("demo", "/docs/good.txt").status == 200
    origin.start()
    assert fetch(origin.url, f"/ipfs/{what}?format=raw").status == 410
    assert {other.get("demo", "/bad.txt").status for other in stage.ring.edges} == {410}
    stage.operator("allow", what, "--wait", "all")
    assert {other.get("demo", "/bad.txt").status for other in stage.ring.edges} == {200}


def test_an_edge_of_several_processes(tmp_path: Path) -> None:
    """The receipt is the whole edge's: after it no process answers, whichever takes the connection."""
    origin = Origin(tmp_path / "origin")
    origin.start()
    token = origin.node_token()
    edge = Edge("edge-1", tmp_path / "edge-1")
    ring = Cluster(origin, [edge], token)
    try:
        edge.join(origin.url, origin.catalog, token, [edge], "--processes", "2").start()
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "bad.txt").write_bytes(TEXT)
        ring.publish(folder, "demo", "--wait", "all")
        for _ in range(20):
            assert edge.get("demo", "/bad.txt").status == 200
        for command, status in (("deny", 410), ("allow", 200), ("deny", 410)):
            ring.rim(command, str(CID.of(RAW, TEXT)), "--wait", "all")
            assert {edge.get("demo", "/bad.txt").status for _ in range(20)} == {status}
            assert {block(edge, CID.of(RAW, TEXT)).status for _ in range(10)} == {status}
        until("both count", lambda: edge.metric('rim_denied_total{status="410"}') >= 50)
        assert edge.metric('rim_denylist_rules{list="catalog"}') == 4
    finally:
        ring.stop()
