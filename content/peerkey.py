"""Public keys as libp2p writes them, and the IPNS names they have (libp2p peer ids, IPNS spec "IPNS Keys").

Here lives reading a key out of a name or a record and checking a signature with it. Not here: what is signed
(content/ipns), making names of our own keys (content/ipns.name_of), keeping keys (origin/keys).

Ed25519 is what we make and what Heads are signed with; RSA, secp256k1 and ECDSA are read because names of others have
them. A key of at most 42 bytes is its name; of a longer one the name is the sha2-256, and the key stands in the record.
One key has one name: a short key under its hash, or a long one inlined, is refused, as go-libp2p does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from content.cid import CID, IDENTITY, LIBP2P_KEY, read_varint
from content.errors import BadCID, BadRecord
from content.limits import RSA_BITS_MAX, RSA_BITS_MIN

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

INLINE_MAX = 42  # bytes of a serialized key that is its own name (peer ids spec)
_RSA, _ED25519, _SECP256K1, _ECDSA = range(4)  # PublicKey.Type
_CURVES = ("secp256r1", "secp384r1", "secp521r1")

Verify: TypeAlias = Callable[[bytes, bytes], object]  # (signature, message); raises InvalidSignature


@lru_cache(maxsize=256)  # the same few names are read with every Head and every receipt
def parse_name(text: str) -> CID:
    """The IPNS name in this text as a libp2p-key CID: a CIDv1 in any base, or the bare multihash in base58btc (Qm…,
    12D3KooW…). Raises BadRecord."""
    try:
        if text.startswith("1"):
            return CID.from_bytes(_bare(CID.parse_base58(text)))
        cid = CID.parse(text)
        if cid.version == 0:
            return CID.from_bytes(_bare(cid))
    except BadCID as error:
        raise BadRecord(f"{text[:80]!r} is not an IPNS name: {error}") from error
    if cid.codec != LIBP2P_KEY:
        raise BadRecord(f"{text[:80]!r} is not an IPNS name: its codec is 0x{cid.codec:x}")
    return cid


def verify(name: CID, carried: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature with the key of this name. `carried`: the key in the record, empty where there is none.

    Raises BadRecord where there is no key, another one, one we do not read, or where the signature is not its own.
    """
    digest = name.digest
    if name.hash_code == IDENTITY:
        if carried not in (b"", digest):
            raise BadRecord("the public key inside is not the name's")
        if len(digest) > INLINE_MAX:
            raise BadRecord(f"a key of {len(digest)} bytes is not its own name (at most {INLINE_MAX} are)")
        key = digest
    else:
        if not carried:
            raise BadRecord("the name is a hash, and the record lacks the public key")
        if len(carried) <= INLINE_MAX or sha256(carried).digest() != digest:
            raise BadRecord("the public key inside is not the name's")
        key = carried
    try:
        _verifier(key)(signature, message)
    except InvalidSignature as error:
        raise BadRecord("the signature does not verify") from error


def _verifier(serialized: bytes) -> Verify:
    kind, body = _read(serialized)
    if kind != _ED25519:
        return _foreign(kind, body)
    try:
        return Ed25519PublicKey.from_public_bytes(body).verify
    except ValueError as error:
        raise BadRecord(f"a public key that does not decode: {error}") from error


def _foreign(kind: int, body: bytes) -> Verify:
    # Loaded when such a key comes: every `rim` that is typed reads names of settings, and would pay for it.
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        if kind == _SECP256K1:
            return _elliptic(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), body))
        key = load_der_public_key(body) if kind in (_RSA, _ECDSA) else None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadRecord(f"a public key that does not decode: {error}") from error
    if kind == _RSA and isinstance(key, rsa.RSAPublicKey):
        return _rsa(key)
    if kind == _ECDSA and isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _elliptic(key)
    raise BadRecord(f"a public key of a type we do not read ({kind})")


def _elliptic(key: ec.EllipticCurvePublicKey) -> Verify:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    return lambda signature, message: key.verify(signature, message, ECDSA(SHA256()))


def _rsa(key: rsa.RSAPublicKey) -> Verify:
    if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise BadRecord(f"an RSA key of {key.key_size:,} bits ({RSA_BITS_MIN:,} to {RSA_BITS_MAX:,} are accepted)")
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    return lambda signature, message: key.verify(signature, message, PKCS1v15(), SHA256())


def _read(serialized: bytes) -> tuple[int, bytes]:
    """Type and Data of a PublicKey message in its one deterministic form (peer ids spec)."""
    try:
        if serialized[:1] == b"\x08" and serialized[2:3] == b"\x12":
            length, start = read_varint(serialized, 3)
            if start + length == len(serialized):
                return serialized[1], serialized[start:]
    except BadCID:
        pass
    raise BadRecord("a public key that is no libp2p PublicKey")


def _bare(multihash: bytes) -> bytes:
    return bytes((1, LIBP2P_KEY)) + multihash
