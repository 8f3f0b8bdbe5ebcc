"""Making: the roster of one edge, put together from its settings.

Not here: the parts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from edge.control.identity import Identity
from edge.control.roster.addressed import Addressed
from edge.control.roster.addresses import looker
from edge.control.roster.asking import Asker
from edge.control.roster.kept import Kept
from edge.control.roster.listed import Listed
from edge.control.roster.listing import Source, Words
from edge.control.roster.registered import Registered
from edge.control.roster.roster import Roster
from edge.names.servers import OFF
from edge.peers.finding import Finding, Way
from edge.peers.members import Members
from edge.peers.ring import Member, Ring

SPREAD = 5.0  # s: an edge that has a list knows its ring without a question


def make(
    *,
    finding: Finding,
    own: Member,
    origin: str,
    token: str | None,
    resolvers: tuple[str, ...],
    state: Path,
    session: Callable[[], aiohttp.ClientSession],
    identity: Identity,
    speaks: Callable[[], bool],
    keeps: bool,
    sequence: Callable[[], int],
    catalog: Callable[[], str],
    tell: Callable[[], Awaitable[bool]],
    health: Members,
    take: Callable[[Ring, tuple[Member, ...]], None],
) -> Roster:
    """The roster for this way of finding members. `keeps`: this process writes down what the edge's others read."""
    words = Words(Asker(session, token).about, spread=SPREAD if finding.way is Way.LIST else 0.0)
    servers = () if resolvers == (OFF,) else resolvers  # off is for names that visitors bring
    source: Source
    if finding.way is Way.LIST:
        source = Listed(own.name, identity.public, finding.members, words)
    elif finding.way is Way.ORIGIN:
        source = Registered(
            origin=origin,
            token=token,
            session=session,
            identity=identity,
            speaks=speaks,
            sequence=sequence,
            catalog=catalog,
            tell=tell,
        )
    else:
        source = Addressed(own.name, identity.public, looker(finding, servers), words)
    kept = None if finding.way is Way.LIST else Kept(state, str(finding), keeps)
    roster = Roster(own=own, members=finding.members, source=source, health=health, take=take, kept=kept)
    roster.tried = finding.way is Way.LIST  # it says who is in the ring, whoever answers
    return roster
