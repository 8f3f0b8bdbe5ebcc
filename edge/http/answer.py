"""Answer: everything one asset can answer, built once; a request only chooses.

Here live the header blocks of 200, 304, 206 and their kin, and the choice between them from a request's fields. The
hot path (edge/http/protocol) and the app (edge/app) choose from the same object, so there is one truth.
Not here: which asset a path means (edge/site), where its bytes come from (edge/cache), Date, Connection and
Cache-Status (whoever writes the answer adds those), or refusals that no asset stands behind (edge/http/problem).

Order of things, RFC 9110 §13.2.2: If-Match, If-None-Match, then Range under If-Range. A Range is taken of identity
bytes only: a part of compressed bytes is of no use to anybody but the one who holds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from content.cid import CID
from content.release import CODINGS, Asset
from edge.http import conditions, negotiate, ranges

IMMUTABLE = (
    b"public, max-age=31536000, immutable"  # RFC 8246; a year is what §5.2.2.1 of RFC 9111 calls "never" in effect
)
REVALIDATE = b"public, max-age=0, must-revalidate"
PRIVATE = b"private, max-age=0, must-revalidate"
NO_STORE = b"no-store"
NOSNIFF = b"x-content-type-options: nosniff\r\n"
# Fonts and module scripts are fetched in CORS mode whoever serves them (Fetch standard), so a page of another host of
# the same owner could not use ours without this. Nothing here is personal: no cookie changes an answer.
_CORS_TYPES = ("font/", "text/javascript", "text/css", "application/wasm")
_OCTETS = b"application/octet-stream"


@dataclass(frozen=True, slots=True)
class Asking:
    """The fields of a request that may change its answer. All others may not, or shared answers could be poisoned."""

    method: str = "GET"
    accept_encoding: bytes | None = None
    if_match: bytes | None = None
    if_none_match: bytes | None = None
    range: bytes | None = None
    if_range: bytes | None = None

    @classmethod
    def read(cls, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Asking:
        """From (lower-case name, value) pairs. A list field sent twice is one list (§5.3); Range twice is no Range."""
        found: dict[str, bytes] = {}
        for name, value in headers:
            field = _FIELDS.get(name)
            if field is not None:
                found[field] = found[field] + b", " + value if field in found else value
        return cls(method, **found)


_FIELDS = {
    b"accept-encoding": "accept_encoding",
    b"if-match": "if_match",
    b"if-none-match": "if_none_match",
    b"range": "range",
    b"if-range": "if_range",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: status, header lines (each ended by CRLF), and which bytes of which block or file follow."""

    status: int
    head: bytes
    body: CID | None = None  # None: no bytes follow
    start: int = 0
    stop: int = 0
    size: int = 0  # of all that the CID names, of which [start, stop) is sent; what is found must be this long

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header lines as pairs, for ASGI."""
        return [(name, value) for name, _, value in (line.partition(b": ") for line in self.head.split(b"\r\n")[:-1])]


@dataclass(frozen=True, slots=True)
class Variant:
    """The asset under one content coding, and its ready choices."""

    coding: str
    cid: CID
    size: int
    etag: bytes
    whole: Choice  # 200 to a GET
    bare: Choice  # the same to a HEAD
    unchanged: Choice  # 304


class Answer:
    """What one asset answers under one path. Immutable in use."""

    __slots__ = ("_codings", "_common", "_media_type", "status", "variants")
    shares_query = True  # the query has no part in it

    def __init__(
        self,
        asset: Asset,
        *,
        immutable: bool = False,
        status: int = 200,
        vary: tuple[str, ...] = (),
        personal: bool = False,
        fields: Sequence[tuple[str, str | None]] = (),
        reason: str | None = None,
    ) -> None:
        """`vary`: request fields that chose this asset for its path, beside the coding. `personal`: for this visitor's
        own cache only. `fields`: what the site's rules set (None: take away) in the answer's header. `reason`: why it
        is a 404."""
        self.status = status
        self._codings = tuple(coding for coding in CODINGS if coding in asset.encodings)
        made = _fields(asset.media_type, immutable, status, personal)
        varies = [*(("Accept-Encoding",) if self._codings else ()), *vary]
        media_type = _apply(made, fields, varies, status) or asset.media_type
        self._media_type = _header_safe(media_type)
        if varies:
            made["vary"] = ", ".join(dict.fromkeys(varies))
        if reason is not None:
            made["rim-reason"] = reason
        self._common = "".join(f"{name}: {value}\r\n" for name, value in made.items()).encode("latin-1") + NOSNIFF
        variants = {negotiate.IDENTITY: self._variant(negotiate.IDENTITY, asset.cid, asset.size)}
        for coding in self._codings:
            encoding = asset.encodings[coding]
            variants[coding] = self._variant(coding, encoding.cid, encoding.size)
        self.variants = variants

    @property
    def weight(self) -> int:
        """About how many bytes this object takes."""
        return (
            600
            + len(self._common)
            + sum(600 + len(v.whole.head) + len(v.unchanged.head) for v in self.variants.values())
        )

    def choose(self, asking: Asking) -> Choice:
        """The answer to this request."""
        plain = self.variants[negotiate.IDENTITY]
        if self.status != 200:  # §13.2.1 and §14.2: conditions and ranges are of answers that would be 200
            best = negotiate.choose(asking.accept_encoding, self._codings) or negotiate.IDENTITY
            return self._whole(self.variants[best], asking)
        span = self._span(asking, plain)
        coding = negotiate.IDENTITY if span else negotiate.choose(asking.accept_encoding, self._codings)
        if coding is None:
            return self._refusal(406)
        variant = self.variants[coding]
        if asking.if_match is not None and not self._matches(asking.if_match):
            return self._refusal(412)
        if asking.if_none_match is not None and conditions.none_match(asking.if_none_match, variant.etag):
            return variant.unchanged
        if span is None:
            return self._whole(variant, asking)
        if isinstance(span, ranges.Unsatisfiable):
            return self._refusal(416, b"content-range: bytes */%d\r\n" % plain.size)
        return self._part(plain, span)

    def _span(self, asking: Asking, plain: Variant) -> ranges.Span | ranges.Unsatisfiable | None:
        if asking.range is None or asking.method != "GET":  # §14.2: Range is defined for GET only
            return None
        if asking.if_range is not None and not conditions.range_holds(asking.if_range, plain.etag):
            return None
        if asking.accept_encoding is not None and negotiate.choose(asking.accept_encoding, ()) is None:
            return None  # identity is refused, and a part of anything else is not to be had
        return ranges.parse(asking.range, plain.size)

    def _matches(self, value: bytes) -> bool:
        """If-Match holds while any variant has the tag: they are one version of the asset, all or none is current."""
        return any(conditions.match(value, variant.etag) for variant in self.variants.values())

    def _whole(self, variant: Variant, asking: Asking) -> Choice:
        return variant.whole if asking.method == "GET" else variant.bare

    def _part(self, variant: Variant, span: ranges.Span) -> Choice:
        head = (
            b"content-type: %s\r\ncontent-length: %d\r\ncontent-range: %s\r\netag: %s\r\naccept-ranges: bytes\r\n"
            % (
                self._media_type,
                span.stop - span.start,
                span.content_range(variant.size),
                variant.etag,
            )
        )
        return Choice(206, head + self._common, variant.cid, span.start, span.stop, variant.size)

    def _refusal(self, status: int, lines: bytes = b"") -> Choice:
        vary = b"vary: Accept-Encoding\r\n" if status == 406 else b""
        return Choice(status, b"content-length: 0\r\ncache-control: no-store\r\n" + NOSNIFF + vary + lines)

    def _variant(self, coding: str, cid: CID, size: int) -> Variant:
        etag = b'"%s"' % str(cid).encode()
        head = b"content-type: %s\r\ncontent-length: %d\r\n" % (self._media_type, size)
        if coding != negotiate.IDENTITY:
            head += b"content-encoding: %s\r\n" % coding.encode()
        tag = b"etag: %s\r\n" % etag if self.status == 200 else b""
        ranged = b"accept-ranges: bytes\r\n" if self.status == 200 else b""
        head += tag + ranged + self._common
        return Variant(
            coding,
            cid,
            size,
            etag,
            whole=Choice(self.status, head, cid, 0, size, size),
            bare=Choice(self.status, head),
            unchanged=Choice(304, tag + self._common),
        )


class Redirection:
    """A path that is to be asked for elsewhere, as ready as an asset's Answer."""

    __slots__ = ("_choice", "status")
    shares_query = False  # a request with a query carries it on, and finds its Location in the app

    def __init__(self, location: str, status: int, personal: bool = False, vary: tuple[str, ...] = ()) -> None:
        """`location`: a URL reference, ASCII. It is looked at again each time, whatever the status says: 301 and 308
        may be kept for ever (RFC 9110 §15.4), and then no later rule would reach who has been here once."""
        self.status = status
        cache_control = PRIVATE if personal else REVALIDATE
        head = b"location: %s\r\ncontent-length: 0\r\ncache-control: %s\r\n" % (location.encode(), cache_control)
        varies = f"vary: {', '.join(vary)}\r\n".encode() if vary else b""
        self._choice = Choice(status, head + varies + NOSNIFF)

    @property
    def weight(self) -> int:
        """About how many bytes this object takes."""
        return 300 + len(self._choice.head)

    def choose(self, asking: Asking) -> Choice:
        return self._choice


