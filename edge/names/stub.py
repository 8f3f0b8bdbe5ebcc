"""Stub: asks DNS servers for the records of a name, over dnspython.

Here lives the asking: servers, timeouts, CNAMEs, and what each way to fail means. Not here: what records say (edge/
names/txt, edge/control/roster/addresses), keeping answers (edge/names/memo). dnspython goes over to TCP for an answer
that is cut short, and asks the next server after one that fails.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
import dns.resolver

from edge.names.faults import NameTrouble
from edge.names.limits import DNS_ALIASES, DNS_ANSWER, DNS_LIFETIME, DNS_TIMEOUT, TTL_MAX
from edge.names.nameserver import Bounded
from edge.names.servers import PORT, server_address

SYSTEM = "/etc/resolv.conf"
UDP_PAYLOAD = 1232  # bytes that we say a datagram may have: it fits every path unfragmented (DNS flag day 2020)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one type of a name; none: DNS says that there are none. `ttl` (s) is for both."""

    values: tuple[dns.rdata.Rdata, ...]
    ttl: float


class Stub:
    """A stub resolver. Use it inside a running loop; it keeps no connection open."""

    def __init__(self, servers: Sequence[str] = (), *, most: int = DNS_ANSWER, search: bool = False) -> None:
        """`servers`: addresses with or without port; none: those of the system. `most`: bytes of an answer. `search`: a
        name may be short, and is completed as the system's settings say. Raises ValueError."""
        self._servers = [Bounded(*server_address(server)) for server in servers]
        self._most = most
        self._search = search
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._read = 0  # which version of the system's settings that one is of

    async def find(self, name: str, kind: dns.rdatatype.RdataType) -> Records:
        """The records of this name. Raises NameTrouble when no server could tell."""
        try:
            wanted = dns.name.from_text(name, None if self._search else dns.name.root)
        except dns.exception.DNSException:
            return Records((), TTL_MAX)  # longer than DNS has names: there can be none
        try:
            ttl = float("inf")
            for _ in range(DNS_ALIASES + 1):
                answer = await self._ask(wanted, kind)
                chain = answer.chaining_result
                ttl = min(ttl, chain.minimum_ttl)
                if answer.rrset is not None:
                    return Records(tuple(answer.rrset), ttl)
                if chain.canonical_name == answer.qname:
                    return Records((), ttl)
                wanted = chain.canonical_name  # the server gave a CNAME and did not follow it
        except dns.resolver.NXDOMAIN as error:
            return Records((), _negative_ttl(error))
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise NameTrouble(f"DNS could not be asked for {name}: {error or type(error).__name__}") from error
        raise NameTrouble(f"{name}: more than {DNS_ALIASES} CNAMEs in a row, or a loop of them")

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        return await self._at_hand().resolve(
            name, kind, raise_on_no_answer=False, lifetime=DNS_LIFETIME, search=self._search
        )

    def _at_hand(self) -> dns.asyncresolver.Resolver:
        """Made at the first question: a machine without resolv.conf can serve all that needs no DNS. Made anew when
        that file is another: addresses change while an edge runs."""
        version = 0 if self._servers else _version()
        if self._resolver is None or version != self._read:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            servers = self._servers or [Bounded(server, PORT) for server in map(str, resolver.nameservers)]
            for server in servers:
                server.most = self._most
            resolver.nameservers = servers
            resolver.timeout = DNS_TIMEOUT
            resolver.use_edns(0, 0, UDP_PAYLOAD)
            self._resolver, self._read = resolver, version
        return self._resolver


def _version() -> int:
    try:
        return os.stat(SYSTEM).st_mtime_ns
    except OSError:
        return 0


def _negative_ttl(error: dns.resolver.NXDOMAIN) -> float:
    responses = error.kwargs.get("responses") or {}
    return min((response.resolve_chaining().minimum_ttl for response in responses.values()), default=0.0)
