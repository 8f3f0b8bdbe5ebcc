"""The gateway over the wire: who is answered what, where sites end and the gateway begins, what is never shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import edge.assembly.answering
import edge.bodies
import edge.pause
from content import ipns, tree, unixfs
from content.catalog import Alias
from content.cbor import encode
from content.cid import CID, DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY, RAW
from content.dagpb import DIRECTORY, FILE, Data, PBLink, encode_data
from content.dagpb import encode as pb
from content.denyfile import read
from content.release import Release
from content.walk import Leaf
from edge.gateway import access, listing
from edge.gateway.hosts import parse_hosts
from edge.gateway.mode import Mode
from edge.http.address import Trusted
from tests.edge.gateway.play import Stage, play
from tests.edge.sites import Store
from tests.edge.wire import Got, wire

MiB = 1 << 20
LARGE = b"".join(b"%07d\n" % n for n in range(3 * MiB // 8))
FILES: dict[str, bytes | str] = {
    "a/page.html": b"<h1>page</h1>",
    "a/large.txt": LARGE,
    "index/index.html": b"<h1>index</h1>",
    "link": "a/page.html",
    "<b>&.txt": b"odd",
}
JSON = b'{"a":{"/":"%s"}}'


def test_files_by_path_and_by_subdomain(tmp_path: Path) -> None:
    """A path leads to the subdomain where there are any; both answer with the same bytes, tag and freshness."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        moved = await stage.get("gw.test:81", f"/ipfs/{root}/a/page.html?x=1")
        assert moved.status == 301
        assert moved.headers["location"] == f"http://{root}.ipfs.gw.test:81/a/page.html?x=1"
        cid = CID.of(RAW, b"<h1>page</h1>")
        for host, path in ((f"{root}.ipfs.gw.test:81", "/a/page.html"), ("paths.test", f"/ipfs/{root}/a/page.html")):
            got = await stage.get(host, path)
            assert (got.status, got.body) == (200, b"<h1>page</h1>")
            assert got.headers["etag"] == f'"{cid}"'
            assert got.headers["cache-control"] == "public, max-age=29030400, immutable"
            assert got.headers["x-ipfs-path"] == f"/ipfs/{root}/a/page.html"
            assert got.headers["x-ipfs-roots"].split(",")[::2] == [str(root), str(cid)]
            assert got.headers["content-type"] == "text/html; charset=utf-8"
            assert got.headers["x-content-type-options"] == "nosniff"
            assert got.headers["vary"] == "Accept"
        alone = await stage.get(f"{root}.ipfs.gw.test", "/index/")
        assert "content-security-policy" not in alone.headers
        shared = await stage.get("paths.test", f"/ipfs/{root}/index/")
        assert shared.body == b"<h1>index</h1>"
        assert shared.headers["content-security-policy"].startswith("sandbox ")
        assert "allow-same-origin" not in shared.headers["content-security-policy"]

    play(tmp_path, act)


def test_sites_come_first(tmp_path: Path) -> None:
    """A site's host is the site's, though a gateway host stands above it, and whatever a header or path says."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        assert (await stage.get("demo.localhost", "/")).body == b"<h1>site</h1>"
        assert (await stage.get("demo.localhost", "/ipfs/x.txt")).body == b"of the site"
        assert (await stage.get("demo.localhost", f"/ipfs/{root}/")).status == 404
        forwarded = await stage.get("demo.localhost", "/", X_Forwarded_Host="gw.test")
        assert forwarded.body == b"<h1>site</h1>"
        assert (await stage.get("gone--demo.localhost", "/")).headers["rim-reason"] == "no-such-preview"
        assert (await stage.get("other.test", f"/ipfs/{root}/")).status == 421
        assert (await stage.get("localhost", "/.rim/health")).body == b"ok\n"
        assert (await stage.get("gw.test", "/.rim/health")).body == b"ok\n"

    play(tmp_path, act, gateway_hosts=parse_hosts("localhost, gw.test"), trusted_proxy=Trusted.read("127.0.0.1"))


def test_a_proxy_tells_of_host_and_scheme(tmp_path: Path) -> None:
    """Only one that is trusted: else anybody could make our redirects name another scheme."""

    async def act(stage: Stage, trusted: bool) -> None:
        root = stage.folder(FILES)
        said = {"X_Forwarded_Host": "gw.test", "X_Forwarded_Proto": "https"}
        got = await stage.get("front.test", f"/ipfs/{root}/", **said)
        if trusted:
            assert got.headers["location"] == f"https://{root}.ipfs.gw.test/"
        else:
            assert got.status == 421
            own = await stage.get("gw.test", f"/ipfs/{root}/", **said)
            assert own.headers["location"] == f"http://{root}.ipfs.gw.test/"
        wrong = await stage.get("gw.test", f"/ipfs/{root}/", X_Forwarded_Proto="javascript")
        assert wrong.headers["location"].startswith("http://")

    play(tmp_path / "trusted", lambda stage: act(stage, True), trusted_proxy=Trusted.read("127.0.0.0/8"))
    play(tmp_path / "not", lambda stage: act(stage, False))


@pytest.mark.parametrize(
    "path",
    [
        "/a/page.html",
        "/a/large.txt",
        "/a/",
        "/a",
        "/index/",
        "/none",
        "/link",
        "/?format=raw",
        "/?format=tar",
        "/a/?format=car",
    ],
)
def test_head_equals_get(tmp_path: Path, path: str) -> None:
    """Status and fields, and no body, for files, folders, archives and errors; then 304 to who has it."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        host = f"{root}.ipfs.gw.test"
        streamed = "=tar" in path or "=car" in path
        head = await stage.get(host, path, "HEAD") if not streamed else await _head_of_stream(stage, host, path)
        if streamed:
            assert head.headers["accept-ranges"] == "none"
        else:
            got = await stage.get(host, path)
            drop = ("date", "cache-status")
            assert head.status == got.status
            assert {k: v for k, v in head.headers.items() if k not in drop} == {
                k: v for k, v in got.headers.items() if k not in drop
            }
        assert head.body == b""
        if tag := head.headers.get("etag"):
            assert (await stage.get(host, path, If_None_Match=tag)).status == 304
            assert (await stage.get(host, path, "HEAD", If_None_Match=f'"x", {tag}')).status == 304

    play(tmp_path, act)


