"""Hosts: which Host fields are the gateway's, and what each of them means.

Here lives the setting `gateway_hosts`, and the split of `{name}.ipfs.{host}` into its parts. Not here: sites' hosts,
which always come first (edge/app), nor whether a name fits into a label (edge/gateway/labels).

Spec: https://specs.ipfs.tech/http-gateways/subdomain-gateway/
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

ANY = "*"
_PATHS = "paths"
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\Z|\[[0-9a-f:.]+\]\Z")


class Kind(Enum):
    """How content is named on a host."""

    PATH = auto()  # /ipfs/{cid}/… and /ipns/{name}/…, all on one origin
    SUBDOMAIN = auto()  # {cid}.ipfs.{host}/…: each root is an origin of its own
    DNSLINK = auto()  # the host is itself a name


@dataclass(frozen=True, slots=True)
class GatewayHost:
    """One host of the setting. `subdomains`: content has an origin of its own below it, and paths lead there."""

    host: str
    subdomains: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """What a Host field means. `field`: the gateway host with the port that was asked, for links and redirects.
    `namespace`, `name`: what a subdomain names; of a DNSLink host, itself."""

    kind: Kind
    field: str
    subdomains: bool = False
    namespace: str = ""
    name: str = ""

    @property
    def is_isolated(self) -> bool:
        """Whether this content is alone on its origin, as `_redirects` and whole apps need it."""
        return self.kind is not Kind.PATH


class GatewayHosts:
    """The hosts of one edge."""

    def __init__(self, hosts: Iterable[GatewayHost] = ()) -> None:
        self._hosts = {host.host: host for host in hosts}

    def __bool__(self) -> bool:
        return bool(self._hosts)

    @property
    def takes_any(self) -> bool:
        """Whether paths are answered on every host that is nobody's."""
        return ANY in self._hosts

    def place(self, host: str, field: str) -> Place | None:
        """What this host means (lower case, no port), None where it is no gateway's. `field`: as it was sent."""
        port = _port(field)
        known = self._hosts.get(host)
        if known is not None:
            return Place(Kind.PATH, host + port, known.subdomains)
        for namespace in ("ipfs", "ipns"):
            name, mark, rest = host.rpartition(f".{namespace}.")
            below = self._hosts.get(rest) if mark and name else None
            if below is not None and below.subdomains:
                return Place(Kind.SUBDOMAIN, rest + port, True, namespace, name)
        return None

    def __repr__(self) -> str:
        return f"<GatewayHosts {', '.join(self._hosts) or 'none'}>"


def parse_hosts(text: str) -> tuple[GatewayHost, ...]:
    """From `gw.example.com, ipfs.example.net;paths, *`. Raises ValueError, saying what would do."""
    return tuple(_host(part.strip()) for part in text.split(",") if part.strip())


def _host(text: str) -> GatewayHost:
    name, mark, how = (part.strip().lower() for part in text.partition(";"))
    if mark and how != _PATHS:
        raise ValueError(f"{text!r}: after the host only ;{_PATHS} is known, for a gateway without subdomains")
    if name == ANY:
        return GatewayHost(ANY, subdomains=False)
    if not _HOST.match(name) or len(name) > 253:
        raise ValueError(f"{text!r} is no host such as gw.example.com (without port), and not *")
    return GatewayHost(name, subdomains=not mark and not _is_address(name))


def _is_address(host: str) -> bool:
    """An address has no subdomains."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _port(field: str) -> str:
    """ ":8080" of a Host field that is one (edge/http/target.host_of has looked)."""
    _, colon, port = field.rpartition(":")
    return f":{port}" if colon and port.isdigit() else ""
