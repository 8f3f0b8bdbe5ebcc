"""Three real packages as three sites on one ring: every byte from every edge, and the Roots that Kubo makes.

Actors: an origin, three edges, a publisher, a plain HTTP client, a real Kubo. Fetched with npm: monaco-editor 0.45.0,
bootstrap-icons 1.11.3, three 0.160.0.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.kubo import Kubo
from tests.kit.nodes import Cluster, cluster, quoted
from tests.kit.npm import PACKAGES, package, writable_copy
from tests.kit.proxy import CountingProxy

pytestmark = pytest.mark.needs("npm")
SITES = {spec.split("@")[0]: spec for spec in PACKAGES}


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Cluster, dict[str, dict[str, object]], CountingProxy]]:
    root = tmp_path_factory.mktemp("ring")
    proxies: list[CountingProxy] = []

    def via(origin: str) -> str:
        proxies.append(CountingProxy(origin).__enter__())
        return proxies[0].url

    ring = cluster(root, 3, via)
    try:
        results = {
            site: ring.publish(package(spec), site, "--no-ignore", "--encode", "fast") for site, spec in SITES.items()
        }
        yield ring, results, proxies[0]
    finally:
        ring.stop()
        for proxy in proxies:
            proxy.__exit__(None, None, None)


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


@pytest.mark.parametrize("site", SITES)
def test_every_file_from_every_edge_equals_the_disk(published, site: str) -> None:
    """A plain client and `rim verify` fetch each file of each package from each edge: all equal."""
    ring, _, _ = published
    counts = {edge.name: fetch_all(edge.public, site, package(SITES[site])) for edge in ring.edges}
    print(f"{site}: files fetched and equal: {counts}")
    for edge in ring.edges:
        base = f"http://{site}.localhost:{urlsplit(edge.public).port}/"
        done = ring.rim("verify", base, str(package(SITES[site])))
        assert done.returncode == 0, done


def kubo_imports(kubo: Kubo, folder: Path) -> set[str]:
    """Import every exported site; the Roots that Kubo says it pinned."""
    return {str(root) for site in SITES for root in kubo.dag_import((folder / f"{site}.car").read_bytes())}


@pytest.mark.needs("ipfs")
def test_roots_equal_kubo_and_export_imports(published, tmp_path: Path) -> None:
    """`ipfs add` gives the same Roots; after a restart of Kubo, `ipfs dag import` of `rim export` gives them too."""
    ring, results, _ = published
    kubo = Kubo(tmp_path / "ipfs")
    for site, spec in SITES.items():
        assert str(kubo.add(package(spec))) == results[site]["root"], site
        ring.rim("export", site, "-o", str(tmp_path / f"{site}.car"))
    fresh = Kubo(tmp_path / "fresh")  # a repository that has none of the blocks
    with fresh.serving():
        assert kubo_imports(fresh, tmp_path) == {results[site]["root"] for site in SITES}
    with fresh.serving():  # the same repository, started again
        assert kubo_imports(fresh, tmp_path) == {results[site]["root"] for site in SITES}


def test_one_changed_file_cools_nothing_else(published, tmp_path: Path) -> None:
    """A republish with one changed file sends only new blocks; a second request for every other path is a hit."""
    ring, _, proxy = published
    site, edge = "bootstrap-icons", ring.edges[0]
    folder = writable_copy(SITES[site], tmp_path / site)
    fetch_all(edge.public, site, folder)
    fetch_all(edge.public, site, folder)
    before = proxy.content_blocks()
    changed = folder / "icons" / "alarm.svg"
    changed.write_text("<svg xmlns='http://www.w3.org/2000/svg'><!-- changed --></svg>")
    result = ring.publish(folder, site, "--no-ignore", "--encode", "fast")
    assert result["blocks_sent"] <= 16, result  # the file, its encodings, the folders above it, a branch of the Index
    hits = others = 0
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        answer = edge.get(site, "/" + file.relative_to(folder).as_posix())
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
    assert len(new) <= 8, new

    again = ring.rim("publish", str(folder), "--site", site, "--no-ignore", "--encode", "fast")
    sequence = json.loads(ring.origin.api("GET", "/status").body)["sequence"]
    assert "unchanged" in (again.stdout + again.stderr)
    assert sequence == result["sequence"]


def test_each_block_leaves_the_origin_once(published) -> None:
    """However many edges asked, no content block left the origin twice, and its own metric says the same."""
    ring, _, proxy = published
    for site, spec in SITES.items():
        for edge in ring.edges:
            fetch_all(edge.public, site, package(spec)) if site != "bootstrap-icons" else None
    sent = proxy.content_blocks()
    assert sent, "the origin sent something"
    assert max(sent.values()) == 1, sent.most_common(3)
    assert ring.origin.metric('rim_origin_blocks_sent_total{kind="content"}') == sum(sent.values())