async def _head_of_stream(stage: Stage, host: str, path: str) -> Got:
    """A HEAD of what has no length."""
    async with wire(stage.node, host) as connection:
        await connection.send(connection.request(path, "HEAD"))
        return await connection.read("HEAD")


def test_a_large_file_in_ranges(tmp_path: Path) -> None:
    """One byte costs one block; several ranges are parts; If-Range and 416 as for sites."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        host, path = f"{root}.ipfs.gw.test", "/a/large.txt"
        leaves = [str(CID.of(RAW, LARGE[at : at + MiB])) for at in range(0, len(LARGE), MiB)]
        last = await stage.get(host, path, Range="bytes=-1")
        assert (last.status, last.body) == (206, LARGE[-1:])
        assert [stage.origin.asked[leaf] for leaf in leaves] == [0, 0, 1], "a name tells its kind: no byte is sniffed"
        parts = await stage.get(host, path, Range="bytes=0-1,-2")
        assert parts.headers["content-type"].startswith("multipart/byteranges")
        assert (await stage.get(host, path, Range=f"bytes={len(LARGE)}-")).status == 416
        whole = await stage.get(host, path, If_Range='"other"', Range="bytes=0-1")
        assert (whole.status, whole.body) == (200, LARGE)

    play(tmp_path, act)


def test_a_body_that_breaks_is_cut(tmp_path: Path) -> None:
    """Files, CARs and TARs: no broken answer looks whole, and each is counted."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        host = f"{root}.ipfs.gw.test"
        stage.origin.lacking.add(CID.of(RAW, LARGE[2 * MiB :]))
        got = await stage.get(host, "/a/large.txt")
        assert (got.status, got.whole) == (200, False)
        for form in ("car", "tar"):
            async with wire(stage.node, host) as connection:
                await connection.send(connection.request(f"/a/large.txt?format={form}"))
                said = await connection.reader.read()
            assert b"HTTP/1.1 200" in said
            assert not said.endswith(b"0\r\n\r\n"), form
        assert stage.node.answers.counts.broken == 3
        short = await stage.get(host, "/a/large.txt", Range="bytes=-1")
        assert short.status == 404, "what cannot be had at once is a status"

    play(tmp_path, act)


def test_a_folder_as_a_page(tmp_path: Path) -> None:
    """Every name is text, every address escaped, no script; its tag changes with the folder; names are bounded."""

    async def act(stage: Stage) -> None:
        root = stage.folder({**FILES, "a\"'><script>x": b"1"})
        got = await stage.get("paths.test", f"/ipfs/{root}/")
        text = got.body.decode()
        assert "<script" not in text
        assert "&lt;b&gt;&amp;.txt</a>" in text
        assert f"/ipfs/{root}/%3Cb%3E&amp;.txt" in text
        assert got.headers["content-security-policy"].startswith("default-src 'none'")
        assert got.headers["cache-control"] == "public, max-age=604800, stale-while-revalidate=2678400"
        other = await stage.get("paths.test", f"/ipfs/{stage.folder({'x': b''})}/")
        assert other.headers["etag"] != got.headers["etag"]
        below = (await stage.get(f"{root}.ipfs.gw.test", "/a/")).body.decode()
        assert '<a href="/a/..">..</a>' in below

    play(tmp_path, act)


