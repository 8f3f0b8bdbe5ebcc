"""CARs of trustless gateways: a real Kubo's to the byte, and no DAG holds a walk up or makes it grow."""

from __future__ import annotations

import contextlib
import http.client
import itertools
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import car
from content.block import Block
from content.carwalk import Bytes, Scope, Want
from content.carwalk import car as carwalk
from content.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, LIBP2P_KEY, RAW
from content.dagpb import DIRECTORY, FILE, SHARD, Data, PBLink
from content.errors import BadBlock, BadNode, LimitExceeded, NotFound
from content.limits import DAG_DEPTH
from content.murmur import MURMUR3_X64_64
from content.paths import follow
from content.walk import drive, leaves
from tests.content.dags import LEAF, Zoo, doubling, file, node, of, zoo
from tests.content.folders import Blocks
from tests.kit.kubo import Kubo

KUBO = pytest.mark.needs("ipfs")
ZOO = zoo()
WHOLE: list[tuple[str, Scope, Bytes | None]] = [
    (path, scope, None)
    for path in (
        *(
            "",
            "small.txt",
            "big",
            "old",
            "equal",
            "inline",
            "empty",
            "empty-node",
            "wide",
            "wide/file 7.txt",
            "wide/big",
        ),
        *("inner", "inner/none", "inner/again.txt", "link", "document", "document.json", "document/files/single"),
        *("document/files/many/1/big", "document.json/files/many/0", "document.json/files/wide/file 9.txt"),
        *("document/number", "document/files/many/2", "document/files", "named", "named/a", "named/b/big", "ünï çødé"),
    )
    for scope in ("block", "entity", "all")
]
RANGES: list[tuple[str, Scope, Bytes | None]] = [
    (path, "entity", (first, last))
    for path in (
        "big",
        "old",
        "equal",
        "small.txt",
        "inner",
        "wide/big",
        "document",
        "empty",
        "empty-node",
        "inner/equal",
    )
    for first, last in (
        *((0, None), (0, 0), (1, 255), (255, 256), (256, 511), (300, 4000), (0, 10**12), (4999, 4999), (2000, None)),
        *((-5, None), (-9999, None), (-9999, -3), (-300, -200), (512, -256), (0, -1), (1000, -1), (768, 1535)),
    )
    if path != "empty-node" or last is None or last >= 0  # Kubo breaks off there: test_ranges_outside_a_file
]


def steps(walk_of: Zoo | Blocks, *args: object) -> Iterator[tuple[Want, Block]]:
    """Drive a CAR walk step by step."""
    blocks = walk_of.blocks if isinstance(walk_of, Zoo) else walk_of
    walk = carwalk(*args)  # type: ignore[arg-type]
    try:
        want = next(walk)
        while True:
            block = blocks[want.cid.v1] if want.cid.v1 in blocks else blocks[want.cid]
            yield want, block
            want = walk.send(block)
    except StopIteration:
        return


def written(walk_of: Zoo | Blocks, *args: object) -> list[CID]:
    return [want.cid for want, _ in steps(walk_of, *args) if want.write]


def make(of_: Zoo, path: str, scope: Scope, bytes_: Bytes | None, dups: bool) -> bytes:
    """The CAR as a gateway sends it: root first, then a section for each block that is to be written."""
    segments = [segment for segment in path.split("/") if segment]
    place = drive(follow(of_.root, segments), of_.blocks.get_block)
    return car.header([place.cid]) + b"".join(
        car.section(want.cid, block.data)
        for want, block in steps(of_, of_.root, segments, scope, bytes_, dups)
        if want.write
    )


# ---- a real Kubo sends the same


@pytest.fixture(scope="module")
def gateway(kubo_gateway: Kubo) -> Iterator[http.client.HTTPConnection]:
    """A connection to a Kubo gateway that holds the zoo."""
    kubo_gateway.dag_import(car.write([ZOO.root], list(ZOO.blocks.values())))
    address = urlsplit(kubo_gateway.gateway)
    with contextlib.closing(http.client.HTTPConnection(address.hostname or "", address.port)) as connection:
        yield connection


