"""Target: what host and what path a request means, decoded once, or refused.

Here live the two readings and their refusals; pure. Not here: what stands under the path (edge/site).

One decode and no normalization: a proxy in front, a browser and we must never see three different paths (web cache
deception; PortSwigger 2024). What two readers could read differently is refused with 400: an encoded slash, NUL, a
raw backslash, dot segments in any spelling, a `%` that starts no byte, bytes that are not UTF-8. An *encoded*
backslash (%5C) is an ordinary character of a file's name here, since nothing below ever takes it for a separator.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

_HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_REFUSED = re.compile(rb"%2[Ff]|%00|[\x00-\x20\\#\x7f-\xff]")
_DOTS = re.compile(r"/\.{1,2}(?:/|\Z)")
_LITERAL = "/!$&'()*+,;=:@-._~"  # RFC 3986 pchar and the slash


class BadTarget(ValueError):
    """A request target or Host that has no one meaning: 400."""


def host_of(raw: bytes) -> str:
    """The host of a Host field, in lower case, without port or trailing dot. Raises BadTarget."""
    found = _HOST.match(raw)
    if found is None:
        raise BadTarget("the Host field is not a host")
    return found[1].decode().lower().rstrip(".")


def path_of(raw: bytes) -> str:
    """The path that this raw path names. Raises BadTarget where it could be read in two ways."""
    if not raw.startswith(b"/"):
        raise BadTarget("the path does not begin with a slash")
    if _BAD_ESCAPE.search(raw) or _REFUSED.search(raw):
        raise BadTarget("the path holds a character, or an escape, that has no one meaning")
    try:
        path = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise BadTarget("the path is not UTF-8") from error
    if _DOTS.search(path):
        raise BadTarget("the path holds dot segments")
    return path


def quoted(path: str) -> str:
    """The path as it stands in a URL, each character outside RFC 3986's own escaped."""
    return quote(path, safe=_LITERAL)
