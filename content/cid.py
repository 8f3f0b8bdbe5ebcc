"""CID: the name of a block, which is also the proof of its bytes.

Here lives the reading and writing of CIDs (multiformats CID spec v0 and v1) and of the bases they come in.
Not here: blocks (content/block), or what a codec's bytes mean.

A CID *is* its binary form, so it is hashed, compared and sent as plain bytes; text is made on demand.
Only sha2-256 and short identity multihashes are accepted: a weak or truncated hash proves nothing (boxo verifcid).
"""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256

from content.errors import BadCID
from content.limits import IDENTITY_DIGEST

RAW = 0x55
DAG_PB = 0x70
DAG_CBOR = 0x71
LIBP2P_KEY = 0x72
CBOR = 0x51
DAG_JSON = 0x0129
JSON = 0x0200
IDENTITY = 0x00
SHA2_256 = 0x12

_B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_B36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_TEXT_MAX = 512  # longest text looked at: an identity CID of 128 bytes in base16 fits


def read_varint(data: bytes | memoryview, offset: int = 0) -> tuple[int, int]:
    """An unsigned LEB128 varint and the offset past it (multiformats unsigned-varint: ≤ 9 bytes, minimal)."""
    value = shift = 0
    for index in range(offset, min(len(data), offset + 9)):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise BadCID("varint is not minimal")
            return value, index + 1
        shift += 7
    raise BadCID("varint is cut short or too long")


def write_varint(value: int) -> bytes:
    """The unsigned varint of a non-negative integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_CODECS = (RAW, DAG_PB, DAG_CBOR, LIBP2P_KEY, CBOR, DAG_JSON, JSON)
_PREFIX = {codec: b"\x01" + write_varint(codec) + bytes((SHA2_256, 32)) for codec in _CODECS}


class CID(bytes):
    """A CID as its canonical bytes. Equal bytes, equal CID; str() is base32 (v1) or base58btc (v0)."""

    __slots__ = ()

    @classmethod
    def of(cls, codec: int, data: bytes | memoryview) -> CID:
        """The CIDv1 (sha2-256) of these bytes under this codec."""
        return cls(_PREFIX[codec] + sha256(data).digest())

    @classmethod
    def of_digest(cls, codec: int, digest: bytes) -> CID:
        """The CIDv1 for a sha2-256 digest that is already known."""
        return cls(_PREFIX[codec] + digest)

    @classmethod
    def parse(cls, text: str) -> CID:
        """Read any text form we accept: v0, and v1 in base16, 32, 36, 58btc, 64url. Raises BadCID."""
        if len(text) > _TEXT_MAX:
            raise BadCID(f"a CID of {len(text)} characters")
        if len(text) == 46 and text.startswith("Qm"):
            return cls.from_bytes(_from_base(text, _B58, 58))
        try:
            data = _decode_multibase(text)
        except (ValueError, binascii.Error) as error:
            raise BadCID(f"{text[:80]!r} is not a CID") from error
        if data[:1] == b"\x12":
            raise BadCID("a CIDv0 has no multibase prefix")
        return cls.from_bytes(data)

    @staticmethod
    def parse_base58(text: str) -> bytes:
        """Bytes in base58btc without a prefix: the multihash of a peer id. Raises BadCID."""
        if len(text) > _TEXT_MAX:
            raise BadCID(f"{len(text)} characters of base58")
        return _from_base(text, _B58, 58)

    @classmethod
    def from_bytes(cls, data: bytes) -> CID:
        """Check binary CID bytes, whole. Raises BadCID when anything is off or left over."""
        cid, end = cls.read(data, 0)
        if end != len(data):
            raise BadCID(f"{len(data) - end} bytes after the CID")
        return cid

    @classmethod
    def read(cls, data: bytes | memoryview, offset: int) -> tuple[CID, int]:
        """Read one CID at offset of a longer buffer; the CID and the offset past it."""
        head = bytes(data[offset : offset + 4])
        if head[:2] == b"\x12\x20":  # CIDv0: a bare sha2-256 multihash
            end = offset + 34
        elif len(head) == 4 and head[0] == 1 and head[1] < 0x80 and head[2:] == b"\x12\x20":
            end = offset + 36  # the shape of nearly every CID there is
        else:
            return cls._read_long(data, offset)
        if end > len(data):
            raise BadCID("CID is cut short")
        return cls(data[offset:end]), end

    @classmethod
    def _read_long(cls, data: bytes | memoryview, offset: int) -> tuple[CID, int]:
        version, at = read_varint(data, offset)
        if version != 1:
            raise BadCID(f"CID version {version}")
        _, at = read_varint(data, at)
        code, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if (code == SHA2_256 and length != 32) or (code == IDENTITY and length > IDENTITY_DIGEST):
            raise BadCID(f"digest of {length} bytes for hash 0x{code:x}")
        if code not in (SHA2_256, IDENTITY):
            raise BadCID(f"hash function 0x{code:x} is not accepted (sha2-256 is)")
        if at + length > len(data):
            raise BadCID("CID is cut short")
        return cls(data[offset : at + length]), at + length

    @property
    def version(self) -> int:
        return 0 if self[0] == 0x12 else 1

    @property
    def codec(self) -> int:
        """The multicodec of the block's bytes; dag-pb for a CIDv0."""
        if self[0] == 1 and self[1] < 0x80:  # asked thousands of times per walk
            return self[1]
        return DAG_PB if self[0] == 0x12 else read_varint(self, 1)[0]

    @property
    def multihash(self) -> bytes:
        return bytes(self) if self[0] == 0x12 else self[read_varint(self, 1)[1] :]

    @property
    def hash_code(self) -> int:
        return SHA2_256 if self[:1] == b"\x12" or self[2:3] == b"\x12" else self.multihash[0]

    @property
    def digest(self) -> bytes:
        """The hash alone: 32 bytes of sha2-256, or the data itself of an identity CID."""
        if len(self) in (34, 36) and self[-34:-32] == b"\x12\x20":
            return self[-32:]
        multihash = self.multihash
        return multihash[read_varint(multihash, 1)[1] :]

    @property
    def is_control(self) -> bool:
        """Whether this names a control block (Catalog, Site, Release, Index): those are DAG-CBOR, for nodes only."""
        return self.codec == DAG_CBOR

    @property
    def store_key(self) -> bytes:
        """The key under which stores keep the block: `b` (content) or `c` (control) and the multihash.

        By multihash, so that the same bytes asked under CIDv0, v1, raw or dag-pb are found once; but control blocks
        have a room of their own, or a control block could be fetched without a token under its raw codec.
        """
        if len(self) == 36 and self[1] < 0x80:  # asked for every block that comes or goes
            return (b"c" if self[1] == DAG_CBOR else b"b") + self[2:]
        return (b"c" if self.is_control else b"b") + self.multihash

    @property
    def v1(self) -> CID:
        return CID(bytes((1, DAG_PB)) + self) if self[0] == 0x12 else self

    def base36(self) -> str:
        """Text in base36, as IPNS names (k51…) are written."""
        return "k" + _to_base(self.v1, _B36, 36)

    def __str__(self) -> str:
        if self[0] == 0x12:
            return _to_base(self, _B58, 58)
        return "b" + base64.b32encode(self).decode().lower().rstrip("=")

    def __repr__(self) -> str:
        return f"CID({str(self)!r})"


