"""Names and records of keys that are not ours: RSA, secp256k1, ECDSA; as a real Kubo makes them, and forged."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import libipld
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from content import ipns
from content.cid import CID, DAG_PB, IDENTITY, LIBP2P_KEY, RAW, SHA2_256, write_varint
from content.errors import BadRecord
from content.peerkey import parse_name, verify
from tests.kit.kubo import Kubo

VALUE = "/ipfs/bafkqaaa"
MESSAGE = b"ipns-signature:a record"
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
Sign = Callable[[bytes], bytes]
DER = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
POINT = (Encoding.X962, PublicFormat.CompressedPoint)


def serialized(kind: int, body: bytes) -> bytes:
    return bytes((8, kind, 0x12)) + write_varint(len(body)) + body


def name_of(key: bytes) -> CID:
    """The name that libp2p gives this serialized key."""
    multihash = bytes((IDENTITY, len(key))) + key if len(key) <= 42 else bytes((SHA2_256, 32)) + sha256(key).digest()
    return CID(bytes((1, LIBP2P_KEY)) + multihash)


def base58(data: bytes) -> str:
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = B58[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def elliptic(curve: ec.EllipticCurve) -> tuple[ec.EllipticCurvePublicKey, Sign]:
    key = ec.generate_private_key(curve)
    return key.public_key(), lambda message: key.sign(message, ec.ECDSA(hashes.SHA256()))


def rsa_key(bits: int) -> tuple[rsa.RSAPublicKey, Sign]:
    key = rsa.generate_private_key(65537, bits)
    return key.public_key(), lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256())


ED = Ed25519PrivateKey.generate()
RSA_PUBLIC, RSA_SIGN = rsa_key(2048)
K1_PUBLIC, K1_SIGN = elliptic(ec.SECP256K1())
EC_PUBLIC, EC_SIGN = elliptic(ec.SECP256R1())
ED_KEY = serialized(1, ED.public_key().public_bytes_raw())
RSA_KEY = serialized(0, RSA_PUBLIC.public_bytes(*DER))
K1_KEY = serialized(2, K1_PUBLIC.public_bytes(*POINT))
EC_KEY = serialized(3, EC_PUBLIC.public_bytes(*DER))
KEYS: dict[str, tuple[bytes, Sign]] = {
    "rsa": (RSA_KEY, RSA_SIGN),
    "ed25519": (ED_KEY, ED.sign),
    "secp256k1": (K1_KEY, K1_SIGN),
    "ecdsa": (EC_KEY, EC_SIGN),
}


def record(key: bytes, sign: Sign, carried: bool = True) -> bytes:
    """A record as such a key signs it, V2 alone."""
    fields = {"Value": VALUE.encode(), "Validity": b"2096-10-02T07:06:40Z", "ValidityType": 0, "Sequence": 7, "TTL": 1}
    data: bytes = libipld.encode_dag_cbor(fields)
    parts = [(7, key)] if carried else []
    parts += [(8, sign(b"ipns-signature:" + data)), (9, data)]
    return b"".join(bytes((number << 3 | 2,)) + write_varint(len(part)) + part for number, part in parts)


# ---- a real Kubo's


@pytest.mark.needs("ipfs")
def test_records_of_a_real_kubo(kubo_gateway: Kubo, tmp_path: Path) -> None:
    """Keys of all four types, published by `ipfs name publish`: each verifies under each spelling of its name."""
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    (tmp_path / "ecdsa").write_bytes(serialized(3, private))
    kubo_gateway.run(
        "key", "import", "--format=libp2p-protobuf-cleartext", "--allow-any-key-type", "ecdsa", tmp_path / "ecdsa"
    )
    for kind in ("rsa", "ed25519", "secp256k1"):
        kubo_gateway.run("key", "gen", f"--type={kind}", *(("--size=2048",) if kind == "rsa" else ()), kind)
    for kind in KEYS:
        names = []
        for base in ("b58mh", "base36", "base32"):
            lines = kubo_gateway.run("key", "list", "-l", f"--ipns-base={base}").decode().splitlines()
            names += [line.split()[0] for line in lines if line.split()[1] == kind]
        kubo_gateway.run("name", "publish", "--allow-offline", f"--key={kind}", VALUE)
        with urlopen(f"{kubo_gateway.gateway}/ipns/{names[1]}?format=ipns-record") as answer:
            raw = answer.read()
        assert len({parse_name(name) for name in names}) == 1
        for name in names:
            found = ipns.verify(name, raw)
            assert (found.value, found.name) == (VALUE, names[1])
        flipped = raw[:-1] + bytes((raw[-1] ^ 1,))
        with pytest.raises(BadRecord):
            ipns.verify(names[0], flipped)


# ---- each type of key, honest and forged


@pytest.mark.parametrize(("key", "sign"), KEYS.values(), ids=KEYS.keys())
def test_each_type_of_key(key: bytes, sign: Sign) -> None:
    """An honest record verifies; a short key need not be carried, a long one must be; nobody else's will do."""
    name = name_of(key)
    assert ipns.verify(str(name), record(key, sign)).value == VALUE
    if name.hash_code == IDENTITY:
        assert ipns.verify(name.base36(), record(key, sign, carried=False)).sequence == 7
    else:
        with pytest.raises(BadRecord, match="lacks the public key"):
            ipns.verify(name.base36(), record(key, sign, carried=False))
    for other, other_sign in KEYS.values():
        if other != key:
            with pytest.raises(BadRecord, match="not the name's"):
                ipns.verify(str(name), record(other, other_sign))
            with pytest.raises(BadRecord):
                ipns.verify(str(name), record(key, other_sign))
    with pytest.raises(BadRecord, match="does not verify"):
        verify(name, key, b"", MESSAGE)
    signature = sign(MESSAGE)
    with pytest.raises(BadRecord, match="does not verify"):  # flipped: a last byte of 0 is Ed25519's own in one of 16
        verify(name, key, signature[:-1] + bytes((signature[-1] ^ 1,)), MESSAGE)


