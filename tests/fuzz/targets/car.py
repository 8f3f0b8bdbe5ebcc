"""CAR v1: a stream is the same whole, in slices and byte by byte; what comes out is what a writer puts in.

Two ways in: bytes as they are, and a stream that is put together from choices, of which a model knows what must come
out, because no mutation finds a SHA-256 by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256, sha512

from content import car
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, RAW, write_varint
from content.errors import BadBlock, BadCAR, ContentError, LimitExceeded
from content.limits import CAR_HEADER, CAR_SECTION
from tests.fuzz.taking import Taking

STEPS = (4_000, 2_000)
_CODECS = (RAW, DAG_PB, DAG_CBOR)
_HEADER = car.header([])
_KINDS = 12
_SECTIONS = 3
_SLICES = 3  # about as many in a quick run
_BY_BYTE = 320  # the longest stream that is read byte by byte


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    mode, step = taking.byte(), taking.byte() % 64 + 1
    if mode & 1:
        stream, blocks, fault = _model(taking)
        found = _drain(stream, step)
        assert found[0] == blocks, "other blocks than the model's"
        assert type(found[1]) is fault, f"{found[1]!r}, where the model says {fault}"
    else:
        stream = taking.rest()
        found = _drain(stream, step)
        for block in found[0]:
            assert block.cid.digest in (block.data, sha256(block.data).digest())
    if thorough or not mode & 0x30:  # by choice, so that most inputs cost one reading
        _same(found, _drain(stream, len(stream)))
        if found[1] is None:
            _round_trip(stream, found[0])
    if thorough and len(stream) <= _BY_BYTE:
        _same(found, _drain(stream, 1, len(stream)))


def _round_trip(stream: bytes, blocks: list[Block]) -> None:
    """What was read whole is written again the same; only a header may have another spelling."""
    roots, again = car.read(stream)
    assert again == blocks
    written = car.write(roots, blocks)
    assert car.read(written) == (roots, blocks)
    sections = b"".join(car.section(block.cid, block.data) for block in blocks)
    assert stream.endswith(sections)
    assert written == car.header(roots) + sections


def _drain(stream: bytes, step: int, most: int = _SLICES) -> tuple[list[Block], ContentError | None]:
    """All that comes out of slices of this size, of larger ones where they would be many; and the fault at the end."""
    reader, blocks = car.Reader(), list[Block]()
    step = max(step, len(stream) // (most or 1), 1)
    try:
        for at in range(0, len(stream), step):
            blocks += reader.feed(stream[at : at + step])
            assert len(reader._rest) <= CAR_SECTION + 9
        reader.finish()
    except ContentError as error:
        fault = error
    else:
        return blocks, None
    assert _still(reader, fault), "something came out behind a fault"
    return blocks, fault


def _still(reader: car.Reader, fault: ContentError) -> bool:
    """A fault stays: whatever comes now, the reader says the same. (That the stream ended is said once, by finish.)"""
    try:
        return not reader.feed(_HEADER) and isinstance(fault, BadCAR)
    except ContentError as again:
        return again is fault or isinstance(fault, BadCAR)


def _same(a: tuple[list[Block], ContentError | None], b: tuple[list[Block], ContentError | None]) -> None:
    assert a[0] == b[0]
    assert type(a[1]) is type(b[1])
    assert str(a[1]) == str(b[1])


def _model(taking: Taking) -> tuple[bytes, list[Block], type[ContentError] | type[None]]:
    """A stream, the blocks that must come out of it, and the fault it must end in."""
    blocks: list[Block] = []
    roots = [CID.of(_CODECS[byte % 3], bytes((byte,))) for byte in taking.bytes(taking.byte() % 4)]
    parts = [car.header(roots)]
    while not taking.is_over and len(parts) <= _SECTIONS:
        kind, payload = taking.byte() % _KINDS, taking.short()
        section, block, fault = _section(kind, payload, _CODECS[len(payload) % 3])
        parts.append(section)
        if block is not None:
            blocks.append(block)
        if fault is not None:
            return b"".join((*parts, taking.rest())), blocks, fault
    return b"".join(parts), blocks, type(None)


def _section(kind: int, payload: bytes, codec: int) -> tuple[bytes, Block | None, type[ContentError] | None]:
    if kind < 4:
        block = Block.make(codec, payload)
        return car.section(block.cid, payload), block, None
    if kind == 4:  # CIDv0
        cid = CID(CID.of(DAG_PB, payload)[2:])
        return car.section(cid, payload), Block(cid, payload), None
    if kind == 5:  # identity: the data stands in the name, up to 128 bytes of it
        cid = CID(bytes((1, codec, 0)) + write_varint(len(payload)) + payload)
        if len(payload) > 128:
            return car.section(cid, payload), None, BadCAR
        return car.section(cid, payload), Block(cid, payload), None
    if kind == 6:
        return car.section(CID.of(codec, payload + b"!"), payload), None, BadBlock
    if kind == 7:
        return b"\0", None, BadCAR
    if kind == 8:
        return write_varint(CAR_SECTION + 1 + len(payload)), None, LimitExceeded
    if kind == 9:  # another hash than sha2-256
        cid = CID(bytes((1, codec, 0x13, 64)) + sha512(payload).digest())
        return car.section(cid, payload), None, BadCAR
    if kind == 10:  # the digest is cut short, and says so
        cid = CID(bytes((1, codec, 0x12, 20)) + sha256(payload).digest()[:20])
        return car.section(cid, payload), None, BadCAR
    return b"\xff" * 9, None, BadCAR  # a length that never ends


def seeds() -> Iterator[bytes]:
    blocks = [Block.make(RAW, b"hello"), Block.make(DAG_PB, b""), Block.make(DAG_CBOR, b"\xa0")]
    for step in (1, 7, 64):
        yield bytes((0, step)) + car.write([blocks[0].cid], blocks[: step % 4 + 1])
    yield bytes((0, 3)) + car.write([], [Block(CID(b"\x01\x55\x00\x03abc"), b"abc")])
    yield bytes((0, 3)) + car.write([], [Block(CID(blocks[1].cid[2:]), b"")])
    yield bytes((0, 3)) + bytes.fromhex("0aa16776657273696f6e02")  # CAR v2
    yield bytes((0, 3)) + write_varint(CAR_HEADER) + b"\xa2"
    yield bytes((0, 3)) + write_varint(CAR_HEADER + 1)
    for kind in range(_KINDS):
        yield bytes((1, kind + 1, 2, 5, 6, 0, 2)) + b"ab" + bytes((kind, 3)) + b"xyz" + bytes((1, 4)) + b"tail"
    yield bytes((1, 9, 0, 5, 128)) + bytes(128)
    yield bytes((1, 9, 0, 5, 129)) + bytes(129)
