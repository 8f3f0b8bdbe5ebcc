"""TARs of files and folders: what Kubo packs, unpacked alike; nothing leads out of one, and no lie fills one."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from content import car, unixfs
from content.block import Block
from content.cid import CID, DAG_CBOR, RAW
from content.dagpb import DIRECTORY, FILE, METADATA, RAW_DATA, SHARD, SYMLINK, Data, PBLink
from content.errors import BadNode, LimitExceeded
from content.limits import PATH_BYTES
from content.murmur import MURMUR3_X64_64
from content.tar import Chunk, Outside, tar
from content.unixfs import Node
from content.walk import drive, find
from tests.content.dags import file, hamt, node, of, zoo
from tests.content.folders import Blocks, awkward, publish
from tests.kit.kubo import Kubo

LEAF = Block.make(RAW, b"leaf")


def chunks(blocks: Blocks, cid: CID) -> Iterator[bytes]:
    walk = tar(cid)
    try:
        step = next(walk)
        while True:
            if isinstance(step, CID):
                step = walk.send(blocks[step])
            else:
                assert isinstance(step, Chunk)
                yield step.data
                step = next(walk)
    except StopIteration:
        return


def pack(blocks: Blocks, cid: CID) -> bytes:
    return b"".join(chunks(blocks, cid))


Members = dict[str, tuple[bytes, int, str, bytes]]


def members(archive: bytes) -> Members:
    """Name → kind, mode, target, bytes."""
    found: Members = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as opened:
        for info in opened:
            stream = opened.extractfile(info) if info.isreg() else None
            assert info.name not in found
            found[info.name] = (info.type, info.mode, info.linkname, stream.read() if stream else b"")
    return found


def folder(blocks: Blocks, *links: tuple[str, CID]) -> CID:
    """A folder of these entries, whatever their names."""
    return node(blocks, [PBLink(name, cid, 1) for name, cid in links], Data(DIRECTORY))


def leafy() -> Blocks:
    blocks = Blocks()
    blocks.emit(LEAF)
    return blocks


@pytest.mark.needs("ipfs")
def test_archives_hold_what_kubos_hold(kubo_gateway: Kubo, tmp_path: Path) -> None:
    """`?format=tar` of a Kubo gateway and ours: the same names, kinds, modes, targets and bytes."""
    awkward_blocks, tree = Blocks(), zoo(entries=200)
    awkward_root = publish(awkward(tmp_path / "site"), awkward_blocks).cid
    blocks = Blocks()
    hidden = folder(blocks, ("foobar", folder(blocks, ("inner", folder(blocks, ("../file", LEAF.cid))))))
    blocks.emit(LEAF)
    inner = unixfs.directory({"wide": Node(_of(tree.blocks, tree.root, "wide"), 0, 0)}, tree.blocks.emit).cid
    for store, root in ((awkward_blocks, awkward_root), (blocks, hidden), (tree.blocks, inner)):
        kubo_gateway.dag_import(car.write([root], list(store.values())))
        with urlopen(f"{kubo_gateway.gateway}/ipfs/{root}?format=tar") as answer:
            theirs = members(answer.read())
        ours = members(pack(store, root))
        assert ours.keys() == theirs.keys()
        for name, member in ours.items():
            assert member == theirs[name], name
    for name in ("small.txt", "big", "old", "equal", "inline", "empty", "empty-node", "link"):
        with urlopen(f"{kubo_gateway.gateway}/ipfs/{tree.root}/{quote(name)}?format=tar") as answer:
            assert members(answer.read()) == members(pack(tree.blocks, _of(tree.blocks, tree.root, name))), name


def _of(blocks: Blocks, root: CID, name: str) -> CID:
    return drive(find(root, [name]), blocks.get_block)


def test_one_cid_is_one_archive() -> None:
    """No time and no owner of this machine in it: the same bytes on every node."""
    blocks = leafy()
    top = folder(blocks, ("a", LEAF.cid), ("b", unixfs.symlink("a", blocks.emit).cid))
    archive = pack(blocks, top)
    assert archive == pack(blocks, top)
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        assert {(info.mtime, info.uid, info.gid, info.uname) for info in opened} == {(0, 0, 0, "")}
        assert opened.getnames() == [str(top), f"{top}/a", f"{top}/b"]


def test_names_of_any_length_and_script() -> None:
    """255 bytes, beyond ustar's 100, with new lines in it; a path of 1,024 bytes fits, one of 1,025 does not."""
    blocks = leafy()
    names = ["x" * 255, "é" * 127, "new\nline", "日本語" * 20, " ", "-rf", "%00", "back\\slash"]
    top = folder(blocks, *((name, LEAF.cid) for name in names))
    assert set(members(pack(blocks, top))) == {str(top), *(f"{top}/{name}" for name in names)}
    room = PATH_BYTES - len(str(top)) - 1
    pack(blocks, folder(blocks, ("n" * room, LEAF.cid)))
    with pytest.raises(LimitExceeded, match="bytes of a path"):
        pack(blocks, folder(blocks, ("n" * (room + 1), LEAF.cid)))