@KUBO
@pytest.mark.parametrize("dups", [False, True], ids=["each once", "with doubles"])
@pytest.mark.parametrize("cases", [WHOLE, RANGES], ids=["scopes", "ranges"])
def test_cars_are_kubos_to_the_byte(
    gateway: http.client.HTTPConnection, cases: list[tuple[str, Scope, Bytes | None]], dups: bool
) -> None:
    """Every path of the zoo, scope, range and order of doubles: `?format=car` of a Kubo gateway."""
    for path, scope, bytes_ in cases:
        query = f"format=car&dag-scope={scope}&car-dups={'y' if dups else 'n'}&car-order=dfs"
        if bytes_:
            query += f"&entity-bytes={bytes_[0]}:{'*' if bytes_[1] is None else bytes_[1]}"
        gateway.request("GET", f"/ipfs/{ZOO.root}/{quote(path)}?{query}")
        answer = gateway.getresponse()
        body = answer.read()
        assert answer.status == 200, (path, query, body)
        ours = make(ZOO, path, scope, bytes_, dups)
        assert car.read(body)[1] == car.read(ours)[1], (path, query)
        assert body == ours, (path, query)


def test_a_path_that_is_not_there() -> None:
    """The blocks that prove it are asked for; then NotFound: a driver answers 404 while it can."""
    for path in (["inner", "absent"], ["wide", "absent"], ["document", "absent"], ["small.txt", "x"], ["link", "x"]):
        walk = steps(ZOO, ZOO.root, path)
        assert next(walk)[0] == Want(ZOO.root, True)
        with pytest.raises(NotFound):
            list(walk)


# ---- what belongs into it


@given(st.integers(0, 5100), st.integers(0, 5100), st.booleans())
def test_a_range_is_its_leaves_and_the_nodes_above(first: int, last: int, dups: bool) -> None:
    """Against the other reader of file trees (content/leaves), which serves ranges to browsers."""
    big = drive(follow(ZOO.root, ["big"]), ZOO.blocks.get_block).cid
    stop = min(last + 1, len(ZOO.files["big"]))
    ZOO.blocks.asked.clear()
    expected = {leaf.cid for leaf in drive(leaves(big, first, stop), ZOO.blocks.get_block)} | {*ZOO.blocks.asked, big}
    assert set(written(ZOO, big, [], "entity", (first, last), dups)) == expected


def test_doubles_of_a_range_are_written_once_and_found_again() -> None:
    """A node of which the first half was sent is wanted again for the second, and not written again."""
    blocks = Blocks()
    half = file(blocks, bytes(range(200)) * 3, chunk=100, links=2)
    value = Data(FILE, None, half.size * 2, (half.size, half.size))
    top = node(blocks, [PBLink("", half.cid, 1), PBLink("", half.cid, 1)], value)
    wants = [want for want, _ in steps(blocks, top, [], "entity", (350, 850))]
    assert [want.cid for want in wants].count(half.cid) == 2
    sent = [want.cid for want in wants if want.write]
    assert len(sent) == len(set(sent))
    asked = {leaf.cid for leaf in drive(leaves(top, 350, 851), blocks.get_block)}
    assert asked <= set(sent)


def test_ranges_outside_a_file() -> None:
    """The spec: equivalent to dag-scope=block; Kubo breaks the stream where a negative one ends before it starts."""
    for path in ("empty-node", "big"):
        block = written(ZOO, ZOO.root, [path], "block")
        for bytes_ in ((10**6, None), (10**6, 10**7), (-5, -9), (4000, -3000), (5, -(10**7)), (2**80, None)):
            assert written(ZOO, ZOO.root, [path], "entity", bytes_) == block
            assert written(ZOO, ZOO.root, [path], "all", bytes_) == block


def test_entity_bytes_imply_the_entity() -> None:
    """With scope all, or none given, it is the entity's; an explicit block is a block."""
    assert written(ZOO, ZOO.root, ["wide"], "all", (0, None)) == written(ZOO, ZOO.root, ["wide"], "entity")
    assert written(ZOO, ZOO.root, ["big"], "block", (0, None)) == written(ZOO, ZOO.root, ["big"], "block")


