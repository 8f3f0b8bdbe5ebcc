"""Headers: the fields that the gateway's answers have beside those of any file.

Here live CORS, freshness of what is named by hash or by name, file names, and the paths that an answer tells. Not here:
tags and lengths (edge/http/answer), or bytes.

Spec: https://specs.ipfs.tech/http-gateways/path-gateway/#response-headers
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from content.cid import CID
from edge.gateway.formats import Form
from edge.gateway.wanted import Wanted
from edge.http.target import quoted

Fields = tuple[tuple[str, str], ...]

IMMUTABLE: Final = "public, max-age=29030400, immutable"  # 48 weeks: the spec's figure
GENERATED: Final = "public, max-age=604800, stale-while-revalidate=2678400"  # pages of ours may change: a week, a month
NO_STORE: Final = "no-store"
METHODS: Final = "GET, HEAD, OPTIONS"
_ROOTS: Final = 64  # CIDs that X-Ipfs-Roots names; a field of more would pass what proxies take

# Content named by its hash is the same for every origin that reads it, and no credential changes it.
CORS: Final[Fields] = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", METHODS),
    ("Access-Control-Allow-Headers", "Content-Type, Range, User-Agent, X-Requested-With"),
    (
        "Access-Control-Expose-Headers",
        "Content-Length, Content-Range, X-Chunked-Output, X-Ipfs-Path, X-Ipfs-Roots, X-Stream-Output",
    ),
)
# Pages that we write: no script, nothing from elsewhere.
OWN_PAGE: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
# On a path gateway all content shares one origin. A document of one root could read what another has stored there,
# so documents get an origin of their own for each visit; who needs storage uses a host with subdomains.
SANDBOX: Final = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"
_DOCUMENTS = ("text/html", "application/xhtml+xml", "image/svg+xml", "application/xml", "text/xml", "application/pdf")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is answered about, beside the bytes: the roots on the way, and for how long a name holds (None: unknown;
    `immutable`: the path itself says what it means)."""

    wanted: Wanted
    roots: tuple[CID, ...]
    immutable: bool
    max_age: float | None = None

    def fresh(self, generated: bool = False) -> str:
        """The value of Cache-Control, "" for none. A page of ours may change though its content cannot."""
        if self.immutable:
            return GENERATED if generated else IMMUTABLE
        return "" if self.max_age is None else f"public, max-age={max(0, int(self.max_age))}"

    def fields(self) -> Fields:
        """CORS, and what was asked for and passed on the way."""
        roots = ",".join(str(root) for root in self.roots[-_ROOTS:])
        paths = (("X-Ipfs-Path", quoted(self.wanted.path)), ("X-Ipfs-Roots", roots))
        varies = () if "format" in self.wanted.query else (("Vary", "Accept"),)
        return (*CORS, *paths, *varies, *self._location())

    def _location(self) -> Fields:
        """Where this form can be asked for by its address alone: what Accept chose, caches that do not look at Accept
        must not give to others."""
        form = self.wanted.asked.form
        if form is None or not self.wanted.asked.by_accept:
            return ()
        query = self.wanted.raw_query.decode("latin-1")
        said = f"{query}{'&' * bool(query)}format={form}"
        if form is Form.CAR:
            chosen = ((name, self.wanted.asked.parameters.get(name)) for name in ("order", "dups"))
            said += "".join(f"&car-{name}={quote(value)}" for name, value in chosen if value)
        return (("Content-Location", f"{self.wanted.own_address}?{said}"),)


def disposition(kind: str, name: str) -> Fields:
    """Content-Disposition (RFC 6266): the name as ASCII, and as it is."""
    plain = re.sub(r"[^\x20-\x7e]", "_", name).replace('"', "_").replace("\\", "_")
    return (("Content-Disposition", f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"),)


def saved_as(wanted: Wanted, kind: str, default: str) -> Fields:
    """Content-Disposition for what is saved under a name of its own unless the query has one."""
    return disposition("attachment" if wanted.is_download else kind, wanted.filename or default)


def file_disposition(wanted: Wanted, default: str) -> Fields:
    """Of a file that is shown as it is: only where the query asks for a name, or to save it."""
    if wanted.filename or wanted.is_download:
        return saved_as(wanted, "inline", default)
    return ()


def isolation(wanted: Wanted, media_type: str) -> Fields:
    """What keeps a document away from others of its origin."""
    if wanted.place.is_isolated or not media_type.startswith(_DOCUMENTS):
        return ()
    return (("Content-Security-Policy", SANDBOX),)


def tag(cid: CID, form: Form | None = None) -> str:
    """The entity tag, without its quotes."""
    return str(cid) if form is None else f"{cid}.{form}"


def lines(fields: Sequence[tuple[str, str]]) -> bytes:
    """The fields as header lines, each ended by CRLF."""
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in fields).encode("latin-1")
