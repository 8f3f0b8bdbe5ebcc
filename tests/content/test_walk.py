"""Reading DAGs: what is built is read back, only what is needed is asked for, and lies end in BadNode."""

from __future__ import annotations

import contextlib
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import ipld, unixfs
from content.block import Block
from content.cbor import encode as encode_cbor
from content.cid import CID, DAG_CBOR, DAG_JSON, DAG_PB, IDENTITY, JSON, LIBP2P_KEY, RAW
from content.dagpb import (
    DIRECTORY,
    FILE,
    METADATA,
    RAW_DATA,
    SHARD,
    SYMLINK,
    Data,
    PBLink,
    decode,
    decode_data,
    encode,
    encode_data,
)
from content.errors import BadBlock, BadNode, ContentError, LimitExceeded, NotFound
from content.limits import MiB
from content.murmur import MURMUR3_X64_64, murmur3
from content.release import Release
from content.walk import (
    Entry,
    Leaf,
    drive,
    files,
    find,
    leaf_bytes,
    leaves,
    links,
    list_dir,
    missing,
    reachable,
    read_file,
    resolve,
    stat,
)
from tests.content.folders import Blocks, awkward, publish

LEAF = Block.make(RAW, b"leaf")
NAMES = st.text(st.characters(codec="utf-8"), max_size=200)


def node(blocks: Blocks, value: Data | bytes | None, children: list[PBLink] | None = None) -> CID:
    """A node that no honest builder would make, kept in the store."""
    data = encode_data(value) if isinstance(value, Data) else value
    block = Block.make(DAG_PB, encode(children or [], data))
    blocks.emit(block)
    return block.cid


def shard(blocks: Blocks, names: list[tuple[str, CID]], bitmap: bytes, fanout: int = 256, hash_type: int = 0x22) -> CID:
    links_ = [PBLink(name, cid, 1) for name, cid in names]
    return node(blocks, Data(SHARD, bitmap, hash_type=hash_type, fanout=fanout), links_)


def slot(name: str, level: int = 0) -> int:
    return murmur3(name.encode()) >> 56 - 8 * level & 255


def bitmap(*slots: int) -> bytes:
    number = sum(1 << s for s in set(slots))
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


# ---- what was built is read back


def test_every_file_of_a_root_is_listed_and_read(tmp_path: Path) -> None:
    """The awkward folder comes back path for path, byte for byte; symlinks as such, empty folders not at all."""
    folder = awkward(tmp_path / "site")
    blocks = Blocks()
    top = publish(folder, blocks).cid
    found = dict(drive(files(top), blocks.get_block))
    on_disk = {"/" + p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or p.is_file()}
    assert list(found) == sorted(on_disk)
    for path, entry in found.items():
        disk = on_disk[path]
        assert drive(resolve(top, path[1:].split("/")), blocks.get_block) == entry
        if disk.is_symlink():
            assert (entry.kind, entry.target, entry.size) == ("symlink", str(disk.readlink()), 0)
        else:
            assert drive(read_file(entry.cid), blocks.get_block) == disk.read_bytes()
            assert entry.size == disk.stat().st_size


def test_listing_asks_for_no_file_bytes(tmp_path: Path) -> None:
    """`files` learns all sizes from folders and file nodes: no raw leaf is asked for."""
    blocks = Blocks()
    top = publish(awkward(tmp_path / "site"), blocks).cid
    drive(files(top), blocks.get_block)
    assert RAW not in {cid.codec for cid in blocks.asked}


def test_a_wide_folder_reads_through_its_shards() -> None:
    """A HAMT of 5,000: listed whole, each entry found with as many blocks as the tree is deep, strangers not."""
    blocks = Blocks()
    entries = {f"name-{n:05}-{'x' * 40}": unixfs.file(str(n).encode(), blocks.emit) for n in range(5000)}
    top = unixfs.directory(entries, blocks.emit)
    assert decode_data(decode(blocks[top.cid].data).data or b"").kind == SHARD
    listed = drive(list_dir(top.cid), blocks.get_block)
    assert listed == {name: (entry.cid, entry.tsize) for name, entry in entries.items()}
    for name in random.Random(7).sample(sorted(entries), 100):
        blocks.asked.clear()
        assert drive(find(top.cid, [name]), blocks.get_block) == entries[name].cid
        assert len(blocks.asked) <= 4
    for name in ("name", "", "..", "name-00001", "\udcff"):
        with pytest.raises(NotFound):
            drive(find(top.cid, [name]), blocks.get_block)


