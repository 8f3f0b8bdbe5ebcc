"""Fields: the header fields that an asset's answers share, and what a site's rules may do to them.

Here live freshness, CORS, Vary, nosniff, and which of them a refusal keeps. Not here: the fields of one answer alone
(edge/http/answer), the reading of `_headers` (content/headers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from content import deltas

IMMUTABLE: Final = deltas.IMMUTABLE.encode()
REVALIDATE: Final = deltas.REVALIDATE.encode()
PRIVATE: Final = b"private, max-age=0, must-revalidate"
NO_STORE: Final = b"no-store"
NOSNIFF: Final = b"x-content-type-options: nosniff\r\n"
# Fonts and module scripts are fetched in CORS mode whoever serves them (Fetch standard), so a page of another host of
# the same owner could not use ours without this. Nothing here is personal: no cookie changes an answer.
_CORS_TYPES = ("font/", "text/javascript", "text/css", "application/wasm")
_OCTETS = b"application/octet-stream"
# What a refusal must say as the 200 does, or a page of another host could not even read its status. Freshness is not
# among it, in any of its spellings (RFC 9213): a refusal is of this request alone.
_OF_REFUSALS = (b"vary: ", b"access-control-", b"cross-origin-", b"timing-allow-origin: ")


def initial(media_type: str, immutable: bool, status: int, personal: bool) -> dict[str, str]:
    """The header fields that an answer has by itself, by lower-case name."""
    if status != 200:
        control = NO_STORE
    elif personal:
        control = IMMUTABLE.replace(b"public", b"private") if immutable else PRIVATE
    else:
        control = IMMUTABLE if immutable else REVALIDATE
    made = {"cache-control": control.decode()}
    if media_type.startswith(_CORS_TYPES):
        made["access-control-allow-origin"] = "*"
    return made


def apply(
    made: dict[str, str], changes: Sequence[tuple[str, str | None]], varies: list[str], status: int
) -> str | None:
    """Let the site's rules change the fields; the media type that they name, if any.

    Not theirs: what an error's Cache-Control says (kept, it would outlive its cause), that a personal answer is
    private, nosniff, and the request fields that choose among answers (a rule adds to Vary, it takes nothing away).
    A Cache-Control meant for caches in front alone (RFC 9213: CDN-Cache-Control and its kin) is bound just so.
    """
    media_type = None
    is_free = status == 200 and not made["cache-control"].startswith("private")
    for name, value in changes:
        lower = name.lower()
        if lower == "vary":
            varies += [field.strip() for field in (value or "").split(",") if field.strip()]
        elif lower == "content-type":
            media_type = value
        elif lower == "x-content-type-options" or (lower.endswith("cache-control") and not is_free):
            continue
        elif value is not None:
            made[lower] = value
        elif lower != "cache-control":
            made.pop(lower, None)
    return media_type


def of_refusal(common: bytes) -> bytes:
    """Of the header lines that all answers of an asset share, those that a 406, 412 or 416 says too."""
    return b"".join(line for line in common.splitlines(keepends=True) if line.startswith(_OF_REFUSALS))


def pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Header lines, each ended by CRLF, as (name, value) pairs: what ASGI takes."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]


def is_shared_across_sites(media_type: str) -> bool:
    """Whether answers of this type carry Access-Control-Allow-Origin, and a preflight for them is granted."""
    return media_type.startswith(_CORS_TYPES)


def header_safe(media_type: str) -> bytes:
    """A media type as header bytes. What could split the header block is not one: it came from a publisher."""
    if not media_type or not media_type.isascii() or not media_type.isprintable():
        return _OCTETS
    return media_type.encode()
