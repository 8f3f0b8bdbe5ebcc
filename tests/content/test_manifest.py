"""The precache manifest: what stands in it, that every maker makes the same bytes, and that a script reads them so."""

from __future__ import annotations

import json
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from content import ipns, manifest, redirects, tree
from content.catalog import Signed
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.errors import BadRecord, LimitExceeded
from content.headers import parse
from content.limits import MANIFEST_BYTES
from content.manifest import Entry
from content.redirecttable import RedirectTable
from content.release import Asset, Release, Rules
from content.walk import drive
from tests.content.folders import Blocks

KEY = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
NAME = ipns.name_of(KEY.public_key())
ROOT, WAS = CID.of(DAG_PB, b"root"), CID.of(DAG_CBOR, b"before")
LONG = CID.of(DAG_PB, b"many blocks")

HEADERS = """
/*
  X-Frame-Options: DENY
  Vary: Accept-Language
/assets/*
  Cache-Control: max-age=60
  Link: </a.css>; rel=preload
  ! X-Frame-Options
/data
  Content-Type: application/json
  Clear-Site-Data: "cache"
"""


def asset(text: str, media_type: str = "text/css", immutable: bool = False, to: str | None = None) -> Asset:
    cid = CID.of(RAW, text.encode())
    return Asset(cid, len(text), cid.digest.hex(), media_type, immutable=immutable, link_target=to)


ROWS = {
    "/assets/a-3f9a1c0b.css": asset("a", immutable=True),
    "/current.css": asset("link", to="assets/a-3f9a1c0b.css"),
    "/data": asset("{}", "application/octet-stream"),
    "/dead.css": asset("link", to="nowhere.css"),
    "/film.mp4": Asset(LONG, 3_000_000, "ab" * 32, "video/mp4"),
    "/index.html": asset("<h1>", "text/html; charset=utf-8"),
    "/unlisted.js": asset("u", "text/javascript"),
    "/ünï/\u2028 'q\".js": asset("ü", "text/javascript; charset=utf-8"),
}
LISTED = sorted([*(ROWS.keys() - {"/unlisted.js"}), "/absent.js", "/_headers"])


def publish(
    rows: dict[str, Asset], blocks: Blocks, paths: Sequence[str] = (), headers: str = "", **rules: Any
) -> Release:
    """A Release of these rows. What is listed is what these paths say, in whatever order."""
    rows = {**rows, "/_headers": asset("settings", "text/plain")}
    index = tree.build(sorted((path, row.to_row()) for path, row in rows.items()), blocks.emit)
    value = [rule.to_value() for rule in parse(headers)[0]]
    precache = {"paths": list(reversed(paths)), "bytes": 1}
    return Release(ROOT, index, Rules(headers=value, precache=precache, worker=rules.pop("worker", {}), **rules))


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


def test_what_a_manifest_lists(blocks: Blocks) -> None:
    """What a page needs first, then by path; links as what they lead to, each with its type and fields as its answers
    have them; never settings."""
    found = drive(manifest.entries(publish(ROWS, blocks, LISTED, HEADERS)), blocks.get_block)
    told = (("X-Frame-Options", "DENY"),)
    a = ROWS["/assets/a-3f9a1c0b.css"]
    names = ("/index.html", "/assets/a-3f9a1c0b.css", "/current.css", "/ünï/\u2028 'q\".js", "/data", "/film.mp4")
    assert tuple(entry.path for entry in found) == names
    assert found[1:3] == (
        Entry("/assets/a-3f9a1c0b.css", 1, a.sha256, "text/css", True, a.cid),
        Entry("/current.css", 1, a.sha256, "text/css", False, a.cid, told),
    )
    assert found[4:] == (
        Entry("/data", 2, ROWS["/data"].sha256, "application/json", False, ROWS["/data"].cid, told),
        Entry("/film.mp4", 3_000_000, "ab" * 32, "video/mp4", False, LONG, told),
    )
    for entry in (found[0], found[3]):
        row = ROWS[entry.path]
        assert entry == Entry(entry.path, row.size, row.sha256, row.media_type, False, row.cid, told)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("/x /y 302", {"/index.html", "/about.html", "/a/index.html"}),
        ("/* /y 302", {"/index.html", "/about.html", "/a/index.html"}),
        ("/ /y 302!", {"/about.html", "/a/index.html"}),
        ("/about /y 302!", {"/index.html", "/a/index.html"}),
        ("/a /y 302!", {"/index.html", "/about.html"}),
        ("/a/index.html /y 302!", {"/index.html", "/about.html"}),
        ("https://old.example/a/* /y 302!", {"/index.html", "/about.html"}),
        ("/about.html q=:v /y/:v 302!", {"/index.html", "/a/index.html"}),
        ("/* /y 302!", set()),
    ],
)
def test_what_a_forced_rule_takes_is_not_listed(blocks: Blocks, rule: str, left: set[str]) -> None:
    """Under any address that the file has, for any host and query; and the core says that there are rules at all."""
    rows = {path: asset(path, "text/html") for path in ("/index.html", "/about.html", "/a/index.html")}
    rules, found = redirects.parse(rule)
    assert found == []
    value = RedirectTable(rules).to_value()
    release = publish(rows, blocks, list(rows), redirects=value)
    assert {entry.path for entry in drive(manifest.entries(release), blocks.get_block)} == left
    assert cored(release, blocks)["redirects"] == "follow"
    assert cored(publish(rows, blocks), blocks)["redirects"] == ""