def base58(data: bytes) -> str:
    """Bytes in base58btc, as bare multihashes are written."""
    return _to_base(data, _B58, 58)


def from_base58(text: str) -> bytes:
    """Raises BadCID."""
    if len(text) > _TEXT_MAX:
        raise BadCID(f"{len(text)} characters of base58")
    return _from_base(text, _B58, 58)


def _decode_multibase(text: str) -> bytes:
    prefix, body = text[:1], text[1:]
    if not body:
        raise BadCID("an empty CID")
    if prefix in "bB":
        if body != (body.lower() if prefix == "b" else body.upper()):
            raise BadCID("mixed case in base32")
        return base64.b32decode(body.upper() + "=" * (-len(body) % 8))
    if prefix in "fF":
        return bytes.fromhex(body)
    if prefix in "kK":
        return _from_base(body.lower(), _B36, 36)
    if prefix == "z":
        return _from_base(body, _B58, 58)
    if prefix == "u":
        return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    raise BadCID(f"multibase prefix {prefix!r} is not accepted")


def _from_base(text: str, alphabet: str, base: int) -> bytes:
    number = 0
    for char in text:
        value = alphabet.find(char)
        if value < 0:
            raise BadCID(f"{char!r} does not belong in base{base}")
        number = number * base + value
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _to_base(data: bytes, alphabet: str, base: int) -> str:
    number = int.from_bytes(data, "big")
    out = []
    while number:
        number, digit = divmod(number, base)
        out.append(alphabet[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return alphabet[0] * zeros + "".join(reversed(out))
