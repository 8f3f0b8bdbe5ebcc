"""One file, read whole: its CID, its SHA-256 and the shape of its DAG, or Changed when it did not hold still.

Here lives the only code that opens a published file: to hash it, and later to send a part of it. Not here: which files
(rim/scan), or what is remembered of them (rim/memo).

A file of one chunk is a raw block, so its CID's digest *is* its SHA-256 and it is hashed once. A longer one is hashed
twice, by chunk and as a whole: the first names blocks, the second is what Available-Dictionary (RFC 9842) speaks of.
"""

from __future__ import annotations

import os
import stat as modes
import time
from dataclasses import dataclass
from hashlib import sha256

from content.block import Block
from content.car import section
from content.cid import CID, RAW
from content.limits import BLOCK_MADE
from content.unixfs import FileBuilder
from rim.crew import Crew
from rim.exits import Usage
from rim.memo import Known, Stat
from rim.output import Advance

_RACY_NS = 2_000_000_000
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # follows no link swapped in, waits for no FIFO


class Changed(Exception):
    """A file is another than it was a moment ago. Worth a second try, never a third."""

    def __init__(self, path: str, what: str = "changed") -> None:
        super().__init__(f"{path} {what}")
        self.path = path
        self.what = what


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a file gave. `leaves` (digests, in order) and `inner` (CAR sections) are empty for one chunk."""

    known: Known
    young: bool  # it had changed less than 2 s before: not to be believed next time
    leaves: bytes = b""
    inner: bytes = b""


def stat_key(info: os.stat_result) -> Stat:
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)


def is_young(info: os.stat_result, now: int | None = None) -> bool:
    """Whether it changed less than 2 s ago: it may change again within one tick of the clock, unseen."""
    return max(info.st_mtime_ns, info.st_ctime_ns) > (time.time_ns() if now is None else now) - _RACY_NS


def read(folder: str, path: str, crew: Crew, advance: Advance) -> Reading:
    """Hash one file. Raises Changed or Usage."""
    crew.check()
    now = time.time_ns()
    descriptor = _open(folder, path)
    try:
        info = os.fstat(descriptor)
        if not modes.S_ISREG(info.st_mode):
            raise Changed(path)
        key = stat_key(info)
        young = is_young(info, now)
        if info.st_size <= BLOCK_MADE:
            digest = sha256(_exactly(descriptor, info.st_size, path)).digest()
            reading = Reading(Known(key, CID.of_digest(RAW, digest), digest), young)
            advance(info.st_size)
        else:
            reading = _read_long(descriptor, key, young, path, crew, advance)
        if os.read(descriptor, 1) or stat_key(os.fstat(descriptor)) != key:
            raise Changed(path)
        return reading
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror or error}", "make it readable, or leave it out") from error
    finally:
        os.close(descriptor)


def read_part(folder: str, path: str, stat: Stat, offset: int, length: int) -> bytes:
    """Some bytes of a file that must still be the one of this stat. Raises Changed or Usage."""
    descriptor = _open(folder, path)
    try:
        if stat_key(os.fstat(descriptor)) != stat:
            raise Changed(path)
        data = os.pread(descriptor, length, offset)
        if len(data) != length or stat_key(os.fstat(descriptor)) != stat:
            raise Changed(path)
        return data
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror or error}", "make it readable, or leave it out") from error
    finally:
        os.close(descriptor)


def _read_long(descriptor: int, key: Stat, young: bool, path: str, crew: Crew, advance: Advance) -> Reading:
    whole, leaves, inner = sha256(), bytearray(), bytearray()

    def emit(block: Block) -> None:
        if block.cid.codec == RAW:
            leaves.extend(block.cid.digest)
        else:
            inner.extend(section(block.cid, block.data))

    builder, left = FileBuilder(emit), key[0]
    while left:
        crew.check()
        chunk = _exactly(descriptor, min(left, BLOCK_MADE), path)
        whole.update(chunk)
        builder.feed(chunk)
        advance(len(chunk))
        left -= len(chunk)
    known = Known(key, builder.finish().cid, whole.digest())
    return Reading(known, young, bytes(leaves), bytes(inner))


def _exactly(descriptor: int, length: int, path: str) -> bytes:
    """This many bytes from where the file stands. Raises Changed when it ends before."""
    data = os.read(descriptor, length)
    while len(data) < length:  # a signal, or a file system that gives less than asked
        more = os.read(descriptor, length - len(data))
        if not more:
            raise Changed(path)
        data += more
    return data


def _open(folder: str, path: str) -> int:
    try:
        return os.open(f"{folder}/{path}", _OPEN)
    except FileNotFoundError as error:
        raise Changed(path, "vanished") from error
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror or error}", "make it readable, or leave it out") from error
