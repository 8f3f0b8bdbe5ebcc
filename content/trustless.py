"""What a request asks of a trustless gateway, and the fields of its answers. Pure: the same words at origin and edge.

Here live the format (`format` wins over Accept), the parameters of a CAR (those of the query win over Accept's), the
path, entity tags and file names. Not here: sockets, who may read (origin/gateway, edge/control), which blocks a CAR
holds (content/carwalk).

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/ (with IPIP-402, 412 and 523).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, TypeAlias, get_args
from urllib.parse import quote, unquote_to_bytes

from content.carwalk import Bytes, Scope
from content.cid import CID
from content.errors import ContentError

Format: TypeAlias = Literal["raw", "car", "ipns-record"]
RAW_TYPE = "application/vnd.ipld.raw"
CAR_TYPE = "application/vnd.ipld.car"
RECORD_TYPE = "application/vnd.ipfs.ipns-record"
IMMUTABLE = "public, max-age=29030400, immutable"
_FORMATS: Mapping[str, Format] = {RAW_TYPE: "raw", CAR_TYPE: "car", RECORD_TYPE: "ipns-record"}
_ELEMENTS = 64  # of Accept; what follows is not read
_RANGE = re.compile(r"(-?[0-9]{1,19}):(\*|-?[0-9]{1,19})", re.ASCII)
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", re.ASCII)  # RFC 9110 §12.4.2
_TAG = re.compile(r'"[^"]*"')
_UNSAFE = re.compile(r"[^ !#-\[\]-~]|[/]")  # of a quoted file name: all but printable ASCII without quote and backslash


class BadQuestion(ContentError):
    """A parameter or a path that is not well formed: 400."""


class NotSpoken(ContentError):
    """A format, or a form of one, that is not spoken here: 406."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a CAR is wanted. The order is always depth first, also for whoever does not care ("unk")."""

    scope: Scope = "all"
    bytes: Bytes | None = None
    dups: bool = False

    @property
    def media_type(self) -> str:
        return f"{CAR_TYPE}; version=1; order=dfs; dups={'y' if self.dups else 'n'}"


@dataclass(frozen=True, slots=True)
class Asked:
    """The format, and for a CAR its terms."""

    format: Format
    terms: Terms = field(default_factory=Terms)

    @property
    def media_type(self) -> str:
        return {"raw": RAW_TYPE, "car": self.terms.media_type, "ipns-record": RECORD_TYPE}[self.format]

    def etag(self, root: CID, cid: CID, segments: Sequence[str]) -> str:
        """Strong for a block. Weak for a CAR, of path and terms: another version of us may order its blocks anew."""
        if self.format == "raw":
            return f'"{cid}.raw"'
        said = "\0".join((*segments, "", self.terms.scope, repr(self.terms.bytes), repr(self.terms.dups)))
        return f'W/"{root}.car.{self.terms.scope}.{sha256(said.encode()).hexdigest()[:16]}"'

    def filename(self, root: CID, cid: CID, segments: Sequence[str]) -> str:
        if self.format == "raw":
            return f"{cid}.bin"
        return f"{root}_{segments[-1]}.car" if segments else f"{root}.car"

    @property
    def query(self) -> str:
        """The query that asks for this without Accept: for Content-Location."""
        if self.format != "car":
            return f"format={self.format}"
        terms = self.terms
        more = "" if terms.bytes is None else f"&entity-bytes={terms.bytes[0]}:{_or_star(terms.bytes[1])}"
        more += f"&car-version=1&car-order=dfs&car-dups={'y' if terms.dups else 'n'}"
        return f"format=car&dag-scope={terms.scope}{more}"


