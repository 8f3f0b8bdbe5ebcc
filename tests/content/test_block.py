"""Block: to construct one is to verify it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, RAW
from content.errors import BadBlock, LimitExceeded
from content.limits import BLOCK_ACCEPTED


@given(st.binary(max_size=200), st.sampled_from([RAW, DAG_PB, DAG_CBOR]))
def test_made_blocks_verify(data: bytes, codec: int) -> None:
    """What make() names, the constructor accepts, also under the old name of a CIDv0."""
    block = Block.make(codec, data)
    assert Block(block.cid, data) == block
    assert Block(CID(block.cid.multihash), data).data == data


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_other_bytes_are_refused(data: bytes, draw: st.DataObject) -> None:
    """One bit flipped, one byte more, one less: BadBlock, and it names the CID that was lied about."""
    cid = CID.of(RAW, data)
    at = draw.draw(st.integers(0, len(data) - 1))
    flipped = data[:at] + bytes((data[at] ^ 1 << draw.draw(st.integers(0, 7)),)) + data[at + 1 :]
    for lie in (flipped, data + b"\0", data[:-1], b"<html>"):
        with pytest.raises(BadBlock) as fault:
            Block(cid, lie)
        assert fault.value.cid == str(cid)


def test_identity_blocks() -> None:
    """An identity CID proves exactly its own bytes."""
    cid = CID(bytes((1, RAW, IDENTITY, 2)) + b"hi")
    assert Block(cid, b"hi").data == b"hi"
    with pytest.raises(BadBlock):
        Block(cid, b"ho")


def test_accepted_size() -> None:
    """2 MiB pass, one byte more does not, however true its hash."""
    data = bytes(BLOCK_ACCEPTED)
    assert Block(CID.of(RAW, data), data) == Block.make(RAW, data)
    over = data + b"\0"
    with pytest.raises(LimitExceeded):
        Block(CID.of(RAW, over), over)
    with pytest.raises(LimitExceeded):
        Block.make(RAW, over)


def test_blocks_do_not_change() -> None:
    """Verified once, so frozen."""
    block = Block.make(RAW, b"x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        block.data = b"y"  # type: ignore[misc]
