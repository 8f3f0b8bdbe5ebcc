"""Part: what makes a node one process of an edge of several. Of an edge of one process it says that all is its own.

Here live a process's share of the edge's means, its inner listener, and its voice. Not here: the node itself
(edge/node), the life of the process (edge/processes/child).

Process 0 speaks for the edge: its waiting request at the origin is the edge's own, and it reports. The others follow
the Head as quietly as a stranger. Nothing is lost while it is away: the edge can say no more than what all of its
processes have reached, it among them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from edge.cache.loader import Loader
from edge.config import EdgeConfig
from edge.control.admin import Private, private_app
from edge.control.asks import Answerer
from edge.control.metrics import Value
from edge.control.report import Reporter
from edge.control.staging import Stager
from edge.control.warm import Staged
from edge.http.limits import Limits
from edge.http.listener import Listener
from edge.numbers import Numbers
from edge.peers.client import PeerClient
from edge.peers.shares import Shares
from edge.processes.board import Board
from edge.processes.folders import name_of
from edge.processes.inner import Inner, routes
from edge.processes.place import Place
from edge.processes.totals import Totals
from edge.processes.unison import Unison


class Part:
    """One process's part of an edge."""

    def __init__(self, config: EdgeConfig, place: Place | None) -> None:
        self.place = place
        self.config = config
        self.shares = Shares() if place is None else Shares(place.index, place.urls)
        self.name = name_of(self.shares.index, self.shares.count)
        self.memory = config.memory_bytes // self.shares.count
        self.cache = config.cache_bytes // self.shares.count
        self.owns: Callable[[bytes], bool] | None = None if place is None else self.shares.is_mine
        self.speaks = False
        self.listeners: tuple[Listener, ...] = ()
        self._client: PeerClient | None = None
        self._unison: Unison | None = None
        self._totals: Totals | None = None
        self._inner: Inner | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # Before the node is put together, and after.

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """The public and the private socket that the parent holds."""
        assert self.place is not None
        return inherited(self.place.public[self.place.index]), inherited(self.place.private)

    def client(self, on_sequence: Callable[[int], None]) -> PeerClient | None:
        """Asks the other processes, under a name that is not the edge's own: a question among them is no loop."""
        if self.place is not None:
            name = f"{self.config.name}#{self.shares.index}"
            self._client = PeerClient(name, self.place.secret, on_sequence)
            self._inner = Inner(self.shares, self._client, self.place.secret)
        return self._client

    def assemble(
        self,
        loader: Loader,
        reporter: Reporter,
        stager: Stager,
        answerer: Answerer,
        numbers: Numbers,
        limits: Limits,
    ) -> None:
        """Take what the other processes are told of."""
        if self.place is None or self._inner is None:
            return
        place, board = self.place, Board(self.place.board, self.place.bells, self.place.row)
        self._unison = Unison(board, loader, lambda: self.speaks, reporter.send)
        self._totals = Totals(self.config.state, self._inner, board, numbers.values, numbers.status)
        private = Private(
            node=f"{self.config.name}#{self.shares.index}",
            token=place.secret,
            open=False,
            loader=loader,
            sequence=numbers.private.sequence,
            standing=numbers.private.standing,
            values=numbers.private.values,
            status=numbers.private.status,
            explain=numbers.private.explain,
            tiers=("0", "1", "2"),
            denials=numbers.private.denials,
        )
        app = private_app(private, routes(private, self._totals.own, stager, answerer))
        self.listeners = (Listener(app, inherited(place.inner), limits=limits),)

    def begin(self, stored: int) -> None:
        """Take this process's row of the board, with the Head that was left here."""
        self.speaks = self.shares.index == 0
        if self._unison is not None:
            self._unison.begin(stored)

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What runs while the node does."""
        return [] if self._unison is None else [self._unison.run()]

    def give_up(self) -> Shares:
        """Another process takes this one's place: nothing is ours from now on, and nothing is said by us."""
        self.speaks = False
        if self._totals is not None:
            self._totals.write()
        return Shares(-1, self.shares.urls)

    async def close(self) -> None:
        """Let go of what is ours alone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._totals is not None:
            self._totals.write()
        if self._unison is not None:
            self._unison.close()
        if self._client is not None:
            await self._client.close()

    # The edge's voice.

    def stored(self, sequence: int) -> None:
        """This process has stored this Head, serves it, and has carried out the purges up to it."""
        if self._unison is not None:
            self._unison.stored(sequence)

    def receipt(self, stored: int) -> int:
        """The Head that the edge gives a receipt for, when so much is stored by this process."""
        return stored if self._unison is None else self._unison.board.cleared

    def reports(self, stored: int) -> int | None:
        """What this process's waiting request says of the edge."""
        return min(stored, self.receipt(stored)) if self.speaks else None

    async def staged(self, site: str, release: str) -> list[Staged]:
        """What came of warming a release with the other processes."""
        return [] if self._inner is None else await self._inner.staged(site, release)

    def tail(self, ask: str) -> None:
        """Have the other processes send their rows too."""
        if self._inner is not None:
            task = asyncio.create_task(self._inner.tail(ask))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def values(self, numbers: Numbers) -> Mapping[str, Value]:
        """The edge's numbers, for /metrics."""
        return numbers.values() if self._totals is None else await self._totals.values()

    async def status(self, numbers: Numbers) -> dict[str, Any]:
        """What the edge serves and holds."""
        return numbers.status() if self._totals is None else await self._totals.status()

    def __repr__(self) -> str:
        return f"<Part {self.shares.index} of {self.shares.count}>"


def inherited(descriptor: int) -> socket.socket:
    """A socket that the parent holds."""
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock
