"""Settings: what is read, what wins, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content.ipns import name_of
from edge.config import SETTINGS, BadSetting, EdgeConfig, address, is_loopback, read, size
from edge.http.address import Trusted
from edge.http.rates import Rate
from edge.peers.finding import Finding, Way
from edge.peers.ring import Member

KEY = name_of(Ed25519PrivateKey.generate().public_key())
GIVEN = {"name": "edge-1", "state": "/tmp/x", "origin": "http://127.0.0.1:7070/", "catalog": KEY}


def test_every_row_is_a_field() -> None:
    """The table and the value say the same names; every row has a variable and help."""
    made = {"token", "cache_bytes", "memory_bytes", "finding"}
    fields = set(EdgeConfig.__dataclass_fields__) - made | {"cache", "memory"}
    assert {row.name for row in SETTINGS} - {"token_file"} == fields
    assert all(row.env.startswith("RIM_") and row.help.endswith(".") for row in SETTINGS)


def test_flags_before_variables_before_defaults() -> None:
    """A flag wins over its variable, and that over the default."""
    env = {"RIM_REGION": "eu", "RIM_CACHE": "2G", "RIM_NODE_TOKEN": "secret", "RIM_ACCESS_LOG": "yes"}
    config = read({**GIVEN, "cache": "1G", "peers": "b=http://127.0.0.1:2;region=eu"}, env)
    assert (config.region, config.cache_bytes, config.memory_bytes) == ("eu", 1 << 30, 512 << 20)
    assert (config.token, config.access_log, config.origin) == ("secret", "json", "http://127.0.0.1:7070")
    assert config.members("http://127.0.0.1:9") == (
        Member("b", "http://127.0.0.1:2", "eu"),
        Member("edge-1", "http://127.0.0.1:9", "eu"),
    )


def test_an_edge_in_its_own_list_is_not_doubled() -> None:
    """The same list of members serves every edge of the ring."""
    config = read({**GIVEN, "peers": "edge-1=http://127.0.0.1:1,b=http://127.0.0.1:2"}, {})
    assert len(config.members("http://127.0.0.1:9")) == 2


@pytest.mark.parametrize(
    ("given", "cores", "weight"),
    [
        ({}, 8, 1.0),
        ({"cache": "1G", "peers": ""}, 8, 1.0),
        ({"weight": "3.5"}, 8, 3.5),
        ({"processes": "4", "cache": "100G"}, 8, 4.0),
        ({"processes": "4", "cache": "100G"}, 2, 2.0),
        ({"processes": "4", "cache": "15G"}, 8, 1.5),
        ({"weight": "auto", "cache": "1M"}, 8, 0.1),
        ({"processes": "64", "cache": "90T"}, 1000, 64.0),
    ],
)
def test_a_weight_of_its_own(given: dict[str, Any], cores: int, weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """auto: what the scarcer of processes, cores and disk can carry; 1 where nothing is set."""
    monkeypatch.setattr("edge.config._cores", lambda: cores)
    config = read({**GIVEN, "peers": "origin", **given}, {})
    assert config.weight == weight
    assert config.own("http://127.0.0.1:9").weight == weight


def test_ways_to_find_the_ring() -> None:
    """A list, or where to ask; the address that others are told is the bound one unless another is set."""
    config = read({**GIVEN, "peers": "dns://edges.internal:9000"}, {})
    assert (config.found, config.peers) == (Finding(Way.DNS, name="edges.internal", port=9000), ())
    config = read({**GIVEN, "peers": "origin", "private_url": "http://10.0.0.7:9000/"}, {})
    assert config.own("http://127.0.0.1:9").url == "http://10.0.0.7:9000"
    listed = read({**GIVEN, "peers": "edge-1=http://127.0.0.1:1;weight=7,b=http://127.0.0.1:2"}, {})
    assert listed.found == Finding(members=listed.peers)
    assert listed.own("http://127.0.0.1:9") == Member("edge-1", "http://127.0.0.1:1", weight=7.0)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name: give it"),
    ({"name": "a b"}, "not a member's name"),
    ({"state": None}, "state: give it"),
    ({"origin": "ftp://x"}, "not an http"),
    ({"catalog": ""}, "catalog: give"),
    ({"catalog": "k51nonsense"}, "catalog"),
    ({"public": "8080"}, "HOST:PORT"),
    ({"public": "127.0.0.1:99999"}, "HOST:PORT"),
    ({"cache": "much"}, "cache: 'much'"),
    ({"cache_policy": "fifo"}, "cache-policy: 'fifo'"),
    ({"cache_min_free": "some"}, "cache_min_free: 'some'"),
    ({"weight": "0"}, "weight"),
    ({"weight": "x"}, "weight"),
    ({"processes": "65"}, "processes"),
    ({"peers": "nonsense"}, "peers"),
    ({"peers": "dns://edges"}, "peers: .*give the port"),
    ({"peers": "srv://_rim._tcp.edges:9"}, "peers: .*ports stand in the SRV"),
    ({"private_url": "10.0.0.7:9000"}, "private_url"),
    ({"private_url": "http://10.0.0.7:9000/path"}, "private_url: .* is more than"),
    ({"peers": "a=http://h,a=http://h"}, "two members"),
    ({"private": "0.0.0.0:7000"}, "node token"),
    ({"token_file": "/nonexistent"}, "token-file"),
    ({"trusted_proxy": "10.0.0.1/8"}, "trusted_proxy: '10.0.0.1/8' is no network such as"),
    ({"proxy_protocol": True}, "proxy_protocol: name the proxies"),
    ({"tls_cert": "c"}, "give both or neither"),
    ({"tls_key": "k"}, "give both or neither"),
    ({"max_connections": "-1"}, "max_connections: -1 is no number"),
    ({"max_connections": "many"}, "max_connections"),
    ({"max_connections_per_client": "-1"}, "max_connections_per_client: -1 is no number"),
    ({"rate_per_client": "50"}, "rate_per_client: '50' is no rate such as"),
    ({"rate_per_site": "0/s"}, "rate_per_site: '0/s' is no rate such as"),
    ({"access_log": "xml"}, "access_log: 'xml' is none of off, combined, json"),
    ({"dnslinks": "example.org"}, "dnslinks: .*No such file"),
    ({"dnslinks": "example.org=/ipld/x"}, "dnslinks: 'example.org=/ipld/x' is not DOMAIN=/ipfs/CID"),
    ({"dnslinks": "org=/ipfs/bafkqaaa"}, "dnslinks: 'org="),
    ({"ipns_records": "/nonexistent"}, "ipns_records: /nonexistent is no folder"),
    ({"resolvers": "dns.example"}, "resolvers: 'dns.example' is no address of a DNS server"),
    ({"resolvers": "9.9.9.9,off"}, "resolvers: 'off' is no address"),
    ({"resolvers": "9.9.9.9:0"}, "resolvers: '9.9.9.9:0'"),
    ({"routers": "example.org"}, "routers: 'example.org' is not an http"),
    ({"access_log_file": "/tmp/x.log"}, "access_log_file: say what to write"),
    ({"gateway_url": "gw.example", "gateway_hosts": "gw.example"}, "gateway_url: 'gw.example' is no http"),
    ({"gateway_url": "https://gw.example?x", "gateway_hosts": "gw.example"}, "gateway_url: .* is no http"),
    ({"gateway_url": "https://" + "g" * 249, "gateway_hosts": "gw.example"}, "gateway_url: .* is no http"),
    ({"gateway_url": "https://gw.example"}, "gateway_url: no gateway answers as https://gw.example"),
    ({"gateway_url": "https://gw.example", "gateway_hosts": "gw.example", "gateway": "off"}, "gateway_url: no gateway"),
]


@pytest.mark.parametrize(("flags", "words"), BAD)
def test_what_cannot_be_meant(flags: dict[str, Any], words: str) -> None:
    """Refused, naming the setting."""
    with pytest.raises(BadSetting, match=words):
        read({**GIVEN, **flags}, {})


def test_where_browsers_reach_the_gateway() -> None:
    """As it is written, without a slash at its end: `/ipfs/CID` is put behind it."""
    assert read(GIVEN, {}).gateway_url == ""
    given = {**GIVEN, "gateway_hosts": "gw.example"}
    assert read(given, {"RIM_GATEWAY_URL": "https://gw.example/"}).gateway_url == "https://gw.example"


def test_what_stands_in_front() -> None:
    """Proxies, limits, TLS and log, as they are written."""
    plain = read(GIVEN, {})
    assert (plain.trusted_proxy, plain.rate_per_client, plain.max_connections) == (Trusted(), None, 0)
    flags = {"trusted_proxy": "10.0.0.0/8", "proxy_protocol": True, "rate_per_client": "50/s:9", "max_connections": "7"}
    config = read({**GIVEN, **flags}, {"RIM_RATE_PER_SITE": "900/s", "RIM_ACCESS_LOG_FILE": "x", "RIM_ACCESS_LOG": "1"})
    assert (config.trusted_proxy, config.proxy_protocol) == (Trusted.read("10.0.0.0/8"), True)
    assert (config.rate_per_client, config.rate_per_site, config.max_connections) == (Rate(50, 9), Rate(900, 900), 7)
    assert (config.access_log, config.access_log_file) == ("json", Path("x"))


LOGS = [("", "off"), ("0", "off"), ("no", "off"), ("off", "off"), ("true", "json"), ("on", "json"), ("1", "json"),
        ("JSON", "json"), ("json", "json"), ("combined", "combined")]  # fmt: skip


@pytest.mark.parametrize(("text", "form"), LOGS)
def test_the_form_of_the_log(text: str, form: str) -> None:
    """It was a switch once, and what switched it on means JSON."""
    assert read(GIVEN, {"RIM_ACCESS_LOG": text}).access_log == form


def test_a_token_from_a_file(tmp_path: Path) -> None:
    """Its white space is not part of it."""
    (tmp_path / "token").write_text("secret\n")
    assert read({**GIVEN, "token_file": str(tmp_path / "token"), "private": "0.0.0.0:1"}, {}).token == "secret"


def test_sizes_and_addresses() -> None:
    """Units are powers of 1024; IPv6 stands in brackets; only true loopback counts as such."""
    assert [size(text) for text in ("0", "1k", "1.5 MiB", "2GB", "1TiB")] == [0, 1024, 1536 << 10, 2 << 30, 1 << 40]
    assert address("[::1]:80") == ("::1", 80)
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""))


def test_names(tmp_path: Path) -> None:
    """The operator's links, inline or in a file, the folder of records, servers and routers."""
    plain = read(GIVEN, {})
    assert (plain.dnslinks, plain.ipns_records, plain.resolvers, plain.routers) == ("", None, (), ())
    flags = {"dnslinks": "a.example=/ipfs/bafkqaaa, b.example=/ipns/a.example/x", "resolvers": "::1,[::1]:53,1.2.3.4:5"}
    config = read({**GIVEN, **flags, "ipns_records": str(tmp_path)}, {"RIM_ROUTERS": "http://r/,https://s"})
    assert (config.ipns_records, config.routers) == (tmp_path, ("http://r", "https://s"))
    assert config.resolvers == ("::1", "[::1]:53", "1.2.3.4:5")
    assert read({**GIVEN, "resolvers": "off"}, {}).resolvers == ("off",)
    (tmp_path / "links").write_text("# ours\n\na.example = /ipfs/bafkqaaa\n")
    assert read({**GIVEN, "dnslinks": str(tmp_path / "links")}, {}).dnslinks == str(tmp_path / "links")


def test_an_edge_that_joins_from_every_address_says_which_one(tmp_path: Path) -> None:
    """0.0.0.0 is nowhere to be sent to."""
    given = {**GIVEN, "peers": "origin", "private": "0.0.0.0:9000"}
    with pytest.raises(BadSetting, match="--private-url"):
        read(given, {"RIM_NODE_TOKEN": "t"})
    assert read({**given, "private_url": "http://10.0.0.7:9000"}, {"RIM_NODE_TOKEN": "t"}).private_url