def test_what_rules_may_add_to_a_manifest(blocks: Blocks) -> None:
    """One rule of nearly 64 KiB is written once and would stand in every entry: the entries together are counted."""
    rule = "/*\n" + "".join(f"  X-{number}: {'v' * 1_900}\n" for number in range(30))
    rows = {f"/{number}.js": asset(str(number), "text/javascript") for number in range(100)}
    (entry,) = drive(manifest.entries(publish(rows, blocks, ["/10.js"], rule)), blocks.get_block)
    fit = MANIFEST_BYTES // len(manifest.signed_text(entry.to_value()))
    paths = [f"/{number}.js" for number in range(10, 100)]
    assert len(drive(manifest.entries(publish(rows, blocks, paths[:fit], rule)), blocks.get_block)) == fit
    with pytest.raises(LimitExceeded, match="bytes of a manifest"):
        drive(manifest.entries(publish(rows, blocks, paths[: fit + 1], rule)), blocks.get_block)


def test_the_form_of_an_entry() -> None:
    """The CID stands there only where the digest does not say it, fields only where there are some."""
    value = Entry("/index.html", 4, ROWS["/index.html"].sha256, "text/html", False, ROWS["/index.html"].cid).to_value()
    assert list(value) == ["path", "size", "integrity", "type", "immutable"]
    assert value["integrity"] == "sha256-Dzts6KPKpSA5sdedO9xd4B7/ZDPSjLXxN/jme5pXqnU="
    value = Entry("/film.mp4", 3, "ab" * 32, "video/mp4", True, LONG, (("X-A", "b"),)).to_value()
    assert list(value) == ["path", "size", "integrity", "type", "immutable", "cid", "fields"]
    assert (value["cid"], value["fields"]) == (str(LONG), [["X-A", "b"]])


def test_each_node_of_the_index_is_read_once(blocks: Blocks) -> None:
    """A thousand files of a large release cost its nodes, not a way from the root for each."""
    rows = {f"/assets/{n:05}.js": asset(str(n), "text/javascript") for n in range(3_000)}
    release = publish(rows, blocks, list(rows)[:1_000])
    blocks.asked.clear()
    assert len(drive(manifest.entries(release), blocks.get_block)) == 1_000
    assert len(blocks.asked) == len(set(blocks.asked)) > 10


def cored(release: Release, blocks: Blocks, serial: int = 7) -> dict[str, Any]:
    signed = Signed(release.to_block().cid, serial, ("https://g.example",), b"")
    return drive(manifest.made("docs", signed, release), blocks.get_block)[1]


def test_the_core_is_a_format(blocks: Blocks) -> None:
    """What was signed once is made again by every later version: keys, order, bytes."""
    worker = {"check": 30, "gateways": ["https://own.example"], "complete": True}
    release = publish(ROWS, blocks, LISTED, HEADERS, worker=worker, spa=True, clean=True, error="/e.html")
    core = cored(release, blocks)
    assert manifest.signed_text({**core, "entries": []}).decode() == (
        f'{{"rim":1,"site":"docs","release":"{release.to_block().cid}","serial":7,"index":"f{release.index.hex()}",'
        '"rewrites":[["^[\\\\s\\\\S]*","/index.html",true]],"clean":true,'
        '"slash":"auto","error":"/e.html","redirects":"",'
        '"check":30,"complete":true,'
        '"gateways":["https://g.example"],"entries":[]}'
    )
    assert str(CID.of(RAW, manifest.signed_text(core))) == "bafkreiel2vk7f7hl6ux2in27qbs6im5gy3bfbgfmt2fagcboj2ned37ivy"


