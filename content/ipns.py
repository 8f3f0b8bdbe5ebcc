"""IPNS records: one signed pointer that moves (IPNS spec, records and names).

Here lives making a record of an Ed25519 key, the names of such keys, and verifying a record of any key. Not here: keys
of other types (content/peerkey), who follows records and when they are renewed (edge, origin/catalog), or where keys
are kept (origin/keys).

Only the V2 signature counts; a record with V1 alone is refused (spec, §"Record Verification"). We still write the V1
fields, as Kubo does, so that older clients can follow a site. Extra fields of ours stand in the signed part only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import libipld
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from content import peerkey
from content.cid import CID, IDENTITY, LIBP2P_KEY, write_varint
from content.errors import BadRecord
from content.limits import IPNS_RECORD

_SIGNATURE_PREFIX = b"ipns-signature:"
_KEY_PREFIX = b"\x08\x01\x12\x20"  # libp2p PublicKey{Type: Ed25519, Data: 32 bytes}
_NAME_PREFIX = bytes((1, LIBP2P_KEY, IDENTITY, len(_KEY_PREFIX) + 32))
_VALUE, _SIGNATURE_V1, _VALIDITY_TYPE, _VALIDITY, _SEQUENCE, _TTL, _PUBLIC_KEY, _SIGNATURE_V2, _DATA = range(1, 10)
_NUMBERS = frozenset((_VALIDITY_TYPE, _SEQUENCE, _TTL))
_SIGNED: Final = {
    "Value": _VALUE,
    "Validity": _VALIDITY,
    "ValidityType": _VALIDITY_TYPE,
    "Sequence": _SEQUENCE,
    "TTL": _TTL,
}
_EOL = 0  # the one validity type there is
_INTEGER_MAX = 2**63 - 1  # what every reader of the signed integers can hold
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANO = 10**9

_Fields = dict[int, "int | bytes"]


class Expired(BadRecord):
    """A record that verifies but whose end of life has passed."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a verified record says. `eol` is unix seconds, `ttl` seconds, `extra` signed text fields not of the spec."""

    name: str
    value: str
    sequence: int
    eol: float
    ttl: float
    extra: Mapping[str, str] = field(default_factory=dict)


def name_of(public_key: Ed25519PublicKey) -> str:
    """The IPNS name of a key: k51…, its libp2p-key CID in base36."""
    return CID(_NAME_PREFIX + _KEY_PREFIX + public_key.public_bytes_raw()).base36()


def key_of(name: str) -> Ed25519PublicKey:
    """The key in the name of a Catalog. Raises BadRecord for text that is no name of an Ed25519 key."""
    cid = peerkey.parse_name(name)
    prefix = _NAME_PREFIX + _KEY_PREFIX
    if not cid.startswith(prefix):
        raise BadRecord(f"IPNS name {name[:80]}: only Ed25519 keys are accepted")
    return Ed25519PublicKey.from_public_bytes(cid[len(prefix) :])


def create(
    key: Ed25519PrivateKey, value: str, sequence: int, eol: float, ttl: float, extra: Mapping[str, str] | None = None
) -> bytes:
    """A record that says `value` until `eol` (unix seconds). Same arguments, same bytes: Ed25519 uses no chance."""
    if not 0 <= sequence <= _INTEGER_MAX:
        raise ValueError(f"sequence {sequence}")
    if extra and not _SIGNED.keys().isdisjoint(extra):
        raise ValueError("an extra field has a name of the spec's own")
    fields: dict[str, Any] = {
        "Value": value.encode(),
        "Validity": _write_time(eol),
        "ValidityType": _EOL,
        "Sequence": sequence,
        "TTL": round(ttl * _NANO),
    }
    data: bytes = libipld.encode_dag_cbor({**(extra or {}), **fields})
    legacy = fields["Value"] + fields["Validity"] + b"EOL"
    message: _Fields = {number: fields[name] for name, number in _SIGNED.items()}
    message[_SIGNATURE_V1] = key.sign(legacy)
    message[_SIGNATURE_V2] = key.sign(_SIGNATURE_PREFIX + data)
    message[_DATA] = data
    record = b"".join(_write_field(number, message[number]) for number in sorted(message))
    if len(record) > IPNS_RECORD:
        raise BadRecord(f"a record of {len(record):,} bytes (at most {IPNS_RECORD:,})")
    return record