def test_not_found_names_the_first_missing_step() -> None:
    """The path that is missing is said, also where a file stands in the way."""
    blocks = Blocks()
    top = unixfs.root({"a/b": unixfs.file(b"x", blocks.emit), "s": unixfs.symlink("a", blocks.emit)}, blocks.emit)
    for path, said in {"a/c/d": "/a/c", "a/b/c": "/a/b/c", "s/b": "/s/b", "a/./b": "/a/.", "a//b": "/a/"}.items():
        with pytest.raises(NotFound, match=rf"^{said}$"):
            drive(resolve(top.cid, path.split("/")), blocks.get_block)
    assert drive(resolve(top.cid, []), blocks.get_block) == Entry(top.cid, "directory", 0)


def test_identity_blocks_are_read_from_their_name() -> None:
    """A file that is its own CID is read without asking anyone."""
    blocks = Blocks()
    cid = CID(bytes((1, RAW, IDENTITY, 5)) + b"hello")
    top = node(blocks, Data(DIRECTORY), [PBLink("hi", cid, 5)])
    assert drive(read_file(drive(find(top, ["hi"]), blocks.get_block)), blocks.get_block) == b"hello"
    found: list[CID] = []
    drive(reachable([top], found.append, ask_leaves=True), blocks.get_block)
    assert (found, blocks.asked) == ([top], [top, top])


# ---- ranges


@given(st.data())
def test_any_range_of_a_deep_file(data: st.DataObject) -> None:
    """Leaves of any range, over three levels with data in inner nodes too, give exactly the file's bytes."""
    blocks = Blocks()
    dice = random.Random(data.draw(st.integers(0, 99)))
    whole, top = _deep_file(blocks, dice, 3)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    found = drive(leaves(top, start, stop), blocks.get_block)
    assert b"".join(leaf.cut(blocks[leaf.cid]) for leaf in found) == whole[start:stop]
    assert all(a.stop == b.start for a, b in pairwise(found))
    assert drive(read_file(top), blocks.get_block) == whole


def _deep_file(blocks: Blocks, dice: random.Random, depth: int) -> tuple[bytes, CID]:
    """Legal by the UnixFS spec, though nobody makes it: inline data above children, ragged depth, dag-pb leaves."""
    if depth == 0 or dice.random() < 0.2:
        data = dice.randbytes(dice.choice((0, 1, 5, 9)))
        if dice.random() < 0.5:
            block = Block.make(RAW, data)
            blocks.emit(block)
            return data, block.cid
        return data, node(blocks, Data(dice.choice((FILE, RAW_DATA)), data, len(data)))
    inline = dice.randbytes(dice.choice((0, 0, 3)))
    children = [_deep_file(blocks, dice, depth - 1) for _ in range(dice.randint(1, 4))]
    whole = inline + b"".join(data for data, _ in children)
    sizes = tuple(len(data) for data, _ in children)
    value = Data(FILE, inline or None, len(whole), sizes)
    return whole, node(blocks, value, [PBLink("", cid, 9) for _, cid in children])


def test_a_range_asks_for_its_own_branch_only() -> None:
    """One byte of a file of 1,025 leaves looks at two nodes; one of the first chunk, and none of the leaves."""
    blocks = Blocks()
    builder = unixfs.FileBuilder(blocks.emit)
    for _ in range(1025):
        builder.feed(bytes(MiB))
    top = builder.finish()
    assert len(drive(leaves(top.cid, 0, top.size), blocks.get_block)) == 1025
    blocks.asked.clear()
    (leaf,) = drive(leaves(top.cid, 5, 6), blocks.get_block)
    assert (leaf.start, leaf.stop, leaf.skip, len(blocks.asked)) == (5, 6, 5, 2)