def test_identity_blocks_are_never_wanted() -> None:
    """Trustless gateway spec, "dups": virtual blocks are in their parents already. As root, as entry, as document."""
    inline = CID(bytes((1, RAW, IDENTITY, 1)) + b"x")
    assert written(ZOO, inline, [], "all", None, True) == []
    document = of(Blocks(), DAG_CBOR, {"a": LEAF.cid}).cid
    blocks = Blocks()
    blocks.emit(LEAF)
    value = b"\xa1\x61a\xd8\x2a\x58\x25\0" + LEAF.cid
    inline_document = CID(bytes((1, DAG_CBOR, IDENTITY, len(value))) + value)
    assert document.codec == inline_document.codec
    assert written(blocks, inline_document, [], "all") == [LEAF.cid]
    assert written(blocks, inline_document, ["a"], "block") == [LEAF.cid]


def test_what_cannot_be_followed_breaks_the_walk() -> None:
    """A codec without reader, dag-pb that is none, a block of another hash: raised, so that no CAR ends as if whole."""
    blocks = Blocks()
    unknown, broken = Block.make(LIBP2P_KEY, b"?"), Block.make(DAG_PB, b"\xff")
    for block in (LEAF, unknown, broken):
        blocks.emit(block)
    for inside in (unknown, broken):
        top = of(blocks, DAG_CBOR, [LEAF.cid, inside.cid]).cid
        with pytest.raises(BadNode):
            written(blocks, top, [])
        assert written(blocks, top, [], "entity") == [top]
    walk = carwalk(LEAF.cid, [])
    next(walk)
    with pytest.raises(BadBlock):
        walk.send(unknown)


# ---- hostile DAGs


@pytest.mark.parametrize("scope", ["all", "entity"])
def test_a_bomb_is_as_many_steps_as_blocks(scope: Scope) -> None:
    """2^40 logical leaves in 41 blocks. With doubles the walk is lazy: it goes on while somebody reads."""
    blocks = Blocks()
    top = doubling(blocks, 40)
    assert len(list(steps(blocks, top, [], scope))) == 41
    assert len(list(itertools.islice(steps(blocks, top, [], scope, None, True), 5000))) == 5000


