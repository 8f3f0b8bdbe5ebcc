"""Guard: who may see a protected preview.

Here lives the asking for a password (HTTP Basic, RFC 7617: every browser and tool has it; the name is not looked at)
and the memory of who gave the right one. Not here: the hash itself (content/password), or what is shown.

A try costs scrypt, some 50 ms of a core: they are made one at a time in a thread, and when many wait the next is told
to come back. What was right is remembered, so that a page's files cost one try together.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections import OrderedDict
from hashlib import sha256

from content.errors import ContentError
from content.password import Password
from edge.http.problem import Problem

REMEMBERED = 1_024
WAITING = 16  # tries at a time; one is made, the others wait


class Guard:
    """The door of all protected previews of one edge."""

    def __init__(self) -> None:
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()  # apart, so that guessing pushes nobody out who is in
        self._one = asyncio.Lock()
        self._waiting = 0

    async def check(self, hashed: str, authorization: bytes | None, realm: str) -> None:
        """Return if the request bears the password. Raises Problem: 401, or 503 when too many are trying."""
        secret = _secret(authorization)
        if secret is None or not await self._is_right(hashed, secret):
            challenge = ("WWW-Authenticate", f'Basic realm="{realm}", charset="UTF-8"')
            raise Problem(401, "This preview needs a password; any name will do.", headers=(challenge,))

    async def _is_right(self, hashed: str, secret: str) -> bool:
        key = sha256(f"{hashed}\0{secret}".encode("utf-8", "surrogateescape")).digest()
        if key in self._right:
            self._right.move_to_end(key)
            return True
        if key in self._wrong:
            return False
        if self._waiting >= WAITING:
            raise Problem(503, "Too many are trying passwords.", headers=(("Retry-After", "2"),))
        self._waiting += 1
        try:
            async with self._one:
                if key not in self._right and key not in self._wrong:
                    is_right = await asyncio.to_thread(_matches, hashed, secret)
                    _remember(self._right if is_right else self._wrong, key)
        finally:
            self._waiting -= 1
        return key in self._right


def _remember(known: OrderedDict[bytes, None], key: bytes) -> None:
    known[key] = None
    while len(known) > REMEMBERED:
        known.popitem(last=False)


def _matches(hashed: str, secret: str) -> bool:
    try:
        return Password.parse(hashed).matches(secret)
    except (ContentError, UnicodeEncodeError):
        return False  # longer than any password, or a hash that is none: nobody gets in


def _secret(authorization: bytes | None) -> str | None:
    scheme, _, credentials = (authorization or b"").strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name_and_secret = b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return name_and_secret.partition(":")[2]
