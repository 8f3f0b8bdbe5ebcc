"""Wanted: what a request to the gateway asks for, read once.

Here lives the content path (`/ipfs/{cid}/a/b`, as the path or the Host says it), its query and the form. Not here: what
stands under the path (edge/gateway/found), or hosts (edge/gateway/hosts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from edge.gateway import formats
from edge.gateway.hosts import Kind, Place
from edge.http.problem import Problem
from edge.http.target import quoted

_QUERY_FIELDS = 32  # parameters looked at; there are eight that mean anything


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `path` is the content path, `base` what of it this host leaves out of its addresses."""

    place: Place
    namespace: str
    name: str
    segments: tuple[str, ...]
    slash: bool  # it ends in one
    query: Mapping[str, str]
    raw_query: bytes
    asked: formats.Asked
    scheme: str
    held_only: bool = False  # Cache-Control: only-if-cached

    @property
    def path(self) -> str:
        """The content path as it was asked, decoded."""
        tail = "/" * bool(self.slash)
        return "/" + "/".join((self.namespace, self.name, *self.segments)) + tail

    @property
    def base(self) -> str:
        """What addresses on this host begin with: the namespace and name, where the host does not say them."""
        return "" if self.place.is_isolated else f"/{self.namespace}/{quoted(self.name)}"

    def address(self, *segments: str) -> str:
        """The address of a path below the root, on this host, escaped."""
        return "".join((self.base, *(f"/{quoted(segment)}" for segment in segments)))

    @property
    def own_address(self) -> str:
        """The address that was asked, without query."""
        return self.address(*self.segments) + "/" * bool(self.slash)

    @property
    def filename(self) -> str:
        """The name that the query wants it saved under, if any."""
        return self.query.get("filename", "")

    @property
    def is_download(self) -> bool:
        return self.query.get("download") == "true"


def read(place: Place, path: str, raw_query: bytes, fields: Mapping[bytes, bytes], scheme: str) -> Wanted:
    """What this (decoded) path on this place asks for. Raises Problem."""
    query = read_query(raw_query)
    asked = formats.read(query, fields.get(b"accept", b""))
    held_only = b"only-if-cached" in fields.get(b"cache-control", b"").lower()
    if place.kind is Kind.PATH:
        namespace, _, rest = path[1:].partition("/")
        name, mark, below = rest.partition("/")
        if namespace not in ("ipfs", "ipns") or not name:
            raise Problem(404, "Here are content paths only: /ipfs/{cid} and /ipns/{name}.")
    else:
        namespace, name, mark, below = place.namespace, place.name, "/", path[1:]
    segments = below.split("/") if below else []
    slash = bool(mark) and (not segments or segments[-1] == "")
    if segments and slash:
        segments.pop()
    if "" in segments:  # nothing is called so; and an address of ours that began with // would be another host's
        raise Problem(404, "Nothing has an empty name: two slashes stand side by side in the path.")
    return Wanted(place, namespace, name, tuple(segments), slash, query, raw_query, asked, scheme, held_only)


def read_query(raw: bytes) -> dict[str, str]:
    """The query's parameters; of one given twice, the first. Raises Problem."""
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=_QUERY_FIELDS)
    except ValueError:
        raise Problem(400, f"A query of more than {_QUERY_FIELDS} parameters.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
