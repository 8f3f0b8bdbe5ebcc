"""Names across programs: a real Kubo follows our sites and we follow its keys; a site by its domain and by its key.

Actors: an origin, an edge, a DNS server, a Kubo, a publisher. Nothing leaves loopback.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID
from content.errors import BadRecord
from content.peerkey import parse_name
from edge.names.faults import NameNotFound, NameTrouble
from tests.edge.names.play import Clock, run
from tests.edge.sites import World
from tests.edge.wire import edge
from tests.kit.dns import Zone, dns_server
from tests.kit.kubo import Kubo
from tests.kit.nodes import Answer, Cluster, Edge, Origin, fetch, until
from tests.kit.router import RECORD_TYPE
from tests.origin.play import Client, make, origin, parts, site_files

METHODS = ("find-providers", "provide", "find-peers", "get-ipns", "put-ipns")


@pytest.fixture
def own_kubo(tmp_path: Path) -> Kubo:
    """A Kubo whose configuration a play may change."""
    return Kubo(tmp_path / "kubo")


def key_of(client: Client) -> str:
    return str(client.ok("GET", "/api/v1/sites/demo")["ipns"])


@pytest.mark.needs("ipfs")
@pytest.mark.parametrize("kind", ["custom", "autoclient"])
def test_a_kubo_follows_a_site_over_the_origins_routing(tmp_path: Path, own_kubo: Kubo, kind: str) -> None:
    """With the origin as its delegated router, over plain HTTP, and no DHT: the key means the live Root."""
    one, two = make(site_files("one")), make(site_files("two"))
    with origin(tmp_path / "state") as client:
        client.publish("demo", one)
        router = {"Type": "http", "Parameters": {"Endpoint": client.url}}
        settings: dict[str, Any] = {"Routing.Type": kind}
        if kind == "custom":
            settings |= {"Routing.Routers": {"rim": router}}
            settings |= {"Routing.Methods": {method: {"RouterName": "rim"} for method in METHODS}}
        else:
            settings |= {"Routing.DelegatedRouters": [f"{client.url}/routing/v1/ipns"]}
        own_kubo.configure(settings)
        name = f"/ipns/{key_of(client)}"
        with own_kubo.serving(online=True):
            assert own_kubo.run("name", "resolve", name).decode().strip() == f"/ipfs/{one.release.root}"
            assert own_kubo.run("routing", "get", name) == client.get(name).body
            client.publish("demo", two, one.cid)
            again = own_kubo.run("name", "resolve", "--nocache", name)
            assert again.decode().strip() == f"/ipfs/{two.release.root}"


@pytest.mark.needs("ipfs")
def test_the_origin_tells_a_kubo_as_a_delegated_router(tmp_path: Path, own_kubo: Kubo) -> None:
    """A Kubo's gateway offers /routing/v1: what the origin puts there, that Kubo's users resolve."""
    with own_kubo.serving(), origin(tmp_path / "state", routers=own_kubo.gateway) as client:
        made = make(site_files("one"))
        client.publish("demo", made)
        until("the router has it", lambda: parts(client).announcer.counts["told"])
        path, accept = f"/routing/v1/ipns/{key_of(client)}", {"Accept": RECORD_TYPE}
        assert fetch(own_kubo.gateway, path, headers=accept).body == fetch(client.url, path, headers=accept).body
        resolved = own_kubo.run("name", "resolve", f"/ipns/{key_of(client)}").decode().strip()
        assert resolved == f"/ipfs/{made.release.root}"


@pytest.mark.needs("ipfs")
@pytest.mark.parametrize("way", ["router", "gateway"])
def test_an_edge_follows_keys_that_a_kubo_has_published(tmp_path: Path, own_kubo: Kubo, way: str) -> None:
    """Ed25519 and RSA, by delegated routing and by the trustless gateway; in every spelling; the next one is found."""
    (tmp_path / "file").write_text("of Kubo")
    one = own_kubo.add(tmp_path / "file")
    (tmp_path / "file").write_text("of Kubo, too")
    two = own_kubo.add(tmp_path / "file")
    own_kubo.run("key", "gen", "--type=ed25519", "ed25519")
    own_kubo.run("key", "gen", "--type=rsa", "rsa")

    def publish(key: str, cid: CID) -> str:
        said = own_kubo.run("name", "publish", "--allow-offline", "-Q", "--ttl=30m", f"--key={key}", f"/ipfs/{cid}")
        return said.decode().strip()

    async def play() -> None:
        given: dict[str, Any] = {f"{way}s": (own_kubo.gateway,), "resolvers": ("off",)}
        async with edge(tmp_path, World(), **given) as (node, _):
            node.names.records.memo.clock = clock = Clock()
            for key in ("ed25519", "rsa"):
                name = publish(key, one)
                for spelling in (name, str(parse_name(name)), own_kubo.run("key", "list", "-l", "--ipns-base=b58mh")):
                    text = spelling if isinstance(spelling, str) else _listed(spelling, key)
                    named = await node.names.resolve(text)
                    assert named.path == f"/ipfs/{one}"
                    assert named.max_age is not None
                    assert 1790 < named.max_age <= 1800
                publish(key, two)
                clock.now += 1801
                assert (await node.names.resolve(name)).path == f"/ipfs/{two}"
            # Of a name without a record Kubo's router says 404; its gateway 500, as it does when it cannot ask
            with pytest.raises(NameNotFound if way == "router" else NameTrouble):
                await node.names.resolve(str(parse_name(own_kubo.run("id", "-f", "<id>").decode())))

    with own_kubo.serving():
        run(play)


def _listed(rows: bytes, key: str) -> str:
    return next(row.split()[0] for row in rows.decode().splitlines() if row.split()[1] == key)


def test_what_is_no_name_is_no_name() -> None:
    """The reader of names refuses what the reader of our settings would take for one."""
    with pytest.raises(BadRecord):
        parse_name("example.org")


# -- a whole site


@pytest.fixture
def zone() -> Iterator[Zone]:
    with dns_server() as made:
        yield made


@pytest.fixture
def ring(tmp_path: Path, zone: Zone) -> Iterator[Cluster]:
    """An origin and an edge that asks this DNS server; its gateway is gw.example."""
    origin_ = Origin(tmp_path / "origin")
    origin_.start()
    one = Edge("edge-1", tmp_path / "edge-1")
    whole = Cluster(origin_, [one], origin_.node_token())
    try:
        more = "--resolvers", zone.address, "--gateway-hosts", "gw.example;paths"
        one.join(origin_.url, origin_.catalog, whole.token, [one], *more).start()
        yield whole
    finally:
        whole.stop()


def site(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(text)
    return folder


def test_a_site_by_its_domain_and_by_its_key(ring: Cluster, zone: Zone, tmp_path: Path) -> None:
    """Host DOMAIN answers with the site's rules at once; /ipns/DOMAIN and /ipns/KEY are the same site for all of IPFS,
    and follow its publishes; with DNS and the origin dead they are served on."""
    ring.rim("site", "add", "blog", "--dnslink", "blog.example")
    ring.publish(site(tmp_path / "blog", "first"), "blog", "--wait", "all")
    (edge_,) = ring.edges

    def get(host: str, path: str) -> Answer:
        return fetch(edge_.public, path, host)

    assert get("blog.example", "/").body == b"first"
    checked = ring.rim("dnslink", "blog", "--resolver", zone.address, check=False)
    assert checked.returncode == 1
    record = checked.stdout.splitlines()[0]
    key = record.rpartition("/ipns/")[2].rstrip('"')
    zone.link("blog.example", f"/ipns/{key}")
    assert ring.rim("dnslink", "blog", "--resolver", zone.address).returncode == 0

    for name in ("blog.example", key):
        answer = get("gw.example", f"/ipns/{name}/")
        assert (answer.status, answer.body) == (200, b"first"), answer
        age = int(answer.headers["cache-control"].partition("max-age=")[2].partition(",")[0])
        assert 0 <= age <= 60
    ring.publish(site(tmp_path / "blog", "second"), "blog", "--wait", "all")
    assert get("blog.example", "/").body == b"second"
    until("the record follows", lambda: get("gw.example", f"/ipns/{key}/").body == b"second", 5)
    assert get("gw.example", "/ipns/blog.example/").body == b"second"

    asked = edge_.metric('rim_name_lookups_total{result="found",source="origin"}')
    assert 2 <= asked <= 4
    ring.origin.kill()
    zone.faults["_dnslink.blog.example"] = "servfail"
    for name in ("blog.example", key):
        assert get("gw.example", f"/ipns/{name}/").body == b"second"
    edge_.kill()
    edge_.start()
    begun = time.monotonic()
    assert get("gw.example", f"/ipns/{key}/").body == b"second", "its record lies in the edge's own folder"
    assert time.monotonic() - begun < 20
    assert edge_.metric("rim_names_stale_total") >= 1
    edge_.kill()
    shutil.rmtree(edge_.state / "names")
    edge_.start()
    answer = get("gw.example", f"/ipns/{key}/")
    assert answer.body == b"second", "without any record: its Head says what the site is"
    assert "detail=stale" in answer.headers["cache-status"]