def test_listings_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many rows are shown, so many entries read: past it 413, and its files are still there."""
    monkeypatch.setattr(listing, "ROWS", 3)
    monkeypatch.setattr(listing, "ENTRIES", 5)

    async def act(stage: Stage) -> None:
        five, six = (stage.folder({f"f{n}": b"x" for n in range(count)}) for count in (5, 6))
        assert "and 2 more entries" in (await stage.get("paths.test", f"/ipfs/{five}/")).body.decode()
        assert (await stage.get("paths.test", f"/ipfs/{six}/")).status == 413
        assert (await stage.get("paths.test", f"/ipfs/{six}/f5")).status == 200

    play(tmp_path, act)


def test_pinned_shows_what_is_public_and_no_more(tmp_path: Path) -> None:
    """Live Roots without a question; what is pinned for a minute after it was asked; nothing else, not even a leaf."""

    async def act(stage: Stage) -> None:
        live = stage.world.sites["demo"].live
        assert live is not None
        root = Release.from_block(stage.world.store.get(live.release)).root
        assert (await stage.get("paths.test", f"/ipfs/{root}/index.html")).body == b"<h1>site</h1>"
        assert not stage.origin.asked_public
        fetched = stage.origin.asked.total()
        hidden = stage.folder(FILES, public=False)
        for path in (f"/ipfs/{hidden}/", f"/ipfs/{hidden}?format=car", f"/ipfs/{CID.of(RAW, b'odd')}?format=raw"):
            assert (await stage.get("paths.test", path)).status == 404
        assert stage.origin.asked.total() == fetched, "what may not be shown is not even fetched"
        stage.origin.knows_public = False
        unknown = await stage.get("paths.test", f"/ipfs/{stage.folder({'x': b'y'})}/")
        assert unknown.status == 504

    play(tmp_path, act)


def test_control_blocks_are_never_shown(tmp_path: Path) -> None:
    """Release, Site, Index and Catalog: by CID, under another codec, as a CAR, through a pin that links to them, in no
    mode. DAG-CBOR of anybody else is content."""

    async def act(stage: Stage) -> None:
        world = stage.world
        site = world.sites["demo"]
        assert site.live is not None
        release = Release.from_block(world.store.get(site.live.release))
        control = [site.live.release, site.to_block().cid, release.index, world.catalog_cid]
        link = stage.block(DAG_JSON, JSON % str(site.live.release).encode())
        for cid in control:
            stage.keep(cid)  # as if an origin had said so
            for text in (
                str(cid),
                str(CID(bytes((1, RAW)) + cid.multihash)),
                str(CID(bytes((1, DAG_PB)) + cid.multihash)),
            ):
                for query in ("", "?format=raw", "?format=car", "?format=dag-cbor"):
                    stage.keep(CID.parse(text))
                    got = await stage.get("paths.test", f"/ipfs/{text}{query}")
                    assert got.status in (404, 406), (text, query)
                    assert world.store.get(cid).data not in got.body
        assert (await stage.get("paths.test", f"/ipfs/{link}/a?format=raw")).status == 404
        car = await stage.get("paths.test", f"/ipfs/{link}?format=car")
        assert (car.status, world.store.get(site.live.release).data in car.body) == (404, False)
        plain = stage.block(DAG_CBOR, encode({"kind": "recipe", "v": 1}).data)
        assert (await stage.get("paths.test", f"/ipfs/{plain}")).status == 200
        assert tree.EMPTY.cid.codec == DAG_CBOR

    for mode in (Mode.PINNED, Mode.OPEN):
        play(tmp_path / mode, act, gateway=mode)


@pytest.mark.parametrize("mode", [Mode.PINNED, Mode.OPEN])
def test_an_identity_root_leads_nowhere_in_pinned_mode(tmp_path: Path, mode: Mode) -> None:
    """Anybody can write an identity CID that links to what is staged or private; its own bytes are shown."""

    async def act(stage: Stage) -> None:
        secret = stage.block(RAW, b"secret", public=False)
        folder = pb([PBLink("x", secret, 6)], encode_data(Data(DIRECTORY)))
        inline = CID(bytes((1, DAG_PB, IDENTITY, len(folder))) + folder)
        file = pb([PBLink("", secret, 6)], encode_data(Data(FILE, None, 6, (6,))))
        inline_file = CID(bytes((1, DAG_PB, IDENTITY, len(file))) + file)
        data = b'{"x":{"/":"%s"}}' % str(secret).encode()
        document = CID(b"\x01\xa9\x02\0" + bytes((len(data),)) + data)  # DAG-JSON is a varint of two bytes
        for root, path in ((inline, "/x"), (document, "/x"), (inline, "/x?format=raw"), (inline_file, "")):
            got = await stage.get("paths.test", f"/ipfs/{root}{path}")
            assert (got.body == b"secret") == (mode is Mode.OPEN), (root, path, got)
        for root, path in ((inline, "?format=car"), (inline, "?format=tar"), (document, "?format=car")):
            async with wire(stage.node, "paths.test") as connection:
                await connection.send(connection.request(f"/ipfs/{root}{path}", headers={"Connection": "close"}))
                said = await connection.reader.read()
            assert (b"secret" in said) == said.endswith(b"\r\n0\r\n\r\n") == (mode is Mode.OPEN), (root, path, said)
        assert (await stage.get("paths.test", f"/ipfs/{inline}?format=raw")).body == folder
        assert (await stage.get("paths.test", f"/ipfs/{document}?format=dag-json")).body == data

    play(tmp_path, act, gateway=mode)


def test_a_protected_preview_is_not_public(tmp_path: Path) -> None:
    """Its Root is known to this edge, and is not shown; an open preview's is."""

    async def act(stage: Stage) -> None:
        roots = {}
        for name, password in (("open", None), ("shut", "scrypt$x")):
            release = stage.world.store.release({"index.html": name.encode()})
            roots[name] = Release.from_block(stage.world.store.get(release)).root
            site = stage.world.sites["demo"]
            alias = Alias(release, 2, 0, password=password)
            stage.world.change("demo", aliases={**site.aliases, name: alias})
        await stage.origin.serving(await stage.origin.sign())
        assert (await stage.get("paths.test", f"/ipfs/{roots['open']}/")).body == b"open"
        assert (await stage.get("paths.test", f"/ipfs/{roots['shut']}/")).status == 404

    play(tmp_path, act)


