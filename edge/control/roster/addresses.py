"""Addresses: where DNS says that members are.

Here live the two questions: the addresses of a name, and the targets of a service. Not here: the words on the wire
(edge/names/stub), who is behind an address (addressed).

A service's priorities say whom to try first, which is no question in a ring: all of its targets are members. Weights
are told relative to each other (Kubernetes gives 100 / number of pods, and another number after each change), so here
they are relative to their mean: a change of all of them by the same factor changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast

import dns.rdatatype
from dns.rdtypes.IN.SRV import SRV

from edge.control.roster.asking import RosterTrouble
from edge.names.faults import NameTrouble
from edge.names.stub import Records, Stub
from edge.peers.finding import Finding, Way

ANSWER_MAX = 16 * 1024  # bytes: some 1,000 addresses or 250 targets; dnspython reads it in 78 ms (seen)
AT_ONCE = 16  # questions to DNS at a time


@dataclass(frozen=True, slots=True)
class Places:
    """URLs of private listeners, each with a factor of its weight; asked again after `ttl` s."""

    weights: dict[str, float]
    ttl: float


Look = Callable[[], Awaitable[Places]]


def looker(finding: Finding, servers: Sequence[str]) -> Look:
    """The question to DNS that this way of finding asks."""
    stub = Stub(servers, most=ANSWER_MAX, search=not servers)
    if finding.way is Way.SRV:
        return lambda: targets(stub, finding.name)
    return lambda: addresses(stub, finding.name, finding.port)


async def addresses(stub: Stub, name: str, port: int) -> Places:
    """Every address of a name, at this port. Raises RosterTrouble."""
    found, ttl = await _addresses(stub, name)
    return Places({_url(address, port): 1.0 for address in found}, ttl)


async def targets(stub: Stub, service: str) -> Places:
    """Every target of a service (RFC 2782), at its port: an address of each. Raises RosterTrouble."""
    found = await _find(stub, service, dns.rdatatype.SRV)
    rows = [row for row in map(_srv, found.values) if row.target.to_text() != "."]  # ".": decidedly no service
    places = asyncio.Semaphore(AT_ONCE)

    async def of(host: str) -> tuple[list[str], float]:
        async with places:
            try:
                return await _addresses(stub, host)
            except RosterTrouble:
                return [], found.ttl

    hosts = sorted({row.target.to_text() for row in rows})
    resolved = dict(zip(hosts, await asyncio.gather(*map(of, hosts)), strict=True))
    if hosts and not any(known for known, _ in resolved.values()):
        raise RosterTrouble(f"{service}: none of {len(hosts)} targets has an address")
    mean = sum(row.weight for row in rows) / len(rows) if rows else 0.0
    weights: dict[str, float] = {}
    for row in rows:
        known, _ = resolved[row.target.to_text()]
        if known:
            weights[_url(known[0], row.port)] = row.weight / mean if row.weight and mean else 1.0
    return Places(weights, min([found.ttl, *(ttl for known, ttl in resolved.values() if known)]))


async def _addresses(stub: Stub, name: str) -> tuple[list[str], float]:
    """Addresses, IPv4 before IPv6, each sorted, and their TTL. An address is its own. Raises RosterTrouble when there
    may be some that could not be asked for, and there are no others."""
    try:
        return [str(ip_address(name))], float("inf")
    except ValueError:
        pass
    kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
    asked = await asyncio.gather(*(_find(stub, name, kind) for kind in kinds), return_exceptions=True)
    found, troubles = [], []
    for answer in asked:
        if isinstance(answer, RosterTrouble):
            troubles.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found.append(answer)
    values = [address for records in found for address in sorted(record.to_text() for record in records.values)]
    if troubles and not values:
        raise troubles[0]
    return values, min((records.ttl for records in found if records.values), default=0.0)


async def _find(stub: Stub, name: str, kind: dns.rdatatype.RdataType) -> Records:
    try:
        return await stub.find(name, kind)
    except NameTrouble as error:
        raise RosterTrouble(str(error)) from error


def _srv(record: object) -> SRV:
    return cast("SRV", record)


def _url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
