"""Names: from a domain or a key to the immutable path that it means now.

Here lives the chain: DNSLink → /ipns/KEY → /ipfs/CID, what is left of each path kept, bounded, loops refused. Not here:
asking DNS (edge/names/dnslink), records (edge/names/records), or what may be served (edge/gateway).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.names.dnslink import DNSLinks
from edge.names.faults import NameLoop, NameNotFound, NameTrouble
from edge.names.limits import HOPS, RECHECK, RESOLVE
from edge.names.records import Records
from edge.names.spelling import content_path, domain_name, key_name


@dataclass(frozen=True, slots=True)
class Step:
    """Where one name leads. `max_age`: for how many seconds that may be believed; None: nobody has said."""

    path: str
    max_age: float | None
    stale: bool = False  # the last good answer: nobody could be asked for a newer one


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means: an immutable path `/ipfs/CID/sub/path`, for how long, and whether that may be outdated."""

    path: str
    max_age: float | None
    stale: bool
    names: tuple[str, ...] = field(default=(), compare=False)  # those that led there, the first of them included


class Names:
    """All names that this edge can follow."""

    def __init__(
        self, links: DNSLinks, records: Records, served: Callable[[str], str | None] = lambda key: None
    ) -> None:
        """`served`: the path that this edge serves as the site of a key, as its Head says; None for other keys."""
        self.links = links
        self.records = records
        self._served = served

    async def resolve(self, name: str) -> Named:
        """Follow a domain, or a key in any spelling, to its end. Raises NameFault.

        `max_age` is the shortest of the chain: the whole can be believed no longer than its weakest link.
        """
        try:
            async with asyncio.timeout(RESOLVE):
                return await self._follow(name)
        except TimeoutError as error:
            raise NameTrouble(f"{name[:80]}: no end within {RESOLVE:.0f} s") from error

    async def _follow(self, name: str) -> Named:
        rest, ages, stale = "", [], False
        seen: set[str] = set()
        for _ in range(HOPS):
            key, domain = key_name(name), domain_name(name)
            if (key or domain) is None:
                raise NameNotFound(f"{name[:80]!r} is neither a domain nor an IPNS name")
            if (known := key or domain or "") in seen:
                raise NameLoop(f"{known} leads back to itself")
            seen.add(known)
            step = await (self._of_key(known) if key else self._of_domain(known))
            stale |= step.stale
            ages += [] if step.max_age is None else [step.max_age]
            found = content_path(step.path)
            if found is None:
                raise NameNotFound(f"{name[:80]} leads to {step.path[:80]!r}, which is no content path")
            space, name, tail = found
            rest = tail + rest
            if space == "ipfs":
                return Named(f"/ipfs/{name}{rest}", min(ages, default=None), stale, tuple(seen))
        raise NameLoop(f"more than {HOPS} names in a row")

    async def record(self, key: str) -> bytes:
        """The best verified IPNS record of this key. Raises NameFault."""
        name = key_name(key)
        if name is None:
            raise NameNotFound(f"{key[:80]!r} is no IPNS name")
        return (await self.records.find(name)).held.raw

    async def reload(self) -> None:
        """Read again what the operator has set: the map and the folder of records. What cannot be read stays as it was,
        and is said in the log."""
        await self.links.reload()
        await self.records.reload()

    async def close(self) -> None:
        """End what is under way."""
        await self.links.close()
        await self.records.close()

    async def _of_key(self, name: str) -> Step:
        try:
            found = await self.records.find(name)
        except NameTrouble:
            path = self._served(name)
            if path is None:
                raise
            # No record to be had, but the Head, as well signed, says what the site is: it names the release, the record
            # only follows it
            return Step(path, RECHECK, stale=True)
        return Step(found.held.record.value, found.max_age, found.stale)

    async def _of_domain(self, domain: str) -> Step:
        link = await self.links.find(domain)
        return Step(link.path, link.max_age, link.stale)

    def __repr__(self) -> str:
        return f"<Names {self.links!r} {self.records!r}>"
