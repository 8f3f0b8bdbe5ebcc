"""Which hosts are the gateway's, and what their names mean."""

from __future__ import annotations

import re

import pytest

from content.cid import CID, RAW
from edge.gateway import labels
from edge.gateway.hosts import GatewayHost, GatewayHosts, Kind, Place, parse_hosts

HOSTS = GatewayHosts(parse_hosts("gw.test, paths.test;paths, 127.0.0.1"))


@pytest.mark.parametrize(
    ("host", "field", "place"),
    [
        ("gw.test", "GW.test:8080", Place(Kind.PATH, "gw.test:8080", True)),
        ("paths.test", "paths.test", Place(Kind.PATH, "paths.test", False)),
        ("127.0.0.1", "127.0.0.1:80", Place(Kind.PATH, "127.0.0.1:80", False)),
        ("bafy.ipfs.gw.test", "bafy.ipfs.gw.test:1", Place(Kind.SUBDOMAIN, "gw.test:1", True, "ipfs", "bafy")),
        ("a.b.ipns.gw.test", "a.b.ipns.gw.test", Place(Kind.SUBDOMAIN, "gw.test", True, "ipns", "a.b")),
        ("x.ipfs.y.ipns.gw.test", "x", Place(Kind.SUBDOMAIN, "gw.test", True, "ipns", "x.ipfs.y")),
        ("bafy.ipfs.paths.test", "x", None),  # has no subdomains
        (".ipfs.gw.test", "x", None),
        ("ipfs.gw.test", "x", None),
        ("other.gw.test", "x", None),
        ("evilgw.test", "x", None),
    ],
)
def test_places(host: str, field: str, place: Place | None) -> None:
    assert HOSTS.place(host, field) == place


@pytest.mark.parametrize("text", ["gw.test;path", "http://gw.test", "gw.test:80", "a_b.test", "*.test", ";paths"])
def test_bad_hosts(text: str) -> None:
    """The text that is refused is named."""
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_hosts(f"good.test, {text}")


def test_any_host_is_for_paths_alone() -> None:
    assert parse_hosts("*") == (GatewayHost("*", False),)
    assert GatewayHosts(parse_hosts("*")).takes_any


@pytest.mark.parametrize(
    ("domain", "label"),
    [
        ("en.wikipedia-on-ipfs.org", "en-wikipedia--on--ipfs-org"),
        ("a-b.c", "a--b-c"),
        ("docs.ipfs.tech", "docs-ipfs-tech"),
    ],
)
def test_inlined_domains(domain: str, label: str) -> None:
    """Subdomain gateway spec, §Host: both ways."""
    assert (labels.inlined(domain), labels.domain_of(label), labels.domain_of(domain)) == (label, domain, domain)


def test_labels_of_cids() -> None:
    """Base32, or base36 where that alone fits into 63; what no base brings down is too long, whatever its hash."""
    cid = CID.of(RAW, b"x")
    assert labels.of_cid(cid) == str(cid)
    assert labels.of_cid(CID(cid.multihash)) == "b" + str(CID(b"\x01\x70" + cid.multihash))[1:]
    long = CID(b"\x01\x72\x00\x24" + bytes(range(36)))
    assert len(str(long)) == 65
    assert labels.of_cid(long) == long.base36()
    with pytest.raises(labels.TooLong):
        labels.of_cid(CID(b"\x01\x55\x00\x40" + bytes(64)))
    with pytest.raises(labels.TooLong):
        labels.check_length("b" + "a" * 109)
    labels.check_length(str(cid))
    labels.check_length("QmInvalid" * 20)  # no base32: something else is wrong with it
