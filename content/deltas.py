"""Deltas (RFC 9842): which files are sent as a difference to what a browser has, and what it is told to keep for that.

Here live the limits, freshness as a browser's cache sees it, and the URL pattern of a dictionary. Pure. Not here: the
bases of a site (origin keeps them), choosing one for a request (edge/site/delta), compressing (edge/browsers/deltas).

Two releases of one file share most of their bytes; zstd with the old file as dictionary sends the rest. The old file is
what the browser has in its cache anyway, if it was told `Use-As-Dictionary` when it got it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from content.headers import HeaderTable
from content.limits import MiB
from content.media import compressible
from content.naming import hash_span
from content.release import Asset

DELTA_BYTES: Final = 8 * MiB  # of the largest file, and of the largest base: zstd looks at both as one window
DELTA_LEAST: Final = 512  # bytes of the smallest: below, header fields and the 40 bytes of a dcz header eat what is won
BASE_RELEASES: Final = 5  # how many releases back, beside live, a visitor may come from and still get a delta
IMMUTABLE: Final = "public, max-age=31536000, immutable"  # RFC 8246; a year is "never" in effect (RFC 9111 §5.2.2.1)
REVALIDATE: Final = "public, max-age=0, must-revalidate"

_AGE = re.compile(r"max-age=([0-9]+)\Z")
_UNFIT = frozenset({"no-store", "no-cache"})
# What one writer of a URL leaves as it is in a path and another percent-encodes: a pattern is compared with the URL as
# it was written. Among them is all that a URL pattern would have to escape.
_EITHER = re.compile(r"[][;,:@&=+$!*'()|^]+")
_LAST8 = re.compile(r"[^/][-.]([A-Za-z0-9_-]{8})\.[A-Za-z0-9]+\Z")
_VERSION = re.compile(r"(?<![0-9A-Za-z.])v?[0-9]+(?:\.[0-9]+)+(?:-[0-9A-Za-z.]*[0-9](?![0-9A-Za-z.]))?(?![0-9])")


def is_fresh(control: str | None, immutable: bool = False) -> bool:
    """Whether a browser that gets this Cache-Control may use the answer for a while without asking.

    Chromium keeps no dictionary beyond its freshness, and one that is stale at once it does not keep at all. `private`
    is of no matter to a browser's own cache; `s-maxage` says nothing to it. Of two max-age the first counts (RFC 9111
    §4.2.1). `immutable`: what an answer without the field would be taken for."""
    if control is None:
        return immutable
    directives = [part.strip(" \t").lower() for part in control.split(",")]
    if any(directive.partition("=")[0] in _UNFIT for directive in directives):
        return False
    ages = [found[1] for found in map(_AGE.match, directives) if found is not None]
    return bool(ages) and int(ages[0][:10]) > 0


def control_for(table: HeaderTable, path: str, immutable: bool) -> str:
    """The Cache-Control that a release's own 200 under this path has: what `_headers` sets, else the default.

    A rule cannot take the field away (edge/http/fields.apply), only set another."""
    for op in table.of(path):
        if op.name.lower() == "cache-control" and op.value is not None:
            return op.value
    return IMMUTABLE if immutable else REVALIDATE


def is_delta_coded(asset: Asset, fresh: bool) -> bool:
    """Whether this file may be sent as a delta, and be the base of one. What is packed already has no likeness left:
    one changed pixel changes all that follows it."""
    if not fresh or asset.link_target is not None or not DELTA_LEAST <= asset.size <= DELTA_BYTES:
        return False
    return compressible(asset.media_type)


def match_of(path: str, immutable: bool) -> str | None:
    """The URL pattern (Use-As-Dictionary: match, RFC 9842 §2.1.1) of the later files that this one is a dictionary for.

    `/assets/vue-BQk3xY9z.js` gives `/assets/vue-*.js`; a name that stays gives itself; of one that is immutable by
    declaration, what may be a hash at its end or a version (`/lib/3.7.0/jquery-3.7.0.min.js`) is open. None: it is
    immutable, and nothing in its name can change, so no later file is ever like it. Percent-encoded,
    without a regular expression, and of this origin, as §2.1.1 asks."""
    span = hash_span(path) or (_end_span(path) if immutable else None)
    if span is not None:
        pieces = [path[: span[0]], path[span[1] :]]
    elif immutable:
        pieces = _VERSION.split(path)
        if len(pieces) == 1:
            return None
    else:
        pieces = [path]
    return "*".join(_open(piece) for piece in pieces)


def _open(piece: str) -> str:
    """A part of a path as a pattern, in whichever way a URL may spell it."""
    return "*".join(quote(part, safe="/") for part in _EITHER.split(piece))


def _end_span(path: str) -> tuple[int, int] | None:
    """Where the name of what is declared immutable ends in 8 characters that may be a hash: of a bundler's hashes 6 %
    look like words, which is why whole folders are declared."""
    found = _LAST8.search(path)
    return None if found is None else found.span(1)
