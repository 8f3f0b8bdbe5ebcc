"""Address: what an IP address of a visitor is here, whoever said it: a socket, a PROXY header, a header field.

Here live its one spelling, its key for counting, and the networks that are believed. Not here: who reads it out of what
(edge/http/proxy, edge/http/forwarded), nor what is counted (edge/http/rates).

One spelling, because the same visitor comes as 192.0.2.1 on one socket and as ::ffff:192.0.2.1 on another.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
_REMEMBERED = 4096  # addresses whose answer is remembered: more than a proxy or two, and bounded


@lru_cache(_REMEMBERED)
def spelled(text: str) -> str | None:
    """The address as it is spelled everywhere here; None where the text is none. No zones (`%eth0`): they mean nothing
    on another machine.

    >>> spelled("::FFFF:192.0.2.1"), spelled("192.0.2.01")
    ('192.0.2.1', None)
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        return str(address.ipv4_mapped or address)
    return str(address)


def of_peer(text: str) -> str:
    """A socket's own address, spelled so, without its zone; "" where it has none (a UNIX socket)."""
    return spelled(text.partition("%")[0]) or "" if ":" in text else text


@lru_cache(_REMEMBERED)
def key_of(address: str) -> str:
    """Whom an address stands for when clients are counted: itself, or of IPv6 its /64, which is what one household or
    one machine is given, and could use up address by address."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, 64), strict=False).network_address)


class Trusted:
    """The networks whose word about a client's address is believed. Empty: nobody's."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self.networks = tuple(networks)
        self.trusts = lru_cache(_REMEMBERED)(self._trusts)

    @classmethod
    def read(cls, text: str) -> Trusted:
        """From `10.0.0.0/8, 2001:db8::1`. Raises ValueError, saying what would do."""
        return cls(_network(part.strip()) for part in text.split(",") if part.strip())

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)

    def __bool__(self) -> bool:
        return bool(self.networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trusted) and self.networks == other.networks

    def __hash__(self) -> int:
        return hash(self.networks)

    def __repr__(self) -> str:
        return f"<Trusted {', '.join(map(str, self.networks)) or 'nobody'}>"


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network such as 10.0.0.0/8 or 2001:db8::/32 ({error})") from error
