"""Encodings: the same bytes again, kept only where smaller, made once per content."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard

from content.cid import CID
from content.unixfs import file as unixfs_file
from rim import encode as module
from rim.encode import ENCODED_MAX, LEVELS, encode, quality, worth_trying
from rim.ignore import for_folder
from rim.memo import Memo
from rim.output import Advance
from rim.reading import Changed
from rim.scan import File, scan
from tests.rim.conftest import site_folder

DECODE = {"br": brotli.decompress, "gzip": gzip.decompress, "zstd": lambda data: zstandard.decompress(data)}
TEXT = ("the quick brown fox jumps over the lazy dog " * 5_000).encode()


def silent(total: int) -> Advance:
    return lambda count: None


def scanned(folder: Path, memo: Memo) -> list[File]:
    return scan(str(folder), for_folder(folder), memo, silent).files


@pytest.mark.parametrize("level", [level for level in LEVELS if level != "none"])
def test_every_encoding_decodes_to_the_file(tmp_path: Path, memo: Memo, level: str) -> None:
    """Each coding gives the file's bytes back, has the size it says and is a file under its CID."""
    folder = site_folder(tmp_path / "site", {"a.js": TEXT, "b.css": os.urandom(200).hex()})
    for file in scanned(folder, memo):
        found = encode(str(folder), [file], level, memo, silent)[file.sha256]
        assert set(found) == {"br", "gzip", "zstd"}
        for coding, encoding in found.items():
            blob = memo.blob(encoding.cid)
            assert blob is not None
            assert len(blob) == encoding.size < file.size
            assert unixfs_file(blob, lambda block: None).cid == encoding.cid
            assert DECODE[coding](blob) == (folder / file.path).read_bytes()


def test_what_does_not_shrink_is_not_kept(tmp_path: Path, memo: Memo) -> None:
    """Random bytes under a compressible name, and a file of one byte, get no encoding."""
    folder = site_folder(tmp_path / "site", {"a.js": os.urandom(5_000), "b.js": "x"})
    files = scanned(folder, memo)
    found = encode(str(folder), files, "balanced", memo, silent)
    assert [dict(found[file.sha256]) for file in files] == [{}, {}]


def test_what_is_not_worth_trying(tmp_path: Path, memo: Memo) -> None:
    """Images and archives are packed already; an empty file cannot shrink; above 64 MiB it is a download."""
    folder = site_folder(tmp_path / "site", {"a.png": TEXT, "b.woff2": TEXT, "c.js": "", "d.js": TEXT})
    assert [file.path for file in scanned(folder, memo) if worth_trying(file)] == ["d.js"]
    at, over = (File("a.js", (size, 0, 0, 0), CID(), b"") for size in (ENCODED_MAX, ENCODED_MAX + 1))
    assert worth_trying(at)
    assert not worth_trying(over)


def test_none_makes_none(tmp_path: Path, memo: Memo) -> None:
    """--encode none encodes nothing."""
    folder = site_folder(tmp_path / "site", {"a.js": TEXT})
    assert encode(str(folder), scanned(folder, memo), "none", memo, silent) == {}


def test_encodings_are_made_once_per_content(tmp_path: Path, memo: Memo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes under another name, in another folder, in another run, are never packed again."""
    calls: list[int] = []
    monkeypatch.setattr(module, "_brotli", lambda data, quality: calls.append(len(data)) or b"x")
    one = site_folder(tmp_path / "one", {"a.js": TEXT, "b.js": TEXT, "c.js": TEXT[:-1]})
    two = site_folder(tmp_path / "two", {"other.css": TEXT})
    first = encode(str(one), scanned(one, memo), "fast", memo, silent)
    second = encode(str(two), scanned(two, memo), "fast", memo, silent)
    assert sorted(calls) == [len(TEXT) - 1, len(TEXT)]
    (sha,) = second
    assert first[sha] == second[sha]


def test_equal_bytes_pack_equally(tmp_path: Path) -> None:
    """Two machines make the same encodings, so an origin stores them once and ETags are equal."""
    folder = site_folder(tmp_path / "site", {"a.js": TEXT})
    made = []
    for name in ("m1", "m2"):
        memo = Memo(tmp_path / name)
        made.append(encode(str(folder), scanned(folder, memo), "balanced", memo, silent))
        memo.close()
    assert made[0] == made[1]


def test_a_file_that_changed_since_the_scan(tmp_path: Path, memo: Memo) -> None:
    """What is packed is what was scanned, or it is Changed."""
    folder = site_folder(tmp_path / "site", {"a.js": TEXT})
    files = scanned(folder, memo)
    (folder / "a.js").write_bytes(TEXT + b"more")
    with pytest.raises(Changed):
        encode(str(folder), files, "fast", memo, silent)


def test_quality_fits_the_size() -> None:
    """Within a level large files are packed no harder than small ones, and no window is over what browsers take."""
    for level in ("fast", "balanced", "best"):
        small, middle, large = (quality(level, size) for size in (1_000, 100_000, 10_000_000))
        for field in ("br", "gzip", "zstd"):
            assert getattr(small, field) >= getattr(middle, field) >= getattr(large, field)
        assert small.zstd <= 19
    assert quality("balanced", 32 * 1024) != quality("balanced", 32 * 1024 + 1)
