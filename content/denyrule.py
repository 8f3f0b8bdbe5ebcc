"""Denyrule: one rule of a denylist, read and written.

Here lives the grammar of a block item (compact denylist format, "Block item"): /ipfs/CID, /ipfs/CID/path, /ipns/NAME,
//HASH, each with `*` and `!`. Not here: lists of them (content/denylist), or what follows from one.

A rule is about a multihash, never about one spelling of it: written out it has the multihash in base58, which is also
how the format asks for it, so one thing has one rule whatever CID it was typed as.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from content.cid import CID, DAG_PB, LIBP2P_KEY, base58, from_base58
from content.errors import BadCID, ContentError
from content.limits import HOST_BYTES, PATH_BYTES, check

IPFS, IPNS, HASH = "ipfs", "ipns", "hash"
_HEX = re.compile(r"[0-9a-f]{64}\Z", re.IGNORECASE)
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_KEY, _PB = bytes((1, LIBP2P_KEY)), bytes((1, DAG_PB))
_SAFE = "/-_.~!$&'()+,;=:@"  # of a path, left as they are; `*` is not among them: at the end it has a meaning


class BadRule(ContentError):
    """A line of a denylist that is no rule we can hold to."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is denied, or (`allow`) is not. `name`: a multihash, a domain, or (space `hash`) a SHA-256 digest.
    `prefix`: everything whose path begins so. `path` is decoded, without slashes around it."""

    space: str
    name: bytes | str
    path: str = ""
    prefix: bool = False
    allow: bool = False

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Read one rule, without its hints. Raises BadRule."""
        allow, text = text.startswith("!"), text.removeprefix("!")
        if text.startswith("//"):
            return cls(HASH, _double_hash(text[2:]), allow=allow)
        space, slash, rest = text.removeprefix("/").partition("/")
        if not text.startswith("/") or not slash or space not in (IPFS, IPNS):
            raise BadRule(f"{text[:80]!r} is no rule: write /ipfs/CID, /ipns/NAME, either with /path, or //HASH")
        name, _, path = rest.partition("/")
        prefix = path.endswith("*")
        return cls(space, (_multihash if space == IPFS else ipns_name)(name), _decoded(path), prefix, allow)

    @property
    def block(self) -> CID | None:
        """The block that this denies whole: as a CIDv0, which any other spelling of it is equal to by multihash. None
        where it denies something else."""
        plain = self.space == IPFS and not self.path and not self.allow
        return CID(self.name) if plain and isinstance(self.name, bytes) and self.name[:2] == b"\x12\x20" else None

    def covers(self, path: str) -> bool:
        """Whether a path below the name (decoded, without slashes around it) is meant. A whole name means all of it."""
        if not self.path or path == self.path:
            return True
        return self.prefix and path.startswith(self.path)

    def __str__(self) -> str:
        mark = "!" * self.allow
        if self.space == HASH:
            assert isinstance(self.name, bytes)
            return f"{mark}//{self.name.hex()}"
        name = self.name if isinstance(self.name, str) else _written(self.space, self.name)
        path = f"/{quote(self.path, safe=_SAFE)}" if self.path else "/" * self.prefix
        return f"{mark}/{self.space}/{name}{path}{'*' * self.prefix}"


def ipns_name(text: str) -> bytes | str:
    """The multihash of an IPNS key, or a domain in lower case. Raises BadRule."""
    try:
        bare = text.startswith(("12D3Koo", "16Uiu2", "Qm"))  # a peer ID as libp2p writes it: a multihash and no more
        return CID.from_bytes(_KEY + from_base58(text)).multihash if bare else CID.parse(text).multihash
    except BadCID:
        domain = text.lower().rstrip(".")
    if len(domain) > HOST_BYTES or not _DOMAIN.match(domain):
        raise BadRule(f"{text[:80]!r} is neither an IPNS key nor a domain")
    return domain


def _multihash(text: str) -> bytes:
    try:
        return CID.parse(text).multihash
    except BadCID as error:
        raise BadRule(str(error)) from error


def _double_hash(text: str) -> bytes:
    """The SHA-256 in a multihash (base58btc), or in hex as badbits lists have it."""
    if _HEX.match(text):
        return binascii.unhexlify(text)
    try:
        multihash = from_base58(text)
    except BadCID as error:
        raise BadRule(f"//{text[:80]} is neither a multihash in base58 nor SHA-256 in hex") from error
    if len(multihash) != 34 or multihash[:2] != b"\x12\x20":
        raise BadRule(f"//{text[:80]} is no SHA-256: no other hash is looked at here")
    return multihash[2:]


def _decoded(path: str) -> str:
    """A rule's path, its `*` cut off before it is decoded: one that is meant is written %2A."""
    check("path of a rule", len(path), 3 * PATH_BYTES)
    try:
        return unquote_to_bytes(path.removesuffix("*")).decode().strip("/")
    except UnicodeDecodeError as error:
        raise BadRule(f"path {path[:80]!r} is not UTF-8") from error


def _written(space: str, multihash: bytes) -> str:
    if space == IPNS:
        return CID(_KEY + multihash).base36()
    return base58(multihash) if multihash[:1] == b"\x12" else str(CID(_PB + multihash))
