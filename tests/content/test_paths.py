"""Paths through any DAG: what Kubo resolves, what is left inside a block, and where a path ends."""

from __future__ import annotations

import contextlib
import http.client
from urllib.parse import quote, urlsplit

import pytest

from content import car
from content.block import Block
from content.cid import CBOR, CID, DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY, JSON, LIBP2P_KEY, RAW, write_varint
from content.dagpb import DIRECTORY, FILE, METADATA, SYMLINK, Data, PBLink
from content.errors import BadNode, ContentError, LimitExceeded, NotFound
from content.limits import DAG_DEPTH
from content.paths import Place, follow
from content.unixfs import Node
from content.walk import drive
from tests.content.dags import hamt, node, of, zoo
from tests.content.folders import Blocks
from tests.kit.kubo import Kubo

ZOO = zoo(entries=60)
LEAF = Block.make(RAW, b"leaf")


def place(path: str, root: CID = ZOO.root, blocks: Blocks = ZOO.blocks) -> Place:
    return drive(follow(root, [segment for segment in path.split("/") if segment]), blocks.get_block)


@pytest.mark.needs("ipfs")
def test_roots_and_ends_are_kubos(kubo_gateway: Kubo) -> None:
    """X-Ipfs-Roots of a Kubo gateway for every path; 404 where we say NotFound, 501 where something is left over."""
    kubo_gateway.dag_import(car.write([ZOO.root], list(ZOO.blocks.values())))
    address = urlsplit(kubo_gateway.gateway)
    paths = (
        *(
            "",
            "small.txt",
            "inner/again.txt",
            "wide/file 7.txt",
            "wide/big",
            "inner/none",
            "link",
            "inline",
            "ünï çødé",
        ),
        *("document", "document/files/single", "document/files/many/0", "document/files/many/1/big", "document/number"),
        *("document/files", "document/files/many/1", "document/nothing", "document/files/wide/file 3.txt"),
        *("document.json/files/single", "document.json/files/many/2", "document.json/bytes", "named/a", "named/b/big"),
        *("absent", "inner/absent", "wide/absent", "document/absent", "document/files/many/3"),
        *("document/files/single/x", "small.txt/x", "big/x", "link/x", "named/absent", "document/number/x"),
        *("document/files/many/1/big/0", "inline/x"),
    )
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    with contextlib.closing(connection):

        def ask(path: str, format_: str) -> tuple[int, str | None]:
            connection.request("GET", f"/ipfs/{ZOO.root}/{quote(path)}?format={format_}")
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers["X-Ipfs-Roots"]

        for path in paths:
            status, roots = ask(path, "raw")
            try:
                found = place(path)
            except NotFound:
                assert status == 404, path
                continue
            assert (status, roots) == (200, ",".join(map(str, found.passed))), path
            assert ask(path, "dag-json")[0] == (501 if found.rest else 200), path


def test_what_is_left_inside_a_block() -> None:
    """Fields that are no links: the block, the rest, and that block once for each segment inside it."""
    document = place("document").cid
    found = place("document/files/many")
    assert found == Place(document, ("files", "many"), (ZOO.root, document, document, document))
    leaf = place("small.txt").cid
    assert place("document/files/single") == Place(leaf, (), (ZOO.root, document, document, leaf))
    assert place("document/nothing").rest == ("nothing",)
    assert place("document/files/many/1").rest == ("files", "many", "1")


@pytest.mark.parametrize("index", ["-1", "+0", "00", "01", " 0", "0 ", "1_0", "\u0661", "3", "9" * 30, "x"])
def test_an_index_has_one_form(index: str) -> None:
    """Digits without zeros before them, inside the list: no block has two paths by spelling."""
    blocks = Blocks()
    top = of(blocks, DAG_CBOR, [LEAF.cid, 1, 2]).cid
    assert drive(follow(top, ["0"]), blocks.get_block).cid == LEAF.cid
    with pytest.raises(NotFound):
        drive(follow(top, [index]), blocks.get_block)


