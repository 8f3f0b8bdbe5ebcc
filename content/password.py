"""Password: the hash by which a protected preview knows its visitors. A secret is never kept, only what it hashes to.

Here live the text form, `scrypt$N$R$P$SALT$HASH` (base64url without padding), and the comparison. Not here: asking for
a secret or drawing a salt (rim/commands/password), or sessions (edge).

What a text may cost is bounded: it comes from a publisher, and every edge pays for each try.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import scrypt

from content.errors import ContentError
from content.limits import PASSWORD_BYTES, SCRYPT_N, SCRYPT_P, SCRYPT_R, check

KIND = "scrypt"
DEFAULT_COST = (1 << 14, 8, 1)  # 16 MiB and about 50 ms a try: RFC 7914's figures for an interactive login
_SALT_BYTES = (8, 64)
_HASH_BYTES = (16, 64)


class BadPassword(ContentError):
    """A text that is no hash we take. The words say why and never repeat the text: it may be the secret itself."""


@dataclass(frozen=True, slots=True)
class Password:
    """A hash with what it was made with: cost N, block size R, lanes P (RFC 7914 §2)."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Password:
        """Read the text form. Raises BadPassword, and LimitExceeded where a try would cost too much."""
        kind, *rest = text.split("$")
        if kind != KIND or len(rest) != 5:
            raise BadPassword(f"a password hash is {KIND}$N$R$P$SALT$HASH")
        n, r, p = (_number(part) for part in rest[:3])
        check("scrypt's N", n, SCRYPT_N)
        check("scrypt's R", r, SCRYPT_R)
        check("scrypt's P", p, SCRYPT_P)
        if n < 2 or n & (n - 1):
            raise BadPassword("scrypt's N must be a power of two above 1 (RFC 7914 §2)")
        return cls(n, r, p, _bytes(rest[3], "salt", _SALT_BYTES), _bytes(rest[4], "hash", _HASH_BYTES))

    @classmethod
    def make(cls, secret: str, salt: bytes) -> Password:
        """The hash of a secret at the default cost. Raises LimitExceeded when it is over 1 KiB."""
        n, r, p = DEFAULT_COST
        return cls(n, r, p, salt, _scrypt(secret, n, r, p, salt, 32))

    def matches(self, secret: str) -> bool:
        """Whether this is the secret. Takes as long as its cost says; raises LimitExceeded over 1 KiB."""
        made = _scrypt(secret, self.n, self.r, self.p, self.salt, len(self.digest))
        return hmac.compare_digest(made, self.digest)

    def __str__(self) -> str:
        return "$".join((KIND, str(self.n), str(self.r), str(self.p), _text(self.salt), _text(self.digest)))

    def __repr__(self) -> str:
        return f"<Password {KIND} N={self.n} R={self.r} P={self.p}>"


def _scrypt(secret: str, n: int, r: int, p: int, salt: bytes, length: int) -> bytes:
    data = secret.encode()
    check("bytes of a password", len(data), PASSWORD_BYTES)
    memory = 128 * r * (n + p + 2)  # what OpenSSL asks for, RFC 7914 §2
    return scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=2 * memory, dklen=length)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or text.startswith("0") or len(text) > 9:
        raise BadPassword("scrypt's N, R and P are whole numbers above 0")
    return int(text)


def _bytes(text: str, what: str, span: tuple[int, int]) -> bytes:
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise BadPassword(f"the {what} is no base64url") from error
    if _text(data) != text:
        raise BadPassword(f"the {what} is no base64url")
    if not span[0] <= len(data) <= span[1]:
        raise BadPassword(f"the {what} must have {span[0]} to {span[1]} bytes")
    return data


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