def _fields(media_type: str, immutable: bool, status: int, personal: bool) -> dict[str, str]:
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


def _apply(
    made: dict[str, str], fields: Sequence[tuple[str, str | None]], varies: list[str], status: int
) -> str | None:
    """Let the site's rules change the fields; the media type that they name, if any.

    Not theirs: what an error's Cache-Control says (kept, it would outlive its cause), that a personal answer is
    private, nosniff, and the request fields that choose among answers (a rule adds to Vary, it takes nothing away).
    """
    media_type = None
    for name, value in fields:
        lower = name.lower()
        if lower == "vary":
            varies += [field.strip() for field in (value or "").split(",") if field.strip()]
        elif lower == "content-type":
            media_type = value
        elif lower == "cache-control":
            if status == 200 and value is not None and not made["cache-control"].startswith("private"):
                made["cache-control"] = value
        elif lower == "x-content-type-options":
            continue
        elif value is None:
            made.pop(lower, None)
        else:
            made[lower] = value
    return media_type


def is_shared_across_sites(media_type: str) -> bool:
    """Whether answers of this type carry Access-Control-Allow-Origin, and a preflight for them is granted."""
    return media_type.startswith(_CORS_TYPES)


def _header_safe(media_type: str) -> bytes:
    """A media type as header bytes. What could split the header block is not one: it came from a publisher."""
    if not media_type or not media_type.isascii() or not media_type.isprintable():
        return _OCTETS
    return media_type.encode()