def test_plain_json_and_cbor_have_fields_and_no_links() -> None:
    """All is rest there."""
    blocks = Blocks()
    for codec in (JSON, CBOR):
        top = of(blocks, codec, {"a": {"b": 1}}).cid
        assert place("a/b", top, blocks) == Place(top, ("a", "b"), (top, top, top))
        with pytest.raises(NotFound):
            place("a/c", top, blocks)


def test_nodes_without_names() -> None:
    """Raw bytes, files, symlinks, metadata, codecs without reader: NotFound below them, whatever the name."""
    blocks = Blocks()
    unknown = Block.make(LIBP2P_KEY, b"")
    for block in (LEAF, unknown):
        blocks.emit(block)
    link = [PBLink("x", LEAF.cid, 1)]
    tops = [LEAF.cid, unknown.cid, node(blocks, [], Data(SYMLINK, b"x"))]
    tops += [node(blocks, link, Data(kind, None, 4, (4,))) for kind in (FILE, METADATA)]
    for top in tops:
        with pytest.raises(NotFound):
            place("x", top, blocks)
    folder = node(
        blocks, [PBLink("..", LEAF.cid, 1), PBLink("", LEAF.cid, 1), PBLink("a", LEAF.cid, 1)], Data(DIRECTORY)
    )
    for name in ("..", ".", ""):
        with pytest.raises(NotFound):
            drive(follow(folder, [name]), blocks.get_block)
    assert place("a", folder, blocks).cid == LEAF.cid


def test_dag_pb_that_is_no_unixfs_has_named_links() -> None:
    """Without Data, and with Data of another kind."""
    blocks = Blocks()
    blocks.emit(LEAF)
    other = Block.make(DAG_PB, b"\x12\x2b\x0a\x24" + LEAF.cid + b"\x12\x01a\x18\x00" + b"\x0a\x02\xff\xff")
    blocks.emit(other)
    for top in (node(blocks, [PBLink("a", LEAF.cid, 1)], None), other.cid):
        assert place("a", top, blocks).cid == LEAF.cid


def test_identity_blocks_on_the_way() -> None:
    """Read from their CID, not asked for."""
    text = b'{"a":{"b":{"/":"%s"}}}' % str(LEAF.cid).encode()
    inline = CID.from_bytes(b"\x01" + write_varint(DAG_JSON) + bytes((IDENTITY, len(text))) + text)
    blocks = Blocks()
    assert place("a/b", inline, blocks) == Place(LEAF.cid, (), (inline, inline, LEAF.cid))
    assert blocks.asked == []


def test_depth_of_any_path() -> None:
    """1,024 segments are followed, 1,025 refused before a block is asked for."""
    blocks = Blocks()
    top = of(blocks, DAG_CBOR, [LEAF.cid]).cid
    for _ in range(DAG_DEPTH - 1):
        top = of(blocks, DAG_CBOR, [top]).cid
    assert drive(follow(top, ["0"] * DAG_DEPTH), blocks.get_block).cid == LEAF.cid
    blocks.asked.clear()
    with pytest.raises(LimitExceeded, match="depth of a path"):
        drive(follow(top, ["0"] * (DAG_DEPTH + 1)), blocks.get_block)
    assert blocks.asked == []


def test_blocks_that_do_not_decode() -> None:
    """BadNode, not NotFound: a broken block says nothing about what it holds."""
    blocks = Blocks()
    for codec in (DAG_PB, DAG_CBOR, DAG_JSON):
        block = Block.make(codec, b"\xff")
        blocks.emit(block)
        with pytest.raises(BadNode):
            place("a", block.cid, blocks)
    deep = Block.make(DAG_CBOR, b"\x81" * 10240)
    blocks.emit(deep)
    with pytest.raises(ContentError):
        place("0/0/0", deep.cid, blocks)


def test_names_in_a_hamt() -> None:
    """Found through its shards; a name that hashes nowhere is absent."""
    blocks = Blocks()
    blocks.emit(LEAF)
    wide = hamt(blocks, {f"name {number}": Node(LEAF.cid, 4, 4) for number in range(500)}).cid
    for number in range(500):
        assert drive(follow(wide, [f"name {number}"]), blocks.get_block).cid == LEAF.cid
    for name in ("", "name", "name 500", "\ud800"):
        with pytest.raises(NotFound):
            drive(follow(wide, [name]), blocks.get_block)
