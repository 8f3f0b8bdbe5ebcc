"""Answering: the two listeners, and all that stands behind them. The layer above the Head.

Here are put together the ready answers, the app, the gateway, the private routes and the numbers. Not here: what any of
them does, nor when they begin and end (edge/node).
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any

from edge.app import SiteApp, public_app
from edge.assembly.following import Following
from edge.browsers.deltas import Deltas
from edge.control.admin import Private, private_app
from edge.control.handing import routes
from edge.control.public import PublicRoots
from edge.control.tap import Tap
from edge.control.views import Head
from edge.control.watchdog import Watchdog
from edge.explain import Explainer
from edge.front import Front
from edge.gateway.access import SHOWN_FOR, Access
from edge.gateway.app import TENANT, Gateway
from edge.gateway.hosts import GatewayHosts
from edge.gateway.mode import Mode
from edge.http.listener import Listener
from edge.numbers import Numbers
from edge.pause import Pause
from edge.peers.states import State
from edge.ready import SHARE, Ready
from edge.reload import Reloads
from edge.site.roots import LiveRoots


class Answering(Following):
    """The layer that has visitors."""

    front: Front

    def _answer(self, public: socket.socket, private: socket.socket, loopback: bool) -> None:
        """Listeners on these sockets. `loopback`: the private one is reached from this machine alone."""
        self.watchdog = Watchdog()
        self.loader.pressure.lag = lambda: self.watchdog.own
        self.client.strain.lag = lambda: self.watchdog.lately
        self.pause = Pause()
        self.pause.confirm = self.follower.confirm
        self._answer_visitors(public)
        admin = self._answer_nodes(private, loopback)
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
            self.roster,
            self.probes,
            self.handover,
        )
        self._answer_asks(self.explainer, self.tap)

    def _answer_visitors(self, public: socket.socket) -> None:
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
        self.public = Listener(
            public_app(self.site_app, self.standing),
            public,
            ready=self.answers,
            limits=self.limits,
            door=self.front.door,
            tls=self.front.context,
            tunnels=self.gateway.is_at if self.gateway is not None and config.gateway_tunnels else None,
        )

    def _answer_nodes(self, private: socket.socket, loopback: bool) -> Private:
        admin = Private(
            node=self.config.name,
            token=self.config.token,
            open=loopback,
            loader=self.loader,
            sequence=lambda: self.follower.sequence,
            standing=self.standing,
            fills=lambda: self.standing.state is not State.DRAINING,
            values=lambda: self.part.values(self.numbers),
            status=lambda: self.part.status(self.numbers),
            explain=self.explainer.explain,
            about=self._about().to_peers,
            record=self.names.records.known,
            denials=self.denials,
            mirrors=self.mirrors,
        )
        self.private = Listener(private_app(admin, routes(admin, self.handover)), private, limits=self.limits)
        return admin

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

    async def _on_swap(self, head: Head) -> None:
        self.tap.event("head", sequence=head.sequence)
        self.answers.is_stale = self.follower.is_stale
        if self.reloads is not None:
            self.reloads.tell()
        self.stager.follow(head.world.views.values())

    async def _tell_of_staleness(self) -> None:
        while True:
            self.answers.is_stale = self.follower.is_stale
            await asyncio.sleep(1.0)

    def _event(self, name: str, site: str | None = None, **detail: Any) -> None:
        self.tap.event(name, site, **detail)

    def _asked(self, site: str) -> dict[str, int]:
        return self.answers.asked(site)

    def _public(self) -> str | None:
        return self.public.url