def verify(name: str, record: bytes, now: float | None = None) -> Record:
    """What this record of this name (in any form) says. Raises BadRecord; Expired only if `now` (unix s) is given.

    The steps and their order are the spec's, but that the signature comes before the first look at the signed data.
    """
    if len(record) > IPNS_RECORD:
        raise BadRecord(f"a record of {len(record):,} bytes (at most {IPNS_RECORD:,})")
    message = _read_fields(record)
    signature, data = message.get(_SIGNATURE_V2), message.get(_DATA)
    if not isinstance(signature, bytes) or not isinstance(data, bytes) or not signature or not data:
        raise BadRecord("no V2 signature (a V1 signature proves too little)")
    carried = message.get(_PUBLIC_KEY, b"")
    assert isinstance(carried, bytes)
    cid = peerkey.parse_name(name)
    peerkey.verify(cid, carried, signature, _SIGNATURE_PREFIX + data)
    signed = _read_signed(data)
    _check_same(message, signed)
    found = _to_record(_spelled(cid), signed)
    if now is not None and now >= found.eol:
        raise Expired(f"the record ended {now - found.eol:,.0f} s ago")
    return found


@lru_cache(maxsize=256)
def _spelled(name: CID) -> str:
    return name.base36()


def _read_signed(data: bytes) -> dict[str, Any]:
    try:
        signed = libipld.decode_dag_cbor(data)
    except Exception as error:  # libipld raises ValueError, and others, on malformed input
        raise BadRecord(f"the signed data is not DAG-CBOR: {error}") from error
    if not isinstance(signed, dict):
        raise BadRecord("the signed data is not a map")
    for name, number in _SIGNED.items():
        value = signed.get(name)
        right = type(value) is int if number in _NUMBERS else isinstance(value, bytes)
        if not right or (isinstance(value, int) and not 0 <= value < 2**64):
            raise BadRecord(f"signed field {name} is missing or of the wrong kind")
    if signed["ValidityType"] != _EOL:
        raise BadRecord(f"validity type {signed['ValidityType']} (only EOL, 0, is known)")
    return signed


def _check_same(message: _Fields, signed: dict[str, Any]) -> None:
    """The unsigned copies must say what the signed data says: a V1 reader must not be told another story."""
    legacy = _VALUE in message or _SIGNATURE_V1 in message
    for name, number in _SIGNED.items():
        absent: int | bytes = 0 if number in _NUMBERS else b""
        if (legacy or number in message) and message.get(number, absent) != signed[name]:
            raise BadRecord(f"field {name} differs between the protobuf and the signed data")


def _to_record(name: str, signed: dict[str, Any]) -> Record:
    try:
        value = signed["Value"].decode()
        validity = signed["Validity"].decode("ascii")
    except UnicodeDecodeError as error:
        raise BadRecord("value or validity is not text") from error
    if not value.startswith(("/ipfs/", "/ipns/")):
        raise BadRecord(f"value {value[:80]!r} is not a content path")
    extra = {k: v for k, v in signed.items() if k not in _SIGNED and isinstance(v, str)}
    return Record(name, value, signed["Sequence"], _read_time(validity), signed["TTL"] / _NANO, extra)


def _write_time(when: float) -> bytes:
    """RFC 3339 in UTC with nanoseconds, as Kubo writes it."""
    seconds = int(when // 1)
    more, nanos = divmod(round((when - seconds) * _NANO), _NANO)  # the whole in nanoseconds is more than a float holds
    seconds += more
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanos:09}Z".encode()


def _read_time(text: str) -> float:
    match = _RFC3339.match(text)
    if not match:
        raise BadRecord(f"validity {text[:40]!r} is not an RFC 3339 time")
    whole, fraction, sign, hours, minutes = match.groups()
    try:
        seconds = (datetime.fromisoformat(whole + "+00:00") - _EPOCH) // timedelta(seconds=1)
    except ValueError as error:
        raise BadRecord(f"validity {text[:40]!r}: {error}") from error
    if sign and (int(hours) > 23 or int(minutes) > 59):
        raise BadRecord(f"validity {text[:40]!r}: no such time zone")
    offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return seconds - offset + int((fraction or "0").ljust(9, "0")) / _NANO


def _write_field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return write_varint(number << 3) + write_varint(value)
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value


def _read_fields(data: bytes) -> _Fields:
    """The protobuf's known fields, last one wins; unknown ones are passed over. Bounded by the record's size."""
    fields: _Fields = {}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == 0:
            value, at = _read_varint(data, at)
        else:
            length, at = _read_varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(data) + 1), at)
            if length > len(data) - at:
                raise BadRecord(f"protobuf field {number} is cut short or of an unknown kind")
            value, at = data[at : at + length], at + length
        if not number:
            raise BadRecord("protobuf field 0")
        if _VALUE <= number <= _DATA:
            if wire != (0 if number in _NUMBERS else 2):
                raise BadRecord(f"protobuf field {number} is of the wrong kind")
            fields[number] = value
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A protobuf varint: up to 10 bytes, and not always minimal (unlike a multiformats one)."""
    value = 0
    for index in range(at, min(len(data), at + 10)):
        value |= (data[index] & 0x7F) << (7 * (index - at))
        if data[index] < 0x80:
            return value & (2**64 - 1), index + 1
    raise BadRecord("a varint is cut short or too long")