def read(query: Mapping[str, str], accept: str, known: Sequence[Format]) -> Asked:
    """What is asked, one of the known formats. Raises NotSpoken, BadQuestion."""
    wanted = query.get("format")
    if wanted is not None and wanted not in known:
        raise NotSpoken(f"format {wanted[:40]!r}: ask for {' or '.join(known)}, this is a trustless gateway")
    refused: ContentError | None = None
    for format_, parameters in _accepted(accept):
        if format_ not in known or wanted not in (None, format_):
            continue
        try:
            return Asked(format_, _terms(query, parameters) if format_ == "car" else Terms())
        except NotSpoken as error:  # perhaps another form that the client takes is
            refused = refused or error
    if refused is not None:
        raise refused
    for format_ in known:
        if format_ == wanted:
            return Asked(format_, _terms(query, {}) if format_ == "car" else Terms())
    raise NotSpoken(f"ask for ?format={' or '.join(known)}: this is a trustless gateway")


def segments_of(raw_path: bytes, below: str) -> list[str]:
    """The path behind `below`, in its segments, decoded one by one: a %2F is no border. Raises BadQuestion."""
    try:
        path = raw_path.partition(b"?")[0].decode("ascii").removeprefix(below)
        return [unquote_to_bytes(segment).decode() for segment in path.split("/") if segment]
    except UnicodeDecodeError as error:
        raise BadQuestion("the path is not UTF-8") from error


def is_match(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match names this tag, compared weakly (RFC 9110 §13.1.2), or anything by "*"."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(if_none_match)


def attachment(filename: str) -> str:
    """Content-Disposition for this name: what is not ASCII is "_" in the old form, whole in the new (RFC 6266)."""
    new = quote(filename, safe="", errors="replace")
    return f"attachment; filename=\"{_UNSAFE.sub('_', filename)}\"; filename*=UTF-8''{new}"


def _terms(query: Mapping[str, str], accepted: Mapping[str, str]) -> Terms:
    """Each parameter from the query if it is there, else from Accept (IPIP-523); an empty one is none."""
    _one_of("version", ("1",), query, accepted)
    _one_of("order", ("dfs", "unk"), query, accepted)
    dups = _one_of("dups", ("y", "n"), query, accepted)
    text = query.get("dag-scope", "all")
    scope = next((scope for scope in get_args(Scope) if scope == text), None)
    if scope is None:
        raise BadQuestion(f"dag-scope {text[:40]!r}: one of {', '.join(get_args(Scope))}")
    return Terms(scope, _range(query.get("entity-bytes")), dups == "y")


def _one_of(name: str, known: Sequence[str], query: Mapping[str, str], accepted: Mapping[str, str]) -> str | None:
    if asked := query.get(f"car-{name}"):
        if asked not in known:
            raise BadQuestion(f"car-{name} {asked[:40]!r}: one of {', '.join(known)}")
        return asked
    offered = accepted.get(name)
    if offered and offered not in known:
        raise NotSpoken(f"a CAR of {name}={offered[:40]}: {' or '.join(known)} is spoken here")
    return offered or None


def _range(text: str | None) -> Bytes | None:
    if text is None:
        return None
    match = _RANGE.fullmatch(text)
    if match is None:
        raise BadQuestion("entity-bytes: FROM:TO, whole numbers, TO may be *")
    first, last = int(match[1]), None if match[2] == "*" else int(match[2])
    if last is not None and (first < 0) == (last < 0) and first > last:
        raise BadQuestion("entity-bytes: the range ends before it starts")
    return first, last


def _accepted(accept: str) -> Iterator[tuple[Format, Mapping[str, str]]]:
    """The formats that Accept names, with their parameters, heaviest first; without what is refused or malformed."""
    found: list[tuple[float, Format, Mapping[str, str]]] = []
    for element in accept.split(",", _ELEMENTS)[:_ELEMENTS]:
        name, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {key.strip().lower(): value.strip().strip('"').lower() for key, _, value in pairs}
        weight = parameters.pop("q", "1")
        format_ = _FORMATS.get(name.lower())
        if format_ is not None and _WEIGHT.fullmatch(weight) and float(weight) > 0:
            found.append((float(weight), format_, parameters))
    for _, format_, named in sorted(found, key=lambda row: -row[0]):
        yield format_, named


def _or_star(last: int | None) -> str:
    return "*" if last is None else str(last)
