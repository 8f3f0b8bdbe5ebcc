"""Answer: everything one asset can answer, built once; a request only chooses.

Here live the header blocks of 200, 304, 206 and their kin, and the choice between them from a request's fields. The
hot path (edge/http/protocol) and the app (edge/app) choose from the same object, so there is one truth.
Not here: the fields that all of them share (edge/http/fields), which asset a path means (edge/site), where its bytes
come from (edge/cache), Date, Connection and Cache-Status (whoever writes the answer adds those), or refusals that no
asset stands behind (edge/http/problem).

Order of things, RFC 9110 §13.2.2: If-Match, If-None-Match, then Range under If-Range. A Range is taken of identity
bytes only: a part of compressed bytes is of no use to anybody but the one who holds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from content.cid import CID
from content.deltas import is_delta_coded, is_fresh, match_of
from content.release import CODINGS, Asset
from edge.http import conditions, dictionary, negotiate, ranges
from edge.http.dictionary import AVAILABLE, DCZ, USE_AS
from edge.http.fields import (
    NOSNIFF,
    PRIVATE,
    REVALIDATE,
    apply,
    header_safe,
    initial,
    is_shared_across_sites,
    of_refusal,
    pairs,
)
from edge.http.parts import Part, framed

__all__ = ["Answer", "Asking", "Choice", "Redirection", "is_shared_across_sites"]


class Asking(NamedTuple):  # one is made for each request, and a tuple is made fastest
    """The fields of a request that may change its answer. All others may not, or shared answers could be poisoned."""

    method: str = "GET"
    accept_encoding: bytes | None = None
    if_match: bytes | None = None
    if_none_match: bytes | None = None
    range: bytes | None = None
    if_range: bytes | None = None
    available_dictionary: bytes | None = None

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
    b"available-dictionary": "available_dictionary",
}


class Choice(NamedTuple):  # one is made for each range asked for, and a tuple is made fastest
    """One answer: status, header lines (each ended by CRLF), and which bytes of which block or file follow: [start,
    stop), or, of several ranges, each of `parts` behind its prefix, and then `tail`."""

    status: int
    head: bytes
    body: CID | None = None  # None: no bytes follow
    start: int = 0
    stop: int = 0
    size: int = 0  # of all that the CID names; what is found must be this long
    parts: tuple[Part, ...] = ()
    tail: bytes = b""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header lines as pairs, for ASGI."""
        return pairs(self.head)


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


class Delta(NamedTuple):
    """The asset as a difference to some base: a `dcz` body, as a block of its own."""

    cid: CID
    size: int


Pairs: TypeAlias = Mapping[bytes, Delta | None]  # SHA-256 of a base → the delta from it; None: not worth sending


