"""Keys: the Ed25519 keys the origin signs with.

Here lives their keeping: keys/catalog.key, keys/next.key while a rotation is under way, keys/sites/NAME.key. Files
hold PKCS#8 PEM (what openssl and Kubo's `key import --format=pem-pkcs8-cleartext` read), 0600 in a 0700 folder.
Not here: records (content/ipns) or when they are signed (origin/catalog).

A site's key outlives the site: made again under the same name, it keeps its IPNS name, and DNSLinks go on working.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from content import ipns
from origin.errors import StateError
from origin.state import replace_file


class Keys:
    """The keys of one state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sites: dict[str, Ed25519PrivateKey] = {}
        self.catalog = _load_or_make(folder / "catalog.key")

    def __repr__(self) -> str:
        return f"<Keys catalog {self.name}>"

    @property
    def name(self) -> str:
        """The IPNS name of the catalog key: what edges trust."""
        return ipns.name_of(self.catalog.public_key())

    def site(self, name: str) -> Ed25519PrivateKey:
        """The site's key, made (durably) when there is none yet."""
        key = self._sites.get(name)
        if key is None:
            key = self._sites[name] = _load_or_make(self._folder / "sites" / f"{name}.key")
        return key

    def site_name(self, name: str) -> str:
        return ipns.name_of(self.site(name).public_key())

    @property
    def successor(self) -> Ed25519PrivateKey | None:
        """The key of a rotation that has begun and not ended."""
        path = self._folder / "next.key"
        return _load(path) if path.exists() else None

    def make_successor(self) -> Ed25519PrivateKey:
        return _load_or_make(self._folder / "next.key")

    def adopt_successor(self) -> None:
        """From here on the successor is the catalog key; the old private key is gone (it has signed its last)."""
        key = self.successor
        if key is not None:
            replace_file(self._folder / "catalog.key", _pem(key), what="key")
            (self._folder / "next.key").unlink()
            self.catalog = key


def _load_or_make(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        return _load(path)
    key = Ed25519PrivateKey.generate()
    replace_file(path, _pem(key), what="key")
    return key


def parse(pem: bytes, what: object) -> Ed25519PrivateKey:
    """The key in this PEM. Raises StateError, saying what it is that cannot be read."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise StateError(f"key {what} cannot be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"key {what} is not an Ed25519 key")
    return key


def name_of(pem: bytes, what: object) -> str:
    """The IPNS name of the key in this PEM. Raises StateError."""
    return ipns.name_of(parse(pem, what).public_key())


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        return parse(path.read_bytes(), path)
    except OSError as error:
        raise StateError(f"key {path} cannot be read: {error}") from error


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
