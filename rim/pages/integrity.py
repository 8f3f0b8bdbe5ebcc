"""Integrity: Subresource Integrity values (W3C SRI §3) that others wrote, read and checked.

Here live the attribute's grammar and the comparison that a browser makes. Not here: ours (content/integrity), which
elements get one (rim/pages/rewriting).
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error

_WORD = re.compile(r"(sha256|sha384|sha512)-([A-Za-z0-9+/_-]+={0,2})(?:\?[\x21-\x7e]*)?\Z", re.IGNORECASE)
_RANK = ("sha256", "sha384", "sha512")  # the strongest that is named counts, §3.3.3


def strongest(said: str) -> tuple[str, list[bytes]]:
    """Of a value the algorithm that counts and its digests; ("", []) where no word is one that browsers know."""
    found: dict[str, list[bytes]] = {}
    for word in said.split():
        if match := _WORD.match(word):
            try:
                digest = b64decode(match[2].replace("-", "+").replace("_", "/"))
            except Error:
                digest = b""  # no digest of anything
            found.setdefault(match[1].lower(), []).append(digest)
    name = next((name for name in reversed(_RANK) if name in found), "")
    return name, found.get(name, [])


def holds(algorithm: str, digests: list[bytes], data: bytes) -> bool:
    """Whether one of these digests is that of these bytes."""
    return hashlib.new(algorithm, data).digest() in digests
