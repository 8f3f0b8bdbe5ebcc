"""A site's DNSLink: the TXT record that its domain needs, and whether DNS has it.

Here lives the check, over the resolver that edges use (edge/names). Not here: what is printed (rim/commands/dnslink).

DNS keeps answers, so what a resolver says may be what was true a while ago. When it is not what it should be, the
zone's own servers are asked: if they have the record, it is only a matter of the old answer's time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name

from edge.names.faults import NameTrouble
from edge.names.limits import DNS_LIFETIME, HOPS
from edge.names.links import best_link, links_of
from edge.names.nameserver import Bounded
from edge.names.servers import PORT, server_address
from edge.names.spelling import content_path, key_name
from edge.names.txt import Resolver

TTL = 300  # of the record that is to be set: a change of keys is rare, and five minutes are what people will wait
AUTHORITIES = 4  # servers of the zone that are asked

OK, MISSING, ELSEWHERE, WAITING, UNKNOWN = "ok", "missing", "elsewhere", "waiting", "unknown"


@dataclass(frozen=True, slots=True)
class Checked:
    """What DNS says. `found`: every DNSLink of the domain; `way`: the domains that lead on from there; `ttl`: seconds
    until the answer is asked for anew."""

    state: str
    found: tuple[str, ...] = ()
    way: tuple[str, ...] = ()
    ttl: float = 0.0
    said: str = ""
    root: bool = field(default=False)  # it names the live release itself, and not the site


def record(domain: str, key: str) -> str:
    """The record as a zone file has it."""
    return f'_dnslink.{domain}. {TTL} IN TXT "dnslink=/ipns/{key}"'


def check(domain: str, key: str, root: str | None, server: str | None = None, port: int = PORT) -> Checked:
    """Whether this domain's DNSLink leads to the site's key. `root`: of the live release; `server`: who is asked
    instead of the system's resolvers. Raises ValueError for no address of a server."""
    return asyncio.run(_check(domain, key, root, () if server is None else (server,), port))


async def _check(domain: str, key: str, root: str | None, servers: tuple[str, ...], port: int) -> Checked:
    seen = await _ask(Resolver(servers), domain, key, root)
    if seen.state in (OK, UNKNOWN):
        return seen
    for server in await _authorities(domain, servers, port):
        there = await _ask(Resolver((server,)), domain, key, root)
        if there.state == OK:
            return Checked(WAITING, seen.found, ttl=seen.ttl)
        if there.state != UNKNOWN:
            break
    return seen


async def _ask(resolver: Resolver, domain: str, key: str, root: str | None) -> Checked:
    """Follow the DNSLinks from this domain on, as an edge does."""
    found: tuple[str, ...] = ()
    way: list[str] = []
    name, ttl = domain, float("inf")
    for _ in range(HOPS):
        try:
            texts = await resolver(f"_dnslink.{name}")
        except NameTrouble as error:
            return Checked(UNKNOWN, found, tuple(way), said=str(error))
        found = found or links_of(texts.values)
        ttl = min(ttl, texts.ttl)
        link = best_link(texts.values)
        if link is None:
            return Checked(ELSEWHERE if way else MISSING, found, tuple(way), ttl)
        space, name, _rest = content_path(link) or ("", "", "")
        if space == "ipfs":
            return Checked(ELSEWHERE, found, tuple(way), ttl, root=name == root)
        if (named := key_name(name)) is not None:
            return Checked(OK if named == key else ELSEWHERE, found, tuple(way), ttl)
        way.append(name)
    return Checked(ELSEWHERE, found, tuple(way), ttl)


async def _authorities(domain: str, servers: tuple[str, ...], port: int) -> list[str]:
    """Addresses of the servers of the zone that the record belongs into; none where they cannot be found."""
    resolver = dns.asyncresolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [Bounded(*server_address(server)) for server in servers]
    try:
        zone = dns.name.from_text(domain)
        while zone != dns.name.root:
            answer = await resolver.resolve(zone, "NS", raise_on_no_answer=False, lifetime=DNS_LIFETIME)
            if answer.rrset is not None:
                return await _addresses(resolver, [row.target for row in answer.rrset][:AUTHORITIES], port)
            zone = zone.parent()
    except (dns.exception.DNSException, OSError):
        pass
    return []


async def _addresses(resolver: dns.asyncresolver.Resolver, hosts: list[Any], port: int) -> list[str]:
    found: list[str] = []
    for host in hosts:
        try:
            answer = await resolver.resolve(host, "A", lifetime=DNS_LIFETIME)
        except (dns.exception.DNSException, OSError):
            continue
        found += [f"{row.address}:{port}" for row in answer]
    return found[:AUTHORITIES]
