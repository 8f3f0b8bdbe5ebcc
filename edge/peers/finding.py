"""Finding: how an edge learns who is in its ring, as `--peers` has it. Pure.

    a=http://10.0.0.1:9000;region=eu,b=…   a list, the same on every edge
    origin                                 the register of the origin
    dns://edges.internal:9000              every address (A, AAAA) of a name, at this port
    srv://_rim._tcp.edges.internal         every target of a service, at its own port

Not here: the asking (edge/control/roster).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from edge.peers.ring import Member, parse_members

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/?#@\[\]]+))(?::([0-9]{1,5}))?/?\Z")
_DNS, _SRV = "dns://", "srv://"


class Way(StrEnum):
    """Where the list of members comes from."""

    LIST = "list"
    ORIGIN = "origin"
    DNS = "dns"
    SRV = "srv"


@dataclass(frozen=True, slots=True)
class Finding:
    """Where members are learned from. `members` of a list; `name` and `port` of DNS."""

    way: Way = Way.LIST
    members: tuple[Member, ...] = ()
    name: str = ""
    port: int = 0

    @classmethod
    def read(cls, text: str) -> Finding:
        """Read the form of `--peers`. Raises ValueError, saying what is wrong."""
        text = text.strip()
        if text == Way.ORIGIN:
            return cls(Way.ORIGIN)
        if text.startswith(_SRV):
            name, port = _host(text, _SRV)
            if port:
                raise ValueError(f"{text!r}: the ports stand in the SRV records")
            return cls(Way.SRV, name=name)
        if text.startswith(_DNS):
            name, port = _host(text, _DNS)
            if not 0 < port < 65536:
                raise ValueError(f"{text!r}: give the port of the members' private listeners, dns://HOST:PORT")
            return cls(Way.DNS, name=name, port=port)
        return cls(members=parse_members(text))

    def __str__(self) -> str:
        if self.way is Way.LIST:
            return ",".join(map(str, self.members))
        if self.way is Way.DNS:
            return f"{_DNS}{f'[{self.name}]' if ':' in self.name else self.name}:{self.port}"
        return f"{_SRV}{self.name}" if self.way is Way.SRV else "origin"


def _host(text: str, scheme: str) -> tuple[str, int]:
    found = _HOST.match(text.removeprefix(scheme))
    if found is None:
        raise ValueError(f"{text!r} names no host, {scheme}NAME")
    return found[1] or found[2], int(found[3] or 0)
