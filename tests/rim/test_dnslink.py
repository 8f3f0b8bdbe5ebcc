"""A site by DNSLink: `rim site add --dnslink`, and `rim dnslink`, which says what to set and whether DNS has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from content.cid import CID, LIBP2P_KEY
from edge.names import stub
from rim.dnslink import ELSEWHERE, MISSING, OK, UNKNOWN, WAITING, check, record
from tests.edge.names.play import Key, path
from tests.kit.dns import Zone, dns_server
from tests.rim.conftest import Shell, site_folder

KEY, OTHER = Key().name, Key().name
DOMAIN = "www.example"


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    monkeypatch.setattr(stub, "DNS_TIMEOUT", 0.3)
    monkeypatch.setattr(stub, "DNS_LIFETIME", 0.5)
    with dns_server() as made:
        yield made


def spelt(key: str) -> str:
    """The same key as a CID in base32."""
    return str(CID.parse(key))


ROOT = path("root").removeprefix("/ipfs/")
STATES: dict[str, tuple[dict[str, tuple[str, ...]], str, bool]] = {
    "right": ({DOMAIN: (f"/ipns/{KEY}",)}, OK, False),
    "right, spelt otherwise": ({DOMAIN: (f"/ipns/{spelt(KEY)}",)}, OK, False),
    "over another domain": ({DOMAIN: ("/ipns/b.example",), "b.example": (f"/ipns/{KEY}",)}, OK, False),
    "nothing": ({}, MISSING, False),
    "what is no DNSLink": ({DOMAIN: ("/hyper/x",)}, MISSING, False),
    "another key": ({DOMAIN: (f"/ipns/{OTHER}",)}, ELSEWHERE, False),
    "another content": ({DOMAIN: (path("x"),)}, ELSEWHERE, False),
    "the live root itself": ({DOMAIN: (f"/ipfs/{ROOT}",)}, ELSEWHERE, True),
    "ours, and one before it in order": ({DOMAIN: (f"/ipns/{KEY}", path("x"))}, ELSEWHERE, False),
    "over a domain that ends nowhere": ({DOMAIN: ("/ipns/b.example",)}, ELSEWHERE, False),
    "in a circle": ({DOMAIN: ("/ipns/b.example",), "b.example": (f"/ipns/{DOMAIN}",)}, ELSEWHERE, False),
}


@pytest.mark.parametrize(("links", "state", "root"), STATES.values(), ids=STATES.keys())
def test_what_dns_says(zone: Zone, links: dict[str, tuple[str, ...]], state: str, root: bool) -> None:
    """Followed as an edge follows it."""
    for domain, paths in links.items():
        zone.link(domain, *paths, ttl=120)
    checked = check(DOMAIN, KEY, ROOT, zone.address)
    assert (checked.state, checked.root) == (state, root)
    assert checked.found == tuple(sorted(links.get(DOMAIN, ())))


def test_a_server_that_cannot_be_asked(zone: Zone) -> None:
    """No word on the record, and none is made up."""
    zone.faults[f"_dnslink.{DOMAIN}"] = "silent"
    checked = check(DOMAIN, KEY, None, zone.address)
    assert checked.state == UNKNOWN
    assert "DNS could not be asked" in checked.said


@pytest.mark.parametrize("old", [(), (f"/ipns/{OTHER}",)], ids=["missing", "another"])
def test_set_already_and_not_seen_everywhere_yet(zone: Zone, old: tuple[str, ...]) -> None:
    """The zone's own server has the record; a resolver keeps its old answer as long as its TTL says."""
    with dns_server() as own:
        own.link(DOMAIN, f"/ipns/{KEY}")
        if old:
            zone.link(DOMAIN, *old, ttl=200)
        zone.more["example", "NS"] = ["ns.example."]
        zone.more["ns.example", "A"] = ["127.0.0.1"]
        port = int(own.address.rpartition(":")[2])
        checked = check(DOMAIN, KEY, None, zone.address, port)
        assert (checked.state, checked.found) == (WAITING, old)
        assert checked.ttl == (200 if old else zone.negative)
        own.drop(f"_dnslink.{DOMAIN}")
        assert check(DOMAIN, KEY, None, zone.address, port).state == (ELSEWHERE if old else MISSING)


