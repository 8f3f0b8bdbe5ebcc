"""Site, Catalog, and the names that may stand in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from content.catalog import (
    Alias,
    BadName,
    Catalog,
    Floor,
    Retained,
    Rollout,
    Signed,
    Site,
    check_alias,
    check_host,
    check_settings,
    check_site_name,
)
from content.cbor import decode, encode
from content.cid import CID, DAG_CBOR
from content.errors import BadNode, LimitExceeded
from content.limits import (
    ALIASES_MAX,
    FLOORS_MAX,
    GATEWAY_BYTES,
    GATEWAYS_MAX,
    RETAINED_MAX,
    SETTINGS_BYTES,
    SIGNED_MAX,
    TRIED_MAX,
)
from content.walk import links

A, B, C, D = (CID.of(DAG_CBOR, name) for name in (b"a", b"b", b"c", b"d"))
SITE = Site(
    name="docs",
    generation=9,
    live=Retained(A, 8, 1_760_000_000),
    next=Retained(B, 9, 1_760_000_100),
    retained=(Retained(B, 9, 1_760_000_100), Retained(A, 8, 1_760_000_000)),
    attic=C,
    bases=D,
    floors=(Floor("path", "/a.js", 3), Floor("prefix", "/img/", 5), Floor("tag", "news", 6)),
    ipns="k51site",
    hosts=("docs.example.org",),
    settings={"spa": True},
)
FULL = replace(
    SITE,
    aliases={
        "pr-7": Alias(B, 9, 1_760_000_100, expires=1_762_000_000, password="scrypt$", before=A),
        "x": Alias(C, 1, 2),
    },
    soft=(Floor("site", "", 4),),
    browsers=(9, 1_760_000_200),
    rollout=Rollout(Retained(B, 9, 1_760_000_100), 1_250),
    tried=(Retained(D, 7, 1_750_000_000),),
)
SIGNED = replace(
    FULL,
    signed=(
        Signed(A, 1_760_000_000_000_000, ("https://gateway.example",), b"\x07" * 64),
        Signed(B, 1_760_000_000_000_001, (), b"\x08" * 64),
    ),
)
CATALOG = Catalog(sequence=1_760_000_000_000_000, sites=A, hosts=B, denied=C, successor="k51next")


def test_values_come_back() -> None:
    """Sites and Catalogs are read as they were written, full or empty."""
    for site in (SITE, FULL, SIGNED, Site("empty")):
        assert Site.from_block(site.to_block()) == site
    for catalog in (CATALOG, Catalog(0, A, A, A)):
        assert Catalog.from_block(catalog.to_block()) == catalog


def test_the_bytes_are_a_format() -> None:
    """Signed Catalogs name these blocks: their form never changes under version 1."""
    assert str(SITE.to_block().cid) == "bafyreienbre4uklwyu4cfio76rqicgqrdrenjevmsaeba3krwapne55qzy"
    assert str(FULL.to_block().cid) == "bafyreibnitz4hqjmvqbh5t3xcpuv6tu6by2uw4ev45iarapz4yl2yfgmue"
    assert str(CATALOG.to_block().cid) == "bafyreigw5knd5b3maexgciu23djypu4unnj6d3j2bouka4fr2c7mknmobq"


def test_an_older_node_reads_past_what_it_does_not_know() -> None:
    """A newer origin may write more, into the Site and into a preview's terms: what is known reads the same. And a Site
    without any trial is written as the first version wrote it."""
    value = decode(FULL.to_block().data, "site")
    newer = {**value, "regions": ["eu"], "terms": {name: [*terms, "more"] for name, terms in value["terms"].items()}}
    assert Site.from_block(encode(newer)) == FULL
    known = {key: value[key] for key in decode(SITE.to_block().data, "site")}
    older = Site.from_block(encode({**known, "aliases": {}}))
    assert older == SITE


def test_a_catalog_links_its_trees() -> None:
    """Who pins a Catalog pins its three trees; who pins a Site pins its releases, attic and bases."""
    assert sorted(set(links(CATALOG.to_block()))) == sorted([A, B, C])
    assert sorted(set(links(SITE.to_block()))) == sorted([A, B, C, D])


def test_floors() -> None:
    """The highest floor that covers a path counts; a floor for the site covers everything."""
    assert SITE.floor_of("/b.js") == 0
    assert SITE.floor_of("/a.js") == 3
    assert SITE.floor_of("/a.js.map") == 0
    assert SITE.floor_of("/img/x.png") == 5
    assert SITE.floor_of("/img/x.png", ("news", "old")) == 6
    assert Site("s", floors=(*SITE.floors, Floor("site", "", 4))).floor_of("/b.js") == 4


def test_retained_and_floors_at_their_limit_and_one_past() -> None:
    """Held when written; a block made elsewhere is held when read."""
    full = Site("s", retained=(Retained(A, 1, 1),) * RETAINED_MAX, floors=(Floor("path", "/", 1),) * FLOORS_MAX)
    assert Site.from_block(full.to_block()) == full
    value = {"kind": "site", "v": 1, "name": "s", "gen": 1}
    for site, field in (
        (Site("s", retained=(Retained(A, 1, 1),) * (RETAINED_MAX + 1)), {"retained": [[A, 1, 1]] * (RETAINED_MAX + 1)}),
        (
            Site("s", floors=(Floor("path", "/", 1),) * (FLOORS_MAX + 1)),
            {"floors": [["path", "/", 1]] * (FLOORS_MAX + 1)},
        ),
    ):
        with pytest.raises(LimitExceeded):
            site.to_block()
        with pytest.raises(LimitExceeded):
            Site.from_block(encode(value | field))


def test_previews_and_tries_at_their_limits() -> None:
    """200 previews and 5 releases tried are kept; one more is refused, in writing and in reading."""
    fits = Site(
        "s", aliases={f"p{n}": Alias(A, 1, 1) for n in range(ALIASES_MAX)}, tried=(Retained(A, 1, 1),) * TRIED_MAX
    )
    assert Site.from_block(fits.to_block()) == fits
    value = {"kind": "site", "v": 1, "name": "s", "gen": 1}
    for site, field in (
        (replace(fits, aliases={**fits.aliases, "x": Alias(A, 1, 1)}), {"aliases": {f"p{n}": A for n in range(201)}}),
        (replace(fits, tried=(*fits.tried, Retained(A, 1, 1))), {"tried": [[A, 1, 1]] * (TRIED_MAX + 1)}),
    ):
        with pytest.raises(LimitExceeded):
            site.to_block()
        with pytest.raises(LimitExceeded):
            Site.from_block(encode(value | field))


def test_signed_manifests_at_their_limits() -> None:
    """Two manifests, eight gateways each, 256 bytes a gateway; one more is refused, in writing or in reading."""
    url = "https://" + "g" * (GATEWAY_BYTES - 8)
    fits = Site("s", signed=(Signed(A, 1, (url,) * GATEWAYS_MAX, b"s"),) * SIGNED_MAX)
    assert Site.from_block(fits.to_block()) == fits
    with pytest.raises(LimitExceeded):
        replace(fits, signed=fits.signed * 2).to_block()
    value = decode(fits.to_block().data, "site")
    for rows in (
        [[A, 1, [], ""]] * (SIGNED_MAX + 1),
        [[A, 1, [url] * (GATEWAYS_MAX + 1), ""]],
        [[A, 1, [url + "g"], ""]],
    ):
        with pytest.raises(LimitExceeded):
            Site.from_block(encode(value | {"signed": rows}))


def test_the_word_for_a_release() -> None:
    """Found by the release; and `off` is the operator's, whatever is signed."""
    assert SIGNED.signed_of(B) == SIGNED.signed[1]
    assert SIGNED.signed_of(C) is None
    assert not SIGNED.has_worker_off
    assert replace(SIGNED, settings={"worker": "off"}).has_worker_off