def test_raw_root_is_its_own_leaf() -> None:
    """A file of one chunk has no node to ask; its leaf shows when the range was past its end."""
    (leaf,) = drive(leaves(LEAF.cid, 1, 3), {}.__getitem__)
    assert leaf.cut(LEAF) == b"ea"
    (leaf,) = drive(leaves(LEAF.cid, 1, 9), {}.__getitem__)
    with pytest.raises(BadNode, match="4 bytes, 9 were promised"):
        leaf.cut(LEAF)


# ---- lies


def test_a_leaf_of_another_length_than_promised() -> None:
    """Longer or shorter than its parent says: never cut, never padded, even where the range itself would fit."""
    for size in (3, 5):
        with pytest.raises(BadNode, match="promised"):
            Leaf(LEAF.cid, 0, 2, 0, size).cut(LEAF)


@pytest.mark.parametrize(
    ("value", "children"),
    [
        (Data(FILE, filesize=9, blocksizes=(4, 4)), 2),  # filesize over the sum
        (Data(FILE, filesize=8, blocksizes=(4, 4)), 1),  # a blocksize without a link
        (Data(FILE, filesize=4, blocksizes=(4,)), 2),  # a link without a blocksize
        (Data(FILE, filesize=4), 1),
        (Data(FILE, b"xyz", 2), 0),
    ],
)
def test_sizes_that_contradict_each_other(value: Data, children: int) -> None:
    """A file node whose fields disagree is refused by whoever reads its size or its leaves."""
    blocks = Blocks()
    cid = node(blocks, value, [PBLink("", LEAF.cid, 4)] * children)
    for walk in (stat(cid), leaves(cid, 0, 1), read_file(cid)):
        with pytest.raises(BadNode):
            drive(walk, blocks.get_block)  # type: ignore[arg-type]


def test_an_inner_node_of_another_size_than_its_parent_says() -> None:
    """What a parent promises of an inner node is compared when that is read."""
    blocks = Blocks()
    inner = node(blocks, Data(FILE, filesize=4, blocksizes=(4,)), [PBLink("", LEAF.cid, 4)])
    top = node(blocks, Data(FILE, filesize=5, blocksizes=(5,)), [PBLink("", inner, 4)])
    with pytest.raises(BadNode, match="its parent says 5"):
        drive(leaves(top, 0, 5), blocks.get_block)


def test_a_range_past_the_end() -> None:
    """More bytes than the file has: the caller's size and the DAG's disagree."""
    blocks = Blocks()
    top = unixfs.file(bytes(MiB + 1), blocks.emit)
    with pytest.raises(BadNode, match="were asked for"):
        drive(leaves(top.cid, 0, MiB + 2), blocks.get_block)


def test_another_block_is_never_taken() -> None:
    """A driver that hands a verified block of another CID is stopped."""
    other = Block.make(RAW, b"other")
    with pytest.raises(BadBlock):
        drive(stat(LEAF.cid), lambda cid: other)


def test_kinds_are_not_mixed_up() -> None:
    """A folder has no bytes, a file no entries, a symlink neither; Metadata and unknown codecs are no UnixFS for us."""
    blocks = Blocks()
    blocks.emit(LEAF)
    folder, link = node(blocks, Data(DIRECTORY)), node(blocks, Data(SYMLINK, b"to"))
    for walk in (
        read_file(folder),
        read_file(link),
        leaves(folder, 0, 1),
        list_dir(link),
        list_dir(LEAF.cid),
        stat(node(blocks, Data(METADATA))),
        stat(node(blocks, None)),
        stat(encode_cbor({"a": 1}).cid),
        stat(node(blocks, Data(SYMLINK, b"\xff"))),
        files(LEAF.cid),
    ):
        with pytest.raises(ContentError):
            drive(walk, {**blocks, encode_cbor({"a": 1}).cid: encode_cbor({"a": 1})}.__getitem__)  # type: ignore[arg-type]
    with pytest.raises(BadNode):
        leaf_bytes(blocks[folder])


