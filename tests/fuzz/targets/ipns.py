"""IPNS: nothing verifies that the key did not sign, and what it signed is read as it was written.

Two ways in: a record as it comes, which can only verify if what is signed in it is one of the few things that this key
ever signed; and signed data of any kind, which the target signs itself, so that all behind the signature is met.
"""

from __future__ import annotations

from collections.abc import Iterator

import libipld
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns
from content.errors import BadRecord
from content.ipns import Expired, Record
from content.limits import IPNS_RECORD
from tests.fuzz.taking import Taking

STEPS = (12_000, 60)
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_NAME = ipns.name_of(_KEY.public_key())
_OTHER = ipns.name_of(Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
_YEAR_9999 = 253_402_300_799
_NUMBERS = (3, 5, 6)  # fields of the protobuf that are numbers


def _made() -> dict[str, bytes]:
    return {
        "plain": ipns.create(_KEY, "/ipfs/bafkqaaa", 7, 2_000_000_000.5, 60),
        "extra": ipns.create(_KEY, "/ipfs/bafkqaaa", 2**63 - 1, 0, 0, {"_rim/release": "bafyrei"}),
        "far": ipns.create(_KEY, "/ipns/example.com", 0, _YEAR_9999, 3600),
    }


_SIGNED = [ipns.verify(_NAME, record) for record in _made().values()]


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    mode = taking.byte()
    if mode & 1:
        _signed_by_us(taking, thorough)
        return
    record = taking.rest()
    try:
        found = ipns.verify(_NAME, record)
    except BadRecord:
        return
    assert found in _SIGNED, "a record that nobody signed"
    _refused(_OTHER, record)
    _only_until_its_end(record, found)


def _signed_by_us(taking: Taking, thorough: bool) -> None:
    """Sign what comes, beside copies of its fields in the protobuf that may or may not say the same."""
    legacy, data = taking.byte(), taking.short()
    copies = taking.rest()
    try:
        signed = libipld.decode_dag_cbor(data)
        assert isinstance(signed, dict)
    except Exception:
        signed = None
        if legacy & 7:  # a signature costs more than all else here: spend it where there is something behind it
            return
    if len(data) + len(copies) > IPNS_RECORD // 2:
        return
    record = _record(data, signed, legacy, copies)
    try:
        found = ipns.verify(_NAME, record)
    except BadRecord:
        return
    assert signed is not None
    assert found.value.encode() == signed["Value"]
    assert found.sequence == signed["Sequence"]
    assert found.name == _NAME
    assert 0 <= found.sequence < 2**64
    assert found.ttl >= 0
    assert all(signed[name] == text for name, text in found.extra.items())
    _only_until_its_end(record, found)
    if thorough:
        _refused(_OTHER, record)
    _round_trip(found)


def _record(data: bytes, signed: dict[str, object] | None, legacy: int, copies: bytes) -> bytes:
    fields = b""
    if legacy & 0x40 and signed:
        for number, name in enumerate(("Value", "SignatureV1", "ValidityType", "Validity", "Sequence", "TTL"), 1):
            value = signed.get(name)
            if isinstance(value, int if number in _NUMBERS else bytes) and not (isinstance(value, int) and value < 0):
                fields += ipns._write_field(number, value)  # type: ignore[arg-type]
    signature = _KEY.sign(b"ipns-signature:" + data)
    return fields + copies + ipns._write_field(8, signature) + ipns._write_field(9, data)


def _round_trip(found: Record) -> None:
    """What was read is written, and read again the same. (A time is a float here: it is the same from then on.)"""
    if found.sequence >= 2**63 or not 0 <= found.eol <= _YEAR_9999 or not ipns._SIGNED.keys().isdisjoint(found.extra):
        return
    again = ipns.verify(_NAME, _written(found))
    assert (again.value, again.sequence, again.extra) == (found.value, found.sequence, found.extra)
    assert abs(again.eol - found.eol) < 1e-4
    assert abs(again.ttl - found.ttl) <= 1e-6 * found.ttl
    assert ipns.verify(_NAME, _written(again)) == again


def _written(found: Record) -> bytes:
    return ipns.create(_KEY, found.value, found.sequence, found.eol, found.ttl, found.extra)


def _only_until_its_end(record: bytes, found: Record) -> None:
    assert ipns.verify(_NAME, record, found.eol - 1) == found
    try:
        ipns.verify(_NAME, record, found.eol)
    except Expired:
        return
    raise AssertionError("a record that outlives itself")


def _refused(name: str, record: bytes) -> None:
    try:
        ipns.verify(name, record)
    except BadRecord:
        return
    raise AssertionError(f"another name's record: {name}")


def seeds() -> Iterator[bytes]:
    for record in _made().values():
        yield b"\x00" + record
        data = ipns._read_fields(record)[9]
        assert isinstance(data, bytes)
        yield bytes((1, 0x40, len(data))) + data
        yield bytes((1, 0x00, len(data))) + data
    validity = b"2033-05-18T03:33:20.5+02:00"
    whole = {"Value": b"/ipfs/bafkqaaa", "Validity": validity, "ValidityType": 0, "Sequence": 1, "TTL": 0}
    for change in ({"Validity": b"2033-05-18T03:33:20Z"}, {"ValidityType": 1}, {"Sequence": 2**64 - 1}, {"Value": b"x"},
                   {"Sequence": -1}, {"TTL": True}, {"_other": 1.5}, {"Validity": b"9999-12-31T23:59:59-23:59"},
                   {"Validity": b"0001-01-01T00:00:00+23:59"}):  # fmt: skip
        data = libipld.encode_dag_cbor({**whole, **change})
        yield bytes((1, 0x40, len(data))) + data
    yield bytes((1, 0, 1)) + b"\x81"