def test_a_range_of_a_bomb() -> None:
    """Any range, near the edges too: each level is entered twice at most."""
    blocks = Blocks()
    top = doubling(blocks, 40)
    size = 4 << 40
    for bytes_ in ((0, None), (1, -2), (size // 3, size // 3 * 2), (size // 2 - 1, size // 2), (-1, None), (0, 0)):
        assert len(list(steps(blocks, top, [], "entity", bytes_))) <= 3 * 41
        sent = written(blocks, top, [], "entity", bytes_)
        assert len(sent) == len(set(sent))


def test_a_deep_chain_is_walked_without_a_stack() -> None:
    """dag-scope=all of a DAG 20,000 deep: a step each, nothing kept of what is behind but its name."""

    def below(number: int) -> Block:
        return Block.make(DAG_CBOR, b"\xd8\x2a\x58\x25\0" + (cids[number] if number else LEAF.cid))

    cids: list[CID] = [LEAF.cid]
    for number in range(20_000):
        cids += [below(number).cid]  # each is named by the next
    known = {below(number).cid: below(number) for number in range(20_000)} | {LEAF.cid: LEAF}
    walk = carwalk(cids[-1], [])
    want = next(walk)
    for number in range(20_000, 0, -1):
        assert want.cid == cids[number]
        want = walk.send(known[want.cid])
    assert want.cid == LEAF.cid


def test_depth_of_a_file_in_a_car() -> None:
    """1,024 levels below the top are read, 1,025 are not."""
    blocks = Blocks()
    blocks.emit(LEAF)
    below, tops = LEAF.cid, []
    for _ in range(DAG_DEPTH + 1):
        below = node(blocks, [PBLink("", below, 1)], Data(FILE, None, 4, (4,)))
        tops.append(below)
    assert len(written(blocks, tops[-2], [], "entity")) == DAG_DEPTH + 1
    with pytest.raises(LimitExceeded, match="depth of a file"):
        written(blocks, tops[-1], [], "entity")


def test_links_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of many links in each other cannot fill the memory (262,144 links; here 8)."""
    monkeypatch.setattr("content.carwalk.WALK_PENDING", 8)
    blocks = Blocks()
    blocks.emit(LEAF)
    fits = of(blocks, DAG_CBOR, [LEAF.cid] * 8).cid
    assert written(blocks, fits, []) == [fits, LEAF.cid]
    with pytest.raises(LimitExceeded, match="links that wait"):
        written(blocks, of(blocks, DAG_CBOR, [fits, LEAF.cid, LEAF.cid]).cid, [])
    wide = node(blocks, [PBLink("", LEAF.cid, 1)] * 9, Data(FILE, None, 36, (4,) * 9))
    with pytest.raises(LimitExceeded, match="links that wait"):
        written(blocks, wide, [], "entity")
    assert len(written(blocks, wide, [], "entity", (0, 8), True)) == 1 + 3


def test_blocks_of_a_car_without_doubles() -> None:
    """What was sent is remembered up to a limit (262,144 for anyone; here 5); with doubles nothing is."""
    blocks = Blocks()
    small = [of(blocks, DAG_CBOR, number).cid for number in range(5)]
    assert len(written(blocks, of(blocks, DAG_CBOR, [small[:4], small[:4]]).cid, [], "all", None, False, 5)) == 5
    top = of(blocks, DAG_CBOR, list(small)).cid
    with pytest.raises(LimitExceeded, match="blocks of a CAR"):
        written(blocks, top, [], "all", None, False, 5)
    assert len(written(blocks, top, [], "all", None, True, 5)) == 6


def test_sizes_that_lie() -> None:
    """A child of another size than its parent says, a leaf too: the stream breaks where the lie shows."""
    blocks = Blocks()
    blocks.emit(LEAF)
    honest = node(blocks, [PBLink("", LEAF.cid, 1)], Data(FILE, None, 4, (4,)))
    for child in (LEAF.cid, honest):
        liar = node(blocks, [PBLink("", child, 1)], Data(FILE, None, 9, (9,)))
        with pytest.raises(BadNode):
            written(blocks, liar, [], "entity")
        assert written(blocks, liar, [])[0] == liar  # dag-scope=all reads links, not sizes
    no_sizes = node(blocks, [PBLink("", LEAF.cid, 1)], Data(FILE, None, 4, ()))
    with pytest.raises(BadNode):
        written(blocks, no_sizes, [], "entity")
    folder = node(blocks, [PBLink("x", LEAF.cid, 1)], Data(DIRECTORY))
    part = node(blocks, [PBLink("", folder, 1)], Data(FILE, None, 0, (0,)))
    with pytest.raises(BadNode):
        written(blocks, part, [], "entity")


def shard(blocks: Blocks, links: dict[str, CID], bitmap: int | None = None, fanout: int = 8) -> CID:
    taken = sum(1 << int(name[0], 16) for name in links) if bitmap is None else bitmap
    value = Data(SHARD, taken.to_bytes(1, "big"), hash_type=MURMUR3_X64_64, fanout=fanout)
    return node(blocks, [PBLink(name, cid, 1) for name, cid in links.items()], value)


def test_a_hamt_bomb() -> None:
    """Each node names the next one eight times: as many steps as nodes, and no node below the hash's end."""
    blocks = Blocks()
    blocks.emit(LEAF)
    below = shard(blocks, {"0name": LEAF.cid})
    for _ in range(20):
        below = shard(blocks, {f"{slot}": below for slot in range(8)})
    assert len(list(steps(blocks, below, [], "entity"))) == 21
    below = shard(blocks, {"0": below})
    with pytest.raises(BadNode, match="deeper than the hash"):
        written(blocks, below, [], "entity")


@pytest.mark.parametrize(("bitmap", "fanout"), [(0, 8), (0xFF, 8), (1, 2048), (1, 12), (1, 4)])
def test_a_hamt_with_a_false_bitmap_or_fanout(bitmap: int, fanout: int) -> None:
    """Refused at the top and below it, on a path too."""
    blocks = Blocks()
    blocks.emit(LEAF)
    false = shard(blocks, {"0name": LEAF.cid}, bitmap, fanout)
    for top in (false, shard(blocks, {"0": false})):
        with pytest.raises(BadNode):
            written(blocks, top, [], "entity")
        with contextlib.suppress(NotFound), pytest.raises(BadNode):
            written(blocks, top, ["name"], "block")
