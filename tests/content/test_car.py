"""CAR v1 as a stream: any slicing gives the same blocks, and nothing broken passes for whole."""

from __future__ import annotations

from itertools import pairwise

import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import car
from content.block import Block
from content.cbor import encode
from content.cid import CID, DAG_PB, RAW, write_varint
from content.errors import BadBlock, BadCAR, ContentError, LimitExceeded
from content.limits import BLOCK_ACCEPTED, CAR_HEADER, CAR_SECTION

A = Block.make(RAW, b"hello")
B = Block.make(DAG_PB, b"")
C = Block.make(RAW, bytes(range(256)) * 3)
V0 = Block(CID(B.cid[2:]), b"")
IDENTITY = Block(CID(b"\x01\x55\x00\x03abc"), b"abc")
BLOCKS = [A, B, C, V0, IDENTITY]
SMALL = car.write([A.cid, C.cid], BLOCKS)


def slices(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def drain(parts: list[bytes]) -> tuple[list[Block], str]:
    """All blocks that come out and the fault at the end, as text."""
    reader, blocks = car.Reader(), []
    try:
        for part in parts:
            blocks += reader.feed(part)
        reader.finish()
    except ContentError as fault:
        return blocks, str(fault)
    return blocks, ""


def test_written_is_read() -> None:
    """Roots and blocks come back in order; CIDv0 and identity CIDs are kept as they are."""
    assert car.read(SMALL) == ((A.cid, C.cid), BLOCKS)
    assert car.read(car.header([])) == ((), [])


def test_other_readers_agree() -> None:
    """libipld, which shares no code with our reader, reads the same blocks from what we write."""
    blocks = [encode({"n": n}) for n in range(3)]
    head, values = libipld.decode_car(car.write([blocks[0].cid], blocks))
    assert head["roots"] == [bytes(blocks[0].cid)]
    assert values == {bytes(block.cid): {"n": n} for n, block in enumerate(blocks)}


@given(st.lists(st.integers(0, len(SMALL)), max_size=20))
def test_any_slicing_reads_the_same(cuts: list[int]) -> None:
    """Slices of any size, empty ones too, give the same blocks."""
    assert drain(slices(SMALL, cuts)) == (BLOCKS, "")


def test_byte_by_byte() -> None:
    """A stream that comes one byte at a time gives each block at its last byte."""
    reader = car.Reader()
    counts = [len(reader.feed(SMALL[i : i + 1])) for i in range(len(SMALL))]
    reader.finish()
    assert sum(counts) == len(BLOCKS)
    assert max(counts) == 1
    assert counts[-1] == 1


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255), st.lists(st.integers(0, len(SMALL)), max_size=5))
def test_a_flipped_byte_reads_the_same_in_any_slices(at: int, flip: int, cuts: list[int]) -> None:
    """Damage ends in the same blocks and the same fault however the stream is sliced, and never in a wrong block."""
    damaged = bytearray(SMALL)
    damaged[at] ^= flip
    whole = drain([bytes(damaged)])
    assert whole == drain(slices(bytes(damaged), cuts))
    assert whole[0] == BLOCKS[: len(whole[0])] or whole[1] == ""


def test_truncation_at_every_byte_is_seen() -> None:
    """A CAR cut anywhere but between sections is refused by finish()."""
    clean, at = set(), len(car.header([A.cid, C.cid]))
    for block in BLOCKS:
        clean.add(at)
        at += len(car.section(block.cid, block.data))
    for length in range(len(SMALL)):
        fault = drain([SMALL[:length]])[1]
        assert bool(fault) != (length in clean), length


def test_a_wrong_block_is_named_and_what_came_before_is_kept() -> None:
    """BadBlock names the CID that was lied about; the blocks before it come out first, in the same feed."""
    lie = car.section(A.cid, b"hullo")
    reader = car.Reader()
    assert reader.feed(car.write([], [C, B]) + lie + car.section(C.cid, C.data)) == [C, B]
    for _ in range(2):
        with pytest.raises(BadBlock) as caught:
            reader.feed(b"")
        assert caught.value.cid == str(A.cid)
    with pytest.raises(BadBlock):
        reader.finish()


def test_a_wrong_block_alone_raises_at_once() -> None:
    """With nothing good to hand out first, the fault is raised by the feed that met it."""
    reader = car.Reader()
    reader.feed(car.header([]))
    with pytest.raises(BadBlock):
        reader.feed(car.section(A.cid, b"hullo"))


def test_lengths_over_the_limits_are_refused_before_the_bytes_come() -> None:
    """Header and section lengths are held at their limit, one past it is refused on the length alone."""
    for limit, prefix in ((CAR_HEADER, b""), (CAR_SECTION, car.header([]))):
        car.Reader().feed(prefix + write_varint(limit))
        reader = car.Reader()
        reader.feed(prefix)
        with pytest.raises(LimitExceeded):
            reader.feed(write_varint(limit + 1))


def test_a_block_over_two_mebibytes_is_refused() -> None:
    """A section within its limit may still hold too large a block."""
    data = bytes(BLOCK_ACCEPTED + 1)
    reader = car.Reader()
    reader.feed(car.header([]))
    with pytest.raises(LimitExceeded, match="block size"):
        reader.feed(car.section(CID.of(RAW, data), data))
    whole = bytes(BLOCK_ACCEPTED)
    assert len(car.read(car.header([]) + car.section(CID.of(RAW, whole), whole))[1]) == 1


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (bytes.fromhex("0aa16776657273696f6e02"), "CAR v2"),
        (b"\x00", "no bytes"),
        (b"\x01\x80", "not one of CAR v1"),
        (b"\x02\x81\x81", "not DAG-CBOR"),
        (b"\xff" * 9, "more than 9 bytes"),
        (b"\x81\x00", "not minimal"),
        (car.header([])[:1] + libipld.encode_dag_cbor({"version": 3, "roots": []}), "not one of CAR v1"),
        (b"\x12" + libipld.encode_dag_cbor({"version": 1, "roots": [1]}), "no link"),
        (car.header([]) + b"\x00", "no bytes"),
        (car.header([]) + b"\x01\x55", "without a CID"),
        (car.header([]) + b"\x02\x01\x55", "without a CID"),
    ],
)
def test_malformed_streams_say_why(stream: bytes, says: str) -> None:
    """Each kind of malformed header or section is a BadCAR with its reason and offset."""
    with pytest.raises(BadCAR, match=says):
        car.read(stream)
    assert drain([stream]) == drain([stream[i : i + 1] for i in range(len(stream))])
