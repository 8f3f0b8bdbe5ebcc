"""Node: one edge, from its start to its end. With edge/assembly the only place that knows everyone.

Here lives the order of start and stop. Not here: putting the parts together (edge/assembly), anything that any part
does, the process around a node (edge/serving): a test runs three nodes in one.

Start: take the state folder → bind both ports → serve the stored Head → take connections → follow the origin. So a port
that is taken, or a folder in use, is said at once, and an edge with something on disk serves before it has spoken to
anyone. Stop is the same way back.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from edge.assembly.answering import Answering
from edge.cache.disk import DiskTier
from edge.config import address, is_loopback
from edge.control.stored import Unkept
from edge.front import Front
from edge.http.listener import GRACE, BindError, bind
from edge.processes.folders import BLOCKS, level, trust_in
from edge.state import StateError

RING_WITHIN = 2.0  # s that a node which joins waits for the first word on who is in the ring
DRAIN = 10.0  # s that a process whose place is taken waits for the next request on each open connection


class Node(Answering):
    """An edge. `start`, then `ready` when it has something to say, then `stop`."""

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
            level(self.config.state, 1, trust_in(self.config.state, self.config.catalog).sequence_of)
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

    async def go(self) -> None:
        """Serve, from what lies here, and follow the origin."""
        await self.denylists.first()
        await self.disk.open()
        await self.names.reload()
        await self.roster.recall()
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
            self.roster.run(),
            self.probes.run(),
        )
        for work in (*works, self._join(), self._introduce(), *self.part.works()):
            self._tasks.append(asyncio.create_task(work))

    async def ready(self) -> None:
        """Wait until it can answer: a Head is served, or the origin said that it has none."""
        await self.follower.ready.wait()
        await self._joined.wait()

    def reload(self) -> None:
        """Read again what may have changed: the certificate, where the access log goes, names and denylists."""
        self.front.reload()
        self.denylists.hurry()
        self._tasks.append(asyncio.create_task(self.names.reload()))

    async def _join(self) -> None:
        """Once there is a Head, have what visitors are likely to ask for, and be one to be sent to. One process of an
        edge is so at once: it mostly takes another's place, and the edge must not seem away meanwhile."""
        await self.follower.ready.wait()
        if self.part.place is not None:
            self.standing.join()
        with suppress(TimeoutError):  # then alone; who is found later is asked for nothing but what is needed
            async with asyncio.timeout(RING_WITHIN):
                while self.roster.lack():  # noqa: ASYNC110 - the roster tells no one
                    await asyncio.sleep(0.02)
        await self.handover.join()
        self.standing.join()
        self._joined.set()

    def drain(self) -> None:
        """Be one to be sent to no more: tell all who ask, and go on as before but for keeping connections."""
        self.standing.leave()
        self.public.part()
        self._handing = asyncio.create_task(self.handover.give())
        if self.part.speaks:
            self._tasks.append(asyncio.create_task(self._say_so()))

    async def _say_so(self) -> None:
        await self.reporter.send()

    async def finish(self, seconds: float) -> None:
        """Answer visitors what is under way, and successors what they pull, for so long at most."""
        handing = () if self._handing is None else (asyncio.wait((self._handing,), timeout=seconds),)
        await asyncio.gather(self.public.stop(seconds), *handing)

    async def stop(self, grace: float = GRACE) -> None:
        """Finish what is under way, within the grace (s), and leave nothing: no task, no port, no lock. Once."""
        if self._has_ended:
            return
        self._has_ended = True
        if self.reloads is not None:
            self.reloads.close()
        listeners = (self.public, self.private, *self.part.listeners)
        await asyncio.gather(self._leave(), *(listener.stop(grace) for listener in listeners))
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
        tasks = [*self._tasks, *([] if self._handing is None else [self._handing])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.follower.keep()
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

    def _bind(self) -> tuple[socket.socket, socket.socket]:
        public = bind(*address(self.config.public, "public"))
        try:
            return public, bind(*address(self.config.private, "private"))
        except BindError:
            public.close()
            raise

    def _assemble(self, public: socket.socket, private: socket.socket) -> None:
        host, port = private.getsockname()[:2]
        self._hold(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        self._follow()
        self._answer(public, private, is_loopback(host))
        self.part.assemble(self.loader, self.reporter, self.stager, self.answerer, self.numbers, self.limits)

    async def _introduce(self) -> None:
        """Once the origin has been heard of, tell it where this edge's visitors go."""
        await self.ready()
        if self.part.speaks:
            await self.reporter.send()

    def __repr__(self) -> str:
        return f"<Node {self.config.name} {self.follower!r} {self.answers!r}>"