@pytest.mark.parametrize("names", [["a", "a"], ["a/b"], [""], ["."], [".."]])
def test_folders_that_could_be_read_two_ways(names: list[str]) -> None:
    """A name twice, or one that is no path segment."""
    blocks = Blocks()
    with pytest.raises(BadNode):
        drive(list_dir(node(blocks, Data(DIRECTORY), [PBLink(n, LEAF.cid, 4) for n in names])), blocks.get_block)


def test_shards_that_lie() -> None:
    """Fan-out, hash type, bitmap and names of a HAMT node, each wrong in turn."""
    blocks = Blocks()
    a = slot("a")
    good = [(f"{a:02X}a", LEAF.cid)]
    assert drive(list_dir(shard(blocks, good, bitmap(a))), blocks.get_block) == {"a": (LEAF.cid, 1)}
    bad = [
        *(shard(blocks, good, bitmap(a), fanout=fanout) for fanout in (0, 1, 4, 255, 257, 2048, 1 << 63)),
        shard(blocks, good, bitmap(a), hash_type=0x23),
        shard(blocks, good, bytes(33)),
        shard(blocks, good, b""),
        shard(blocks, good, bitmap(a, a ^ 1)),
        shard(blocks, good * 2, bitmap(a)),
        shard(blocks, [(f"{a ^ 1:02X}a", LEAF.cid)], bitmap(a ^ 1)),  # stands where no lookup finds it
        *(shard(blocks, [(name, LEAF.cid)], bitmap(10)) for name in ("0aa", "+Aa", " Aa", "_Aa", "A", "")),
        shard(blocks, [(f"{a:02X}", node(blocks, Data(SHARD, b"", hash_type=0x22, fanout=256)))], bitmap(a)),
        shard(blocks, [(f"{a:02X}", LEAF.cid)], bitmap(a)),
    ]
    for cid in bad:
        with pytest.raises(BadNode):
            drive(list_dir(cid), blocks.get_block)


