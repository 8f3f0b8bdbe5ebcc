"""Archive: the file that a backup of an origin is.

Here lives its form: a tar of regular files, written and read as a stream. Not here: what goes in (origin/backup), or
what is believed of it (origin/restore).

A tar of CARs, and not one CAR: keys, tokens and the log are no blocks, and every tool there is lists and takes apart a
tar (`tar xf`, then `ipfs dag import blocks/*.car`). Blocks come first and the small files last, so that one pass writes
it and one pass reads it, through a pipe too. Nothing is compressed: most bytes are already, and `| zstd` is one word.

    rim-backup          what this is, for people who find it
    blocks/000001.car   some MiB of blocks each, every one a whole CAR
    state/…             the small files of the state folder
    MANIFEST.json       what was backed up, and when
    SHA256SUMS          of all but the blocks, which are named by their hash; as `sha256sum -c` reads it

The reader is strict, since an archive may have been anywhere: regular files only, plain names, zeros where tar pads,
the end where it must be. tarfile's own reader is not used: it follows links, long names and sparse maps, of which we
have none, and reads their headers whole into memory.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO

from content import car
from content.block import Block
from content.limits import MiB

FIRST, MANIFEST, SUMS = "rim-backup", "MANIFEST.json", "SHA256SUMS"
BLOCKS, STATE = "blocks/", "state/"
FORMAT = 1
ABOUT = f"""rim-backup {FORMAT}
An origin of Rim, whole: its private keys and tokens, its log, its blocks. Who has this file can sign for its sites.
`rim origin restore FILE --state DIR` makes an origin of it again.
"""
CAR_BYTES = 8 * MiB  # of one CAR: held in memory until its size is known, which a tar header must say first
PIECE = MiB  # read at a time
SMALL_BYTES = 64 * MiB  # of a member that is read whole: SHA256SUMS of 500,000 sites
_RECORD = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,4}\Z")
_NAME_BYTES = 100  # what a header holds without extensions
_END = bytes(2 * _RECORD)


class BadArchive(Exception):
    """The archive is cut short, damaged, or not one of ours. Nothing of it is used."""


def is_name(name: str) -> bool:
    """Whether a member may have this name: no empty, hidden, upward or odd part."""
    return len(name) <= _NAME_BYTES and _NAME.match(name) is not None


class Writer:
    """Writes an archive to a stream, which may be a pipe."""

    def __init__(self, file: BinaryIO, made: int) -> None:
        self.blocks = self.bytes = 0  # of blocks
        self.size = 0  # of the archive so far
        self._file = file
        self._made = made
        self._sums: dict[str, str] = {}
        self._cars = 0
        self._sections: list[bytes] = []
        self._gathered = 0
        self.add(FIRST, ABOUT.encode())

    def add_block(self, block: Block) -> None:
        self._sections.append(car.section(block.cid, block.data))
        self._gathered += len(self._sections[-1])
        self.blocks += 1
        self.bytes += len(block.data)
        if self._gathered >= CAR_BYTES:
            self.end_blocks()

    def end_blocks(self) -> None:
        """Write the blocks that still wait for more of them."""
        if self._sections:
            self._cars += 1
            body = car.header(()) + b"".join(self._sections)
            self._sections, self._gathered = [], 0
            self._member(f"{BLOCKS}{self._cars:06}.car", len(body), (body,))

    def add(self, name: str, data: bytes) -> None:
        self.add_stream(name, len(data), (data,))

    def add_stream(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """A file of this size, as it comes. Raises EOFError when it is shorter."""
        digest = sha256()

        def digested() -> Iterator[bytes]:
            for piece in pieces:
                digest.update(piece)
                yield piece

        self._member(name, size, digested())
        self._sums[name] = digest.hexdigest()

    def close(self, manifest: bytes) -> None:
        """The end: what was backed up, the sums, and two records of zeros."""
        self.add(MANIFEST, manifest)
        sums = "".join(f"{digest}  {name}\n" for name, digest in self._sums.items())
        self.add(SUMS, sums.encode())
        self._write(_END)

    def _member(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        assert is_name(name), name
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, self._made
        self._write(info.tobuf(tarfile.GNU_FORMAT))  # GNU: a log past 8 GiB has its size in binary
        left = size
        for piece in pieces:
            left -= len(piece)
            self._write(piece)
        if left:
            raise EOFError(f"{name} is not of the size it was")
        self._write(bytes(-size % _RECORD))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)


class Member:
    """One file of an archive that is being read. It must be read to its end before the next one is asked for."""

    def __init__(self, file: BinaryIO, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.left = size
        self._file = file

    def pieces(self) -> Iterator[bytes]:
        """The bytes. Raises BadArchive when the archive ends before them."""
        while self.left:
            piece = self._file.read(min(PIECE, self.left))
            if not piece:
                raise BadArchive(f"it is cut short: it ends inside {self.name}")
            self.left -= len(piece)
            yield piece
        padding = -self.size % _RECORD
        if _exactly(self._file, padding, self.name) != bytes(padding):
            raise BadArchive(f"it is damaged after {self.name}: there are bytes where none belong")

    def whole(self, most: int = SMALL_BYTES) -> bytes:
        if self.size > most:
            raise BadArchive(f"{self.name} has {self.size:,} bytes; at most {most:,} are read")
        return b"".join(self.pieces())


def read(file: BinaryIO) -> Iterator[Member]:
    """The members, one after another, to the end of the stream. Raises BadArchive."""
    before = "its beginning"
    while True:
        head = _exactly(file, _RECORD, before)
        if head == bytes(_RECORD):
            break
        member = _member(file, head, before)
        yield member
        assert not member.left, f"{member.name} was not read to its end"
        before = member.name
    rest = _exactly(file, _RECORD, before)
    while rest:  # some writers pad to whole tapes; more than zeros is another archive, or none
        if rest.strip(b"\0"):
            raise BadArchive(f"it is damaged after {before}: there is more where its end should be")
        rest = file.read(PIECE)


def _member(file: BinaryIO, head: bytes, before: str) -> Member:
    try:
        info = tarfile.TarInfo.frombuf(head, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise BadArchive(f"it is damaged after {before}, or no backup: {error}") from error
    if info.type != tarfile.REGTYPE or info.size < 0 or info.linkname or not is_name(info.name):
        raise BadArchive(f"it has {info.name[:_NAME_BYTES]!r}, which no backup of ours has: plain files only")
    return Member(file, info.name, info.size)


def _exactly(file: BinaryIO, size: int, where: str) -> bytes:
    data = b""
    while len(data) < size:
        piece = file.read(size - len(data))
        if not piece:
            raise BadArchive(f"it is cut short: it ends after {where}")
        data += piece
    return data
