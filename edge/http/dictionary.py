"""Dictionary: the fields of RFC 9842, compression with a dictionary that the client has already.

Here live reading Available-Dictionary, writing Use-As-Dictionary, and the form of a `dcz` body. Pure. Not here: which
files are coded so (content/deltas), which variant is sent (edge/http/answer), compressing (edge/browsers/deltas).

No `id` is sent: the digest says which dictionary a client has, so Dictionary-ID has nothing to add and is not read.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Final

DCZ: Final = "dcz"
AVAILABLE: Final = "Available-Dictionary"
USE_AS: Final = "use-as-dictionary"
MAGIC: Final = bytes.fromhex("5e2a4d1820000000")  # §5: a skippable frame of 32 bytes, the digest, then the zstd frame
_DIGEST = re.compile(rb"[ \t]*:([A-Za-z0-9+/]{43}=):[ \t]*(?:;|\Z)")  # RFC 8941 §3.3.5 and §3.1.2; 32 bytes
_TAG = re.compile(rb'"([^."]+)\.[0-9a-f]{16}\.dcz"\Z')


def digest_of(value: bytes) -> bytes | None:
    """The SHA-256 that Available-Dictionary names; None where the field is malformed and so not there (§2.2)."""
    found = _DIGEST.match(value)
    return None if found is None else b64decode(found[1])


def header_of(digest: bytes) -> bytes:
    """What stands before the zstd frame of a `dcz` body."""
    return MAGIC + digest


def is_delta(head: bytes) -> bool:
    """Whether these header lines are of a `dcz` body."""
    return b"content-encoding: dcz\r\n" in head


def etag_of(name: str, digest: bytes) -> bytes:
    """The strong entity tag of a delta: whose it is, and from which base. Other bases make other bytes."""
    return b'"%s.%s.dcz"' % (name.encode(), digest.hex()[:16].encode())


def is_delta_of(etag: bytes, name: str) -> bool:
    """Whether this is the entity tag of a delta to what has this name, from whatever base."""
    found = _TAG.match(etag)
    return found is not None and found[1] == name.encode()


def use_as(match: str) -> str:
    """The value of Use-As-Dictionary (§2.1) for a URL pattern, ASCII without quotes."""
    escaped = match.replace("\\", "\\\\")
    return f'match="{escaped}"'