class Answer:
    """What one asset answers under one path. Immutable in use, but for the deltas that become known meanwhile: then
    `deltas` is a mapping that whoever makes them adds to (None: this is never sent as one)."""

    __slots__ = ("_codings", "_common", "_media_type", "_name", "_tag", "_tagged", "deltas", "status", "variants")
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
        tag: str | None = None,
        control: str | None = None,
        dictionary_for: str | None = None,
    ) -> None:
        """`vary`: request fields that chose this asset for its path, beside the coding. `personal`: for this visitor's
        own cache only. `fields`: what the site's rules set (None: take away) in the answer's header. `reason`: why it
        is a 404. `tag`: the entity tag, where the bytes alone do not make it. `control`: the value of Cache-Control
        whatever the status ("": none), for what is named by its hash and can be kept. `dictionary_for`: the path, where
        it may be sent as a delta and be the dictionary of later ones, if its kind and its freshness allow."""
        self.status = status
        self._tag = tag
        self._name = str(asset.cid)
        self._tagged = status == 200 or control is not None
        coded = asset.encodings
        self._codings = tuple(sorted((c for c in CODINGS if c in coded), key=lambda c: coded[c].size))  # stable sort
        made = initial(asset.media_type, immutable, status, personal)
        varies = [*(("Accept-Encoding",) if self._codings else ()), *vary]
        media_type = apply(made, fields, varies, status) or asset.media_type
        if control is not None:
            made["cache-control"] = control
            if not control:
                del made["cache-control"]
        self._media_type = header_safe(media_type)
        self.deltas: Pairs | None = None
        may = dictionary_for is not None and status == 200 and not personal
        if dictionary_for is not None and is_delta_coded(asset, may and is_fresh(made.get("cache-control"))):
            self.deltas = {}
            varies = ["Accept-Encoding", AVAILABLE, *varies]
            match = match_of(dictionary_for, immutable)
            if match is not None and not any(name.lower() == USE_AS for name, _ in fields):  # the site's word stands
                made[USE_AS] = dictionary.use_as(match)
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

    def awaited(self, asking: Asking) -> bytes | None:
        """The digest of the base from which a delta would do for this request, where it is not known yet if one is
        worth it. None: nothing is missing to choose."""
        if self.deltas is None or asking.available_dictionary is None:
            return None
        if asking.range is not None and asking.method == "GET":  # of identity bytes
            return None
        digest = dictionary.digest_of(asking.available_dictionary)
        if digest is None or digest in self.deltas or not self._likes_delta(asking.accept_encoding):
            return None
        return None if _holds(asking, self._ordinary(asking)) else digest

    def choose(self, asking: Asking) -> Choice:
        """The answer to this request."""
        plain = self.variants[negotiate.IDENTITY]
        if self.status != 200:  # §13.2.1 and §14.2: conditions and ranges are of answers that would be 200
            best = negotiate.choose(asking.accept_encoding, self._codings) or negotiate.IDENTITY
            return self._whole(self.variants[best], asking)
        spans = self._spans(asking, plain)
        variant = plain if spans else self._best(asking)
        if variant is None:
            return self._refusal(406)
        if asking.if_match is not None and not self._matches(asking.if_match):
            return self._refusal(412)
        if asking.if_none_match is not None and conditions.none_match(asking.if_none_match, variant.etag):
            return variant.unchanged
        if spans is None:
            return self._whole(variant, asking)
        if isinstance(spans, ranges.Unsatisfiable):
            return self._refusal(416, b"content-range: bytes */%d\r\n" % plain.size)
        return self._part(plain, spans[0]) if len(spans) == 1 else self._parts(plain, spans)

    def _best(self, asking: Asking) -> Variant | None:
        """The variant that this request likes best; None where it refuses all. One that the client holds beats a delta:
        a 304 has no bytes at all."""
        ordinary = self._ordinary(asking)
        if asking.available_dictionary is None or _holds(asking, ordinary):
            return ordinary
        return self._delta(asking) or ordinary

    def _ordinary(self, asking: Asking) -> Variant | None:
        coding = negotiate.choose(asking.accept_encoding, self._codings)
        return None if coding is None else self.variants[coding]

    def _delta(self, asking: Asking) -> Variant | None:
        """The delta from what this client has, where there is one and it would like one best."""
        digest = dictionary.digest_of(asking.available_dictionary or b"")
        delta = self.deltas.get(digest) if self.deltas and digest is not None else None
        if digest is None or delta is None or not self._likes_delta(asking.accept_encoding):
            return None
        return self._variant(DCZ, delta.cid, delta.size, dictionary.etag_of(self._name, digest))

    def _likes_delta(self, accept: bytes | None) -> bool:
        """Whether a delta would be sent, if there is one: it is kept only where it is smaller than all other variants,
        so at equal weight it is the first choice."""
        if accept is None or not negotiate.names(accept, DCZ):
            return False
        return negotiate.choose(accept, (DCZ, *self._codings)) == DCZ

    def _spans(self, asking: Asking, plain: Variant) -> tuple[ranges.Span, ...] | ranges.Unsatisfiable | None:
        if asking.range is None or asking.method != "GET":  # §14.2: Range is defined for GET only
            return None
        if asking.if_range is not None and not conditions.range_holds(asking.if_range, plain.etag):
            return None
        if asking.accept_encoding is not None and negotiate.choose(asking.accept_encoding, ()) is None:
            return None  # identity is refused, and a part of anything else is not to be had
        return ranges.parse(asking.range, plain.size)

    def _matches(self, value: bytes) -> bool:
        """If-Match holds while any variant has the tag: they are one version of the asset, all or none is current. That
        of a delta says itself whose it is, whichever edge made it."""
        if any(conditions.match(value, variant.etag) for variant in self.variants.values()):
            return True
        return self.deltas is not None and any(
            dictionary.is_delta_of(tag, self._name) for tag in conditions.strong_tags(value)
        )

    def _whole(self, variant: Variant, asking: Asking) -> Choice:
        return variant.whole if asking.method == "GET" else variant.bare

    def _part(self, variant: Variant, span: ranges.Span) -> Choice:
        line = b"content-range: %s\r\n" % span.content_range(variant.size)
        head = self._partial(variant, self._media_type, span.stop - span.start, line)
        return Choice(206, head, variant.cid, span.start, span.stop, variant.size)

    def _parts(self, variant: Variant, spans: tuple[ranges.Span, ...]) -> Choice:
        """Several ranges: Content-Range is then said in each part, and must not be said outside (§15.3.7.2)."""
        body = framed(spans, variant.cid, variant.size, self._media_type)
        head = self._partial(variant, body.media_type, body.length)
        return Choice(206, head, variant.cid, size=variant.size, parts=body.parts, tail=body.tail)

    def _partial(self, variant: Variant, media_type: bytes, length: int, line: bytes = b"") -> bytes:
        return (
            b"content-type: %s\r\ncontent-length: %d\r\n%setag: %s\r\naccept-ranges: bytes\r\n%s"  # as in a 200
            % (media_type, length, line, variant.etag, self._common)
        )

    def _refusal(self, status: int, line: bytes = b"") -> Choice:
        """A 406, 412 or 416: of this request alone, so nobody keeps it."""
        kept = of_refusal(self._common)
        return Choice(status, b"content-length: 0\r\ncache-control: no-store\r\n" + NOSNIFF + kept + line)

    def _variant(self, coding: str, cid: CID, size: int, etag: bytes | None = None) -> Variant:
        etag = etag or b'"%s"' % (self._tag or str(cid)).encode()
        head = b"content-type: %s\r\ncontent-length: %d\r\n" % (self._media_type, size)
        if coding != negotiate.IDENTITY:
            head += b"content-encoding: %s\r\n" % coding.encode()
        tag = b"etag: %s\r\n" % etag if self._tagged else b""
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


def _holds(asking: Asking, variant: Variant | None) -> bool:
    """Whether the client says that it has this variant."""
    named = asking.if_none_match
    return named is not None and variant is not None and conditions.none_match(named, variant.etag)


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

    def awaited(self, asking: Asking) -> bytes | None:
        """Nothing: see Answer.awaited."""
        return None

    def choose(self, asking: Asking) -> Choice:
        return self._choice
