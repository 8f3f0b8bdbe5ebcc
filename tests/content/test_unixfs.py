"""Building UnixFS: Roots equal to a real Kubo's, bit for bit, under the profile unixfs-v1-2025."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from content import car
from content.block import Block
from content.cid import CID
from content.dagpb import decode
from content.errors import LimitExceeded
from content.limits import BLOCK_MADE, HAMT_THRESHOLD, NAME_BYTES, NODE_LINKS, PATH_BYTES, MiB
from content.murmur import murmur3
from content.unixfs import BadPath, FileBuilder, Node, directory, file, file_tsize, root, symlink
from tests.content.folders import Blocks, awkward, publish, publish_file, random_tree
from tests.kit.kubo import Kubo

KUBO = pytest.mark.needs("ipfs")


def nowhere(block: Block) -> None:
    pass


def text_of(node: Node) -> str:
    return str(node.cid)


@KUBO
def test_awkward_folder_has_kubos_root(kubo: Kubo, tmp_path: Path) -> None:
    """All sizes, names, links and empty folders at once, stored for real: `ipfs add -rQ --hidden`."""
    folder = awkward(tmp_path / "site")
    assert publish(folder, Blocks()).cid == kubo.add(folder)


@KUBO
def test_random_trees_have_kubos_roots(kubo: Kubo, tmp_path: Path) -> None:
    """Twenty random folders (RIM_TREES: how many); the seed is new each time, and printed (RIM_SEED: that one)."""
    seed = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print("seed", seed)
    dice = random.Random(seed)
    folders = [
        random_tree(tmp_path / f"tree-{number}", dice) for number in range(int(os.environ.get("RIM_TREES", "20")))
    ]
    assert [publish(folder, Blocks()).cid for folder in folders] == kubo.add_all(folders), f"seed {seed}"


@KUBO
def test_two_level_file_has_kubos_root(kubo: Kubo, tmp_path: Path) -> None:
    """1,024 chunks fill one node; one byte more makes a second level. (Sparse: a gibibyte of zeros costs no disk.)"""
    path = tmp_path / "large"
    for size in (NODE_LINKS * MiB, NODE_LINKS * MiB + 1):
        with path.open("wb") as sparse:
            sparse.truncate(size)
        node = publish_file(path, Blocks())
        assert (node.cid, node.size, node.tsize) == (kubo.add(path, store=False), size, file_tsize(size))


@KUBO
def test_hamt_border_is_kubos(kubo: Kubo, tmp_path: Path) -> None:
    """One byte below, at and above 256 KiB of directory block: only above is a HAMT, and always as Kubo has it."""
    folders = []
    for over in (-1, 0, 1):
        folder = tmp_path / f"border{over}"
        folder.mkdir()
        for number in range(2620):  # 100 bytes of link each
            (folder / f"{number:056d}").write_bytes(b"x")
        (folder / ("z" * (95 + over))).write_bytes(b"x")  # 140 + over; and 4 bytes of Data
        folders.append(folder)
    built = [publish(folder, Blocks()) for folder in folders]
    assert [node.cid for node in built] == kubo.add_all(folders)
    basic = 4 + 2620 * 100 + 140
    assert basic == HAMT_THRESHOLD, "the test's own sum"


@KUBO
def test_subfolder_sizes_count_at_the_border(kubo: Kubo, tmp_path: Path) -> None:
    """The tsize of a subfolder is part of the block: Kubo's moves while it adds, the outcome is the same."""
    folders = []
    for over in (-1, 0, 1):
        folder = tmp_path / f"border{over}"
        folder.mkdir()
        for number in range(2620):
            (folder / f"{number:056d}").write_bytes(b"x")
        inner = folder / ("s" * (94 + over))
        inner.mkdir()
        (inner / "file").write_bytes(b"y" * 200)  # tsize of two varint bytes
        folders.append(folder)
    assert [publish(folder, Blocks()).cid for folder in folders] == kubo.add_all(folders)


@KUBO
def test_wide_folder_with_nested_shards_has_kubos_root(kubo: Kubo, tmp_path: Path) -> None:
    """6,000 entries: shards in shards, files, a folder and a symlink among them."""
    folder = tmp_path / "wide"
    folder.mkdir()
    for number in range(6000):
        (folder / f"entry-{number:05}-{'x' * (number % 40)}.txt").write_text(str(number))
    (folder / "zz").mkdir()
    (folder / "zz" / "inside").write_text("deep")
    (folder / "link").symlink_to("zz/inside")
    blocks = Blocks()
    assert publish(folder, blocks).cid == kubo.add(folder)


@KUBO
def test_kubo_reads_what_we_emit(kubo: Kubo, tmp_path: Path) -> None:
    """Every block of a folder, imported as CAR and pinned by Kubo, gives each file back: nothing is left out."""
    folder = awkward(tmp_path / "site")
    blocks = Blocks()
    made = publish(folder, blocks)
    assert kubo.dag_import(car.write([made.cid], blocks.values())) == [made.cid]
    assert kubo.cat(f"/ipfs/{made.cid}/size-{5 * MiB + 77}") == (folder / f"size-{5 * MiB + 77}").read_bytes()