def test_what_rules_make_of_paths_is_signed(blocks: Blocks) -> None:
    """Rewrites in their order, and behind them what `spa` in rim.toml says."""
    rules = RedirectTable(redirects.parse("/old /new\n/app/* /app.html 200")[0]).to_value()
    core = cored(publish(ROWS, blocks, LISTED, redirects=rules, spa=True), blocks)
    assert core["rewrites"] == [["^/app(?:/(.*))?$", "/app.html", True], [r"^[\s\S]*", "/index.html", True]]
    assert core["redirects"] == "follow"


def test_where_paths_pass_no_page_is_loaded_ahead(blocks: Blocks) -> None:
    """A browser would ask twice for a page that it had begun to load and the worker did not answer (seen)."""
    assert cored(publish(ROWS, blocks, LISTED), blocks)["complete"] is False
    assert cored(publish(ROWS, blocks, LISTED, worker={"pass": ["/api/*"]}), blocks)["complete"] is True


def test_only_the_site_signs(blocks: Blocks) -> None:
    """The key is in the site's IPNS name. Another key's signature, or another text, is none."""
    core = cored(publish(ROWS, blocks, LISTED), blocks)
    signature = KEY.sign(manifest.message(core))
    manifest.verify(NAME, core, signature)
    assert manifest.public_key(NAME) == KEY.public_key().public_bytes_raw()
    other = Ed25519PrivateKey.from_private_bytes(b"\x06" * 32)
    for text, made in ((core, other.sign(manifest.message(core))), ({**core, "serial": 8}, signature), (core, b"")):
        with pytest.raises(BadRecord):
            manifest.verify(NAME, text, made)
    with pytest.raises(BadRecord):
        manifest.verify(NAME, core, KEY.sign(manifest.signed_text(core)))  # without the prefix it is another's text


def test_the_whole_is_the_core_and_its_signature(blocks: Blocks) -> None:
    core = cored(publish(ROWS, blocks, LISTED), blocks)
    read = json.loads(manifest.whole(core, b"\xff\x01"))
    assert b64decode(read.pop("signature")) == b"\xff\x01"
    assert read == core
    assert list(read) == list(core)


contents = st.dictionaries(st.sampled_from([f"/{n}.js" for n in range(12)]), st.sampled_from("abc"), max_size=12)


@given(contents, contents)
def test_a_difference_makes_the_new_list(old: dict[str, str], new: dict[str, str]) -> None:
    """Whatever changed: what is dropped and put gives the new entries, and nothing that stayed is sent."""
    blocks = Blocks()
    was, now = (publish({p: asset(t) for p, t in rows.items()}, blocks, list(rows)) for rows in (old, new))
    before = drive(manifest.entries(was), blocks.get_block)
    core = cored(now, blocks)
    value = json.loads(manifest.difference(before, core, b"s", WAS))
    listed = [entry.to_value() for entry in before if entry.path not in value["drop"]]
    for index, row in value["put"]:
        listed.insert(index, row)
    assert listed == core["entries"]
    assert len(value["put"]) == sum(old.get(path) != text for path, text in new.items())
    assert list(value) == ["since", *(key for key in core if key != "entries"), "drop", "put", "signature"]
    assert {key: value[key] for key in core if key != "entries"} == {k: v for k, v in core.items() if k != "entries"}
    assert value["since"] == str(WAS)


def test_what_workbox_takes(blocks: Blocks) -> None:
    """A hash-named URL is its own revision."""
    found = drive(manifest.entries(publish(ROWS, blocks, ["/assets/a-3f9a1c0b.css", "/data"])), blocks.get_block)
    integrity = "sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="
    assert manifest.workbox(found)[0] == {"url": "/assets/a-3f9a1c0b.css", "revision": None, "integrity": integrity}
    assert manifest.workbox(found)[1]["revision"] == ROWS["/data"].sha256


SCRIPT = """
const {signature, ...core} = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(core));
"""


@pytest.mark.needs("node")
def test_a_script_reads_what_was_signed(blocks: Blocks) -> None:
    """JSON.stringify of what JSON.parse read is the signed text, whatever stands in paths and fields."""
    awkward = "".join(map(chr, [*range(1, 0x30), 0x5C, 0x7F, 0x80, 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0x1F389]))
    rows = {f"/{awkward}{n}": asset(str(n), "text/plain; charset=utf-8") for n in ("", "a", "__proto__")}
    headers = 'https://docs.example/*\n  X-A: b\n/*\n  X-Q: "\\quoted\\" \\ <&>\n'
    core = cored(publish({**ROWS, **rows}, blocks, [*LISTED, *rows], headers), blocks, manifest.SERIAL_MAX)
    run = subprocess.run(
        ["node", "-e", SCRIPT], input=manifest.whole(core, b"s"), capture_output=True, check=True, timeout=60
    )
    assert run.stdout == manifest.signed_text(core)
