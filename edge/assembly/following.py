"""Following: which Head this edge serves, and what it says of itself. The layer above its blocks.

Here are put together the follower of the Catalog, warming, reports, and answers to what is asked through the origin.
Not here: what any of them does, nor what visitors get (answering).
"""

from __future__ import annotations

from edge.assembly.blocks import Blocks
from edge.control.about import About
from edge.control.asking import HeadClient
from edge.control.asks import Answerer
from edge.control.head import Follower
from edge.control.identity import load
from edge.control.report import Reporter
from edge.control.roster.making import make as make_roster
from edge.control.roster.probes import Probes
from edge.control.staging import Stager
from edge.control.stored import HeadStore
from edge.control.tap import Tap
from edge.control.trust import Trust
from edge.control.views import Head
from edge.control.warm import Staged, Warmer
from edge.explain import Explainer
from edge.peers.finding import Way
from edge.peers.ring import Member, Ring

_WARM_SHARE = 2  # of the disk's budget, at most 1/2 for one release that is coming


class Following(Blocks):
    """The layer that has a Head."""

    def _follow(self) -> None:
        """The Head, and how it is told of."""
        config, part = self.config, self.part
        self.identity = load(config.state, config.name)
        self.warmer = Warmer(
            self.loader,
            config.name,
            config.region,
            part.cache // _WARM_SHARE,
            asked=self._asked,
            is_mine=part.shares.is_mine,
        )
        self.source = HeadClient(config.origin, config.name, config.region, config.token, self.client, self.identity)
        self.source.reports = part.reports
        self.standing.need(lambda: None if self.follower.ready.is_set() else "no Head yet")
        self.follower = Follower(
            source=self.source,
            trust=Trust(config.catalog),
            loader=self.loader,
            router=self.router,
            store=HeadStore(config.state / part.name),
            on_swap=self._on_swap,
            on_stored=part.stored,
            denials=self.denials,
            on_event=self._event,
        )
        self.reporter = Reporter(
            node=config.name,
            region=config.region,
            origin=config.origin,
            token=config.token,
            client=self.client,
            sequence=lambda: part.receipt(self.follower.stored),
            public=self._public,
            catalog=lambda: self.follower.following,
            identity=self.identity,
            gateway=config.gateway_url or None,
            about=self._about().to_origin,
        )
        self._gather()
        self.stager = Stager(self.warmer, self.reporter, self._on_warm, speaks=lambda: part.speaks, others=part.staged)

    def _gather(self) -> None:
        """The others: who is in the ring, and which of those who are out are well again."""
        config, part = self.config, self.part
        self.roster = make_roster(
            finding=config.found,
            own=self.own,
            origin=config.origin,
            token=config.token,
            resolvers=config.resolvers,
            state=config.state,
            session=lambda: self.client.session,
            identity=self.identity,
            speaks=lambda: part.speaks,
            keeps=part.shares.index == 0,
            sequence=lambda: part.receipt(self.follower.stored),
            catalog=lambda: self.follower.following,
            tell=self.reporter.send,
            health=self.members,
            take=self._take_ring,
        )
        self.loader.sources.asker.on_state = self.roster.hint
        self.standing.need(self.roster.lack)
        pulse, trip = self.client.pulses.of, self.client.trips.of
        self.probes = Probes(self.members, self.roster.member, config.region, pulse, trip)

    def _take_ring(self, ring: Ring, holding: tuple[Member, ...]) -> None:
        self.loader.ring, self.loader.sources.holding = ring, holding

    def _about(self) -> About:
        """What this edge says of itself."""
        joins = self.config.found.way is Way.ORIGIN
        return About(self.own, self.identity.public, lambda: self.standing.state, joins)

    def _answer_asks(self, explainer: Explainer, tap: Tap) -> None:
        """Answer what is asked through the origin."""
        self.answerer = Answerer(
            region=self.config.region,
            origin=self.config.origin,
            token=self.config.token,
            client=self.client,
            identity=self.identity,
            sequence=lambda: self.part.receipt(self.follower.stored),
            catalog=lambda: self.follower.following,
            explain=explainer.explain,
            tap=tap,
            pass_on=self.part.tail,
        )
        self.source.on_ask = self.answerer.hear

    def _hint(self, sequence: int) -> None:
        self.follower.hint(sequence)

    def _on_warm(self, staged: Staged) -> None:
        told = {key: value for key, value in staged.to_json().items() if key != "site"}
        self._event("warmed", staged.site, **told)

    # What the layer above does, and this one calls.

    async def _on_swap(self, head: Head) -> None:
        raise NotImplementedError

    def _asked(self, site: str) -> dict[str, int]:
        raise NotImplementedError

    def _public(self) -> str | None:
        raise NotImplementedError