def test_the_record_that_is_to_be_set() -> None:
    """As a zone file has it."""
    assert record(DOMAIN, KEY) == f'_dnslink.{DOMAIN}. 300 IN TXT "dnslink=/ipns/{KEY}"'
    assert CID.parse(KEY).codec == LIBP2P_KEY


def test_a_site_with_a_dnslink_from_nothing_to_ok(user: Shell, zone: Zone, tmp_path: Path) -> None:
    """Added, told what to set, set, checked; the domain is a host of the site from the first."""
    added = user.result("site", "add", "blog", "--host", "blog.example", "--dnslink", "WWW.blog.example.")
    assert added["hosts"] == ["blog.example", "www.blog.example"]
    assert added["settings"] == {"dnslink": "www.blog.example"}
    user.result("publish", site_folder(tmp_path / "blog"))
    line = f'_dnslink.www.blog.example. 300 IN TXT "dnslink=/ipns/{added["ipns"]}"'
    before = user.rim("dnslink", "blog", "--resolver", zone.address)
    assert (before.returncode, before.stderr) == (1, "")
    assert before.stdout.splitlines() == [line, "missing: DNS has no such record; asked anew in 30 s"]
    zone.link("www.blog.example", line.split('"')[1].removeprefix("dnslink="))
    after = user.result("dnslink", "blog", "--resolver", zone.address)
    assert (after["state"], after["record"], after["domain"]) == ("ok", line, "www.blog.example")
    plain = user.rim("dnslink", "blog", "--resolver", zone.address)
    assert (plain.returncode, plain.stdout.splitlines()[1]) == (0, "ok: DNS leads to the site")
    other = user.rim("dnslink", "blog", "other.example", "--resolver", zone.address)
    assert other.returncode == 1
    assert "other.example is no host of blog" in other.stderr


def test_a_dnslink_is_changed_and_taken_away(user: Shell) -> None:
    """The hosts that are there stay; a host that was asked for is there once."""
    user.result("site", "add", "moves", "--host", "a.example")
    changed = user.result("site", "set", "moves", "--dnslink", "b.example", "--set", "max_stale=60")
    assert (changed["hosts"], changed["settings"]) == (
        ["a.example", "b.example"],
        {"dnslink": "b.example", "max_stale": 60},
    )
    again = user.result("site", "set", "moves", "--dnslink", "a.example", "--host", "a.example")
    assert (again["hosts"], again["settings"]["dnslink"]) == (["a.example"], "a.example")
    gone = user.result("site", "set", "moves", "--dnslink", "")
    assert (gone["hosts"], gone["settings"]) == (["a.example"], {"max_stale": 60})


REFUSED: list[tuple[list[str], int, str]] = [
    (["site", "add", "x", "--dnslink", "nodots"], 2, "no domain"),
    (["site", "add", "x", "--dnslink", "https://a.example"], 2, "no domain"),
    (["site", "add", "x", "--dnslink", "bücher.example"], 2, "xn--"),
    (["dnslink", "plain"], 2, "--dnslink DOMAIN"),
    (["dnslink", "plain", "nodots"], 2, "no domain"),
    (["dnslink", "plain", "a.example", "--resolver", "dns.example"], 2, "no address of a DNS server"),
    (["dnslink", "unknown", "a.example"], 3, "unknown"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED)
def test_what_is_asked_wrongly(user: Shell, arguments: list[str], code: int, words: str) -> None:
    """With the code of its kind, and what to do."""
    user.rim("site", "add", "plain")
    done = user.rim(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_the_origin_refuses_a_dnslink_that_is_no_domain(user: Shell) -> None:
    """Whoever speaks to it without `rim`."""
    from rim.client import Origin, Rejected

    user.rim("site", "add", "plain")
    with Origin(user.env["RIM_ORIGIN"], user.env["RIM_TOKEN"]) as origin:
        for value in ("nodots", 5, "https://a.example", "A.example"):
            with pytest.raises(Rejected):
                origin.send("PATCH", "/api/v1/sites/plain", {"settings": {"dnslink": value}})


def test_a_domain_belongs_to_one_site(user: Shell) -> None:
    """As every host."""
    user.result("site", "add", "one", "--dnslink", "shared.example")
    taken = user.rim("site", "add", "two", "--dnslink", "shared.example")
    assert (taken.returncode, "one" in taken.stderr) == (3, True)
