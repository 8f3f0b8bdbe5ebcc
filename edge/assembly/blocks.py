"""Blocks: where this edge's bytes come from. The lowest layer of a node.

Here are put together the two tiers, the ring and its members, the client between nodes, the loader over all of them,
names, and what is denied. Not here: what any of them does, nor the Head (following).
"""

from __future__ import annotations

import asyncio
from typing import Any

from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.denylists import Denylists
from edge.cache.disk import DiskTier
from edge.cache.loader import Loader
from edge.cache.memory import Memory
from edge.config import EdgeConfig
from edge.control.denylists import Sources
from edge.control.handover import Handover
from edge.control.hot import Hot
from edge.denials import Denials
from edge.http.limits import LIMITS, Limits
from edge.naming import names_of
from edge.peers.client import PeerClient
from edge.peers.heat import Heat
from edge.peers.members import Members
from edge.peers.mirrors import Mirrors
from edge.peers.ring import Ring
from edge.processes.folders import BLOCKS
from edge.processes.part import Part
from edge.processes.place import Place
from edge.ready import SHARE
from edge.site.router import Router
from edge.standing import Standing
from edge.state import State


class Blocks:
    """The layer that has blocks."""

    def __init__(self, config: EdgeConfig, limits: Limits = LIMITS, place: Place | None = None) -> None:
        """`place`: this is one of the edge's processes; what they share is its parent's to open and to lock."""
        self.config = config
        self.limits = limits
        self.state = State(config.state)
        self.standing = Standing()
        self.part = Part(config, place)
        self._tasks: list[asyncio.Task[None]] = []
        self._joined = asyncio.Event()
        self._handing: asyncio.Task[None] | None = None
        self._has_ended = False

    def _read_denylists(self) -> None:
        """Read what is denied, before anything is served. Raises StateError."""
        config = self.config
        self.denials = Denials()
        self.denylists = Sources(
            config.denylists,
            config.state / "denylists",
            config.denylist_interval,
            lambda: self.client.session,
            self.denials.set_given,
            fetches=self.part.shares.index == 0,
        )
        self.denylists.load()

    def _hold(self, private_url: str) -> None:
        """Tiers, ring and loader. `private_url`: under which peers reach this edge."""
        config, part = self.config, self.part
        self.memory: Memory[CID, Block] = Memory(part.memory - part.memory // SHARE)
        self.disk = DiskTier(
            config.state / BLOCKS,
            part.cache,
            owns=part.owns,
            index=part.name,
            policy=config.cache_policy,
            min_free=config.cache_min_free,
            used_above=self._was_used,
        )
        self.standing.need(lambda: f"the disk fails: {word}" if (word := self.disk.sickness) else None)
        self.own = config.own(private_url)
        self.members = Members(on_eject=lambda name: self._event("peer ejected", peer=name))
        self.client = PeerClient(config.name, config.token, on_sequence=self._hint)
        self.loader = Loader(
            node=config.name,
            region=config.region,
            memory=self.memory,
            disk=self.disk,
            client=self.client,
            members=self.members,
            origin=config.origin,
            ring=Ring(config.members(private_url)),
            gateways=config.gateways,
        )
        heat = Heat()
        self.handover = Handover(self.own, self.loader, self.client, Hot(self.memory, heat), config.token)
        self.mirrors = Mirrors(heat, node=config.name)
        self.loader.sources.mirrors = self.mirrors
        self.loader.sources.shares = part.shares
        self.loader.sources.inner = part.client(self._hint)
        self.router = Router(config.site_domain)
        self.names = names_of(config, self.loader, self.router)
        self.denials.watchers.append(self._on_denials)
        self._on_denials(self.denials.lists)

    def _was_used(self, key: bytes) -> bool:
        """Whether memory has answered this key's block again since it came."""
        codecs = (DAG_CBOR,) if key[:1] == b"c" else (RAW, DAG_PB)
        slots = [self.memory.slot(CID(bytes((1, codec)) + key[1:])) for codec in codecs]
        return any(slot is not None and slot.mark for slot in slots)

    async def _block(self, cid: CID) -> Block:
        return (await self.loader.get(cid)).block

    def _on_denials(self, lists: Denylists) -> None:
        """Have nothing answered from what was allowed before."""
        self.loader.deny(None if lists.is_empty else self.denials.refusal)
        self.router.deny(lists)

    # What the layers above do, and this one calls.

    def _event(self, name: str, site: str | None = None, **detail: Any) -> None:
        """Something happened here, for who follows this edge's answers as they are given."""
        raise NotImplementedError

    def _hint(self, sequence: int) -> None:
        """Another node serves this Head."""
        raise NotImplementedError
