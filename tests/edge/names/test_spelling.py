"""The spellings of a key are one name; a domain is what DNS holds; a content path is read whole or not at all."""

from __future__ import annotations

import base64

import libipld
import pytest

from content.cid import CID, DAG_PB, LIBP2P_KEY, RAW
from edge.names.limits import PATH_BYTES
from edge.names.spelling import content_path, domain_name, key_name
from tests.edge.names.play import Key

KEY = Key()
KEY_CID = CID.parse(KEY.name)
RSA = CID.of(LIBP2P_KEY, b"a long public key")  # keys above 42 bytes are named by their hash


def base58(multihash: bytes) -> str:
    return str(libipld.encode_multibase("z", multihash))[1:]


def spellings(cid: CID) -> list[str]:
    old = CID(bytes((1, DAG_PB)) + cid.multihash)
    bases = (cid.base36(), cid.base36().upper().replace("K", "k", 1), str(cid), "f" + cid.hex(), "z" + base58(cid))
    wide = "u" + base64.urlsafe_b64encode(cid).decode().rstrip("=")
    return [*bases, wide, base58(cid.multihash), str(old), old.base36()]


@pytest.mark.parametrize("cid", [KEY_CID, RSA], ids=["ed25519", "hashed"])
def test_every_spelling_is_one_name(cid: CID) -> None:
    """IPNS spec, "IPNS Name": CIDv1 in any base, the multihash in base58btc; and the codec that keys had once."""
    assert {key_name(text) for text in spellings(cid)} == {cid.base36()}


@pytest.mark.parametrize(
    "text",
    ["", "k", "example.org", "12D3KooW", "Qm" + "1" * 44, str(CID.of(RAW, b"x")), "k51" + "0" * 600, "12D3KooW\n"],
)
def test_what_names_no_key(text: str) -> None:
    """Domains, blocks, and what is cut short."""
    assert key_name(text) is None


DOMAINS = [
    ("example.org", "example.org"),
    ("Example.ORG.", "example.org"),
    ("_x.a-b.example", "_x.a-b.example"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("localhost", None),
    ("", None),
    (".", None),
    ("a..b", None),
    ("a.b\n", None),
    ("-a.example", None),
    ("bücher.example", None),
    ("a" * 64 + ".example", None),
    (".".join(["a" * 60] * 4) + ".abcdefghi", ".".join(["a" * 60] * 4) + ".abcdefghi"),  # 253
    (".".join(["a" * 60] * 4) + ".abcdefghij", None),
]


@pytest.mark.parametrize(("text", "name"), DOMAINS)
def test_domains(text: str, name: str | None) -> None:
    """RFC 1035, with the underscore that service names have."""
    assert domain_name(text) == name


PATHS = [
    ("/ipfs/bafkqaaa", ("ipfs", "bafkqaaa", "")),
    ("/ipfs/bafkqaaa/", ("ipfs", "bafkqaaa", "")),
    ("/ipfs/bafkqaaa/a b/c", ("ipfs", "bafkqaaa", "/a b/c")),
    ("/ipns/example.org/a", ("ipns", "example.org", "/a")),
    (f"/ipns/{KEY.name}", ("ipns", KEY.name, "")),
    ("/ipns/nodots", None),
    ("/ipfs/nocid", None),
    ("/ipld/bafkqaaa", None),
    ("ipfs/bafkqaaa", None),
    ("/ipfs", None),
    ("//ipfs/bafkqaaa", None),
    ("/ipfs/bafkqaaa/\n", None),
    ("/ipfs/bafkqaaa/" + "a" * (PATH_BYTES - 15), ("ipfs", "bafkqaaa", "/" + "a" * (PATH_BYTES - 15))),
    ("/ipfs/bafkqaaa/" + "a" * (PATH_BYTES - 14), None),
]


@pytest.mark.parametrize(("text", "parts"), PATHS, ids=[text.replace(str(KEY.name), "NAME")[:40] for text, _ in PATHS])
def test_content_paths(text: str, parts: tuple[str, str, str] | None) -> None:
    """Namespace, identifier, the rest."""
    assert content_path(text) == parts