def test_ready_answers_are_the_plain_ones_alone(tmp_path: Path) -> None:
    """What a browser asked for waits in memory; whoever asks for another form, or as a cache, gets his own answer; and
    all is let go of when it is to be asked again whether it may be shown."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        host, cid = f"{root}.ipfs.gw.test", CID.of(RAW, b"<h1>page</h1>")
        kept = stage.node.answers.keeping
        before = len(kept)
        browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        async with wire(stage.node, host) as connection:
            for _ in range(3):
                assert (await connection.get("/a/page.html", **browser)).body == b"<h1>page</h1>"
            assert len(kept) == before + 1
            assert [one.asked for _, _, one in kept.all() if one.asked] == [2], "no app had a part in the last two"
            tally = stage.node.answers.counts.tallies
            raw = await connection.get("/a/page.html", Accept="application/vnd.ipld.raw")
            assert raw.headers["etag"] == f'"{cid}.raw"'
            asked = await connection.get("/a/page.html?format=raw", **browser)
            assert asked.headers["etag"] == f'"{cid}.raw"'
            again = await connection.get("/a/page.html", **browser)
            assert (again.body, again.outcome) == (b"<h1>page</h1>", "memory")
            assert (await connection.get("/a/page.html", Range="bytes=0-3", **browser)).body == b"<h1>"
            assert (await connection.get("/a/page.html?x=1", **browser)).body == b"<h1>page</h1>"
            assert sum(t.requests for (site, status, _), t in tally.items() if (site, status) == ("ipfs", 200)) >= 6
            stage.node.answers.drop_beside()
            assert (await connection.get("/a/page.html", **browser)).status == 200
        other = await stage.get(f"{stage.folder({'a/page.html': b'other'})}.ipfs.gw.test", "/a/page.html")
        assert other.body == b"other"

    play(tmp_path, act)


def test_names_lead_to_content(tmp_path: Path) -> None:
    """DNSLink by path, by label and by Host; a name's freshness is not for ever; unknown hosts stay unknown."""
    root = CID.of(DAG_PB, pb([PBLink("x.txt", CID.of(RAW, b"named"), 5)], encode_data(Data(DIRECTORY))))

    async def act(stage: Stage) -> None:
        node = pb([PBLink("x.txt", stage.block(RAW, b"named"), 5)], encode_data(Data(DIRECTORY)))
        assert stage.block(DAG_PB, node) == root
        for host, path in (
            ("named.example", "/x.txt"),
            ("named-example.ipns.gw.test", "/x.txt"),
            ("named.example.ipns.gw.test", "/x.txt"),
            ("paths.test", "/ipns/named.example/x.txt"),
        ):
            got = await stage.get(host, path)
            assert (got.status, got.body) == (200, b"named"), host
            assert "immutable" not in got.headers.get("cache-control", "")
            assert got.headers["x-ipfs-path"] == "/ipns/named.example/x.txt" or "named-example" in host
        moved = await stage.get("gw.test", "/ipns/named.example/x.txt")
        assert moved.headers["location"] == "http://named-example.ipns.gw.test/x.txt"
        assert (await stage.get("unnamed.example", "/x.txt")).status == 421
        assert (await stage.get("paths.test", "/ipns/unnamed.example/x.txt")).status == 404
        assert (await stage.get("paths.test", "/ipns/no_name/x.txt")).status == 400
        assert (await stage.get("10.0.0.1", "/x.txt")).status == 421

    play(tmp_path, act, dnslinks=f"named.example=/ipfs/{root}", dnslink=True)


