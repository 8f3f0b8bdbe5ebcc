"""Receipts: how a node proves that it is the one that spoke under its name before.

Here lives the text that is signed and its signature (Ed25519), as two headers of a request. Not here: where a node
keeps its key (edge/control/identity), or which key a name belongs to (origin/edges).

The text begins with a word of its own, so that no signature made for another purpose is one; it names the node, the
sequence it says to serve, the catalog (no receipt for one origin is one for another) and the hash of the body.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_HEADER = "Rim-Node-Key"  # the public key, 32 bytes in base64url without padding
RECEIPT_HEADER = "Rim-Receipt"  # the signature, 64 bytes, likewise
_DOMAIN = "rim-receipt"


def headers(key: Ed25519PrivateKey, node: str, sequence: int, catalog: str, body: bytes = b"") -> dict[str, str]:
    """The two headers under which a node says this."""
    signature = key.sign(_text(node, sequence, catalog, body))
    return {KEY_HEADER: _encode(key.public_key().public_bytes_raw()), RECEIPT_HEADER: _encode(signature)}


def verifies(key: str, receipt: str, node: str, sequence: int, catalog: str, body: bytes = b"") -> bool:
    """Whether the holder of this key said this."""
    try:
        public = Ed25519PublicKey.from_public_bytes(_decode(key))
        public.verify(_decode(receipt), _text(node, sequence, catalog, body))
    except (ValueError, InvalidSignature):
        return False
    return _encode(public.public_bytes_raw()) == key  # one spelling only: names are bound to it


def _text(node: str, sequence: int, catalog: str, body: bytes) -> bytes:
    return json.dumps([_DOMAIN, node, sequence, catalog, sha256(body).hexdigest()], separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