def test_settings_at_their_limit_and_one_past() -> None:
    """Settings are counted as encoded, all together."""
    empty = len(encode({"settings": {"x": "y" * 10_000}}).data) - 10_000
    check_settings({"x": "y" * (SETTINGS_BYTES - empty)})
    with pytest.raises(LimitExceeded, match="settings"):
        check_settings({"x": "y" * (SETTINGS_BYTES - empty + 1)})


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "catalog"},
        {"v": 2},
        {"name": None},
        {"gen": "1"},
        {"live": A},
        {"live": [A, 1]},
        {"live": [A, 1, "now"]},
        {"live": ["bafy", 1, 1]},
        {"retained": {}},
        {"retained": [None]},
        {"attic": 5},
        {"bases": "bafy"},
        {"aliases": []},
        {"aliases": {"pr": 1}},
        {"aliases": {"pr": A}},
        {"aliases": {"pr": A}, "terms": {"pr": [1, 2, "never", None, None]}},
        {"aliases": {"pr": A}, "terms": {"pr": [1, 2, None, 5, None]}},
        {"aliases": {"pr": A}, "terms": {"pr": [1, 2, None, None, "bafy"]}},
        {"soft": [["planet", "", 1]]},
        {"browsers": [1]},
        {"rollout": [A, 5]},
        {"rollout": [[A, 1, 1]]},
        {"tried": [A]},
        {"floors": 5},
        {"floors": [["path", "/a"]]},
        {"floors": [["planet", "/a", 1]]},
        {"floors": [["path", 5, 1]]},
        {"floors": [[["path"], "/a", 1]]},
        {"ipns": 5},
        {"hosts": "example.org"},
        {"hosts": [5]},
        {"settings": []},
        {"signed": {}},
        {"signed": [A]},
        {"signed": [["bafy", 1, [], ""]]},
        {"signed": [[A, "1", [], ""]]},
        {"signed": [[A, 1, "https://a", ""]]},
        {"signed": [[A, 1, [5], ""]]},
        {"signed": [[A, 1, [], b"no text"]]},
        {"signed": [[A, 1, [], "xyz"]]},
    ],
)
def test_malformed_sites_are_refused(change: dict[str, Any]) -> None:
    """A field of another kind is BadNode; a missing one is its default."""
    value = {"kind": "site", "v": 1, "name": "s", "gen": 1}
    assert Site.from_block(encode(value)) == Site("s", 1)
    with pytest.raises(BadNode):
        Site.from_block(encode(value | change))


