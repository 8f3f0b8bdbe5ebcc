"""The limits of walks and builders, each at its value and one past it.

Others stand where their bytes come in: block and identity size (test_block, test_cid), fan-out and HAMT depth
(test_walk), paths and names (test_unixfs), CAR and IPNS (test_car, test_ipns), rules of a site (test_redirects,
test_headers, test_pattern).
"""

from __future__ import annotations

import pytest

from content import unixfs
from content.block import Block
from content.cid import DAG_PB, RAW
from content.dagpb import DIRECTORY, FILE, Data, PBLink, decode, encode, encode_data
from content.errors import LimitExceeded
from content.limits import DAG_DEPTH, HAMT_THRESHOLD, NODE_LINKS, PATH_BYTES, MiB, check
from content.walk import drive, files, find, leaves
from tests.content.folders import Blocks

LEAF = Block.make(RAW, b"x")


def test_check_names_the_limit() -> None:
    """At the value nothing happens; one past it the refusal says which limit, what came, what would do."""
    check("thing", 1000, 1000)
    with pytest.raises(LimitExceeded, match="thing: 1,001 is over the limit of 1,000") as fault:
        check("thing", 1001, 1000)
    assert (fault.value.limit, fault.value.value, fault.value.maximum) == ("thing", 1001, 1000)


def _chain(blocks: Blocks, length: int) -> Block:
    """File nodes in each other, so many above a leaf."""
    below = LEAF
    for _ in range(length):
        value = Data(FILE, filesize=1, blocksizes=(1,))
        below = Block.make(DAG_PB, encode([PBLink("", below.cid, 1)], encode_data(value)))
        blocks.emit(below)
    return below


def test_depth_of_a_file() -> None:
    """1,024 levels below the top are read, 1,025 are not."""
    blocks = Blocks()
    assert len(drive(leaves(_chain(blocks, DAG_DEPTH + 1).cid, 0, 1), blocks.get_block)) == 1
    with pytest.raises(LimitExceeded, match="depth of a file"):
        drive(leaves(_chain(blocks, DAG_DEPTH + 2).cid, 0, 1), blocks.get_block)


def test_nodes_before_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes that are looked at for one answer are counted (16,384; here 8, for speed)."""
    monkeypatch.setattr("content.leaves.BLOCKS_BEFORE_FIRST_BYTE", 8)
    blocks = Blocks()
    assert drive(leaves(_chain(blocks, 8).cid, 0, 1), blocks.get_block)
    with pytest.raises(LimitExceeded, match="nodes looked at"):
        drive(leaves(_chain(blocks, 9).cid, 0, 1), blocks.get_block)


def test_leaves_of_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block that names one leaf without end cannot fill the memory (1,048,576; here 8)."""
    monkeypatch.setattr("content.leaves.FILE_LEAVES", 8)
    blocks = Blocks()
    value = Data(FILE, filesize=9, blocksizes=(1,) * 9)
    top = Block.make(DAG_PB, encode([PBLink("", LEAF.cid, 1)] * 9, encode_data(value)))
    blocks.emit(top)
    assert len(drive(leaves(top.cid, 0, 8), blocks.get_block)) == 8
    with pytest.raises(LimitExceeded, match="leaves"):
        drive(leaves(top.cid, 0, 9), blocks.get_block)


def test_depth_of_a_path() -> None:
    """1,024 segments are followed, 1,025 are refused before a block is asked for."""
    blocks = Blocks()
    below = unixfs.directory({}, blocks.emit)
    for _ in range(DAG_DEPTH):
        below = unixfs.directory({"d": below}, blocks.emit)
    drive(find(below.cid, ["d"] * DAG_DEPTH), blocks.get_block)
    blocks.asked.clear()
    with pytest.raises(LimitExceeded, match="depth of a path"):
        drive(find(below.cid, ["d"] * (DAG_DEPTH + 1)), blocks.get_block)
    assert blocks.asked == []


def test_bytes_of_a_path_read() -> None:
    """A Root with paths of 1,024 bytes is listed; longer ones end the listing before they are put together."""
    blocks = Blocks()
    blocks.emit(LEAF)
    for name, fits in (("n" * (PATH_BYTES - 1), True), ("n" * PATH_BYTES, False)):
        top = Block.make(DAG_PB, encode([PBLink(name, LEAF.cid, 1)], encode_data(Data(DIRECTORY))))
        blocks.emit(top)
        if fits:
            assert len(drive(files(top.cid), blocks.get_block)) == 1
        else:
            with pytest.raises(LimitExceeded, match="bytes of a path"):
                drive(files(top.cid), blocks.get_block)


def test_entries_of_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000,000 entries are built and listed, one more is refused (here 10)."""
    monkeypatch.setattr("content.unixfs.RELEASE_ENTRIES", 10)
    leaf = unixfs.file(b"", lambda block: None)
    unixfs.root({f"f{n}": leaf for n in range(10)}, lambda block: None)
    with pytest.raises(LimitExceeded, match="entries"):
        unixfs.root({f"f{n}": leaf for n in range(11)}, lambda block: None)


def test_links_of_a_node() -> None:
    """1,024 chunks make one node of 1,024 links; the next makes a second level."""
    blocks = Blocks()
    for chunks, expected in ((NODE_LINKS, NODE_LINKS), (NODE_LINKS + 1, 2)):
        builder = unixfs.FileBuilder(blocks.emit)
        for _ in range(chunks):
            builder.feed(bytes(MiB))
        assert len(decode(blocks[builder.finish().cid].data).links) == expected


def test_size_of_a_folder_block() -> None:
    """A folder block of 256 KiB is kept as it is; a byte more and it becomes a HAMT."""
    leaf = unixfs.file(b"x", lambda block: None)
    names = {f"{n:056d}": leaf for n in range(2620)}
    for over in (0, 1):
        blocks = Blocks()
        top = blocks[unixfs.directory({**names, "z" * (95 + over): leaf}, blocks.emit).cid]
        assert (len(top.data) == HAMT_THRESHOLD) == (over == 0)
        assert (len(blocks) == 1) == (over == 0)