# ---- what would lead out of it


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", "", "a/../..", "a/../../x", "../../../etc/passwd", "/../x", "a\0b"]
)
def test_names_that_lead_out_are_refused_before_a_byte(name: str) -> None:
    """At the top: the error is there before the first Chunk, so a gateway can still say so."""
    blocks = leafy()
    with pytest.raises(Outside):
        next(chunks(blocks, folder(blocks, ("fine", LEAF.cid), (name, LEAF.cid))))
    with pytest.raises(Outside):
        pack(blocks, folder(blocks, ("inside", folder(blocks, ("../" + name, LEAF.cid)))))


def test_a_sibling_that_begins_like_the_top_is_outside() -> None:
    """A prefix of letters is no folder above."""
    blocks = leafy()
    empty = folder(blocks)
    with pytest.raises(Outside):
        pack(blocks, folder(blocks, (f"../{str(empty)[:5]}", LEAF.cid)))


def test_names_that_stay_inside_are_written_where_they_lead() -> None:
    """As Kubo does: "../file" in an inner folder, "/etc" below the top, "a/./b"."""
    blocks = leafy()
    inner = folder(blocks, ("../file", LEAF.cid), ("/etc/x", LEAF.cid), ("a/./b", LEAF.cid))
    top = folder(blocks, ("inner", inner))
    below = {"", "/inner", "/file", "/inner/etc/x", "/inner/a/b"}
    assert set(members(pack(blocks, top))) == {f"{top}{path}" for path in below}


def test_links_and_odd_names_do_not_meet() -> None:
    """A symlink to a folder outside and a name through it: refused in either order, at any distance."""
    blocks = leafy()
    link = unixfs.symlink("/etc", blocks.emit).cid
    odd = folder(blocks, ("../out/passwd", LEAF.cid))
    for entries in (
        [("out", link), ("out/passwd", LEAF.cid)],
        [("out/passwd", LEAF.cid), ("out", link)],
        [("a", odd), ("out", link)],
        [("out", link), ("z", odd)],
        [("a", folder(blocks, ("../a", link), ("passwd", LEAF.cid)))],
    ):
        with pytest.raises(Outside):
            pack(blocks, folder(blocks, *entries))
    top = folder(blocks, ("out", link), ("z", LEAF.cid))
    assert members(pack(blocks, top))[f"{top}/out"] == (tarfile.SYMTYPE, 0o777, "/etc", b"")


def test_one_name_twice() -> None:
    """A symlink and a folder of one name in one folder: refused before a byte."""
    blocks = leafy()
    link = unixfs.symlink("/etc", blocks.emit).cid
    with pytest.raises(BadNode, match="twice"):
        next(chunks(blocks, folder(blocks, ("a", link), ("a", folder(blocks, ("passwd", LEAF.cid))))))


# ---- what lies


@pytest.mark.parametrize(
    "make",
    [
        lambda blocks: node(blocks, [PBLink("", LEAF.cid, 1)], Data(FILE, None, 9, (9,))),
        lambda blocks: node(blocks, [PBLink("", LEAF.cid, 1)] * 2, Data(FILE, None, 6, (4, 2))),
        lambda blocks: node(blocks, [PBLink("", LEAF.cid, 1)], Data(FILE, b"x", 4, (4,))),
        lambda blocks: node(blocks, [PBLink("", LEAF.cid, 1)], Data(FILE, None, 4)),
        lambda blocks: node(blocks, [PBLink("", folder(blocks), 1)], Data(FILE, None, 4, (4,))),
        lambda blocks: node(blocks, [PBLink("", of(blocks, DAG_CBOR, 1).cid, 1)], Data(FILE, None, 1, (1,))),
        lambda blocks: of(blocks, DAG_CBOR, {}).cid,
        lambda blocks: node(blocks, [], Data(METADATA)),
        lambda blocks: node(blocks, [], None),
        lambda blocks: node(blocks, [], Data(SYMLINK, b"\xff")),
        lambda blocks: node(blocks, [], Data(SYMLINK, b"a\0b")),
        lambda blocks: node(blocks, [], Data(SYMLINK)),
        lambda blocks: node(blocks, [PBLink("00a", LEAF.cid, 1)], _shard(b"\x01")),
        lambda blocks: node(blocks, [PBLink("00", LEAF.cid, 1)], _shard(b"\x01")),
        lambda blocks: node(blocks, [PBLink("00", LEAF.cid, 1)], _shard(b"\x03")),
        lambda blocks: node(blocks, [PBLink("00", LEAF.cid, 1)], _shard(b"\x01", 2048)),
    ],
)
def test_what_lies_breaks_the_archive(make: object) -> None:
    """Sizes, kinds, targets, HAMTs: alone and in a folder; never a whole archive of other bytes."""
    blocks = leafy()
    cid = make(blocks)  # type: ignore[operator]
    for top in (cid, folder(blocks, ("x", cid))):
        with pytest.raises(BadNode):
            pack(blocks, top)


