"""Encodings: br, gzip and zstd of every file worth it, made once per content, on all cores.

Here lives which quality fits which size. Not here: which types are worth trying (content/media), where encodings are
kept (rim/memo), or which one a browser gets (edge/http).

Qualities are chosen by measurement on JavaScript and CSS, one core: brotli 10 packs 2 MB/s and 7 about 30, and 9 is
slower than 10 on small files without being smaller; zstd 17 packs 6 MB/s, 12 about 20. So the slow ones are for files
of which a site has many and which are small; `best` is for a pipeline that has time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from content.block import Block
from content.cid import CID
from content.limits import KiB, MiB
from content.media import compressible, media_type
from content.release import Encoding
from content.unixfs import file as build_file
from rim.crew import Crew, cores
from rim.memo import Memo
from rim.output import Advance
from rim.pages.edits import part_of
from rim.reading import Changed
from rim.scan import File
from rim.steps import step

ENCODED_MAX = 64 * MiB  # above it a file is a download: it is fetched by ranges, which are identity only
_SMALL, _MIDDLE = 32 * KiB, 1 * MiB

Encodings = Mapping[str, Encoding]


@dataclass(frozen=True, slots=True)
class Quality:
    """One quality per coding. zstd ends at 19: from 20 on its window is over the 8 MB that RFC 9659 allows."""

    br: int
    gzip: int
    zstd: int


_LEVELS: dict[str, tuple[Quality, Quality, Quality]] = {  # up to 32 KiB, up to 1 MiB, above
    "fast": (Quality(5, 6, 9), Quality(5, 6, 6), Quality(4, 4, 3)),
    "balanced": (Quality(10, 9, 17), Quality(7, 9, 12), Quality(6, 6, 9)),
    "best": (Quality(11, 9, 19), Quality(11, 9, 19), Quality(10, 9, 17)),
}
LEVELS = ("none", *_LEVELS)


def quality(level: str, size: int) -> Quality:
    """The quality that fits a file of this size."""
    small, middle, large = _LEVELS[level]
    return small if size <= _SMALL else middle if size <= _MIDDLE else large


def encode(
    folder: str, files: Iterable[File], level: str, memo: Memo, bar: Callable[[int], Advance]
) -> dict[bytes, Encodings]:
    """The encodings of these files by SHA-256 of the file. Raises Changed when one is not what it was."""
    if level == "none":
        return {}
    wanted = {file.sha256: file for file in files if worth_trying(file)}
    found = {sha: _parse(text) for sha, text in memo.encodings(wanted, level).items()}
    todo = sorted((file for sha, file in wanted.items() if sha not in found), key=lambda file: -file.size)
    if todo:  # the largest first, so that no core is left alone with one at the end
        advance, crew = bar(sum(file.size for file in todo)), Crew(cores())
        for file, made in crew.run(lambda file: _encode(folder, file, level, crew), todo):
            found[file.sha256] = {coding: Encoding(cid, len(data)) for coding, (cid, data) in made.items()}
            memo.keep_encodings(file.sha256, level, _write(found[file.sha256]), dict(made.values()))
            advance(file.size)
    step("encode.done")
    return found


def worth_trying(file: File) -> bool:
    return 0 < file.size <= ENCODED_MAX and compressible(media_type(file.path))


def _encode(folder: str, file: File, level: str, crew: Crew) -> tuple[File, dict[str, tuple[CID, bytes]]]:
    data = part_of(folder, file, 0, file.size)
    if sha256(data).digest() != file.sha256:
        raise Changed(file.path)
    fit, kept = quality(level, file.size), dict[str, tuple[CID, bytes]]()
    for coding, pack in (("br", _brotli), ("gzip", _gzip), ("zstd", _zstd)):
        crew.check()
        packed = pack(data, getattr(fit, coding))
        if len(packed) < len(data):
            kept[coding] = (build_file(packed, _drop).cid, packed)
    return file, kept


def _brotli(data: bytes, quality: int) -> bytes:
    import brotli  # type: ignore[import-untyped]

    packed: bytes = brotli.compress(data, quality=quality)
    return packed


def _gzip(data: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, wbits=31)  # 31: a gzip frame without name or time, so equal bytes pack equally
    return packer.compress(data) + packer.flush()


def _zstd(data: bytes, level: int) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=level).compress(data)


def _drop(block: Block) -> None:
    """Blocks of an encoding are made again when they are sent, which is once; its CID is wanted every time."""


def _write(encodings: Encodings) -> str:
    """`br <cid hex> <size> gzip …`: the text that rim/memo keeps."""
    return " ".join(f"{coding} {it.cid.hex()} {it.size}" for coding, it in encodings.items())


def _parse(text: str) -> Encodings:
    words = text.split()
    return {
        coding: Encoding(CID(bytes.fromhex(cid)), int(size))
        for coding, cid, size in zip(words[::3], words[1::3], words[2::3], strict=True)
    }
