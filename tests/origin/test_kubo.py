"""The Kubo backend against a real Kubo: what a publish leaves there, what collections take, what a Kubo that is away
costs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID
from content.limits import MiB
from tests.kit.kubo import Kubo
from tests.origin.play import Client, Made, make, origin, site_files

pytestmark = pytest.mark.needs("ipfs")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Kubo]:
    kubo = Kubo(tmp_path / "repo")
    with kubo.serving():
        yield kubo


@contextmanager
def kubo_origin(state: Path, node: Kubo, **settings: Any) -> Iterator[Client]:
    with origin(state, store="kubo", kubo_api=node.api, kubo_gateway=node.gateway, **settings) as client:
        client.ok("POST", "/api/v1/gc")  # it has seen Kubo's pins
        yield client


def have(node: Kubo) -> set[bytes]:
    """The multihashes of all blocks in Kubo."""
    return {CID.parse(text).multihash for text in node.run("refs", "local").decode().split()}


def whole_in_kubo(node: Kubo, made: Made) -> bool:
    return {cid.multihash for cid in made.store} <= have(node)


def pins(node: Kubo) -> dict[CID, str]:
    """Named recursive pins."""
    rows = [line.split(" ", 2) for line in node.run("pin", "ls", "--names", "--type=recursive").decode().splitlines()]
    return {CID.parse(row[0]): row[2] if len(row) > 2 else "" for row in rows}


def test_a_publish_is_ordinary_ipfs(tmp_path: Path, node: Kubo) -> None:
    """Release, Index, Root and files are in Kubo under one pin by the site's name; the leases' pins are gone."""
    before = pins(node)
    first = make({**site_files("one"), "big.bin": random.Random(1).randbytes(3 * MiB)}, encoded={"p0/f0.txt": b"br"})
    second = make({**site_files("one"), "p0/f0.txt": b"changed"})
    with kubo_origin(tmp_path / "state", node) as client:
        client.publish("demo", first)
        client.publish("demo", second, first.cid)
        client.ok("POST", "/api/v1/gc")
        assert {cid: name for cid, name in pins(node).items() if cid not in before} == {
            first.cid: "rim/demo", second.cid: "rim/demo"
        }  # fmt: skip
        node.run("repo", "gc")
        assert whole_in_kubo(node, first)
        assert whole_in_kubo(node, second)
        assert node.cat(f"/ipfs/{first.release.root}/big.bin") == random.Random(1).randbytes(3 * MiB)
        for block in second.blocks:
            if not block.cid.is_control:
                assert client.get(f"/ipfs/{block.cid}?format=raw").body == block.data
        metrics = client.get("/metrics").body.decode()
        assert 'rim_origin_kubo_calls_total{call="pin/update"} 1.0' in metrics
