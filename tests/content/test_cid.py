"""CIDs: every form in, one form out, and nothing that proves too little."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cid import (
    CBOR,
    CID,
    DAG_CBOR,
    DAG_JSON,
    DAG_PB,
    IDENTITY,
    JSON,
    LIBP2P_KEY,
    RAW,
    read_varint,
    write_varint,
)
from content.errors import BadCID
from content.limits import IDENTITY_DIGEST

EMPTY_V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"  # the empty UnixFS folder, as all of IPFS knows it
EMPTY_V1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
KEY = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8"


def test_v0_and_v1_are_one_multihash() -> None:
    """The two names of one block: text round trips, versions convert, stores keep it once."""
    v0, v1 = CID.parse(EMPTY_V0), CID.parse(EMPTY_V1)
    assert (str(v0), str(v1), v0.version, v1.version) == (EMPTY_V0, EMPTY_V1, 0, 1)
    assert v0.v1 == v1
    assert v1.v1 is v1
    assert v0.multihash == v1.multihash
    assert v0.digest == v1.digest
    assert v0.store_key == v1.store_key
    assert v0.codec == v1.codec == DAG_PB


@given(st.sampled_from([RAW, DAG_PB, DAG_CBOR, LIBP2P_KEY, CBOR, DAG_JSON, JSON]), st.binary(max_size=50))
def test_all_bases_are_read(codec: int, data: bytes) -> None:
    """base16, 32, 36, 58btc and 64url of one CID, upper case where the base has it, are that CID."""
    cid = CID.of(codec, data)
    forms = [
        str(cid),
        str(cid).upper(),
        "f" + cid.hex(),
        "F" + cid.hex().upper(),
        cid.base36(),
        cid.base36().upper(),
        "u" + base64.urlsafe_b64encode(cid).decode().rstrip("="),
    ]
    assert {CID.parse(form) for form in forms} == {cid}
    assert (cid.codec, cid.version, cid.is_control) == (codec, 1, codec == DAG_CBOR)


def test_ipns_names_are_base36() -> None:
    """A libp2p key: an identity CID whose text begins with k51."""
    cid = CID.parse(KEY)
    assert (cid.codec, cid.hash_code, cid.base36()) == (LIBP2P_KEY, IDENTITY, KEY)
    assert len(cid.digest) == 36


def test_control_blocks_have_a_room_of_their_own() -> None:
    """The same bytes as DAG-CBOR and as raw have two keys: a token guards the first only."""
    assert CID.of(DAG_CBOR, b"x").store_key != CID.of(RAW, b"x").store_key
    assert CID.of(RAW, b"x").store_key == CID.of(DAG_PB, b"x").store_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "hello",
        EMPTY_V0[:-1],
        EMPTY_V0 + "x",
        EMPTY_V1[:-2],
        EMPTY_V1 + "aa",
        EMPTY_V1.replace("a", "A", 1),
        EMPTY_V1.replace("a", "1", 1),
        "z" + EMPTY_V0,  # a v0 in multibase
        "f0055" + "00" * 10,  # version 0
        "f0255122000",
        "f01551114" + "00" * 20,  # sha1
        "f01551620" + "00" * 32,  # keccak of md4's family: whatever it is, not sha2-256
        "f0155121f" + "00" * 31,  # truncated
        "f01551221" + "00" * 33,
        "f0155",
        "f015512",
        "Qm" + "0" * 44,  # 0 is not base58
        "k" + "_" * 10,
        "u" + "!" * 10,
        "b" * 513,
        "\u0661" * 20,
    ],
)
def test_bad_text(text: str) -> None:
    """Wrong base, version, hash, length or case: refused, never guessed."""
    with pytest.raises(BadCID):
        CID.parse(text)


def test_identity_limit() -> None:
    """An identity CID holds 128 bytes at most; one more is data in disguise."""
    fits = bytes((1, RAW, IDENTITY)) + write_varint(IDENTITY_DIGEST) + bytes(IDENTITY_DIGEST)
    assert CID.from_bytes(fits).digest == bytes(IDENTITY_DIGEST)
    assert CID.parse("f" + fits.hex()) == fits
    over = bytes((1, RAW, IDENTITY)) + write_varint(IDENTITY_DIGEST + 1) + bytes(IDENTITY_DIGEST + 1)
    with pytest.raises(BadCID):
        CID.from_bytes(over)


def test_reading_from_a_longer_buffer() -> None:
    """One CID after another, as in CAR and in a list of CIDs; a cut one is refused."""
    cids = [CID.of(RAW, b"a"), CID.parse(EMPTY_V0), CID.parse(KEY), CID.of(DAG_CBOR, b"b")]
    data, at, found = b"".join(cids), 0, []
    while at < len(data):
        cid, at = CID.read(data, at)
        found.append(cid)
    assert found == cids
    for cid in cids:
        for end in range(len(cid)):
            with pytest.raises(BadCID):
                CID.from_bytes(cid[:end])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_cid_or_bad(data: bytes) -> None:
    """No bytes crash the reader, and what it takes it gives back."""
    with contextlib.suppress(BadCID):
        cid = CID.from_bytes(data)
        assert CID.parse(str(cid)) == cid == data


@given(st.text(max_size=80))
def test_any_text_is_a_cid_or_bad(text: str) -> None:
    """No text crashes the reader."""
    with contextlib.suppress(BadCID):
        CID.parse(text)


@given(st.integers(0, 2**63 - 1))
def test_varints(value: int) -> None:
    """What is written is read back; longer forms of a number are refused (unsigned-varint: minimal)."""
    data = write_varint(value)
    assert read_varint(b"x" + data + b"y", 1) == (value, len(data) + 1)
    with pytest.raises(BadCID):
        read_varint(data[:-1] + bytes((data[-1] | 0x80, 0)))