def test_dnslink_hosts_are_off_unless_set(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        assert (await stage.get("named.example", "/x.txt")).status == 421

    play(tmp_path, act, dnslinks=f"named.example=/ipfs/{CID.of(RAW, b'')}")


def test_no_address_of_ours_leads_elsewhere(tmp_path: Path) -> None:
    """Double slashes, odd names and foreign schemes: Location and Content-Location stay on our hosts."""

    async def act(stage: Stage) -> None:
        evil = stage.folder({"evil.test/x/y": b"1", "\\evil.test/x": b"1"})
        doc = stage.block(DAG_JSON, b'{"":{"evil.test":{"/":"%s"}}}' % str(evil).encode())
        host = f"{doc}.ipfs.gw.test"
        for path in ("//evil.test", "//evil.test/", "/%5Cevil.test"):
            got = await stage.get(host, path)
            assert got.status == 404, path
        got = await stage.get(f"{evil}.ipfs.gw.test", "/%5Cevil.test")
        assert got.headers["location"] == "/%5Cevil.test/"
        for uri in ("https://evil.test", "ipfs:/x", "ipfs://", "ipfs://a@evil.test/", "ipfs://x%5C/", "javascript:x"):
            assert (await stage.get("gw.test", f"/ipfs/?uri={uri}")).status == 400, uri
        handed = await stage.get("gw.test", f"/ipfs/?uri=ipfs%3A%2F%2F{evil}%2Fa%20b%3Fx%3Dy")
        assert handed.headers["location"] == f"/ipfs/{evil}/a%20b?x=y"

    play(tmp_path, act)


@pytest.mark.parametrize("path", ["/a%2Fb", "/%00", "/a/../b", "/%2e%2e/x", "/%zz", "/%ff"])
def test_what_has_no_one_meaning_is_refused(tmp_path: Path, path: str) -> None:
    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        assert (await stage.get("paths.test", f"/ipfs/{root}{path}")).status == 400
        assert (await stage.get("paths.test", "/ipfs/QmNone")).status == 400
        assert (await stage.get("paths.test", "/else")).status == 404
        refused = await stage.get("paths.test", f"/ipfs/{root}/", "POST")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")

    play(tmp_path, act)


def test_service_workers_are_refused_on_shared_origins(tmp_path: Path) -> None:
    """Path gateway spec, §Service-Worker: at the root of a path, and below it; not on an origin of its own."""

    async def act(stage: Stage) -> None:
        root = stage.folder({"sw.js": b"self", ".rim/sw.js": b"self", "index.html": b"x"})
        worker = {"Service_Worker": "script"}
        for path in ("", "/", "/sw.js", "/.rim/sw.js"):
            for _ in range(2):  # the second time the plain answer is ready in memory
                assert (await stage.get("paths.test", f"/ipfs/{root}{path}", **worker)).status == 400
                assert (await stage.get("paths.test", f"/ipfs/{root}{path}")).status in (200, 301)
        assert (await stage.get(f"{root}.ipfs.gw.test", "/sw.js", **worker)).status == 200

    play(tmp_path, act)


def test_only_what_is_held(tmp_path: Path) -> None:
    """only-if-cached: 412 for what is not here, and nobody is asked; what is here is answered."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        held = {"Cache_Control": "only-if-cached"}
        assert (await stage.get("paths.test", f"/ipfs/{root}/a/page.html", **held)).status == 412
        assert not stage.origin.asked
        await stage.get("paths.test", f"/ipfs/{root}/a/page.html")
        assert (await stage.get("paths.test", f"/ipfs/{root}/a/page.html", **held)).status == 200
        assert (await stage.get("paths.test", f"/ipfs/{root}/a/large.txt?format=car", **held)).status == 412
        secret = stage.block(RAW, b"secret", public=False)
        await stage.node.loader.get(secret)  # whether it was ever read here is nobody's business
        assert (await stage.get("paths.test", f"/ipfs/{secret}", **held)).status == 412
        assert (await stage.get("paths.test", f"/ipfs/{secret}")).status == 404

    play(tmp_path, act)


def test_an_ipns_record(tmp_path: Path) -> None:
    """The record of a site's own key: as it was signed, for as long as its TTL and end allow."""

    async def act(stage: Stage) -> None:
        folder = tmp_path / "records"
        record = next(folder.iterdir())
        name = record.name.partition(".")[0]
        got = await stage.get("paths.test", f"/ipns/{name}", Accept="application/vnd.ipfs.ipns-record")
        assert (got.status, got.body) == (200, record.read_bytes())
        assert got.headers["cache-control"] == "public, max-age=60"
        assert got.headers["vary"] == "Accept"  # what this path means is another answer
        assert "vary" not in (await stage.get("paths.test", f"/ipns/{name}?format=ipns-record")).headers
        assert got.headers["content-disposition"].startswith(f'attachment; filename="{name}.ipns-record"')
        assert (await stage.get("paths.test", f"/ipns/{name}/x?format=ipns-record")).status == 400
        assert (await stage.get("paths.test", "/ipns/a.example?format=ipns-record")).status == 400

    key = Ed25519PrivateKey.generate()
    (tmp_path / "records").mkdir()
    made = ipns.create(key, f"/ipfs/{CID.of(RAW, b'x')}", 1, time.time() + 3600, 60.0)
    (tmp_path / "records" / f"{ipns.name_of(key.public_key())}.ipns-record").write_bytes(made)
    play(tmp_path, act, ipns_records=tmp_path / "records")


def test_connect_to_ourselves_goes_on(tmp_path: Path) -> None:
    """A client that has us for its proxy: CONNECT to a gateway host is this connection; to any other it is refused."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        async with wire(stage.node, "gw.test:80") as connection:
            await connection.send(b"CONNECT gw.test:80 HTTP/1.1\r\nHost: gw.test:80\r\n\r\n")
            head = await connection.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"content-length" not in head.lower()
            for _ in range(2):
                got = await connection.get(f"http://{root}.ipfs.gw.test/a/page.html")
                assert got.body == b"<h1>page</h1>"
        for target, body in (
            (b"evil.test:443", b""),
            (b"demo.localhost:80", b""),
            (b"gw.test:80", b"Content-Length: 1\r\n"),
        ):
            async with wire(stage.node) as connection:
                await connection.send(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, target, body))
                assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
                await connection.reader.read()

    play(tmp_path, act, gateway_tunnels=True)


def test_connect_is_refused_unless_it_is_wanted(tmp_path: Path) -> None:
    """A proxy in front would take the answer for the beginning of a tunnel, and see nothing of what comes then."""

    async def act(stage: Stage) -> None:
        async with wire(stage.node, "gw.test:80") as connection:
            await connection.send(b"CONNECT gw.test:80 HTTP/1.1\r\nHost: gw.test:80\r\n\r\n")
            assert (await connection.read()).status == 405

    play(tmp_path, act)


def test_nothing_is_believed_in_a_tunnel(tmp_path: Path) -> None:
    """Also through a proxy that is trusted: in a tunnel its client writes the fields. Neither host nor scheme nor
    address."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        told: list[str] = []
        stage.node.answers.log = lambda one: told.append(one.client)
        said = {"X_Forwarded_Host": "gw.test", "X_Forwarded_Proto": "https", "X_Forwarded_For": "192.0.2.1"}
        async with wire(stage.node, "front.test") as connection:
            assert (await connection.get(f"/ipfs/{root}/", **said)).status == 301
            await connection.send(b"CONNECT gw.test:80 HTTP/1.1\r\nHost: gw.test:80\r\n\r\n")
            assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert (await connection.get(f"/ipfs/{root}/", **said)).status == 421
            connection.host = "gw.test"
            moved = await connection.get(f"/ipfs/{root}/", **said)
            assert moved.headers["location"] == f"http://{root}.ipfs.gw.test/"
        assert told == ["192.0.2.1", "127.0.0.1", "127.0.0.1"]

    play(tmp_path, act, trusted_proxy=Trusted.read("127.0.0.1"), gateway_tunnels=True)


def test_a_browser_gets_pages_of_refusals(tmp_path: Path) -> None:
    """HTML where it is asked for, the words escaped; text else; never kept; readable from other origins."""

    async def act(stage: Stage) -> None:
        path = "/ipfs/%3Cscript%3E"
        got = await stage.get("paths.test", path, Accept="text/html")
        assert (got.status, got.headers["content-type"]) == (400, "text/html; charset=utf-8")
        assert b"<script>" not in got.body
        assert b"&lt;script&gt;" in got.body
        plain = await stage.get("paths.test", path)
        assert plain.headers["content-type"] == "text/plain; charset=utf-8"
        for answer in (got, plain):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["access-control-allow-origin"] == "*"
        assert b"IPFS gateway" in (await stage.get("gw.test", "/")).body

    play(tmp_path, act)


def test_what_is_hostile_gets_a_bounded_answer(tmp_path: Path) -> None:
    """Folders that hold themselves, lying sizes, nodes that are none: an error that ends, and the edge goes on."""

    async def act(stage: Stage) -> None:
        lying = stage.block(DAG_PB, pb([PBLink("", CID.of(RAW, b"x"), 1)], encode_data(Data(2, None, 9, (9,)))))
        stage.block(RAW, b"x")
        broken = stage.block(DAG_PB, b"\xff\xff")
        deep = stage.block(DAG_CBOR, b"\x81" * 10_240 + b"\x00")
        for cid, query in ((lying, ""), (broken, ""), (deep, ""), (deep, "/0/0"), (broken, "?format=tar")):
            got = await stage.get("paths.test", f"/ipfs/{cid}{query}", Accept="text/html")
            assert got.status in (200, 404, 413, 502), (cid, got.status)
        assert (await stage.get("paths.test", f"/ipfs/{broken}?format=raw")).body == b"\xff\xff"
        assert (await asyncio.wait_for(stage.get("demo.localhost", "/"), 5)).status == 200

    play(tmp_path, act)


@pytest.mark.parametrize("leaf_size", [MiB, 1], ids=["a TiB", "leaves of a byte"])
def test_a_file_of_a_million_leaves_is_listed_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaf_size: int
) -> None:
    """Three blocks that are a million leaves: the first byte costs a stretch of them, ranges at its end cost no more,
    and a body over the seam of two stretches is whole."""

    async def act(stage: Stage) -> None:
        leaf, size = stage.block(RAW, b"x" * leaf_size), leaf_size
        for _ in range(2):
            sizes = (size,) * 1024
            leaf = stage.block(
                DAG_PB, pb([PBLink("", leaf, size)] * 1024, encode_data(Data(FILE, None, size * 1024, sizes)))
            )
            size *= 1024
        listed: list[int] = []
        read_ = stage.node.loader.read

        def reading(leaves: list[Leaf], **more: Any) -> AsyncGenerator[bytes, None]:
            listed.append(len(leaves))
            return read_(leaves, **more)

        monkeypatch.setattr(stage.node.loader, "read", reading)
        async with asyncio.timeout(60), wire(stage.node, "paths.test") as connection:
            await connection.send(connection.request(f"/ipfs/{leaf}"))
            head = await connection.reader.readuntil(b"\r\n\r\n")
            assert f"content-length: {size}".encode() in head
        seam = min(edge.bodies.STRETCH, 16_384 * leaf_size)
        for start, stop in ((0, 9), (size - 9, size), (seam - 5, seam + 5)):
            got = await stage.get("paths.test", f"/ipfs/{leaf}", Range=f"bytes={start}-{stop - 1}")
            assert (got.status, got.body) == (206, b"x" * (stop - start))
        if leaf_size == 1:
            got = await stage.get("paths.test", f"/ipfs/{leaf}", Range=f"bytes=7-{3 * seam}")
            assert got.body == b"x" * (3 * seam - 6)
        assert max(listed) <= 16_384
        many = await stage.get("paths.test", f"/ipfs/{leaf}", Range=f"bytes=0-{size // 2},{size // 2 + 2}-{size - 1}")
        assert many.status == 413

    play(tmp_path, act)


