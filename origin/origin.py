"""Origin: everything one origin keeps, put together over one state folder.

Here lives the assembly of the parts that know nothing of HTTP, and the chores that run beside requests (renewal,
expiry, collection). Not here: the listener (origin/node), handlers (origin/api).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from origin.announce import Announcer, Router
from origin.asks import Asks
from origin.catalog import Catalog
from origin.check import Proofs
from origin.config import OriginConfig
from origin.costs import Costs
from origin.counters import Counters
from origin.denials import Denials
from origin.denying import Denying
from origin.following import Follower
from origin.gc import Collected, Collector
from origin.keys import Keys
from origin.leases import Leases
from origin.pins import Pins
from origin.places import Places
from origin.public import Public
from origin.records import Clock
from origin.register import Register
from origin.roll import Roll
from origin.showing import Showing
from origin.staging import Staging
from origin.state import State, replace_file
from origin.store.opening import open_store
from origin.store.pinning.keeper import Keeper
from origin.store.pinning.wanted import Judge
from origin.tokens import Tokens
from origin.upload import Uploads
from origin.views import Views

CHORE_SECONDS = 600.0
log = logging.getLogger("rim.origin")


class Origin:
    """One origin. Made over an open State; `close` before the State is left."""

    def __init__(self, state: State, config: OriginConfig, clock: Clock = time.time) -> None:
        self.config = config
        self.gate = threading.RLock()
        self.counters = Counters()
        self.places = Places()
        self.roll = Roll(state / "edges.json")
        self.edges = self.roll.edges
        self.register = Register(self.edges)
        self.asks = Asks()
        self.stopping = False
        self.keys = Keys(state / "keys")
        self.tokens = Tokens(state / "tokens.json")
        self.store = open_store(state, config)
        self.leases = Leases(state / "leases")
        self.pins = Pins(state / "pins.json")
        self.proofs = Proofs(self.store)
        self.catalog = Catalog(state, self.store, self.keys, self.gate, clock)
        self.announcer = Announcer([Router(url) for url in config.router_urls])
        self.catalog.records.on_signed = self.announcer.tell
        self.catalog.signing.gateways = self.edges.gateways
        self.collector = Collector(self.store, self.catalog, self.pins, self.leases, self.proofs, self.gate)
        self.public = Public(self.store, self.catalog, self.pins)
        self.uploads = Uploads(self.store, self.leases, self.gate)
        self.denials = Denials(self.store, lambda: self.catalog.world, config.denylists)
        self.denying = Denying(self.store, self.catalog, self.denials)
        self.staging = Staging(self.store, self.catalog, self.leases, self.collector, self.proofs, self.denials)
        self.showing = Showing(self.staging)
        self.views = Views(self.store)
        self.keeper = Keeper(state, self.store, self.catalog, Judge(self.views.release, self.denials))
        self.costs = Costs(self.store, self.catalog)
        self.follower = Follower(self.store, self.catalog, self.collector)
        self.first_token = _first_token(self.tokens, state / "admin-token")

    def __repr__(self) -> str:
        return f"<Origin {self.catalog!r} {self.store!r} {self.leases!r} {self.edges!r}>"

    def collect(self) -> Collected:
        """Garbage collection; in a thread."""
        collected = self.collector.run()
        self.counters.collections += 1
        self.counters.collected_blocks += collected.blocks_removed
        self.counters.collected_bytes += collected.bytes_freed
        return collected

    def stop(self) -> None:
        """Let waiting requests answer: the listener goes down."""
        self.stopping = True
        self.catalog.feed.signal.notify()
        self.edges.signal.notify()
        self.register.signal.notify()

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What runs beside requests, until it is cancelled."""
        return [
            self.chores(),
            self.roll.keep(),
            self.register.keep(),
            self.follower.keep(),
            self.denials.keep(),
            self.announcer.run(),
            self.keeper.run(),
        ]

    async def chores(self) -> None:
        """What is done beside requests, until cancelled: renewal, expiry, and collection where it is switched on."""
        collected = time.monotonic()
        while True:
            try:
                await self.renew()
                await self.showing.expire(int(time.time()))
                if self.config.gc_interval and time.monotonic() - collected >= self.config.gc_interval:
                    collected = time.monotonic()
                    log.info("collected %s", await asyncio.to_thread(self.collect))
            except Exception:  # a full disk, a broken block: the records have another day, so it is tried again
                log.exception("chores")
            await asyncio.sleep(CHORE_SECONDS)

    async def renew(self) -> None:
        """Sign again what has less than half its time left: the Head, then every site's record; and have all of them
        told, which matters after a start."""
        await self.catalog.renew()
        world = self.catalog.world
        self.announcer.keep_only({site.ipns or "" for site in world.sites.values()})
        for site in list(world.sites.values()):
            record = await asyncio.to_thread(self.catalog.records.of_site, site, world.sequence)
            if record is not None and site.ipns:
                self.announcer.tell(site.ipns, record)

    async def close(self) -> None:
        self.roll.close()
        await self.keeper.close()
        await self.catalog.close()
        await asyncio.to_thread(self.store.close)


def _first_token(tokens: Tokens, path: Path) -> str | None:
    """The first admin token, made with the state folder: shown once at start and kept in a file of mode 0600.

    The file is written first: killed in between, the next start makes another one, and nobody has seen this.
    """
    if tokens.all():
        return None
    token, secret = tokens.mint("first admin token", ("admin",))
    replace_file(path, f"{secret}\n".encode())
    tokens.add(token)
    return secret
