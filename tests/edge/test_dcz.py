"""dcz: what RFC 9842 §5 has a body be, and that it gives back the file, whatever the two are."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest
import zstandard

from content.deltas import DELTA_BYTES
from content.errors import BadNode
from edge.browsers.dcz import compress


def decompress(body: bytes, old: bytes) -> bytes:
    assert body[:8] == bytes((0x5E, 0x2A, 0x4D, 0x18, 0x20, 0, 0, 0))
    assert body[8:40] == sha256(old).digest()
    words = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=words, max_window_size=8 << 20).decompress(body[40:])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"x" * 512, b"x" * 512),
        (b"a" * 600, b"b" * 600),
        (b"one line\n" * 100, b"one line\n" * 50 + b"another\n" + b"one line\n" * 50),
        (b"\0" * 8, b"shorter bases than eight bytes are none to zstd" * 20),
        (random.Random(1).randbytes(5_000), random.Random(1).randbytes(5_000)[100:]),
        (random.Random(2).randbytes(70_000), random.Random(3).randbytes(90_000)),
    ],
    ids=["equal", "unlike", "a line more", "tiny base", "cut", "random"],
)
def test_the_file_comes_back(old: bytes, new: bytes) -> None:
    body, seconds = compress(old, new, sha256(old).digest())
    assert decompress(body, old) == new
    assert seconds >= 0
    assert zstandard.frame_content_size(body[40:]) == len(new)


def test_the_largest_files_fit_the_window_that_every_decoder_has() -> None:
    """Two files of 8 MiB that differ at both ends: the first bytes of the base are within reach at the end too."""
    noise = random.Random(4).randbytes(DELTA_BYTES - 1000)
    old, new = noise + b"a" * 1000, b"b" * 1000 + noise
    body, _ = compress(old, new, sha256(old).digest())
    assert zstandard.get_frame_parameters(body[40:]).window_size <= 8 << 20
    assert decompress(body, old) == new
    assert len(body) < 20_000


def test_a_base_of_another_hash_is_refused() -> None:
    with pytest.raises(BadNode, match="another hash"):
        compress(b"old" * 300, b"new" * 300, sha256(b"else").digest())
