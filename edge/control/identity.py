"""Identity: the key by which the origin knows this edge again, and what is signed with it.

Here lives node.key in the state folder. It is made at the first start; lost with the folder, the edge is another one of
the same name, which the origin lets in once the old one has been away for some minutes, or was forgotten. Not here: the
text that is signed (content/receipt).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import receipt
from edge.state import replace_file

KEY = "node.key"
logger = logging.getLogger("rim.edge")


@dataclass(frozen=True, slots=True)
class Identity:
    """One node's name and key."""

    node: str
    key: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """The public key, as it stands in receipts."""
        return receipt.headers(self.key, self.node, 0, "")[receipt.KEY_HEADER]

    def headers(self, sequence: int, catalog: str, body: bytes = b"") -> dict[str, str]:
        """The headers that prove who says so."""
        return receipt.headers(self.key, self.node, sequence, catalog, body)


def load(state: Path, node: str) -> Identity:
    """The identity in this folder, made where there is none. On a full disk it lasts as long as this process."""
    path = state / KEY
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(key, Ed25519PrivateKey):
            return Identity(node, key)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        logger.warning("%s cannot be read (%s): another key takes its place", path, error)
    made = Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    try:
        replace_file(path, made.private_bytes(*form))
    except OSError as error:
        logger.warning("%s cannot be written (%s): the next start makes another key", path, error)
    return Identity(node, made)