def test_one_key_has_one_name() -> None:
    """A short key under its hash, a long one inlined: go-libp2p makes neither and takes neither."""
    hashed = CID(bytes((1, LIBP2P_KEY, SHA2_256, 32)) + sha256(ED_KEY).digest())
    with pytest.raises(BadRecord, match="not the name's"):
        verify(hashed, ED_KEY, ED.sign(MESSAGE), MESSAGE)
    inlined = CID(bytes((1, LIBP2P_KEY, IDENTITY, len(EC_KEY))) + EC_KEY)
    for carried in (b"", EC_KEY):
        with pytest.raises(BadRecord, match="not its own name"):
            verify(inlined, carried, EC_SIGN(MESSAGE), MESSAGE)


def _short_rsa() -> bytes:
    return serialized(0, rsa_key(1024)[0].public_bytes(*DER))


def _dsa() -> bytes:
    return serialized(0, dsa.generate_private_key(1024).public_key().public_bytes(*DER))


def _long_rsa() -> bytes:
    public = rsa.RSAPublicNumbers(65537, (1 << 8199) + 1).public_key()
    return serialized(0, public.public_bytes(*DER))


@pytest.mark.parametrize(
    "make",
    [
        _short_rsa,
        _long_rsa,
        _dsa,
        lambda: serialized(3, elliptic(ec.SECP224R1())[0].public_bytes(*DER)),
        lambda: serialized(3, K1_PUBLIC.public_bytes(*DER)),
        lambda: serialized(0, EC_PUBLIC.public_bytes(*DER)),
        lambda: serialized(3, RSA_PUBLIC.public_bytes(*DER)),
        lambda: serialized(0, RSA_PUBLIC.public_bytes(*DER)[:-1]),
        lambda: serialized(0, b"\x30" * 300),
        lambda: serialized(3, b""),
        lambda: serialized(1, bytes(31)),
        lambda: serialized(1, bytes(40)),
        lambda: serialized(2, bytes(33)),
        lambda: serialized(2, b"\x05" + bytes(32)),
        lambda: serialized(4, bytes(32)),
        lambda: serialized(0x80, bytes(60)),
        lambda: RSA_KEY + b"\0",
        lambda: RSA_KEY[:-1],
        lambda: b"\x12" + RSA_KEY[1:],
        lambda: b"",
        lambda: b"\x08",
        lambda: b"\x08\x01\x12",
        lambda: b"\x08\x01\x12" + b"\xff" * 40,
    ],
)
def test_keys_that_are_refused(make: Callable[[], bytes]) -> None:
    """Too short, too long, of another curve or type than it says, broken in any way: BadRecord, whatever is signed."""
    key = make()
    with pytest.raises(BadRecord):
        verify(name_of(key), key, bytes(64), MESSAGE)


# ---- names


def test_spellings_of_a_name() -> None:
    """The CID in any base, upper case where the base has it, and the bare multihash, which is no CIDv0 here."""
    for key, _ in KEYS.values():
        cid = name_of(key)
        texts = [str(cid), str(cid).upper(), cid.base36(), cid.base36().upper(), "f" + cid.hex(), "z" + base58(cid)]
        texts.append(base58(cid.multihash))
        assert {parse_name(text) for text in texts} == {cid}
    assert base58(name_of(ED_KEY).multihash).startswith("12D3KooW")
    assert base58(name_of(RSA_KEY).multihash).startswith("Qm")


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "12D3KooW", "12D3KooW0", "example.org", "k51", "Qm", "1" * 600, "1" + "z" * 511),
        str(CID.of(RAW, b"x")),
        str(CID.of(DAG_PB, b"x")),
        base58(bytes((0x13, 32)) + bytes(32)),
        base58(bytes((IDENTITY, 129)) + bytes(129)),
    ],
)
def test_what_is_no_name(text: str) -> None:
    """Other codecs, other hashes, cut texts, domains."""
    with pytest.raises(BadRecord):
        parse_name(text)
