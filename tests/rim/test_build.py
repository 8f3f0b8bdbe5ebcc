"""The release as blocks: its Root is the folder, its Index the files, and every block can be read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from content import tree
from content.block import Block
from content.cid import CID
from content.release import Asset, Rules
from content.walk import drive, files, links, read_file
from rim.build import Pieces, build
from rim.encode import encode
from rim.ignore import for_folder
from rim.memo import Memo
from rim.output import Advance
from rim.reading import Changed
from rim.scan import scan
from tests.rim.conftest import site_folder

BIG = os.urandom(2_600_000)
LONG = os.urandom(1_700_000).hex()  # its encodings are over one block each


def silent(total: int) -> Advance:
    return lambda count: None


def prepared(folder: Path, memo: Memo) -> tuple[CID, CID, Pieces]:
    found = scan(str(folder), for_folder(folder), memo, silent)
    encodings = encode(found.folder, found.files, "fast", memo, silent)
    built = build(found, encodings, Rules())
    return built.root, built.index, Pieces(found, encodings, built, memo)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site with everything: large and long files, doubles, links, empty folders, awkward names."""
    made = site_folder(tmp_path / "site", {"big.bin": BIG, "long.js": LONG, "a/b/c.txt": "c", "a/double": "c", "e": ""})
    (made / "empty").mkdir()
    (made / "link").symlink_to("a/b/c.txt")
    (made / "#?%20 '\"é.html").write_text("<p>")
    return made


def test_every_block_can_be_read_again(folder: Path, memo: Memo) -> None:
    """Each piece gives the bytes of its CID, of the length it says; and nothing that is linked is missing."""
    root, index, pieces = prepared(folder, memo)
    blocks = {cid: Block(cid, pieces.load(cid)) for cid in pieces.by_cid}
    assert all(len(block.data) == pieces.length(cid) for cid, block in blocks.items())
    assert root in blocks
    assert index in blocks
    assert all(link in blocks for block in blocks.values() for link in links(block))


def test_root_and_index_say_the_same(folder: Path, memo: Memo) -> None:
    """The Root's files are the Index's rows, with the bytes of the folder; encodings decode elsewhere."""
    root, index, pieces = prepared(folder, memo)

    def get(cid: CID) -> Block:
        return Block(cid, pieces.load(cid))

    rows = {path: Asset.from_row(row) for path, row in drive(tree.rows(index), get)}
    entries = dict(drive(files(root), get))
    assert {path: asset.cid for path, asset in rows.items()} == {path: entry.cid for path, entry in entries.items()}
    assert rows["/link"].link_target == entries["/link"].target == "a/b/c.txt"
    for path, asset in rows.items():
        if asset.link_target is None:
            assert drive(read_file(asset.cid), get) == (folder / path[1:]).read_bytes()
            assert asset.size == (folder / path[1:]).stat().st_size
    assert set(rows["/long.js"].encodings) == {"br", "gzip", "zstd"}
    assert rows["/long.js"].encodings["br"].size > 1 << 20


def test_the_same_folder_is_the_same_release(folder: Path, memo: Memo) -> None:
    """Scanned again, with another memo: the same Root and Index."""
    first = prepared(folder, memo)[:2]
    assert prepared(folder, memo)[:2] == first
    other = Memo(None)
    assert prepared(folder, other)[:2] == first
    other.close()


def test_a_file_that_changed_since_is_not_sent(folder: Path, memo: Memo) -> None:
    """A block is read from the very file that was scanned, or not at all."""
    _, _, pieces = prepared(folder, memo)
    (folder / "big.bin").write_bytes(BIG[:-1] + b"!")
    (folder / "e").unlink()
    stale = [cid for cid, piece in pieces.by_cid.items() if getattr(piece, "file", None)]
    failed = 0
    for cid in stale:
        try:
            Block(cid, pieces.load(cid))
        except Changed:
            failed += 1
    assert failed == 4  # three chunks, and the empty file


def test_a_memo_without_the_dag(folder: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the memo could not keep the chunks of a large file, the file is read once more."""
    expected = set(prepared(folder, memo)[2].by_cid)
    monkeypatch.setattr(Memo, "dag", lambda self, cid: None)
    assert set(prepared(folder, memo)[2].by_cid) == expected