@pytest.mark.parametrize(
    "change", [{"kind": "site"}, {"v": 0}, {"seq": True}, {"sites": None}, {"hosts": 1}, {"successor": 1}]
)
def test_malformed_catalogs_are_refused(change: dict[str, Any]) -> None:
    """A field of another kind, or a missing tree, is BadNode."""
    value = {"kind": "catalog", "v": 1, "seq": 1, "sites": A, "hosts": A, "denied": A}
    assert Catalog.from_block(encode(value)).sequence == 1
    with pytest.raises(BadNode):
        Catalog.from_block(encode(value | change))


def test_site_names() -> None:
    """One lower-case DNS label, without what previews and gateways own."""
    for good in ("a", "demo", "0", "my-site-2", "x" * 63):
        assert check_site_name(good) == good
    for bad in ("", "-a", "a-", "A", "a.b", "a_b", "ü", "a--b", "ipfs", "ipns", "x" * 64, "a\n", "a b", "a/b", "２"):
        with pytest.raises(BadName):
            check_site_name(bad)


def test_preview_names() -> None:
    """`name--site` is one DNS label, and reads in one way only."""
    for good, site in (("pr-7", "demo"), ("a", "x" * 60), ("x" * 57, "demo"), ("0", "a")):
        assert check_alias(good, site) == good
    for bad, site in (("", "demo"), ("a--b", "demo"), ("-a", "demo"), ("PR", "demo"), ("a.b", "demo"), ("xn", "demo")):
        with pytest.raises(BadName):
            check_alias(bad, site)
    for long, site in (("x" * 58, "demo"), ("ab", "x" * 60)):
        with pytest.raises(BadName, match="too long"):
            check_alias(long, site)


def test_hosts() -> None:
    """Lower-case DNS names, without port, scheme or trailing dot."""
    label = "x" * 63
    for good in ("example.org", "localhost", "a.b-c.d0", ".".join([label] * 3 + ["y" * 61])):
        assert check_host(good) == good
    for bad in (
        "",
        "Example.org",
        "a..b",
        "a.",
        ".a",
        "a:80",
        "http://a",
        f"{label}x.org",
        ".".join([label] * 4),
        "ü.de",
        "a\n",
    ):
        with pytest.raises(BadName):
            check_host(bad)