def test_known_roots() -> None:
    """CIDs that every IPFS user has seen: they hold without Kubo at hand."""
    assert text_of(file(b"", nowhere)) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert text_of(file(b"hello world", nowhere)) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert text_of(root({}, nowhere)) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


def test_builder_and_file_agree() -> None:
    """Chunk by chunk or all at once: one file. A file of one chunk is its raw leaf, with no node above."""
    for size in (0, 1, MiB, MiB + 1, 3 * MiB):
        data = random.Random(size).randbytes(size)
        builder = FileBuilder(nowhere)
        for at in range(0, size, MiB):
            builder.feed(data[at : at + MiB])
        assert builder.finish() == file(data, nowhere)
        assert file(data, nowhere).tsize == file_tsize(size)


def test_builder_refuses_uneven_chunks() -> None:
    """A short chunk in the midst would make another file: it is a mistake of the caller, and said so."""
    builder = FileBuilder(nowhere)
    builder.feed(b"short")
    with pytest.raises(ValueError, match="last"):
        builder.feed(b"another")
    with pytest.raises(ValueError, match="chunk"):
        FileBuilder(nowhere).feed(bytes(BLOCK_MADE + 1))


def test_levels_stay_balanced() -> None:
    """Past two full nodes the last leaf stands as deep as the first (balanced), and no node has over 1,024 links."""
    blocks = Blocks()
    builder = FileBuilder(blocks.emit)
    chunk = bytes(MiB)
    for _ in range(2 * NODE_LINKS):
        builder.feed(chunk)
    builder.feed(b"tail")
    top = decode(blocks[builder.finish().cid].data)
    below = [decode(blocks[link.cid].data) for link in top.links]
    assert [len(node.links) for node in below] == [NODE_LINKS, NODE_LINKS, 1]


def test_order_of_entries_does_not_matter() -> None:
    """A Root is its entries, in whatever order the disk gave them, with or without a leading slash."""
    leaf = file(b"x", nowhere)
    paths = [f"d{n % 3}/e{n % 2}/f{n}" for n in range(50)]
    forward = root(dict.fromkeys(paths, leaf), nowhere, ["empty"])
    assert forward == root(dict.fromkeys(["/" + p for p in reversed(paths)], leaf), nowhere, ["/empty/", "d0"])


@pytest.mark.parametrize("path", ["", "/", "a//b", "../x", "a/./b", "a/..", "a/"])
def test_bad_paths_are_refused(path: str) -> None:
    """Segments that are empty or dots name no entry."""
    with pytest.raises(BadPath):
        root({path: file(b"", nowhere)}, nowhere)


def test_a_file_cannot_be_a_folder() -> None:
    """One name twice, once as file, once as folder."""
    leaf = file(b"", nowhere)
    with pytest.raises(BadPath, match="both"):
        root({"a": leaf, "a/b": leaf}, nowhere)


def test_path_limits() -> None:
    """1,024 bytes of path and 255 of a name pass, one more does not; bytes, not characters."""
    leaf = file(b"", nowhere)
    segment = "d" * 127
    fits = "/".join([segment] * 8)  # 1,023
    assert len(fits) + 1 == PATH_BYTES
    root({fits + "x": leaf, "n" * NAME_BYTES: leaf, "é" * 127: leaf}, nowhere)
    for path in (fits + "xx", "n" * (NAME_BYTES + 1), "é" * 128):
        with pytest.raises(LimitExceeded):
            root({path: leaf}, nowhere)


def test_symlink_node() -> None:
    """A symlink weighs its node and has no bytes of its own."""
    blocks = Blocks()
    node = symlink("../target", blocks.emit)
    assert (node.size, node.tsize) == (0, len(blocks[node.cid].data))


def test_directory_tsize_is_the_sum_below() -> None:
    """Cumulative: own block and all below, entries counted each time they occur."""
    blocks = Blocks()
    leaf = file(b"12345", blocks.emit)
    node = directory({"a": leaf, "b": leaf}, blocks.emit)
    assert (node.size, node.tsize) == (10, 10 + len(blocks[node.cid].data))


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # x64-128 of the reference code (seed 0), its first 64 bits
        (b"", 0),
        (b"hello", 0xCBD8A7B341BD9B02),
        (b"hello, world", 0x342FAC623A5EBC8E),
        (b"19 Jan 2038 at 3:14:07 AM", 0xB89E5988B737AFFC),
        (b"The quick brown fox jumps over the lazy dog.", 0xCD99481F9EE902C9),
    ],
)
def test_murmur3_vectors(text: bytes, expected: int) -> None:
    """Published vectors of spaolacci/murmur3, which boxo uses."""
    assert murmur3(text) == expected


def test_emit_is_children_first() -> None:
    """Whoever stores blocks as they come never holds a parent whose children are not there."""
    order: list[CID] = []
    entries = {f"d/{n}": file(str(n).encode(), lambda block: order.append(block.cid)) for n in range(5)}
    top = root(entries, lambda block: order.append(block.cid))
    assert order[-1] == top.cid
    assert len(order) == 7
