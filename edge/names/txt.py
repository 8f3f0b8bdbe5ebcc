"""TXT: the TXT records of a name, each joined to one. Not here: the asking (edge/names/stub), what they say (links)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from edge.names.dnslink import Texts
from edge.names.stub import Stub


class Resolver:
    """Asks for TXT records. Use it inside a running loop; it keeps no connection open."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        """`servers`: addresses with or without port; none: those of the system. Raises ValueError."""
        self._stub = Stub(servers)

    async def __call__(self, name: str) -> Texts:
        """The TXT records of this name. Raises NameTrouble when no server could tell."""
        found = await self._stub.find(name, dns.rdatatype.TXT)
        return Texts(tuple(b"".join(cast("TXT", record).strings) for record in found.values), found.ttl)