def test_what_is_unpinned_is_shown_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready answers do not outlast what is known of their root."""
    monkeypatch.setattr(access, "SHOWN_FOR", 0.05)
    monkeypatch.setattr(edge.assembly.answering, "SHOWN_FOR", 0.05)

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        host = f"{root}.ipfs.gw.test"
        assert (await stage.get(host, "/a/page.html")).status == 200
        stage.origin.public.clear()
        async with asyncio.timeout(20), wire(stage.node, host) as connection:
            while (await connection.get("/a/page.html")).status != 404:
                await asyncio.sleep(0.01)

    play(tmp_path, act)


@pytest.mark.parametrize("rule", ["/ipfs/{root}", "/ipfs/{root}/a/*", "/ipfs/{page}"])
def test_what_is_denied_is_refused_at_once(tmp_path: Path, rule: str) -> None:
    """By root, by path, by block; in every form, also where a ready answer waited; and allowed again as fast."""
    root, page = _root_of(FILES), CID.of(RAW, b"<h1>page</h1>")

    async def act(stage: Stage) -> None:
        assert stage.folder(FILES) == root
        host = f"{root}.ipfs.gw.test"
        async with wire(stage.node, host) as connection:
            for _ in range(2):
                assert (await connection.get("/a/page.html")).status == 200
            stage.node.denials.set_given([read(rule.format(root=root, page=page).encode() + b"\n").list])
            for path in ("/a/page.html", "/a/page.html?format=raw", "/a/page.html?format=car"):
                got = await connection.get(path)
                assert (got.status, got.headers["rim-reason"]) == (410, "denied"), path
            assert (await stage.get("paths.test", f"/ipfs/{root}/a/page.html")).status == 410
            stage.node.denials.set_given([])
            assert (await connection.get("/a/page.html")).status == 200

    play(tmp_path, act)


@pytest.mark.parametrize(
    "rule", ["/ipfs/{root}/index/index.html", "/ipfs/{root}/index/i*", "/ipfs/{folder}/index.html"]
)
def test_a_folders_own_page_is_denied_by_its_path(tmp_path: Path, rule: str) -> None:
    """Asked for as the folder, as itself, and where a name or a rule of `_redirects` leads there."""
    files = {**FILES, "_redirects": b"/old/* /index/ 200\n"}
    root, folder = _root_of(files), _root_of({"index.html": b"<h1>index</h1>"})

    async def act(stage: Stage) -> None:
        assert stage.folder(files) == root
        host = f"{root}.ipfs.gw.test"
        ways = [(host, "/index/"), (host, "/index/index.html"), (host, "/old/x")]
        for answer in (200, 410, 200):
            for at, path in (*ways, ("paths.test", f"/ipfs/{root}/index/"), ("named.example", "/index/")):
                got = await stage.get(at, path)
                assert got.status == answer, (at, path, got)
            text = rule.format(root=root, folder=folder) if answer == 200 else ""
            stage.node.denials.set_given([read(text.encode() + b"\n").list])
        stage.node.denials.set_given([read(b"/ipns/named.example/index/index.html\n").list])
        assert (await stage.get("named.example", "/index/")).status == 410
        assert (await stage.get(host, "/index/")).status == 200

    play(tmp_path, act, dnslinks=f"named.example=/ipfs/{root}", dnslink=True)


def test_an_answer_made_before_a_denial_is_not_kept(tmp_path: Path) -> None:
    """What was under way when a path was denied may end; nobody gets it from memory afterwards."""

    async def act(stage: Stage) -> None:
        root = stage.folder({"page.html": b"<h1>page</h1>"})
        page = CID.of(RAW, b"<h1>page</h1>")
        host = f"{root}.ipfs.gw.test"
        gate = stage.origin.after[page] = asyncio.Event()
        under_way = asyncio.create_task(stage.get(host, "/page.html"))
        async with asyncio.timeout(20):
            while not stage.origin.asked[str(page)]:
                await asyncio.sleep(0.01)
            stage.node.denials.set_given([read(f"/ipfs/{root}/page.html\n".encode()).list])
            gate.set()
            await under_way
        assert (await stage.get(host, "/page.html")).status == 410

    play(tmp_path, act)


def _root_of(files: Mapping[str, bytes | str]) -> CID:
    store = Store()
    nodes = {
        path: unixfs.symlink(content, store.emit) if isinstance(content, str) else unixfs.file(content, store.emit)
        for path, content in files.items()
    }
    return unixfs.root(nodes, store.emit).cid


@pytest.mark.parametrize("form", ["car", "tar"])
def test_an_archive_is_read_ahead(tmp_path: Path, form: str) -> None:
    """While one block is waited for the next are on their way; each is asked for once, and all arrive in order."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        first, second, third = (CID.of(RAW, LARGE[at : at + MiB]) for at in range(0, len(LARGE), MiB))
        gate = stage.origin.after[second] = asyncio.Event()
        async with asyncio.timeout(20), wire(stage.node, f"{root}.ipfs.gw.test") as connection:
            await connection.send(connection.request(f"/a/large.txt?format={form}"))
            while not stage.origin.asked[str(third)]:
                await asyncio.sleep(0.01)
            gate.set()
            said = await connection.reader.readuntil(b"\r\n0\r\n\r\n")
        assert [stage.origin.asked[str(leaf)] for leaf in (first, second, third)] == [1, 1, 1]
        at = [said.index(LARGE[start : start + 4096]) for start in (0, MiB, 2 * MiB)]
        assert at == sorted(at)

    play(tmp_path, act)


