"""CAR files from anywhere, looked at before they are sent: which blocks they hold, and which of those are tops.

Here lives one pass over a file, with nothing held but names and places. Not here: the strict reader of what nodes send
each other (content/car), sending (rim/importing).

A file from outside may hold what we do not keep: hashes other than sha2-256, and nodes that link to such. Those are
left out and counted, the rest is good. Roots in the header may be absent, so tops are found by looking: blocks that no
other block of the file links to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import libipld

from content.block import Block
from content.cid import CID, IDENTITY, read_varint
from content.errors import BadBlock, BadCID, ContentError
from content.limits import CAR_HEADER, CAR_SECTION
from content.walk import links
from rim.exits import Failed, Usage


@dataclass(slots=True)
class CarFile:
    """A file that was looked at. `places`: where each block's bytes are; `tops`: in the order of the file."""

    path: Path
    places: dict[CID, tuple[int, int]] = field(default_factory=dict)
    tops: list[CID] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # by reason

    @property
    def size(self) -> int:
        return sum(length for _, length in self.places.values())

    def load(self, cid: CID) -> bytes:
        """A block's bytes again. Raises Failed where the file has changed under us."""
        offset, length = self.places[cid]
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                return Block(cid, file.read(length)).data
        except (OSError, BadBlock) as error:
            raise Failed(f"{self.path} changed while it was read", "leave it alone, and run this again") from error


def look(path: Path) -> CarFile:
    """Look at a file. Raises Usage where it is no CAR."""
    found = CarFile(path)
    linked: set[CID] = set()
    try:
        with open(path, "rb") as file:
            for section, offset in _sections(file, path):
                _take(found, linked, section, offset)
    except OSError as error:
        raise Usage(f"{path} cannot be read: {error.strerror or error}", "name a CAR file") from error
    found.tops = [cid for cid in found.places if cid.v1 not in linked]
    return found


def _take(found: CarFile, linked: set[CID], section: bytes, offset: int) -> None:
    try:
        cid, body = CID.read(section, 0)
    except BadCID:
        found.left_out["its hash function is not kept here (sha2-256 is)"] += 1
        return
    if cid.hash_code == IDENTITY:
        return
    block = Block(cid, section[body:])
    try:
        linked.update(link.v1 for link in links(block))
    except ContentError:
        found.left_out["it cannot be read, or links to what is not kept here"] += 1
        return
    found.places[cid] = (offset + body, len(block.data))


def _sections(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int]]:
    """Each section's CID and data, and where they begin."""
    at = 0
    limit, is_header = CAR_HEADER, True
    while head := file.read(10):
        try:
            length, start = read_varint(head)
        except BadCID as error:
            raise Usage(f"{path}, at byte {at}: {error}", "name a CAR file, version 1") from error
        if not 0 < length <= limit:
            raise Usage(f"{path}, at byte {at}: a section of {length:,} bytes", "name a CAR file, version 1")
        file.seek(at + start)
        data = file.read(length)
        if len(data) < length:
            raise Usage(f"{path} ends inside a section, at byte {at + start + len(data)}", "fetch it again")
        if is_header:
            _check_header(data, path)
            limit, is_header = CAR_SECTION, False
        else:
            yield data, at + start
        at += start + length
    if is_header:
        raise Usage(f"{path} is empty", "name a CAR file, version 1")


def _check_header(data: bytes, path: Path) -> None:
    try:
        header = libipld.decode_dag_cbor(data)
    except Exception as error:  # libipld raises ValueError, and others, on malformed input
        raise Usage(f"{path} is no CAR", "name a CAR file, version 1") from error
    version = header.get("version") if isinstance(header, dict) else None
    if version != 1:
        raise Usage(f"{path} is no CAR of version 1", "`ipfs dag export` writes one")