def test_fanout_limit() -> None:
    """1,024 slots are read (UnixFS spec), with names of three hex digits; 2,048 are refused (above)."""
    blocks = Blocks()
    place = murmur3(b"a") >> 54
    number = 1 << place
    cid = shard(blocks, [(f"{place:03X}a", LEAF.cid)], number.to_bytes(place // 8 + 1, "big"), fanout=1024)
    assert drive(find(cid, ["a"]), blocks.get_block) == LEAF.cid


def test_a_hamt_deeper_than_its_hash() -> None:
    """Eight levels of 256 use up the 64 bits: a ninth is refused by listing and by lookup, which both end."""
    blocks = Blocks()
    below = shard(blocks, [(f"{slot('a', 0):02X}a", LEAF.cid)], bitmap(slot("a", 0)))
    for level in reversed(range(8)):
        below = shard(blocks, [(f"{slot('a', level):02X}", below)], bitmap(slot("a", level)))
    for walk in (list_dir(below), find(below, ["a"])):
        with pytest.raises(BadNode, match="deeper"):
            drive(walk, blocks.get_block)  # type: ignore[arg-type]


def test_a_shard_under_all_slots_ends_early() -> None:
    """One valid shard linked from 256 places is found out at the first wrong place, not after 256 to the eighth."""
    blocks = Blocks()
    below = shard(blocks, [(f"{slot('a', 7):02X}a", LEAF.cid)], bitmap(slot("a", 7)))
    for _ in range(7):
        below = shard(blocks, [(f"{s:02X}", below) for s in range(256)], b"\xff" * 32)
    with pytest.raises(BadNode, match="no lookup"):
        drive(list_dir(below), blocks.get_block)
    assert len(blocks.asked) == 8


def test_a_folder_bomb_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that double at each level: 2^40 paths from 41 blocks end at the limit of entries (here a smaller one)."""
    monkeypatch.setattr("content.walk.RELEASE_ENTRIES", 10_000)
    blocks = Blocks()
    below = node(blocks, Data(DIRECTORY))
    for _ in range(40):
        below = node(blocks, Data(DIRECTORY), [PBLink("a", below, 1), PBLink("b", below, 1)])
    with pytest.raises(LimitExceeded, match="entries"):
        drive(files(below), blocks.get_block)


def test_a_deep_chain_needs_no_recursion() -> None:
    """Past 1,024 levels a file is refused; the walk over everything below takes it, depth costing no stack."""
    blocks = Blocks()
    below = node(blocks, Data(FILE, b"x", 1))
    for _ in range(1025):
        below = node(blocks, Data(FILE, filesize=1, blocksizes=(1,)), [PBLink("", below, 1)])
    with pytest.raises(LimitExceeded, match="depth"):
        drive(leaves(below, 0, 1), blocks.get_block)
    found: list[CID] = []
    drive(reachable([below], found.append), blocks.get_block)
    assert len(found) == 1026


# ---- what hangs together


def _release(blocks: Blocks) -> tuple[CID, set[CID]]:
    """A release of two files, one with an encoding, over an index of one node; and all that it pins."""
    html, coded = unixfs.file(b"<html>", blocks.emit), unixfs.file(b"packed", blocks.emit)
    large = unixfs.file(random.Random(1).randbytes(2 * MiB), blocks.emit)
    top = unixfs.root({"index.html": html, "sub/large": large}, blocks.emit)
    rows = [
        ["/index.html", {"cid": html.cid, "size": 6, "type": "text/html", "enc": {"br": [coded.cid, 6]}}],
        ["/sub/large", {"cid": large.cid, "size": 2 * MiB, "type": "x", "sha256": "00"}],
    ]
    index = encode_cbor({"kind": "tree", "v": 1, "level": 0, "rows": rows})
    release = Release(top.cid, index.cid, previous=str(LEAF.cid)).to_block()
    blocks.emit(index)
    blocks.emit(release)
    return release.cid, set(blocks)


def test_a_release_reaches_all_that_it_pins() -> None:
    """Root, folders, files, Index and encodings, once each; the previous release is text, so it is not among them."""
    blocks = Blocks()
    release, everything = _release(blocks)
    found: list[CID] = []
    drive(reachable([release, release], found.append), blocks.get_block)
    assert len(found) == len(set(found))
    assert set(found) == everything
    assert found[0] == release
    assert RAW not in {cid.codec for cid in blocks.asked}, "raw blocks are reported, not read"


def test_export_asks_for_each_block_once() -> None:
    """With leaves: every block is asked for once, parents before children, in the order in which it is reported."""
    blocks = Blocks()
    release, everything = _release(blocks)
    found: list[CID] = []
    drive(reachable([release], found.append, ask_leaves=True), blocks.get_block)
    assert blocks.asked == found
    assert set(found) == everything


def test_known_branches_are_not_entered() -> None:
    """What `enter` refuses is neither reported nor looked into."""
    blocks = Blocks()
    release, _ = _release(blocks)
    root_ = Release.from_block(blocks[release]).root
    found: list[CID] = []
    drive(reachable([release], found.append, enter=lambda cid: cid != root_), blocks.get_block)
    assert root_ not in blocks.asked
    assert root_ not in found


def test_missing_finds_any_hole() -> None:
    """With any one block gone the release is incomplete, and the block is named; whole, the list is empty."""
    blocks = Blocks()
    release, everything = _release(blocks)
    assert drive(missing([release], blocks.__contains__), blocks.get_block) == []
    for hole in everything:
        kept = {cid: block for cid, block in blocks.items() if cid != hole}
        assert drive(missing([release], kept.__contains__), kept.__getitem__) == [hole]
    assert len(drive(missing(everything, lambda cid: False, most=3), {}.__getitem__)) == 3


def test_links_of_every_codec() -> None:
    """Raw has none, dag-pb its own, DAG-CBOR and -JSON those anywhere in a value, in order; others: unknown."""
    a, b = Block.make(RAW, b"a").cid, Block.make(RAW, b"b").cid
    assert links(LEAF) == []
    assert links(Block.make(DAG_PB, encode([PBLink("z", a, 1), PBLink("y", b, 1)], None))) == [b, a]
    assert links(encode_cbor({"x": [{"y": a}, str(a)], "zz": b, "zzz": a})) == [a, b, a]
    for codec in (DAG_CBOR, DAG_JSON):  # somebody else's, with bytes in it: those that are a CID too are no links
        value = {"x": [a, b"\xff", bytes(b)], "y": {"z": a, "zz": CID(bytes((1, RAW, IDENTITY, 1)) + b"i")}}
        assert links(Block.make(codec, ipld.encode(codec, value))) == [a, a, value["y"]["zz"]]
    assert links(Block.make(JSON, b'{"/":"x"}')) == []
    with pytest.raises(BadNode):
        links(Block.make(LIBP2P_KEY, b""))
    with pytest.raises(BadNode):
        links(Block.make(0x71, b"\xff\xff"))


# ---- bytes of nodes


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # no length
        b"\x0a\x05abc",  # cut short
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 2^64 - 1
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",  # a varint over 64 bits
        b"\x0a" + b"\x80" * 11,
        b"\x08\x01",  # Data as varint
        b"\x1a\x00",  # field 3
        b"\x02\x00",  # field 0
        b"\x0b",  # a group
        b"\x0a\x00\x0a\x00",  # Data twice
        b"\x12\x00",  # a link without a CID
        b"\x12\x04\x0a\x02\x01\x55",  # a CID cut short
        b"\x12\x02\x12\x00",  # a link of a name only
    ],
)
def test_malformed_nodes(data: bytes) -> None:
    """Each way in which protobuf can be broken, and each that DAG-PB forbids."""
    with pytest.raises(BadNode):
        decode(data)


def test_link_fields_in_order_once() -> None:
    """Doubled or reordered fields of a link, a CID shorter than its field, a name that is not UTF-8."""
    cid = b"\x0a\x24" + LEAF.cid
    for body in (
        cid + cid,
        b"\x12\x01a" + cid,
        b"\x18\x01" + cid,
        b"\x0a\x25" + LEAF.cid + b"\0",
        cid + b"\x12\x01\xff\x18\x01",
        cid + b"\x1a\x00",
        cid + b"\x20\x00",
    ):
        with pytest.raises(BadNode):
            decode(b"\x12" + bytes((len(body),)) + body)
    assert decode(b"\x12\x26" + cid).links == (PBLink("", LEAF.cid, 0),)


def test_links_and_data_in_either_order() -> None:
    """Data first or last, as the spec allows; links in two runs around it are refused."""
    link = encode([PBLink("a", LEAF.cid, 4)], None)
    data = b"\x0a\x02\x08\x01"
    assert decode(link + data) == decode(data + link)
    with pytest.raises(BadNode, match="two places"):
        decode(link + data + link)


@given(
    st.lists(st.builds(PBLink, NAMES, st.just(LEAF.cid), st.integers(0, 2**64 - 1))),
    st.none() | st.binary(max_size=200),
)
def test_nodes_survive_the_round_trip(children: list[PBLink], data: bytes | None) -> None:
    """decode(encode(x)) is x with its links sorted by the bytes of their names, stably."""
    got = decode(encode(children, data))
    assert got.data == data
    assert list(got.links) == sorted(children, key=lambda link: link.name.encode())


@given(st.binary(max_size=100))
def test_any_bytes_are_a_node_or_bad(data: bytes) -> None:
    """No input makes the readers do anything but answer or raise BadNode."""
    for read in (decode, decode_data):
        with contextlib.suppress(BadNode):
            read(data)


def test_unixfs_message_is_open() -> None:
    """Unknown fields of any wire type are skipped, packed blocksizes read, mode and mtime ignored."""
    known = encode_data(Data(FILE, b"x", 7, (3, 3)))
    extra = b"\x38\xed\x03" + b"\x42\x02\x08\x01" + b"\x49" + bytes(8) + b"\x55" + bytes(4)
    assert decode_data(known + extra) == Data(FILE, b"x", 7, (3, 3))
    assert decode_data(b"\x08\x02\x22\x03\x03\x83\x01").blocksizes == (3, 131)
    for bad in (b"", b"\x08\x06", b"\x0a\x01\x02", b"\x08\x01\x08\x02", b"\x08\x02\x12\x00\x12\x00", b"\x08\x02\x20"):
        with pytest.raises(BadNode):
            decode_data(bad)
    assert MURMUR3_X64_64 == 0x22
