"""Door: who a client is, and whether one more of it is let in.

Here lives what the listener, the protocol and the app ask: is a PROXY header due, whose request is this, may this
connection stay, may this request be answered. Not here: the reading of addresses (edge/http/proxy and forwarded), the
counting (edge/http/rates), and what is said to those who are refused (edge/http/protocol, edge/app).

Every process counts for itself. A trusted proxy is no client: its connections are not counted against it.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.http.address import Trusted, key_of
from edge.http.forwarded import Fields, client_of, host_and_scheme
from edge.http.rates import Buckets, Held, Rate

_CONNECTIONS_MAX = 32_768


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator set."""

    trusted: Trusted = field(default_factory=Trusted)
    proxy_protocol: bool = False
    connections: int = 0  # in all; 0: what the descriptors allow
    connections_per_client: int = 0  # 0: no limit
    rate_per_client: Rate | None = None
    rate_per_site: Rate | None = None


class Door:
    """One public listener's. `clock`: seconds that never go back."""

    def __init__(self, terms: Terms, clock: Callable[[], float] = time.monotonic) -> None:
        self._trusted = terms.trusted
        self._proxy_protocol = terms.proxy_protocol
        self._clock = clock
        self.connections = terms.connections or room_for_connections()
        self._held: Held[str] | None = None
        if terms.connections_per_client:
            self._held = Held(terms.connections_per_client)
        self._clients: Buckets[str] | None = Buckets(terms.rate_per_client) if terms.rate_per_client else None
        self._sites: Buckets[str] | None = Buckets(terms.rate_per_site) if terms.rate_per_site else None
        self.refused: Counter[str] = Counter()  # by limit

    @property
    def reads_fields(self) -> bool:
        """Whether a request's header fields may say who its client is."""
        return bool(self._trusted)

    @property
    def has_rates(self) -> bool:
        """Whether a request may be one too many."""
        return self._clients is not None or self._sites is not None

    def expects_header(self, peer: str) -> bool:
        """Whether a connection from this address begins with a PROXY header. Others are clients, and speak HTTP."""
        return self._proxy_protocol and self._trusted.trusts(peer)

    def has_room(self, connections: int, make_room: Callable[[], bool]) -> bool:
        """Whether so many connections may be open, the new one among them. `make_room` ends one that waits, if there is
        one."""
        if connections <= self.connections:
            return True
        made = make_room()
        self.refused["idle connections" if made else "connections"] += 1
        return made

    def enter(self, client: str) -> bool:
        """One more connection of this client. True: it is counted, and `leave` is due when it ends."""
        if self._held is None or self._trusted.trusts(client) or self._held.take(key_of(client)):
            return True
        self.refused["client connections"] += 1
        return False

    def leave(self, client: str) -> None:
        """A connection that had entered is gone."""
        if self._held is not None and not self._trusted.trusts(client):
            self._held.give(key_of(client))

    def client(self, peer: str, fields: Fields) -> str:
        """Whose request this is, on a connection from `peer` (a socket's address, or what its PROXY header said)."""
        return client_of(peer, fields, self._trusted) if self._trusted else peer

    def asked_as(self, peer: str, fields: Fields) -> tuple[bytes | None, str | None]:
        """The Host and scheme that a proxy in front tells of, on a connection from this socket's address."""
        return host_and_scheme(peer, fields, self._trusted) if self._trusted else (None, None)

    def allows(self, client: str, site: str) -> bool:
        """Whether one more request may be answered; then it is counted."""
        return self._take(client, site) is None

    def wait(self, client: str, site: str) -> float | None:
        """As `allows`, for who tells the client: None, or the seconds until a request might be answered."""
        refused = self._take(client, site)
        if refused is None:
            return None
        wait, limit = refused
        self.refused[limit] += 1
        return wait

    def _take(self, client: str, site: str) -> tuple[float, str] | None:
        now = self._clock()
        if self._clients is not None and (wait := self._clients.take(key_of(client), now)) is not None:
            return wait, "client rate"
        if self._sites is not None and site and (wait := self._sites.take(site, now)) is not None:
            return wait, "site rate"
        return None

    def __repr__(self) -> str:
        return f"<Door {self.connections} connections, trusts {self._trusted!r}>"


def room_for_connections() -> int:
    """Three quarters of the descriptors that this process may have: the rest is for the disk, peers and the origin."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else min(_CONNECTIONS_MAX, soft * 3 // 4)
