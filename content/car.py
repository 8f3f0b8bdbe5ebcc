"""CAR v1: many blocks in one stream (IPLD CARv1 spec).

Here lives the reading of a stream as it comes, block by verified block, and the writing of headers and sections.
Not here: which blocks a CAR holds and in which order (origin, content/walk), or where they go.

A reader holds one unfinished section at most. CAR v2 is refused: its index and padding buy nothing on a stream, and
v1 is what trustless gateways speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import libipld

from content.block import Block
from content.cid import CID, read_varint, write_varint
from content.errors import BadCAR, BadCID, ContentError
from content.limits import CAR_HEADER, CAR_SECTION, check

_VARINT_MAX = 9  # bytes of an unsigned-varint


def header(roots: Sequence[CID]) -> bytes:
    """The first bytes of a CAR with these roots."""
    body: bytes = libipld.encode_dag_cbor({"roots": list(roots), "version": 1})
    return write_varint(len(body)) + body


def section(cid: CID, data: bytes) -> bytes:
    """One block as a CAR carries it."""
    return write_varint(len(cid) + len(data)) + cid + data


class Reader:
    """Reads a CAR in whatever slices it comes; every Block that comes out is verified.

    `roots` is None until the header is whole. A fault is raised as soon as nothing good is left to hand out: feed()
    first returns the blocks before the fault and the *next* feed() or finish() raises, so an upload keeps what came
    before and can go on from there. After a fault every call raises it again.
    """

    def __init__(self) -> None:
        self.roots: tuple[CID, ...] | None = None
        self._rest = bytearray()  # the unfinished section
        self._offset = 0  # of the start of _rest in the stream
        self._need = 1  # bytes _rest must hold before a look at it is worth while
        self._fault: ContentError | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Block]:
        """Take the next bytes; the blocks they complete. Raises BadCAR, BadBlock or LimitExceeded."""
        if self._fault:
            raise self._fault
        blocks: list[Block] = []
        try:
            self._read(memoryview(data), blocks)
        except ContentError as fault:
            self._fault = fault
            self._rest = bytearray()
            if not blocks:
                raise
        return blocks

    def finish(self) -> None:
        """Say that the stream ended. Raises BadCAR when it ended inside something, or the fault met before."""
        if self._fault:
            raise self._fault
        if self._rest or self.roots is None:
            what = "the header" if self.roots is None else "a section"
            raise BadCAR(f"the stream ends inside {what}", self._offset + len(self._rest))

    def _read(self, data: memoryview, blocks: list[Block]) -> None:
        at = 0
        while self._rest and at < len(data):  # complete the unfinished section; copy no more than that
            part = data[at : at + self._need - len(self._rest)]
            self._rest += part
            at += len(part)
            if len(self._rest) >= self._need:
                del self._rest[: self._parse(self._rest, blocks)]
        if not self._rest:
            self._rest += data[at + self._parse(data[at:], blocks) :]

    def _parse(self, data: bytearray | memoryview, blocks: list[Block]) -> int:
        """Read all whole sections of data; how many bytes they took. Sets _need for what is left."""
        at, total = 0, len(data)
        with memoryview(data) as view:
            while True:
                length, start = self._length(view, at)
                self._need = start + length - at
                if at == total or not length or start + length > total:
                    return at
                if self.roots is None:
                    self.roots = self._header(bytes(view[start : start + length]))
                else:
                    blocks.append(self._block(view, start, start + length))
                self._offset += start + length - at
                at = start + length

    def _length(self, view: memoryview, at: int) -> tuple[int, int]:
        """The length of what comes next and where it starts; (0, at + one more byte) while that is not yet known."""
        for end in range(at, min(len(view), at + _VARINT_MAX)):
            if view[end] < 0x80:
                break
        else:
            if len(view) - at >= _VARINT_MAX:
                raise BadCAR("a length of more than 9 bytes", self._offset)
            return 0, len(view) + 1
        try:
            length, start = read_varint(view, at)
        except BadCID as error:
            raise BadCAR(str(error), self._offset) from error
        if not length:
            raise BadCAR("a section of no bytes", self._offset)
        if self.roots is None:
            check("CAR header", length, CAR_HEADER)
        else:
            check("CAR section", length, CAR_SECTION)
        return length, start

    def _header(self, body: bytes) -> tuple[CID, ...]:
        try:
            value = libipld.decode_dag_cbor(body)
        except Exception as error:  # libipld raises ValueError, and others, on malformed input
            raise BadCAR(f"the header is not DAG-CBOR: {error}", self._offset) from error
        version = value.get("version") if isinstance(value, dict) else None
        if version == 2:
            raise BadCAR("this is a CAR v2; send CAR v1", self._offset)
        if version != 1 or isinstance(version, bool) or not isinstance(value.get("roots"), list):
            raise BadCAR("the header is not one of CAR v1", self._offset)
        return tuple(_root(root, self._offset) for root in value["roots"])

    def _block(self, view: memoryview, start: int, stop: int) -> Block:
        try:
            cid, body = CID.read(view[start:stop], 0)
        except BadCID as error:
            raise BadCAR(f"a section without a CID: {error}", self._offset) from error
        return Block(cid, bytes(view[start + body : stop]))


def read(data: bytes) -> tuple[tuple[CID, ...], list[Block]]:
    """A whole CAR: its roots and its blocks. Raises BadCAR, BadBlock or LimitExceeded."""
    reader = Reader()
    blocks = reader.feed(data)
    reader.finish()
    return reader.roots or (), blocks


def write(roots: Sequence[CID], blocks: Sequence[Block]) -> bytes:
    """A small CAR, whole. Large ones are streamed: header(), then section() by section()."""
    return b"".join((header(roots), *(section(block.cid, block.data) for block in blocks)))


def _root(value: Any, offset: int) -> CID:
    try:
        if isinstance(value, bytes):
            return CID.from_bytes(value)
    except BadCID as error:
        raise BadCAR(f"a root: {error}", offset) from error
    raise BadCAR("a root that is no link", offset)
