"""DNSLink: which path a domain names, by the operator's map, else by the TXT records of `_dnslink.DOMAIN`.

Here lives the order of the two, and what an answer of DNS means for how long. Nothing is asked of the bare domain: the
spec (dnslink.dev) has the records below `_dnslink` only, and a zone may delegate just that name. Not here: the words on
the wire (edge/names/txt), keeping answers (edge/names/memo).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from edge.names.faults import NameNotFound, NameTrouble
from edge.names.limits import NEGATIVE_MAX, RECHECK, STALE_MAX
from edge.names.links import best_link, read_links
from edge.names.memo import Looked, Memo
from edge.names.shelf import LinkShelf

logger = logging.getLogger("rim.edge")


@dataclass(frozen=True, slots=True)
class Texts:
    """The TXT records of a name, each joined to one; none: DNS says that there are none. `ttl` is for both."""

    values: tuple[bytes, ...]
    ttl: float


Ask = Callable[[str], Awaitable[Texts]]


@dataclass(frozen=True, slots=True)
class Link:
    """Where a domain leads. `max_age` None: the operator's own word, which has no TTL."""

    path: str
    max_age: float | None
    stale: bool = False


class DNSLinks:
    """All domains."""

    def __init__(
        self,
        setting: str = "",
        ask: Ask | None = None,
        shelf: LinkShelf | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`setting` as of `--dnslinks`, checked already; `ask` None: DNS is not asked."""
        self.counts: Counter[tuple[str, str]] = Counter()  # (source, result)
        self.memo: Memo[str] = Memo(self._look, clock)
        self._setting = setting
        self._ask = ask
        self._shelf = shelf
        self._map: Mapping[str, str] = read_links(setting)

    async def find(self, domain: str) -> Link:
        """Where this domain (lower case, no last dot) leads. Raises NameNotFound, NameTrouble."""
        path = self._map.get(domain)
        if path is not None:
            self.counts["map", "found"] += 1
            return Link(path, None)
        if self._ask is None:
            raise NameNotFound(f"{domain}: no DNSLink is set here, and DNS is not asked")
        got = await self.memo.find(domain)
        return Link(got.value, got.max_age, got.stale)

    async def reload(self) -> None:
        """Read the map again; one that cannot be read changes nothing."""
        try:
            self._map = await asyncio.to_thread(read_links, self._setting)
        except (OSError, ValueError) as error:
            logger.error("dnslinks: %s; the map stays as it was", error)

    async def close(self) -> None:
        await self.memo.close()

    async def _look(self, domain: str) -> Looked[str]:
        assert self._ask is not None
        try:
            texts = await self._ask(f"_dnslink.{domain}")
        except NameTrouble:
            self.counts["dns", "failed"] += 1
            if (kept := await self._kept(domain)) is not None:
                return kept
            raise
        path = best_link(texts.values)
        self.counts["dns", "absent" if path is None else "found"] += 1
        await self._keep(domain, path)
        if path is None:
            what = "holds no DNSLink that can be followed" if texts.values else "is not there"
            return Looked(None, min(texts.ttl, NEGATIVE_MAX), said=f"{domain}: the TXT record of _dnslink {what}")
        return Looked(path, texts.ttl, STALE_MAX)

    async def _kept(self, domain: str) -> Looked[str] | None:
        """The last good answer from before this edge was started; memory, where it has one, knows it itself."""
        if self._shelf is None or self.memo.value(domain) is not None:
            return None
        kept = await asyncio.to_thread(self._shelf.load, domain)
        if kept is None or kept[1] >= STALE_MAX:
            return None
        return Looked(kept[0], RECHECK, STALE_MAX - kept[1], stale=True)

    async def _keep(self, domain: str, path: str | None) -> None:
        if self._shelf is None:
            return
        if path is not None:
            await asyncio.to_thread(self._shelf.keep, domain, path)
        elif self.memo.value(domain) is not None:
            await asyncio.to_thread(self._shelf.forget, domain)

    def __repr__(self) -> str:
        return f"<DNSLinks {len(self._map)} set, {len(self.memo)} known>"