def test_nothing_is_guessed_of_a_part(tmp_path: Path) -> None:
    """A range, a block, a folder's own nodes: what is not asked for is not fetched."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        host = f"{root}.ipfs.gw.test"
        for query in ("/a/large.txt?entity-bytes=0:5", "/a?dag-scope=entity", "/?dag-scope=block"):
            async with wire(stage.node, host) as connection:
                await connection.send(connection.request(f"{query}&format=car"))
                await connection.reader.readuntil(b"\r\n0\r\n\r\n")
        leaves = [str(CID.of(RAW, LARGE[at : at + MiB])) for at in range(0, len(LARGE), MiB)]
        assert [stage.origin.asked[leaf] for leaf in leaves] == [1, 0, 0]

    play(tmp_path, act)


def test_a_busy_machine_gets_an_answer_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each look at the clock finds that this process stood still, the answer is made once more, and then stands:
    seen of a folder of 38,000 entries, whose page was made again and again for ever."""

    async def act(stage: Stage) -> None:
        root = stage.folder(FILES)
        monkeypatch.setattr(edge.pause, "JUMP", -1.0)
        monkeypatch.setattr(edge.pause, "HOLD", 0.01)
        async with asyncio.timeout(30):
            assert (await stage.get("paths.test", f"/ipfs/{root}/a/")).status == 200

    play(tmp_path, act)
