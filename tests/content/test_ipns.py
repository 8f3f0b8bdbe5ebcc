"""IPNS records: what we make, a real Kubo believes; what is broken in any way, we refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import libipld
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from content import ipns
from content.cid import CID, LIBP2P_KEY, write_varint
from content.errors import BadRecord
from content.limits import IPNS_RECORD
from tests.kit.programs import needed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAME = ipns.name_of(KEY.public_key())
VALUE = "/ipfs/bafkqaddwgevxmmraojswg33smq"
SEQUENCE = 1_760_000_000_000_000
EOL = 4_000_000_000.5
RECORD = ipns.create(KEY, VALUE, SEQUENCE, EOL, 60, {"_rim/release": "bafyrelease"})
PUBLIC = b"\x08\x01\x12\x20" + KEY.public_key().public_bytes_raw()

Wire = list[tuple[int, int | bytes]]


def signed(**other: Any) -> dict[str, Any]:
    fields = {
        "Value": VALUE.encode(),
        "Validity": b"2096-10-02T07:06:40.123456789Z",
        "ValidityType": 0,
        "Sequence": 7,
        "TTL": 60_000_000_000,
    }
    return {key: value for key, value in {**fields, **other}.items() if value is not None}


def wire(fields: Wire) -> bytes:
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += write_varint(number << 3) + write_varint(value)
        else:
            out += write_varint(number << 3 | 2) + write_varint(len(value)) + value
    return out


def record(data: Any, key: Ed25519PrivateKey = KEY, more: Wire | None = None) -> bytes:
    """A record of V2 fields alone around any signed data, well signed."""
    body = data if isinstance(data, bytes) else libipld.encode_dag_cbor(data)
    return wire([(8, key.sign(b"ipns-signature:" + body)), (9, body), *(more or [])])


def test_made_is_verified() -> None:
    """All that was signed comes back, our extra field too; the same arguments make the same bytes."""
    expected = ipns.Record(NAME, VALUE, SEQUENCE, EOL, 60, {"_rim/release": "bafyrelease"})
    assert ipns.verify(NAME, RECORD, now=EOL - 1) == expected
    assert ipns.create(KEY, VALUE, SEQUENCE, EOL, 60, {"_rim/release": "bafyrelease"}) == RECORD


def test_the_bytes_are_a_format() -> None:
    """Records lie on disks: these bytes never change."""
    assert NAME == "k51qzi5uqu5dg9ufswxt229ntzdy7p4125xzv5rtyjso89ajdujg6csfxcj260"
    assert CID.of(0x55, RECORD) == CID.parse("bafkreihwf272zov4n6zme4eqmlftfkul44a7dmctwiuqfpnbvzveahf56i")


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.floats(0, 250_000_000_000), st.floats(0, 1e9), st.text(max_size=50))
def test_any_values_come_back(sequence: int, eol: float, ttl: float, path: str) -> None:
    """Times keep their nanoseconds as far as a float does, up to the year 9000."""
    made = ipns.verify(NAME, ipns.create(KEY, "/ipns/" + path, sequence, eol, ttl))
    assert (made.value, made.sequence) == ("/ipns/" + path, sequence)
    assert made.eol == pytest.approx(eol, rel=1e-15, abs=1e-9)
    assert made.ttl == pytest.approx(ttl, rel=1e-15, abs=1e-9)


def test_a_record_ends_at_its_end() -> None:
    """Without a clock a record never expires; at its last moment it does, and says so by a class of its own."""
    ipns.verify(NAME, RECORD)
    with pytest.raises(ipns.Expired):
        ipns.verify(NAME, RECORD, now=EOL)


def test_names() -> None:
    """A name is the key in any multibase; names of no key, or of another kind of key, are refused."""
    cid = CID.parse(NAME)
    assert NAME.startswith("k51")
    for text in (NAME, str(cid), "f" + cid.hex()):
        assert ipns.key_of(text).public_bytes_raw() == KEY.public_key().public_bytes_raw()
        assert ipns.verify(text, RECORD).name == NAME
    rsa = CID.of(LIBP2P_KEY, b"an RSA key's hash")
    for text in ("", "example.org", str(CID.of(0x55, b"x")), str(rsa), CID(cid[:-1]).base36(), "k51!" * 50):
        with pytest.raises(BadRecord):
            ipns.key_of(text)


@settings(deadline=None)
@given(st.integers(0, len(RECORD) * 8 - 1))
@example((RECORD.index(b"\x12\x40")) * 8 + 6)  # a V1 signature that is an unknown field: seen to count for nothing
def test_any_flipped_bit_is_seen(bit: int) -> None:
    """Only what counts for nothing may change: the V1 signature, and whether it or a field of value 0 is there."""
    damaged = bytearray(RECORD)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        assert ipns.verify(NAME, bytes(damaged)) == ipns.verify(NAME, RECORD)
    except BadRecord:
        return
    assert RECORD.index(b"\x12\x40") <= bit // 8 < RECORD.index(b"\x42\x40"), "not the V2 signature nor what it signs"


def test_truncation_at_every_byte_is_seen() -> None:
    """A record cut anywhere does not verify."""
    for length in range(len(RECORD)):
        with pytest.raises(BadRecord):
            ipns.verify(NAME, RECORD[:length])


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    """Bytes of no meaning are BadRecord, nothing else."""
    with pytest.raises(BadRecord):
        ipns.verify(NAME, noise)


def test_v2_alone_is_enough_and_v1_alone_is_not() -> None:
    """As the spec says since 2023: V1 proves too little."""
    found = ipns.verify(NAME, record(signed()))
    assert (found.sequence, found.ttl, found.extra) == (7, 60.0, {})
    assert found.eol == pytest.approx(3_999_999_999 + 1.123456789)
    validity = b"2096-10-02T07:06:40Z"
    legacy: Wire = [(1, VALUE.encode()), (2, KEY.sign(VALUE.encode() + validity + b"EOL")), (3, 0), (4, validity)]
    for rest in ([], [(9, b"")], [(8, b"")], [(8, bytes(64))]):
        with pytest.raises(BadRecord, match="V2"):
            ipns.verify(NAME, wire(legacy + rest))


def test_the_wrong_key_is_refused() -> None:
    """Another name's record, another key's signature, another public key inside."""
    with pytest.raises(BadRecord, match="does not verify"):
        ipns.verify(ipns.name_of(OTHER.public_key()), RECORD)
    with pytest.raises(BadRecord, match="does not verify"):
        ipns.verify(NAME, record(signed(), OTHER))
    ipns.verify(NAME, record(signed(), more=[(7, PUBLIC)]))
    inside = b"\x08\x01\x12\x20" + OTHER.public_key().public_bytes_raw()
    with pytest.raises(BadRecord, match="public key"):
        ipns.verify(NAME, record(signed(), more=[(7, inside)]))


@pytest.mark.parametrize(
    ("field", "number", "right", "wrong"),
    [
        ("Value", 1, VALUE.encode(), b"/ipfs/other"),
        ("ValidityType", 3, 0, 1),
        ("Validity", 4, signed()["Validity"], b"2097-10-02T07:06:40.123456789Z"),
        ("Sequence", 5, 7, 8),
        ("TTL", 6, 60_000_000_000, 1),
    ],
)
def test_unsigned_copies_must_tell_the_same_story(field: str, number: int, right: Any, wrong: Any) -> None:
    """A protobuf field that is there must equal the signed one; with a V1 signature all of them must be there."""
    ipns.verify(NAME, record(signed(), more=[(number, right)] if number != 1 else []))
    with pytest.raises(BadRecord, match="differs"):
        ipns.verify(NAME, record(signed(), more=[(number, wrong)]))
    every: Wire = [(1, VALUE.encode()), (3, 0), (4, signed()["Validity"]), (5, 7), (6, 60_000_000_000), (2, b"v1")]
    ipns.verify(NAME, record(signed(), more=every))
    if field != "ValidityType":  # absent it is 0, which is right
        with pytest.raises(BadRecord, match=f"{field} differs"):
            ipns.verify(NAME, record(signed(), more=[pair for pair in every if pair[0] != number]))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x81" * 9_000,
        b"\x9b" + b"\xff" * 8,
        b"\xbf\xff",
        signed(Value=None),
        signed(Validity=None),
        signed(ValidityType=None),
        signed(Sequence=None),
        signed(TTL=None),
        signed(Value="/ipfs/text"),
        signed(Value=b"\xff\xfe"),
        signed(Value=b""),
        signed(Value=b"javascript:alert(1)"),
        signed(Validity=b""),
        signed(Validity=b"\xff"),
        signed(Validity=b"tomorrow"),
        signed(Validity=b"2096-10-02 07:06:40Z"),
        signed(Validity=b"2096-10-02T07:06:40"),
        signed(Validity=b"2096-13-02T07:06:40Z"),
        signed(Validity=b"2096-10-02T07:06:61Z"),
        signed(Validity=b"0000-10-02T07:06:40Z"),
        signed(Validity=b"2096-10-02T07:06:40+99:00"),
        signed(Validity="２096-10-02T07:06:40Z".encode()),
        signed(ValidityType=1),
        signed(ValidityType=False),
        signed(Sequence=-1),
        signed(Sequence=1.0),
        signed(TTL=b"60"),
    ],
)
def test_signed_nonsense_is_refused(data: Any) -> None:
    """A good signature does not make good fields."""
    with pytest.raises(BadRecord):
        ipns.verify(NAME, record(data))


def test_times_in_other_zones() -> None:
    """RFC 3339 allows offsets and any number of digits."""
    for text, expected in (
        (b"1970-01-01T01:00:00+01:00", 0),
        (b"1969-12-31T23:30:00-00:30", 0),
        (b"1970-01-01T00:00:01.5Z", 1.5),
        (b"1970-01-01T00:00:01.1234567891234Z", 1.123456789),
    ):
        assert ipns.verify(NAME, record(signed(Validity=text))).eol == expected


@pytest.mark.parametrize(
    "more",
    [
        b"\x00\x00",
        b"\x0b",
        b"\x0c",
        b"\x28\xff",
        b"\x28" + b"\x80" * 10 + b"\x01",
        b"\x2d\x00\x00\x00\x00",
        b"\x42\xff\xff\x03",
    ],
)
def test_malformed_protobuf_is_refused(more: bytes) -> None:
    """Field 0, groups, endless varints, lengths past the end, a known field of another kind."""
    with pytest.raises(BadRecord):
        ipns.verify(NAME, record(signed()) + more)


def test_unknown_fields_are_passed_over() -> None:
    """Fields of a later spec, in the protobuf or signed, do no harm; signed text is handed out."""
    more: Wire = [(15, b"later"), (2_000, 5)]
    data = signed(_later="text", _number=5)
    assert ipns.verify(NAME, record(data, more=more) + b"\x85\x01\0\0\0\0").extra == {"_later": "text"}


def test_ten_kibibytes_and_not_one_more() -> None:
    """The limit is held before parsing, and by ourselves."""
    pad = "x" * (IPNS_RECORD - len(record(signed(_pad="x" * 5_000))) + 5_000)
    largest = record(signed(_pad=pad))
    assert len(largest) == IPNS_RECORD
    ipns.verify(NAME, largest)
    with pytest.raises(BadRecord, match="10,241 bytes"):
        ipns.verify(NAME, largest + b"\x00")
    with pytest.raises(BadRecord, match="at most"):
        ipns.create(KEY, "/ipfs/" + "x" * IPNS_RECORD, 1, EOL, 60)


def test_mistakes_of_ours_are_ours() -> None:
    """create() refuses sequences no reader can hold, and extra fields under a name of the spec."""
    for sequence, extra in ((-1, {}), (2**63, {}), (1, {"Value": "x"})):
        with pytest.raises(ValueError, match=r"sequence|extra"):
            ipns.create(KEY, VALUE, sequence, EOL, 60, extra)


@pytest.mark.needs("ipfs")
def test_a_real_kubo_believes_our_records(tmp_path: Path) -> None:
    """`ipfs name inspect --verify` says valid, and reads what we wrote; a flipped byte is not valid for it either."""
    for name, data in (("good", RECORD), ("bad", RECORD[:-1] + bytes((RECORD[-1] ^ 1,)))):
        (tmp_path / name).write_bytes(data)
        done = subprocess.run(
            [needed("ipfs"), "name", "inspect", f"--verify={NAME}", "--dump=false", str(tmp_path / name)],
            capture_output=True,
            text=True,
            env={"IPFS_PATH": str(tmp_path / "repo"), "HOME": str(tmp_path)},
            timeout=60,
        )
        if name == "bad":
            assert "true" not in done.stdout
            continue
        lines = dict(line.strip().split(":", 1) for line in done.stdout.splitlines() if ":" in line)
        said = {key: value.strip() for key, value in lines.items()}
        assert said["Valid"] == "true", done.stdout + done.stderr
        assert said["Value"] == f'"{VALUE}"'
        assert said["Sequence"] == str(SEQUENCE)
        assert said["Validity"] == '"2096-10-02T07:06:40.5Z"'
        assert said["TTL"] == "1m0s"
        assert said["Signature Type"] == "V1+V2"