def _shard(bitmap: bytes, fanout: int = 256) -> Data:
    return Data(SHARD, bitmap, hash_type=MURMUR3_X64_64, fanout=fanout)


def test_files_of_every_shape() -> None:
    """Inline bytes, raw nodes, old leaves, an empty child doubled over and over (which holds nothing)."""
    blocks = leafy()
    nothing = node(blocks, [], Data(FILE, None, 0))
    for _ in range(40):
        nothing = node(blocks, [PBLink("", nothing, 1)] * 2, Data(FILE, None, 0, (0, 0)))
    mixed = node(blocks, [PBLink("", LEAF.cid, 1), PBLink("", nothing, 1)], Data(FILE, b"head ", 9, (4, 0)))
    raw = node(blocks, [], Data(RAW_DATA, b"raw", 3))
    for cid, expected in ((mixed, b"head leaf"), (raw, b"raw"), (nothing, b""), (LEAF.cid, b"leaf")):
        assert members(pack(blocks, cid))[str(cid)][3] == expected
    data = bytes(range(256)) * 20
    for old in (file(blocks, data, raw=False), file(blocks, data)):
        assert members(pack(blocks, old.cid))[str(old.cid)][3] == data


def test_bombs_are_lazy_and_end() -> None:
    """2^40 files in 41 folders end at the limit of entries; 2^40 leaves of a file go on while somebody reads."""
    blocks = leafy()
    below, big, size = folder(blocks, ("x", LEAF.cid)), LEAF.cid, 4
    for _ in range(40):
        below = folder(blocks, ("a", below), ("b", below))
        big, size = node(blocks, [PBLink("", big, 1)] * 2, Data(FILE, None, size * 2, (size, size))), size * 2
    assert len(list(itertools.islice(chunks(blocks, below), 3000))) == 3000
    start = b"".join(itertools.islice(chunks(blocks, big), 100))
    with tarfile.open(fileobj=io.BytesIO(start), mode="r|") as opened:
        first = opened.next()
        assert first is not None
        assert (first.name, first.size) == (str(big), 4 << 40)


def test_entries_and_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000,000 entries (here 5), 262,144 that wait (here 4); folders in each other end at the bytes of a path."""
    blocks = leafy()
    monkeypatch.setattr("content.tar.RELEASE_ENTRIES", 5)
    monkeypatch.setattr("content.tar.WALK_PENDING", 5)
    pack(blocks, folder(blocks, *((str(number), LEAF.cid) for number in range(4))))
    with pytest.raises(LimitExceeded, match="entries of a TAR"):
        pack(blocks, folder(blocks, *((str(number), LEAF.cid) for number in range(5))))
    monkeypatch.setattr("content.tar.WALK_PENDING", 4)
    with pytest.raises(LimitExceeded, match="entries that wait"):
        pack(blocks, folder(blocks, *((str(number), LEAF.cid) for number in range(5))))
    many = node(blocks, [PBLink("", LEAF.cid, 1)] * 5, Data(FILE, None, 20, (4,) * 5))
    with pytest.raises(LimitExceeded, match="links that wait"):
        pack(blocks, many)
    monkeypatch.undo()
    below = folder(blocks, ("x", LEAF.cid))
    for _ in range(1100):
        below = folder(blocks, ("d", below))
    with pytest.raises(LimitExceeded, match="bytes of a path"):
        pack(blocks, below)


def test_wide_folders() -> None:
    """A HAMT: every entry once."""
    blocks = leafy()
    wide = hamt(blocks, {f"name {number}": Node(LEAF.cid, 4, 4) for number in range(700)}).cid
    assert len(members(pack(blocks, wide))) == 701
