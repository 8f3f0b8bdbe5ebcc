"""Roots: from the name that a request begins with to the root CID that it means, and for how long.

Here live CIDs, keys and domains as they are written in paths and subdomains, the one spelling that each has, and where
another one leads. Not here: following names (edge/names), whether a root may be shown (edge/gateway/access).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from content.cid import CID
from content.errors import BadCID
from edge.gateway import labels
from edge.gateway.hosts import Kind
from edge.gateway.wanted import Wanted
from edge.http.problem import Problem
from edge.http.target import quoted
from edge.names.faults import NameFault, NameLoop, NameNotFound, NameTrouble
from edge.names.names import Named
from edge.names.spelling import domain_name, key_name


class Names(Protocol):
    """Who follows names."""

    async def resolve(self, name: str) -> Named:
        """The immutable path that a domain or key means now. Raises NameFault."""

    async def record(self, key: str) -> bytes:
        """The verified IPNS record of a key. Raises NameFault."""


@dataclass(frozen=True, slots=True)
class Root:
    """The root of a request. `below`: what the name itself adds to the path. `immutable`: no name has a part in it.
    `stale`: nobody could be asked for a newer meaning of the name."""

    cid: CID
    below: tuple[str, ...] = ()
    immutable: bool = True
    max_age: float | None = None
    names: tuple[str, ...] = ()  # that led there
    stale: bool = False


async def find(wanted: Wanted, names: Names) -> Root:
    """The root that is meant. Raises Problem."""
    if wanted.namespace == "ipfs":
        return Root(_cid(wanted))
    try:
        named = await names.resolve(meant(wanted))
    except NameFault as error:
        raise problem_of(error) from error
    _, _, root, *below = named.path.split("/")
    segments = tuple(segment for segment in below if segment)
    return Root(CID.parse(root), segments, False, named.max_age, named.names, named.stale)


def meant(wanted: Wanted) -> str:
    """The key or the domain that is named, also where it is inlined into a label. Raises Problem."""
    key = key_name(wanted.name)
    name = labels.domain_of(wanted.name) if wanted.place.kind is Kind.SUBDOMAIN else wanted.name
    if (found := key or domain_name(name)) is None:
        raise _invalid(wanted, "it is neither a domain nor the name of a key")
    return found


def moved(wanted: Wanted) -> tuple[int, str] | None:
    """Status and address of where this is to be asked for instead: the subdomain where a host has them, and the one
    spelling of a key. Raises Problem."""
    if wanted.place.kind is Kind.SUBDOMAIN:
        label = _canonical_label(wanted)
        return None if label is None else (301, _on_subdomain(wanted, label))
    if wanted.place.kind is not Kind.PATH:
        return None
    if wanted.place.subdomains:
        return 301, _on_subdomain(wanted, _label(wanted))
    key = key_name(wanted.name) if wanted.namespace == "ipns" else None
    if key is None or key == wanted.name:
        return None
    tail = "".join(f"/{quoted(segment)}" for segment in wanted.segments) + "/" * wanted.slash
    return 302, _with_query(f"/ipns/{key}{tail}", wanted)


def problem_of(fault: NameFault) -> Problem:
    """What is told of a name that led to nothing."""
    if isinstance(fault, NameNotFound):
        return Problem(404, f"{fault}.")
    if isinstance(fault, NameLoop):
        return Problem(400, f"{fault}.")
    wait = fault.retry_after if isinstance(fault, NameTrouble) else 5.0
    return Problem(502, f"The name could not be followed: {fault}.", headers=(("Retry-After", str(ceil(wait))),))


def _canonical_label(wanted: Wanted) -> str | None:
    """How the label of this subdomain should be written, None if it is."""
    if wanted.namespace == "ipfs":
        label = _label(wanted)
    elif (key := key_name(wanted.name)) is not None:
        label = key
    else:
        return None
    return None if label == wanted.name else label


def _label(wanted: Wanted) -> str:
    """The name as one DNS label. Raises Problem."""
    try:
        if wanted.namespace == "ipfs":
            return labels.of_cid(_cid(wanted))
        if (key := key_name(wanted.name)) is not None:
            return labels.of_cid(CID.parse(key)) if len(key) > labels.LABEL else key
        if (domain := domain_name(wanted.name)) is not None:
            return labels.inlined(domain)
    except labels.TooLong as error:
        raise Problem(400, f"{error}: {wanted.name[:80]}.") from error
    raise _invalid(wanted, "it is neither a domain nor the name of a key")


def _cid(wanted: Wanted) -> CID:
    try:
        if wanted.place.subdomains:
            labels.check_length(wanted.name)
        return CID.parse(wanted.name)
    except labels.TooLong as error:
        raise Problem(400, f"{error}: {wanted.name[:80]}.") from error
    except BadCID as error:
        raise _invalid(wanted, str(error)) from error


def _invalid(wanted: Wanted, why: str) -> Problem:
    return Problem(400, f'invalid path "{wanted.path[:200]}": {why}.')


def _on_subdomain(wanted: Wanted, label: str) -> str:
    path = "".join(f"/{quoted(segment)}" for segment in wanted.segments) + "/" * wanted.slash
    host = f"{label}.{wanted.namespace}.{wanted.place.field}"
    return _with_query(f"{wanted.scheme}://{host}{path or '/'}", wanted)


def _with_query(address: str, wanted: Wanted) -> str:
    query = wanted.raw_query.decode("latin-1")
    return f"{address}?{query}" if query else address
