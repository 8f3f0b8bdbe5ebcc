"""Pack: one append-only CAR v1 file of the embedded store.

Here lives the file: its header, appending sections in large writes, cutting it back, walking its sections. Not here:
the index, locks, batches (store/embedded), compaction (store/compact).

A pack is a valid CAR at every acknowledged length, so any IPFS tool reads it (`ipfs dag import` brings a store over).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from content import car
from content.cid import CID, IDENTITY, read_varint, write_varint
from content.errors import BadCID
from content.limits import BLOCK_ACCEPTED

HEADER = car.header([])  # packs have no roots: what is kept is decided elsewhere
_IOV = 1024  # IOV_MAX of Linux
_PEEK = 160  # enough for a section's varint and the longest CID we accept

Section = tuple[CID, int, int, int]  # CID, where the section starts, where its data starts, length of the data


class Pack:
    """An open pack. Readers hold the object, so its descriptor outlives the unlinking of the file by compaction."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size  # the good length: everything before it is whole; acknowledged bytes are always before it
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path) -> Pack:
        """A new pack with nothing in it. The caller syncs the folder."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, HEADER)
            os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, len(HEADER))

    @classmethod
    def open(cls, path: Path, write: bool = True) -> Pack:
        descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC)
        return cls(path, descriptor, os.fstat(descriptor).st_size)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __repr__(self) -> str:
        return f"<Pack {self.path.name} {self.size} B>"

    @property
    def number(self) -> int:
        return int(self.path.stem)

    @property
    def inode(self) -> int:
        """Of the open file, whatever has its name by now."""
        return os.fstat(self._descriptor).st_ino

    def append(self, parts: Sequence[bytes], at: int) -> int:
        """Write these pieces one after another from this offset (past the good length); the offset past them."""
        for start in range(0, len(parts), _IOV):
            at = self._write(list(parts[start : start + _IOV]), at)
        return at

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)  # also makes the new length durable (fdatasync(2)); times are not needed

    def cut(self, size: int) -> None:
        """Take back everything past this length."""
        os.ftruncate(self._descriptor, size)
        os.fdatasync(self._descriptor)
        self.size = size

    def copy_to(self, other: Pack, start: int, stop: int, at: int) -> int:
        """Copy a run of whole sections inside the kernel; the offset past it in the other pack."""
        while start < stop:
            copied = os.copy_file_range(self._descriptor, other._descriptor, stop - start, start, at)
            if copied == 0:
                raise OSError(5, "the pack is shorter than its index says")
            start += copied
            at += copied
        return at

    def sections(self, start: int = len(HEADER)) -> Iterator[Section]:
        """Every section that is whole in shape (bytes not hashed); ends where the shape does."""
        at = start
        while at < self.size:
            section = self._section(at)
            if section is None:
                return
            yield section
            at = section[2] + section[3]

    def verify(self, section: Section) -> bool:
        cid, _, offset, length = section
        return len(data := self.read(offset, length)) == length and sha256(data).digest() == cid.digest

    def _section(self, at: int) -> Section | None:
        head = self.read(at, _PEEK)
        try:
            length, cid_at = read_varint(head)
            cid, data_at = CID.read(head, cid_at)
        except BadCID:
            return None
        size = length - (data_at - cid_at)
        if not 0 <= size <= BLOCK_ACCEPTED or cid.hash_code == IDENTITY or at + data_at + size > self.size:
            return None
        return cid, at, at + data_at, size

    def _write(self, parts: list[bytes], at: int) -> int:
        want = sum(map(len, parts))
        done = os.pwritev(self._descriptor, parts, at)
        while done < want:  # a short write: disk nearly full, or above 2 GiB; the next one tells which
            rest = memoryview(b"".join(parts))[done:]
            done += os.pwrite(self._descriptor, rest, at + done)
        return at + done


def prefix(cid: CID, length: int) -> bytes:
    """What stands before a block's data in a pack: the section's varint and the CID."""
    return write_varint(len(cid) + length) + cid
