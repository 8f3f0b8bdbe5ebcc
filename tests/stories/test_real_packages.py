"""Three real packages as three sites on one ring: every byte from every edge, and the Roots that Kubo makes.

Actors: an origin, three edges, a publisher, a plain HTTP client, a real Kubo. Fetched with npm: monaco-editor 0.45.0,
bootstrap-icons 1.11.3, three 0.160.0.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.kubo import Kubo
from tests.kit.nodes import Cluster, cluster, quoted
from tests.kit.npm import PACKAGES, package, writable_copy
from tests.kit.proxy import CountingProxy

SITES = {spec.split("@")[0]: spec for spec in PACKAGES}
BARE = ("--no-ignore", "--encode", "fast")


@pytest.mark.needs("npm", "ipfs")
def test_three_real_packages_on_one_ring(tmp_path: Path) -> None:
    """Published, compared, counted, changed, published again, taken away to Kubo: one play in six acts."""
    with CountingProxy("") as proxy:

        def via(origin: str) -> str:
            proxy.upstream = origin
            return proxy.url

        ring = cluster(tmp_path, 3, via)
        try:
            results = {site: ring.publish(package(spec), site, *BARE) for site, spec in SITES.items()}
            every_file_from_every_edge_equals_the_disk(ring)
            each_block_left_the_origin_once(ring, proxy)
            roots = {site: str(result["root"]) for site, result in results.items()}
            the_roots_are_kubos_own(ring, roots, tmp_path)
            one_changed_file_cools_nothing_else(ring, proxy, tmp_path)
            the_same_folder_again_is_unchanged(ring, tmp_path)
        finally:
            ring.stop()


def fetch_all(base: str, site: str, folder: Path) -> int:
    """Fetch every file of the folder on one connection; each must equal the disk's bytes. The number of files."""
    url = urlsplit(base)
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=60)
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    for file in files:
        path = "/" + file.relative_to(folder).as_posix()
        connection.request("GET", quoted(path), headers={"Host": f"{site}.localhost:{url.port}"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, answer.status, body[:200])
        assert body == file.read_bytes(), path
    connection.close()
    return len(files)


def every_file_from_every_edge_equals_the_disk(ring: Cluster) -> None:
    """A plain client and `rim verify` fetch each file of each package from each edge."""
    for site, spec in SITES.items():
        counts = {edge.name: fetch_all(edge.public, site, package(spec)) for edge in ring.edges}
        print(f"{site}: files fetched and equal: {counts}")
        for edge in ring.edges:
            ring.rim("verify", f"http://{site}.localhost:{urlsplit(edge.public).port}/", str(package(spec)))


def each_block_left_the_origin_once(ring: Cluster, proxy: CountingProxy) -> None:
    """However many edges asked, no content block left the origin twice, and its own metric says the same."""
    sent = proxy.content_blocks()
    assert len(sent) > 1000
    assert max(sent.values()) == 1, sent.most_common(3)
    assert ring.origin.metric('rim_origin_blocks_sent_total{kind="content"}') == sum(sent.values())
    print(f"{len(sent)} content blocks left the origin, each once")


def the_roots_are_kubos_own(ring: Cluster, roots: dict[str, str], folder: Path) -> None:
    """`ipfs add` gives the same Roots; `ipfs dag import` of `rim export` gives them too, also after Kubo's restart."""
    kubo = Kubo(folder / "ipfs")
    for site, spec in SITES.items():
        assert str(kubo.add(package(spec))) == roots[site], site
        ring.rim("export", site, "-o", str(folder / f"{site}.car"))
    fresh = Kubo(folder / "fresh")  # a repository that has none of the blocks
    for _ in range(2):  # started, and started again
        with fresh.serving():
            cars = [(folder / f"{site}.car").read_bytes() for site in SITES]
            assert {str(root) for car in cars for root in fresh.dag_import(car)} == set(roots.values())


def one_changed_file_cools_nothing_else(ring: Cluster, proxy: CountingProxy, folder: Path) -> None:
    """A republish with one changed file sends only new blocks; a second request for every other path is a hit."""
    site, edge = "bootstrap-icons", ring.edges[0]
    copy = writable_copy(SITES[site], folder / site)
    fetch_all(edge.public, site, copy)
    before = proxy.content_blocks()
    changed = copy / "icons" / "alarm.svg"
    changed.write_text("<svg xmlns='http://www.w3.org/2000/svg'><!-- changed --></svg>")
    result = ring.publish(copy, site, *BARE)
    assert result["blocks_sent"] <= 16, result  # the file, its encodings, the folders above it, a branch of the Index
    hits = others = 0
    for file in sorted(p for p in copy.rglob("*") if p.is_file()):
        answer = edge.get(site, "/" + file.relative_to(copy).as_posix())
        assert answer.body == file.read_bytes()
        if file != changed:
            others += 1
            hits += "; hit" in answer.cache_status
    new = proxy.content_blocks() - before
    print(
        f"{site}: {others + 1} files, 1 changed; {result['blocks_sent']} blocks sent, "
        f"{len(new)} content blocks left the origin"
    )
    assert hits == others
    assert 0 < sum(new.values()) <= 8, new


def the_same_folder_again_is_unchanged(ring: Cluster, folder: Path) -> None:
    """Nothing to publish: said so, exit 0, no commit."""
    before = json.loads(ring.origin.api("GET", "/status").body)["sequence"]
    again = ring.rim("publish", str(folder / "bootstrap-icons"), "--site", "bootstrap-icons", *BARE)
    assert "unchanged" in again.stdout + again.stderr
    assert json.loads(ring.origin.api("GET", "/status").body)["sequence"] == before
