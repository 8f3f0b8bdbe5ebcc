"""The origin as a trustless gateway for any DAG: paths, scopes, ranges and doubles, as a Kubo sends them; who may read
what of it; streams that break where they must, and bombs."""

from __future__ import annotations

import contextlib
import http.client
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest

from content import car
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, RAW
from content.dagpb import FILE, Data, PBLink, encode, encode_data
from content.limits import MiB
from content.paths import follow
from content.walk import drive
from tests.content.dags import Zoo, node, zoo
from tests.content.folders import Blocks
from tests.kit.kubo import Kubo
from tests.origin.play import Client, make, origin, parts, site_files

ZOO = zoo(entries=150)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An origin that has pinned the zoo."""
    with origin(tmp_path_factory.mktemp("origin") / "state") as client:
        pin(client, ZOO.root, ZOO.blocks)
        yield client


def pin(client: Client, root: CID, blocks: Blocks) -> None:
    parts(client).store.put(blocks.values())
    client.ok("PUT", f"/api/v1/pins/{root}", {})


def url(path: str = "", query: str = "format=car") -> str:
    return f"/ipfs/{ZOO.root}{'/' * bool(path)}{quote(path)}?{query}"


def cids(body: bytes) -> list[CID]:
    return [block.cid for block in car.read(body)[1]]


def at(path: str, of: Zoo = ZOO) -> CID:
    return drive(follow(of.root, path.split("/")), of.blocks.get_block).cid


QUERIES = [
    *(("", f"dag-scope={scope}&car-dups={dups}") for scope in ("all", "entity", "block") for dups in "ny"),
    *(("wide/file 7.txt", f"dag-scope={scope}") for scope in ("all", "entity", "block")),
    *(
        ("document/files/many/1/big", "dag-scope=entity"),
        ("document/number", "dag-scope=block"),
        ("inline", "car-dups=y"),
    ),
    *(("big", f"dag-scope=entity&entity-bytes={bytes_}") for bytes_ in ("0:*", "300:1000", "-5:*", "512:-256")),
    ("ünï çødé", ""),
]


@pytest.mark.needs("ipfs")
def test_cars_are_kubos_over_the_wire(held: Client, kubo_gateway: Kubo) -> None:
    """The same request to a Kubo gateway and to the origin: the same bytes, type and roots."""
    kubo_gateway.dag_import(car.write([ZOO.root], list(ZOO.blocks.values())))
    for path, query in QUERIES:
        with urlopen(f"{kubo_gateway.gateway}{url(path, f'format=car&{query}')}") as theirs:
            ours = held.get(url(path, f"format=car&{query}"))
            assert ours.status == 200, (path, query, ours.body)
            assert ours.body == theirs.read(), (path, query)
            for name in ("content-type", "x-ipfs-roots", "accept-ranges", "x-content-type-options"):
                assert ours.headers[name] == theirs.headers[name], (path, query, name)


def test_a_block_at_the_end_of_a_path(held: Client) -> None:
    """Raw below a path, through folders, HAMTs and documents; its name, tag and roots."""
    for path in (
        "small.txt",
        "wide/file 7.txt",
        "document/files/single",
        "document.json/files/wide",
        "document/number",
    ):
        got = held.get(url(path, "format=raw"))
        cid = at(path)
        assert (got.status, got.body, got.headers["etag"]) == (200, ZOO.blocks[cid].data, f'"{cid}.raw"')
        assert got.headers["content-disposition"].startswith(f'attachment; filename="{cid}.bin"')
        roots = got.headers["x-ipfs-roots"].split(",")
        assert (roots[0], roots[-1], len(roots)) == (str(ZOO.root), str(cid), len(path.split("/")) + 1)
    assert held.get(url("ünï çødé", "format=raw")).headers["x-ipfs-path"] == f"/ipfs/{ZOO.root}/{quote('ünï çødé')}"
    named = held.get(url("small.txt", "format=raw&filename=test%D1%82.bin"))
    assert named.headers["content-disposition"] == "attachment; filename=\"test_.bin\"; filename*=UTF-8''test%D1%82.bin"


def test_tags_and_places_of_a_car(held: Client) -> None:
    """Each form its own tag; 304 by it; Content-Location only where Accept chose."""
    forms = [f"dag-scope={scope}&car-dups={dups}" for scope in ("all", "entity", "block") for dups in "ny"]
    forms += ["entity-bytes=0:*", "entity-bytes=0:5", "dag-scope=entity&entity-bytes=0:5", "dag-scope=entity"]
    tags = {form: held.ask("HEAD", url("big", f"format=car&{form}")).headers["etag"] for form in forms}
    assert tags["dag-scope=entity"] == tags["dag-scope=entity&car-dups=n"]
    assert len(set(tags.values())) == len(tags) - 1
    assert "content-length" not in held.ask("HEAD", url("big")).headers
    tag = tags["dag-scope=entity"]
    again = held.ask("GET", url("big", "format=car&dag-scope=entity"), headers={"If-None-Match": f'"a", {tag}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert held.ask("GET", url("big"), headers={"If-None-Match": tag}).status == 200
    accept = {"Accept": "text/html, application/vnd.ipld.car; version=1; order=dfs; dups=y"}
    chosen = held.ask("GET", url("big", "dag-scope=block"), headers=accept)
    assert chosen.headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=y"
    there = held.get(chosen.headers["content-location"])
    assert (there.body, there.headers["etag"]) == (chosen.body, chosen.headers["etag"])
    assert "content-location" not in there.headers
    assert chosen.headers["content-disposition"].startswith(f'attachment; filename="{ZOO.root}_big.car"')


def test_the_probe(held: Client) -> None:
    """Trustless gateway spec, "Dedicated Probe Paths": bafkqaaa by GET and HEAD, as block and as CAR."""
    for method in ("GET", "HEAD"):
        for format_ in ("raw", "car"):
            for client in (held, held.as_(None)):
                got = client.ask(method, f"/ipfs/bafkqaaa?format={format_}")
                assert got.status == 200
                if (method, format_) == ("GET", "car"):
                    assert car.read(got.body) == ((CID.parse("bafkqaaa"),), [])
                else:
                    assert got.body == b""


REFUSED = [
    ("no such name", url("absent"), 404, "not_found"),
    ("below a file", url("small.txt/x"), 404, "not_found"),
    ("no such field", url("document/absent", "format=raw"), 404, "not_found"),
    ("a scope that is none", url("", "format=car&dag-scope=x"), 400, "bad_request"),
    ("a range that is none", url("", "format=car&entity-bytes=x"), 400, "bad_request"),
    ("a range that ends before it starts", url("", "format=car&entity-bytes=5:2"), 400, "bad_request"),
    ("another version", url("", "format=car&car-version=2"), 400, "bad_request"),
    ("another order", url("", "format=car&car-order=bfs"), 400, "bad_request"),
    ("not UTF-8", f"/ipfs/{ZOO.root}/%ff?format=raw", 400, "bad_request"),
    ("a name with a slash", f"/ipfs/{ZOO.root}/inner%2Fagain.txt?format=raw", 404, "not_found"),
    ("dots", f"/ipfs/{ZOO.root}/inner/%2e%2e?format=raw", 404, "not_found"),
    ("another format", url("small.txt", "format=tar"), 406, "not_acceptable"),
    ("no format", url("small.txt", ""), 406, "not_acceptable"),
    ("a path of 1,025 names", f"/ipfs/{ZOO.root}{'/a' * 1025}?format=raw", 422, "limit_exceeded"),
]


@pytest.mark.parametrize(("path", "status", "error"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_what_is_refused(held: Client, path: str, status: int, error: str) -> None:
    """Before a byte of it is sent, in one form of answer."""
    got = held.get(path)
    assert (got.status, got.error) == (status, error)


def test_only_if_cached(held: Client) -> None:
    """412 for what is not here (trustless gateway spec), for whoever may not read it too; 200 for what is."""
    only = {"Cache-Control": "only-if-cached"}
    for client in (held, held.as_(None)):
        assert client.ask("GET", url("small.txt", "format=raw"), headers=only).status == 200
        gone = client.ask("HEAD", f"/ipfs/{CID.of(RAW, b'nowhere')}?format=raw", headers=only)
        assert gone.status == 412
        assert client.ask("GET", url("absent"), headers=only).error == "not_held"


# ---- who may read what


def ends_cleanly(client: Client, path: str) -> tuple[int, bytes, bool]:
    """Status, the chunks' bytes as far as they came, and whether the answer came to its end."""
    address = urlsplit(client.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    token = {} if client.token is None else {"Authorization": f"Bearer {client.token}"}
    with contextlib.closing(connection):
        connection.request("GET", path, headers=token)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(), True
        except http.client.IncompleteRead as cut:
            return answer.status, cut.partial, False


def test_without_a_token_no_control_block_leaves(held: Client) -> None:
    """DAG-CBOR below a public root: not on a path, not in a CAR, not as a root; a node's token reads all of it."""
    anyone = held.as_(None)
    assert anyone.get(url("small.txt", "format=raw")).status == 200
    assert anyone.get(f"/ipfs/{at('document')}?format=raw").status == 401
    assert anyone.get(url("document", "format=raw")).status == 404
    assert anyone.get(url("document/files/single", "format=raw")).status == 404
    assert anyone.get(url("document.json/files/single", "format=raw")).status == 200
    status, body, whole = ends_cleanly(anyone, url())
    assert (status, whole) == (200, False)
    assert at("document") not in body
    node_ = held.as_(held.make_token("edge"))
    assert set(cids(node_.get(url()).body)) == set(ZOO.blocks)
    assert held.get(url("document/files/single", "format=raw")).status == 200


def test_an_identity_root_leads_nowhere_without_a_token(tmp_path: Path) -> None:
    """Anybody can write an identity CID that links to what is staged, private or a control block."""
    with origin(tmp_path / "state") as client:
        secret = make(site_files("secret"))
        parts(client).store.put(secret.blocks)
        leaf = next(block.cid for block in secret.blocks if block.cid.codec == RAW)
        folder = encode([PBLink("x", leaf, 1)], b"\x08\x01")
        inline = CID.from_bytes(bytes((1, DAG_PB, IDENTITY, len(folder))) + folder)
        document = b"\xd8\x2a\x58\x25\0" + leaf
        inline_document = CID.from_bytes(bytes((1, DAG_CBOR, IDENTITY, len(document))) + document)
        anyone = client.as_(None)
        assert anyone.get(f"/ipfs/{inline}?format=raw").body == folder
        assert anyone.get(f"/ipfs/{inline}/x?format=raw").status == 404
        status, body, whole = ends_cleanly(anyone, f"/ipfs/{inline}?format=car")
        assert (status, whole) == (200, False)
        assert leaf not in body
        assert anyone.get(f"/ipfs/{inline_document}?format=car").status == 401
        assert client.get(f"/ipfs/{inline}/x?format=raw").status == 200


def test_a_file_that_reads_as_a_node_leads_nowhere_without_a_token(tmp_path: Path) -> None:
    """A published file may hold the bytes of a folder that links to what is staged or private: it is a file."""
    with origin(tmp_path / "state") as client:
        secret = make(site_files("secret"))
        parts(client).store.put(secret.blocks)
        leaf = next(block.cid for block in secret.blocks if block.cid.codec == RAW)
        folder = Block.make(DAG_PB, encode([PBLink("x", leaf, 1)], b"\x08\x01"))
        file = Block.make(RAW, folder.data)
        parts(client).store.put([file])
        client.ok("PUT", f"/api/v1/pins/{file.cid}", {})
        anyone = client.as_(None)
        assert anyone.get(f"/ipfs/{file.cid}?format=raw").body == folder.data
        old = CID(folder.cid.multihash)
        for cid in (folder.cid, old):
            assert anyone.get(f"/ipfs/{cid}?format=raw").body == folder.data
            assert anyone.get(f"/ipfs/{cid}/x?format=raw").status == 404, cid
            status, body, whole = ends_cleanly(anyone, f"/ipfs/{cid}?format=car")
            assert (status, whole, leaf in body) == (200, False, False), cid
        assert client.ok("GET", f"/api/v1/public/{file.cid}")["public"]
        assert not client.ok("GET", f"/api/v1/public/{folder.cid}")["public"]


def test_what_is_denied_is_in_no_car(tmp_path: Path) -> None:
    """A denied block breaks the CAR that it is in; at the end of a path, and as a path, it is 410."""
    with origin(tmp_path / "state") as client:
        pin(client, ZOO.root, ZOO.blocks)
        denied = at("wide/file 7.txt")
        client.ok("POST", "/api/v1/deny", {"what": str(denied)})
        client.ok("POST", "/api/v1/deny", {"what": f"/ipfs/{ZOO.root}/equal"})
        assert client.get(url("wide/file 7.txt", "format=raw")).status == 410
        assert client.get(url("equal", "format=raw")).status == 410
        assert client.get(f"/ipfs/{at('equal')}?format=raw").status == 200
        status, body, whole = ends_cleanly(client, url("wide"))
        assert (status, whole) == (200, False)
        assert denied not in body
        assert client.get(url("wide", "format=car&dag-scope=entity")).status == 200


# ---- streams that break, and those that never end


def test_a_range_needs_its_own_blocks_only(tmp_path: Path) -> None:
    """Of a file that lacks a block: ranges before and behind it are whole, one over it breaks."""
    blocks = Blocks()
    leaves = [Block.make(RAW, bytes((number,)) * 1000) for number in range(3)]
    for leaf in leaves:
        blocks.emit(leaf)
    top = node(blocks, [PBLink("", leaf.cid, 1000) for leaf in leaves], Data(FILE, None, 3000, (1000,) * 3))
    with origin(tmp_path / "state") as client:
        parts(client).store.put(block for block in blocks.values() if block != leaves[1])
        for bytes_, expected in (("0:999", leaves[:1]), ("2000:*", leaves[2:]), ("-1000:*", leaves[2:])):
            got = client.get(f"/ipfs/{top}?format=car&entity-bytes={bytes_}")
            assert cids(got.body) == [top, *(leaf.cid for leaf in expected)]
        for query in ("entity-bytes=999:1000", "dag-scope=entity", "dag-scope=all"):
            status, _, whole = ends_cleanly(client, f"/ipfs/{top}?format=car&{query}")
            assert (status, whole) == (200, False)


def test_a_bomb_costs_what_is_read_of_it(tmp_path: Path) -> None:
    """2^40 logical bytes in 41 blocks: 41 sections, or a stream that ends when the reader leaves; memory stays flat."""
    blocks = Blocks()
    leaf = Block.make(RAW, b"x" * 1000)
    blocks.emit(leaf)
    below, size = leaf.cid, 1000
    for _ in range(40):
        data = encode([PBLink("", below, 1)] * 2, encode_data(Data(FILE, None, size * 2, (size, size))))
        block = Block.make(DAG_PB, data)
        blocks.emit(block)
        below, size = block.cid, size * 2
    with origin(tmp_path / "state") as client:
        pin(client, below, blocks)
        for query in ("format=car", "format=car&dag-scope=entity", "format=car&entity-bytes=5:-5"):
            found = cids(client.get(f"/ipfs/{below}?{query}").body)
            assert len(found) == len(set(found)) == 41
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        address = urlsplit(client.url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as reader:
            head = f"GET /ipfs/{below}?format=car&car-dups=y HTTP/1.1\r\nHost: x\r\n"
            reader.sendall(f"{head}Authorization: Bearer {client.token}\r\n\r\n".encode())
            got = 0
            while got < 16 * MiB:
                got += len(reader.recv(1 << 20))
        assert client.get("/healthz").status == 200
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < 64
