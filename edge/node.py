"""Node: one edge, put together. The only file that knows everyone.

Here lives the assembly, by constructor arguments alone (a test runs three nodes in one process), the order of start and
stop, and the process around one node. Not here: anything that any part does.

Start: take the state folder → bind both ports → serve the stored Head → take connections → follow the origin. So a port
that is taken, or a folder in use, is said at once, and an edge with something on disk serves before it has spoken to
anyone. Stop is the same way back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import uvloop

from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.denylists import Denylists
from edge.app import SiteApp, public_app
from edge.browsers.deltas import Deltas
from edge.cache.disk import DiskTier
from edge.cache.loader import Loader
from edge.cache.memory import Memory
from edge.collector import calm
from edge.config import EdgeConfig, address, is_loopback
from edge.control.admin import Private, private_app
from edge.control.asking import HeadClient
from edge.control.asks import Answerer
from edge.control.denylists import Sources
from edge.control.head import Follower, Head
from edge.control.identity import Identity, load
from edge.control.public import PublicRoots
from edge.control.report import Reporter
from edge.control.staging import Stager
from edge.control.stored import HeadStore, Unkept
from edge.control.tap import Tap
from edge.control.trust import Trust
from edge.control.warm import Staged, Warmer
from edge.control.watchdog import Watchdog
from edge.denials import Denials
from edge.explain import Explainer
from edge.front import Front
from edge.gateway.access import SHOWN_FOR, Access
from edge.gateway.app import TENANT, Gateway
from edge.gateway.hosts import GatewayHosts
from edge.gateway.mode import Mode
from edge.http.limits import LIMITS, Limits
from edge.http.listener import BindError, Listener, bind
from edge.naming import names_of
from edge.numbers import Numbers
from edge.pause import Pause
from edge.peers.client import PeerClient
from edge.peers.members import Members
from edge.peers.ring import Ring
from edge.processes.folders import BLOCKS, level
from edge.processes.part import Part
from edge.processes.place import Place
from edge.ready import SHARE, Ready
from edge.reload import Reloads
from edge.site.roots import LiveRoots
from edge.site.router import Router
from edge.state import State, StateError

logger = logging.getLogger("rim.edge")
_DESCRIPTORS = 65_536
_WARM_SHARE = 2  # of the disk's budget, at most 1/2 for one release that is coming
DRAIN = 10.0  # s that a process whose place is taken waits for the next request on each open connection


class Node:
    """An edge. `start`, then `ready` when it has something to say, then `stop`."""

    answers: Ready
    follower: Follower
    public: Listener
    numbers: Numbers
    tap: Tap

    def __init__(self, config: EdgeConfig, limits: Limits = LIMITS, place: Place | None = None) -> None:
        """`place`: this is one of the edge's processes; what they share is its parent's to open and to lock."""
        self.config = config
        self.limits = limits
        self.state = State(config.state)
        self.part = Part(config, place)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Come up. Raises StateError or BindError, and has then left nothing behind."""
        self.prepare()
        await self.go()

    def prepare(self) -> None:
        """Have everything that needs no other process of this edge to give up its place. Raises as `start` does."""
        if self.part.place is not None:
            self.front = Front(self.config)
            self._read_denylists()
            self._assemble(*self.part.sockets())
            return
        self.state.open()
        try:
            level(self.config.state, 1, Trust(self.config.catalog).sequence_of)
            sockets = self._bind()
        except OSError as error:
            self.state.close()
            raise StateError(f"state folder {self.config.state}: {error.strerror or error}") from error
        except BindError:
            self.state.close()
            raise
        try:
            self.front = Front(self.config)
            self._read_denylists()
        except StateError:
            for sock in sockets:
                sock.close()
            self.state.close()
            raise
        self._assemble(*sockets)

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

    async def go(self) -> None:
        """Serve, from what lies here, and follow the origin."""
        await self.denylists.first()
        await self.disk.open()
        await self.names.reload()
        await self.follower.restore()
        self.front.start()
        self.part.begin(self.follower.stored)
        for listener in (self.public, self.private, *self.part.listeners):
            await listener.start()
        works = (
            self.follower.follow(),
            self.denylists.run(self.loader.scrub),
            self.watchdog.run(),
            self.pause.run(),
            self._tell_of_staleness(),
            self._ask_again(),
        )
        for work in (*works, self._introduce(), *self.part.works()):
            self._tasks.append(asyncio.create_task(work))

    async def ready(self) -> None:
        """Wait until it can answer: a Head is served, or the origin said that it has none."""
        await self.follower.ready.wait()

    def reload(self) -> None:
        """Read again what may have changed: the certificate, where the access log goes, names and denylists."""
        self.front.reload()
        self.denylists.hurry()
        self._tasks.append(asyncio.create_task(self.names.reload()))

    async def stop(self) -> None:
        """Finish what is under way, and leave nothing: no task, no port, no lock."""
        if self.reloads is not None:
            self.reloads.close()
        listeners = (self.public, self.private, *self.part.listeners)
        await asyncio.gather(self._leave(), *(listener.stop() for listener in listeners))
        await self.front.close()
        await self.pause.close()
        if self.gateway is not None:
            await self.gateway.access.close()
        await self.names.close()
        await self.site_app.browsers.manifests.close()
        await self.deltas.close()
        await self.loader.close()
        await self.part.close()
        await self.client.close()
        await self.loader.disk.close()
        self.state.close()

    async def release(self) -> None:
        """Make room for the process that takes this one's place: take no more connections, and give up what it alone
        may have. What is open is served on, from what can be read, and the Head is followed until the end."""
        for listener in (self.public, self.private, *self.part.listeners):
            listener.drain()
        await self.stager.close()
        self.denylists.fetches = False
        await self.follower.store_in(Unkept(self.config.state))
        owned, self.loader.disk = self.disk, DiskTier(self.config.state / BLOCKS, 0, owner=False)
        self.loader.disk.counts = owned.counts
        self.loader.sources.shares = self.part.give_up()
        await owned.close()

    async def drained(self) -> None:
        """Wait until the last connection is gone; for DRAIN seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                while self.public.connections or self.private.connections:  # noqa: ASYNC110 - uvicorn tells no one
                    await asyncio.sleep(0.05)

    async def _leave(self) -> None:
        """Follow no more, then say so: a word that came after the goodbye would take it back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stager.close()
        await self.answerer.close()
        if self.part.speaks:
            await self.reporter.leave()

    @property
    def public_url(self) -> str:
        return self.public.url

    @property
    def private_url(self) -> str:
        return self.private.url

    def _bind(self) -> tuple[Any, Any]:
        public = bind(*address(self.config.public, "public"))
        try:
            return public, bind(*address(self.config.private, "private"))
        except BindError:
            public.close()
            raise

    def _was_used(self, key: bytes) -> bool:
        """Whether memory has answered this key's block again since it came."""
        codecs = (DAG_CBOR,) if key[:1] == b"c" else (RAW, DAG_PB)
        slots = [self.memory.slot(CID(bytes((1, codec)) + key[1:])) for codec in codecs]
        return any(slot is not None and slot.mark for slot in slots)

    def _assemble(self, public: Any, private: Any) -> None:
        config = self.config
        host, port = private.getsockname()[:2]
        private_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        part = self.part
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
        self.members = Members(on_eject=lambda name: self.tap.event("peer ejected", peer=name))
        self.client = PeerClient(config.name, config.token, on_sequence=lambda number: self.follower.hint(number))
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
        self.loader.sources.shares = part.shares
        self.loader.sources.inner = part.client(lambda number: self.follower.hint(number))
        self.router = Router(config.site_domain)
        self.names = names_of(config, self.loader, self.router)
        self.denials.watchers.append(self._on_denials)
        self._on_denials(self.denials.lists)
        self.warmer = Warmer(
            self.loader,
            config.name,
            config.region,
            part.cache // _WARM_SHARE,
            asked=lambda site: self.answers.asked(site),
            is_mine=part.shares.is_mine,
        )
        identity = load(config.state, config.name)
        self.source = HeadClient(config.origin, config.name, config.region, config.token, self.client, identity)
        self.source.reports = part.reports
        self.follower = Follower(
            source=self.source,
            trust=Trust(config.catalog),
            loader=self.loader,
            router=self.router,
            store=HeadStore(config.state / part.name),
            on_swap=self._on_swap,
            on_stored=part.stored,
            denials=self.denials,
            on_event=lambda *said, **detail: self.tap.event(*said, **detail),
        )
        self.reporter = Reporter(
            node=config.name,
            region=config.region,
            origin=config.origin,
            token=config.token,
            client=self.client,
            sequence=lambda: part.receipt(self.follower.stored),
            public=lambda: self.public.url,
            catalog=lambda: self.follower.following,
            identity=identity,
            gateway=config.gateway_url or None,
        )
        self.stager = Stager(self.warmer, self.reporter, self._on_warm, speaks=lambda: part.speaks, others=part.staged)
        self.watchdog = Watchdog()
        self.pause = Pause()
        self.pause.confirm = self.follower.confirm
        self._listen(public, private, is_loopback(host))
        self._answer(identity)
        part.assemble(self.loader, self.reporter, self.stager, self.answerer, self.numbers, self.limits)

    def _listen(self, public: Any, private: Any, loopback: bool) -> None:
        config = self.config
        self.answers = Ready(config.name, self.router, self.memory, self.part.memory // SHARE)
        self.answers.pause = self.pause
        self.answers.load = self._block
        self.answers.log = self.front.hook
        self.tap = Tap(self.answers)
        self.deltas = Deltas(self.router, self.loader)
        self.explainer = Explainer(config.name, self.router, self.loader, self.deltas)
        self.reloads = Reloads(self.router) if config.reload else None
        self.gateway = self._gateway()
        self.answers.beside = None if self.gateway is None else self.gateway.tenant
        self.denials.watchers.append(lambda lists: self.answers.drop_beside())
        self.site_app = SiteApp(
            self.answers,
            self.loader,
            self.deltas,
            reloads=self.reloads,
            door=self.front.door,
            denials=self.denials,
            gateway=self.gateway,
            development=config.site_domain == "localhost",
            early_hints=config.early_hints,
            contact_age=self.source.contact_age,
        )
        admin = Private(
            node=config.name,
            token=config.token,
            open=loopback,
            loader=self.loader,
            sequence=lambda: self.follower.sequence,
            ready=self.follower.ready.is_set,
            values=lambda: self.part.values(self.numbers),
            status=lambda: self.part.status(self.numbers),
            explain=self.explainer.explain,
            record=self.names.records.known,
            denials=self.denials,
        )
        self.public = Listener(
            public_app(self.site_app),
            public,
            ready=self.answers,
            limits=self.limits,
            door=self.front.door,
            tls=self.front.context,
            tunnels=self.gateway.is_at if self.gateway is not None and self.config.gateway_tunnels else None,
        )
        self.private = Listener(private_app(admin), private, limits=self.limits)
        self.numbers = Numbers(
            self.answers,
            self.loader,
            self.members,
            self.follower,
            self.warmer,
            self.watchdog,
            self.public,
            admin,
            self.front,
            self.names,
            self.denials,
            self.denylists,
            self.site_app,
            self.deltas,
        )

    def _gateway(self) -> Gateway | None:
        """The IPFS gateway, where it has a host."""
        config = self.config
        if config.gateway is Mode.OFF or not (config.gateway_hosts or config.dnslink):
            return None
        public = PublicRoots(config.origin, config.token, self.client)
        access = Access(config.gateway, LiveRoots(self.router), public.ask)
        return Gateway(
            GatewayHosts(config.gateway_hosts),
            self.loader,
            self.names,
            access,
            dnslink=config.dnslink,
            denials=self.denials,
            keep=partial(self.answers.keep_beside, TENANT),
        )

    async def _ask_again(self) -> None:
        """What the gateway shows may have been unpinned: let no ready answer outlast what is known of its root."""
        while self.gateway is not None and self.gateway.access.changes:
            await asyncio.sleep(SHOWN_FOR)
            self.answers.drop_beside()

    def _answer(self, identity: Identity) -> None:
        """Answer what is asked through the origin."""
        self.answerer = Answerer(
            region=self.config.region,
            origin=self.config.origin,
            token=self.config.token,
            client=self.client,
            identity=identity,
            sequence=lambda: self.part.receipt(self.follower.stored),
            catalog=lambda: self.follower.following,
            explain=self.explainer.explain,
            tap=self.tap,
            pass_on=self.part.tail,
        )
        self.source.on_ask = self.answerer.hear

    async def _block(self, cid: CID) -> Block:
        return (await self.loader.get(cid)).block

    def _on_warm(self, staged: Staged) -> None:
        told = {key: value for key, value in staged.to_json().items() if key != "site"}
        self.tap.event("warmed", staged.site, **told)

    def _on_denials(self, lists: Denylists) -> None:
        """Have nothing answered from what was allowed before."""
        self.loader.deny(None if lists.is_empty else self.denials.refusal)
        self.router.deny(lists)

    async def _on_swap(self, head: Head) -> None:
        self.tap.event("head", sequence=head.record.sequence)
        self.answers.is_stale = self.follower.is_stale
        if self.reloads is not None:
            self.reloads.tell()
        self.stager.follow(head.world.views.values())

    async def _tell_of_staleness(self) -> None:
        while True:
            self.answers.is_stale = self.follower.is_stale
            await asyncio.sleep(1.0)

    async def _introduce(self) -> None:
        """Once the origin has been heard of, tell it where this edge's visitors go."""
        await self.ready()
        if self.part.speaks:
            await self.reporter.send()

    def __repr__(self) -> str:
        return f"<Node {self.config.name} {self.follower!r} {self.answers!r}>"


def serve(config: EdgeConfig) -> int:
    """Run one edge until SIGINT or SIGTERM; the process's exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    raise_descriptors()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except (StateError, BindError) as error:
        print(f"edge {config.name}: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: EdgeConfig) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    node = Node(config)
    await node.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, node.reload)
    try:
        await until_either(node.ready(), stopping.wait())
        if not stopping.is_set():
            _announce(node)
            calm()
        await stopping.wait()
    finally:
        await node.stop()


async def until_either(*waits: Coroutine[Any, Any, Any]) -> None:
    """Until one of these is done; the others are ended."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _announce(node: Node) -> None:
    config = node.config
    if config.json:
        line = {"name": config.name, "public": node.public_url, "private": node.private_url, "pid": os.getpid()}
        text = json.dumps(line)
    else:
        text = f"edge {config.name} serves on {node.public_url} (private: {node.private_url})"
    with suppress(OSError):  # whoever started us may have gone; the edge serves all the same
        print(text, flush=True)


def raise_descriptors() -> None:
    """As many descriptors as the system lets us have, up to a bound: every visitor is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if wanted > soft:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
