"""A site published with `rim publish` into an origin over Kubo, and what Kubo's own commands and gateway then show."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from content.cid import CID
from tests.edge.test_dcz import decompress
from tests.edge.test_deltas import digest, script
from tests.faults.test_kubo_away import environment, ready
from tests.kit.kubo import Kubo
from tests.kit.nodes import Cluster, Edge, Origin, fetch, until
from tests.origin.play import Client
from tests.stories.test_ring import files_of, make_site

pytestmark = pytest.mark.needs("ipfs")


def named(node: Kubo, name: str) -> set[str]:
    rows = [row.split(" ", 2) for row in node.run("pin", "ls", "--names", "--type=recursive").decode().splitlines()]
    return {row[0] for row in rows if row[2:] == [name]}


def test_a_published_site_is_a_site_of_ipfs(tmp_path: Path) -> None:
    """`ipfs ls`, `get`, `pin ls --names`, `name resolve` and Kubo's gateway show it, release after release; `ipfs add`
    of the folder names the same Root; after retention dropped a release, `ipfs repo gc` frees its blocks and no other;
    and an edge serves it all the while."""
    node = Kubo(tmp_path / "repo")
    folder = make_site(tmp_path / "site", 1, files=30)
    (folder / "a folder").mkdir()
    (folder / "a folder" / "näme.txt").write_text("text")
    (folder / "same.bin").write_bytes(random.Random(7).randbytes(5000))
    with node.serving():
        home = Origin(tmp_path / "origin", environment(node))
        home.start()
        edge = Edge("edge-1", tmp_path / "edge-1")
        edge.join(home.url, home.catalog, home.node_token(), [edge]).start()
        ring = Cluster(home, [edge])
        try:
            client = Client(home.url, home.token)
            ready(client)
            client.ok("PUT", "/api/v1/sites/docs", {"settings": {"retention": {"last": 2, "days": 0}}})
            name = client.ok("GET", "/api/v1/sites/docs")["ipns"]
            releases, roots, held = [], [], []
            for version in range(1, 4):
                if version > 1:
                    make_site(folder, version, files=30)
                said = ring.publish(folder, "docs")
                releases.append(said["release"])
                roots.append(said["root"])
                until("its name", lambda root=said["root"]: resolved(node, name) == root)
                until("its pins", lambda wanted=set(releases[-2:]): named(node, "rim/docs") == wanted)
                held.append(set(node.run("refs", "-r", "-u", said["release"]).decode().split()) | {said["release"]})
            files = files_of(folder)
            assert str(node.add(folder, store=False)) == roots[-1]

            listed = {line.split(maxsplit=2)[2]: line.split()[1] for line in ls(node, f"/ipfs/{roots[-1]}")}
            assert listed["big.bin"] == str(len(files["/big.bin"]))
            assert {"assets/", "a folder/"} <= listed.keys()
            assert len(ls(node, f"/ipns/{name}/assets")) == 30
            node.run("get", f"/ipns/{name}", "-o", tmp_path / "got")
            assert files_of(tmp_path / "got") == files
            for path in ("/index.html", "/big.bin", "/a%20folder/n%C3%A4me.txt"):
                for start in (f"/ipfs/{roots[-1]}", f"/ipns/{name}"):
                    assert fetch(node.gateway, start + path).status == 200
            assert fetch(node.gateway, f"/ipns/{name}/").body == files["/index.html"]

            before = blocks(node)
            freed = node.run("repo", "gc").decode().split()
            gone = before - blocks(node)
            assert gone <= {CID.parse(text).multihash for text in freed if text != "removed"}
            only_first = {CID.parse(cid).multihash for cid in held[0]} - {
                CID.parse(cid).multihash for cid in held[1] | held[2]
            }
            assert only_first
            assert only_first <= gone
            assert not gone & {CID.parse(cid).multihash for cid in held[1] | held[2]}
            node.dag_export(CID.parse(releases[1]))
            node.dag_export(CID.parse(releases[2]))
            until("the edge serves it", lambda: all(edge.get("docs", path).body == data for path, data in plain(files)))
        finally:
            ring.stop()
    shutil.rmtree(tmp_path / "repo")


def test_a_returning_visitor_of_a_site_in_kubo(tmp_path: Path) -> None:
    """An edge that comes after two deploys and Kubo's collection: the worker's manifest is signed, and who has the old
    script gets the difference, made of two files that the edge has to fetch."""
    node, folder = Kubo(tmp_path / "repo"), tmp_path / "site"
    folder.mkdir()
    (folder / "rim.toml").write_text("[service_worker]\n")
    (folder / "index.html").write_text("<!doctype html>")
    old = script(1, 60_000)
    new = old[:20_000] + b"let changed=1;" + old[20_100:]
    with node.serving():
        home = Origin(tmp_path / "origin", environment(node))
        home.start()
        edge = Edge("edge-1", tmp_path / "edge-1")
        ring = Cluster(home, [edge])
        try:
            ready(Client(home.url, home.token))
            for name, data in (("app-aAAAAaa1.js", old), ("app-bBBBBbb2.js", new)):
                (folder / name).write_bytes(data)
                said = ring.publish(folder, "docs", "--no-warm")
                (folder / name).unlink()
            node.run("repo", "gc")
            edge.join(home.url, home.catalog, home.node_token(), [edge]).start()
            until("the edge knows the site", lambda: edge.get("docs", "/").status == 200)

            assert b'self.rim={"site":"docs"' in edge.get("docs", "/.rim/sw.js").body
            listed = json.loads(edge.get("docs", "/.rim/manifest.json").body)
            assert listed["release"] == said["release"]
            assert [entry["path"] for entry in listed["entries"]] == ["/index.html", "/app-bBBBBbb2.js"]
            has_old = {"Available-Dictionary": digest(old), "Accept-Encoding": "br, dcz"}
            answer = edge.get("docs", "/app-bBBBBbb2.js", has_old)
            assert answer.headers["content-encoding"] == "dcz"
            assert decompress(answer.body, old) == new
            assert len(answer.body) < 1000
        finally:
            ring.stop()


def plain(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return [(path, data) for path, data in files.items() if path.isascii() and " " not in path]


def ls(node: Kubo, path: str) -> list[str]:
    return node.run("ls", "--size", path).decode().splitlines()


def resolved(node: Kubo, name: str) -> str:
    try:
        return node.run("name", "resolve", f"/ipns/{name}").decode().strip().removeprefix("/ipfs/")
    except AssertionError:
        return ""


def blocks(node: Kubo) -> set[bytes]:
    return {CID.parse(text).multihash for text in node.run("refs", "local").decode().split()}
