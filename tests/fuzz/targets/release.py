"""Control blocks: Release, Site, Catalog, Asset rows, rules and tree nodes are read as they were written, or refused.

Not here: trees of many nodes (targets/tree).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import libipld

from content import tree, treenode
from content.block import Block
from content.catalog import Alias, Catalog, Floor, Retained, Rollout, Signed, Site
from content.cid import CID, DAG_CBOR, RAW
from content.errors import ContentError, LimitExceeded
from content.headers import HeaderTable
from content.limits import TREE_LEAF
from content.redirects import RedirectTable
from content.release import Asset, Encoding, Release, Rules
from tests.fuzz.taking import Taking

STEPS = (4_000, 800)
_CID = CID.of(RAW, b"a file")
_KINDS: tuple[tuple[str, Callable[[Block], Any]], ...] = (
    ("release", Release.from_block),
    ("site", Site.from_block),
    ("catalog", Catalog.from_block),
)


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    mode = taking.byte() % 6
    if mode < 3:
        _block(_KINDS[mode][1], taking.rest())
    elif mode == 3:
        _row(taking.rest())
    elif mode == 4:
        _node(taking.rest())
    else:
        _rules(taking.rest())


def _block(read: Callable[[Block], Any], data: bytes) -> None:
    try:
        value = read(Block.make(DAG_CBOR, data))
    except ContentError:
        return
    try:
        written: Block = value.to_block()
    except LimitExceeded:  # what is read may be more than we would write
        return
    assert read(written) == value
    assert read(written).to_block() == written
    if isinstance(value, Site):
        assert value.floor_of("/a/b", ("t",)) >= 0
        assert set(value.retained) <= set(value.kept)


def _decoded(data: bytes) -> Any:
    try:
        return libipld.decode_dag_cbor(data)
    except Exception:
        return None


def _row(data: bytes) -> None:
    value = _decoded(data)
    if value is None:
        return
    try:
        asset = Asset.from_row(value)
    except ContentError:
        return
    again = libipld.decode_dag_cbor(libipld.encode_dag_cbor(asset.to_row()))
    assert Asset.from_row(again) == asset
    assert all(isinstance(found.cid, CID) for found in asset.encodings.values())


def _rules(data: bytes) -> None:
    value = _decoded(data)
    if value is None:
        return
    try:
        rules = Rules.from_value(value)
        rules.check()
    except ContentError:
        return
    assert Rules.from_value(rules.to_value()) == rules
    assert all(isinstance(text, str) for text in (*rules.precached, *rules.worker_gateways))
    assert 0 <= rules.worker_check < 2**31
    with suppress(ContentError):
        rules.check_worker()
    for table, rows in ((HeaderTable, rules.headers), (RedirectTable, rules.redirects)):
        try:
            read = table.from_value(rows or [])
        except ContentError:
            continue
        assert table.from_value(read.to_value()).rules == read.rules
        if isinstance(read, HeaderTable):
            for op in read.of("/a/b.html", "example.com"):
                assert op.value is None or not any(char in op.value for char in "\r\n\0")
        else:
            read.match("/a/b.html", "q=1", "example.com")


def _node(data: bytes) -> None:
    try:
        node = treenode.read(Block.make(DAG_CBOR, data))
    except ContentError:
        return
    assert len(data) <= TREE_LEAF
    assert node.keys == sorted(set(node.keys))
    try:
        rows = [node.row(index) for index in range(len(node.keys))]
        written = treenode.make(node.level, rows)
    except ContentError:
        return
    again = treenode.read(written)
    assert (again.level, again.keys, again.values) == (node.level, node.keys, node.values)


def seeds() -> Iterator[bytes]:
    rules = Rules(
        spa=True,
        slash="never",
        error="/404.html",
        headers=[["/*", [["X-A", "b"]], 1]],
        redirects=[["/a", "/b", 301, 0, [], 1]],
        precache={"paths": ["/a"], "bytes": 1},
        worker={"check": 5, "gateways": ["https://g"], "complete": True},
        other={"new": [1, {"x": None}]},
    )
    release = Release(_CID, tree.EMPTY.cid, rules, "bafy", 1, "me", "why", 2, 3)
    yield b"\x00" + release.to_block().data
    yield b"\x00" + Release(_CID, tree.EMPTY.cid).to_block().data
    item = Retained(_CID, 4, 5)
    alias = Alias(_CID, 1, 2, 3, "scrypt", _CID)
    site = Site(
        "s", 4, item, item, (item,), _CID, None, {"pr": alias}, (Floor("path", "/a", 2),), (Floor("site", "", 1),),
        (3, 4), Rollout(item, 500), (item,), "k51", ("a.example",), {"spa": True},
        (Signed(_CID, 7, ("https://g",), b"s"),),
    )  # fmt: skip
    yield b"\x01" + site.to_block().data
    yield b"\x01" + Site("s").to_block().data
    yield b"\x02" + Catalog(7, _CID, _CID, tree.EMPTY.cid, "k51").to_block().data
    asset = Asset(CID.of(0x70, b""), 3, "00" * 32, "text/html", {"br": Encoding(_CID, 2)}, True, ("t",), "../x")
    yield b"\x03" + libipld.encode_dag_cbor(asset.to_row())
    yield b"\x03" + libipld.encode_dag_cbor(Asset(_CID, 3, _CID.digest.hex(), "text/html").to_row())
    yield b"\x04" + treenode.make(0, [treenode.row("/a", 1), treenode.row("/b", _CID)]).data
    yield b"\x04" + treenode.make(1, [treenode.row("/a", _CID)]).data
    yield b"\x04" + b"\xa4" + tree.EMPTY.data[1:-1] + b"\x81" * 64
    yield b"\x05" + libipld.encode_dag_cbor(rules.to_value())
