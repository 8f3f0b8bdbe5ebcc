"""The origin's trustless gateway: raw blocks, CARs, conditions, refusals; and the counting of what it sends."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from content import car
from content.cid import CID, DAG_PB, RAW
from content.limits import MiB
from tests.origin.play import make, origin, parts, site_files


def metric(body: bytes, name: str) -> float:
    (line,) = [line for line in body.decode().splitlines() if line.startswith(name + " ")]
    return float(line.rpartition(" ")[2])


def test_a_raw_block_with_its_headers(tmp_path: Path) -> None:
    """The spec's: type, length, ETag, immutable, nosniff, attachment; HEAD the same without the bytes."""
    made = make(site_files("raw"))
    block = made.blocks[0]
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        path = f"/ipfs/{block.cid}"
        got = client.get(f"{path}?format=raw")
        assert (got.status, got.body) == (200, block.data)
        expected = {
            "content-type": "application/vnd.ipld.raw",
            "content-length": str(len(block.data)),
            "etag": f'"{block.cid}.raw"',
            "x-content-type-options": "nosniff",
            "x-ipfs-path": path,
        }
        assert expected.items() <= got.headers.items()
        assert "immutable" in got.headers["cache-control"]
        head = client.ask("HEAD", f"{path}?format=raw")
        assert (head.status, head.body) == (200, b"")
        assert expected.items() <= head.headers.items()
        by_accept = client.ask("GET", path, headers={"Accept": "text/html, application/vnd.ipld.raw;q=0.9"})
        assert by_accept.body == block.data
        again = client.ask("GET", f"{path}?format=raw", headers={"If-None-Match": f'"x", W/"{block.cid}.raw"'})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", f'"{block.cid}.raw"')
        assert client.ask("GET", f"{path}?format=raw", headers={"If-None-Match": '"x"'}).status == 200


def test_the_same_block_by_other_names(tmp_path: Path) -> None:
    """CIDv0, other bases, another codec: the ETag is that of the name asked for."""
    made = make(site_files("names"))
    root = made.release.root
    assert root.codec == DAG_PB
    v0 = CID(b"\x12\x20" + root.digest)
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        for name in (str(root), str(v0), "f" + root.hex(), root.base36(), str(CID.of_digest(RAW, root.digest))):
            assert client.get(f"/ipfs/{name}?format=raw").body == made.store[root].data


def test_a_car_is_the_whole_dag_depth_first_each_block_once(tmp_path: Path) -> None:
    """Of a folder, of a file of many blocks, of one leaf."""
    big = random.Random(1).randbytes(3 * MiB)
    made = make({"a": b"same", "b": b"same", "d/c": b"same", "big": big})
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        answer = client.get(f"/ipfs/{made.release.root}?format=car")
        assert answer.headers["content-type"].startswith("application/vnd.ipld.car; version=1")
        roots, blocks = car.read(answer.body)
        assert roots == (made.release.root,)
        assert blocks[0].cid == made.release.root
        assert len({block.cid for block in blocks}) == len(blocks)
        assert {block.cid for block in blocks} == {cid for cid in made.store if not cid.is_control}
        leaf = CID.of(RAW, b"same")
        assert [block.cid for block in car.read(client.get(f"/ipfs/{leaf}?format=car").body)[1]] == [leaf]
        assert client.ask("HEAD", f"/ipfs/{leaf}?format=car").body == b""


def test_a_car_that_cannot_be_whole_ends_without_its_end(tmp_path: Path) -> None:
    """A block that is lost on the way: the connection breaks inside the chunked body, never a clean end."""
    made = make({f"{number}": random.Random(number).randbytes(MiB) for number in range(8)})
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)
        parts(client).store.forget([CID.of(RAW, random.Random(5).randbytes(MiB)).store_key])
        address = urlsplit(client.url)
        with socket.create_connection((address.hostname or "", address.port or 0)) as raw:
            head = f"GET /ipfs/{made.release.root}?format=car HTTP/1.1\r\nHost: x\r\n"
            raw.sendall(f"{head}Authorization: Bearer {client.token}\r\n\r\n".encode())
            got = b"".join(iter(lambda: raw.recv(1 << 20), b""))
        assert got.startswith(b"HTTP/1.1 200 OK")
        assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/ipfs/nothing?format=raw", 400, "bad_cid"),
        ("/ipfs/?format=raw", 404, "not_found"),
        (f"/ipfs/{CID.of(RAW, b'absent')}?format=raw", 404, "not_found"),
        (f"/ipfs/{CID.of(RAW, b'absent')}", 406, "not_acceptable"),
        (f"/ipfs/{CID.of(RAW, b'absent')}?format=tar", 406, "not_acceptable"),
        (f"/ipfs/{CID.of(RAW, b'absent')}/path?format=raw", 404, "not_found"),
        (f"/ipns/{CID.of(RAW, b'no key')}", 404, "not_found"),
        ("/ipns/example.org", 400, "bad_cid"),
        ("/", 404, "not_found"),
    ],
)
def test_what_is_asked_wrongly_is_answered_clearly(tmp_path: Path, path: str, status: int, error: str) -> None:
    """One form of answer for all: a word, a sentence."""
    with origin(tmp_path / "state") as client:
        answer = client.get(path)
        assert (answer.status, answer.error) == (status, error)
        assert answer.json["message"]
        assert client.ask("POST", "/ipfs/x", b"").status == 405


def test_blocks_sent_are_counted_by_kind(tmp_path: Path) -> None:
    """Content: of Roots and encodings; control: the rest. HEAD and 304 send none."""
    made = make(site_files("count"), encoded={"p0/f0.txt": b"coded"})
    with origin(tmp_path / "state") as client:
        client.publish("demo", made)

        def counts() -> tuple[float, float]:
            body = client.get("/metrics").body
            name = "rim_origin_blocks_sent_total"
            return metric(body, f'{name}{{kind="content"}}'), metric(body, f'{name}{{kind="control"}}')

        assert counts() == (0, 0)
        for block in made.blocks:
            client.get(f"/ipfs/{block.cid}?format=raw")
        control = sum(block.cid.is_control for block in made.blocks)
        content = len(made.blocks) - control
        assert counts() == (content, control)
        client.ask("HEAD", f"/ipfs/{made.release.root}?format=raw")
        root = made.release.root
        client.ask("GET", f"/ipfs/{root}?format=raw", headers={"If-None-Match": f'"{root}.raw"'})
        assert counts() == (content, control)
        client.get(f"/ipfs/{made.release.root}?format=car")
        assert counts() == (2 * content - 1, control)  # the encoding is below the Index, not below the Root


def test_every_metric_of_the_table_is_rendered(tmp_path: Path) -> None:
    """In the text format, each with its help."""
    from origin.metrics import METRICS

    with origin(tmp_path / "state") as client:
        client.get("/api/v1/nothing")
        client.as_(None).get("/api/v1/sites")
        body = client.get("/metrics").body.decode()
        for row in METRICS:
            name = row.name.removesuffix("_total")
            assert f"# TYPE {row.name} {row.kind}" in body or f"# TYPE {name} {row.kind}" in body
        assert 'rim_origin_refused_total{code="no_token"} 1.0' in body
