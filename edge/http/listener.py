"""Listener: a socket of ours with uvicorn behind it, as a library.

Here lives binding (with words a person understands when a port is taken) and the start and end of one server. Not here:
the wire (edge/http/protocol), the apps, signals: those are the process's, and one process may hold many nodes.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import uvicorn

from edge.http.door import Door
from edge.http.gate import Gate
from edge.http.limits import LIMITS, Limits
from edge.http.protocol import Protocol, make_room
from edge.ready import Ready

BACKLOG = 2048
GRACE = 5  # s that answers under way may take to finish


class BindError(Exception):
    """An address cannot be listened on. The text says why."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, and with a gate where there is TLS."""

    tls: ssl.SSLContext | None = None
    door: Door | None = None

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.gates: list[Gate] = []

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on these sockets."""
        await self.lifespan.startup()
        self.servers = []
        for sock in sockets or ():
            await self.listen(sock)
        self.started = True

    async def listen(self, sock: socket.socket) -> asyncio.Server:
        """Take connections from this socket, until what is returned is closed."""
        if self.tls is None:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(self._connection, sock=sock, backlog=BACKLOG)
        else:
            gate = Gate(sock, self.tls, self._connection, self._has_room, self.door)
            self.gates = [one for one in self.gates if one.is_open or one.handshakes] + [gate]
            server = cast(asyncio.Server, gate)
        self.servers.append(server)
        return server

    def _connection(self, client: str | None = None) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        named = {} if client is None else {"client": client}
        made = make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state, **named)
        assert isinstance(made, asyncio.Protocol)
        return made

    @property
    def handshakes(self) -> int:
        """Connections that have not said a word of HTTP yet."""
        return sum(gate.handshakes for gate in self.gates)

    def _has_room(self) -> bool:
        connections = self.server_state.connections
        total = len(connections) + self.handshakes + 1
        return self.door is None or self.door.has_room(total, lambda: make_room(connections))


def bind(host: str, port: int, number: int | None = None) -> socket.socket:
    """A listening socket: of two that want a port, one gets a clear word. Raises BindError.

    `number`: it is one of several on this port, counted from 0 (SO_REUSEPORT). Before the first of them the port is
    taken as one alone would, or another edge's would be shared.
    """
    if number == 0:
        with bind(host, port) as first:
            port = first.getsockname()[1]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # said, or asyncio leaves Nagle on
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if number is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        why = {
            errno.EADDRINUSE: "is taken by another program",
            errno.EACCES: "needs rights that this user lacks (ports below 1024)",
            errno.EADDRNOTAVAIL: "is not an address of this machine",
        }.get(error.errno or 0, f"cannot be used: {error.strerror or error}")
        raise BindError(f"{host}:{port} {why}") from error
    sock.setblocking(False)
    return sock


class Listener:
    """One listener: `start` returns when it takes connections, `stop` when the last one is gone."""

    def __init__(
        self,
        app: Any,
        sock: socket.socket,
        *,
        ready: Ready | None = None,
        limits: Limits = LIMITS,
        door: Door | None = None,
        tls: ssl.SSLContext | None = None,
        tunnels: Callable[[bytes], bool] | None = None,
    ) -> None:
        """`door` None: everybody is let in, under the address they come from. `tls` None: plain HTTP. `tunnels`:
        whether CONNECT to an authority leads here."""
        self.socket = sock
        host, port = sock.getsockname()[:2]
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        protocol: Any = functools.partial(Protocol, ready=ready, limits=limits, door=door, tunnels=tunnels)
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
                backlog=BACKLOG,
            )
        )
        self._server.tls, self._server.door = tls, door
        self._task: asyncio.Task[None] | None = None
        self._stood_in: dict[int, asyncio.Server] = {}

    @property
    def handshakes(self) -> int:
        """Connections that have not said a word of HTTP yet."""
        return self._server.handshakes

    @property
    def connections(self) -> int:
        """Open connections, without those in a handshake."""
        return len(self._server.server_state.connections)

    async def start(self) -> None:
        """Take connections."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self.socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise BindError(f"{self.url} ended before it began")
            await asyncio.sleep(0.005)

    async def stand_in(self, number: int, sock: socket.socket | None) -> None:
        """Take connections from this socket too, which another process has left for a moment; None: no more."""
        if (before := self._stood_in.pop(number, None)) is not None:
            self._server.servers.remove(before)
            before.close()
        if sock is not None and self._server.started and not self._server.should_exit:
            self._stood_in[number] = await self._server.listen(sock)

    def part(self) -> None:
        """From now on each answer is its connection's last, and says so. Connections are taken as before: who balances
        load over edges must first learn that this one leaves."""
        state: Any = self._server.server_state
        state.draining = True  # for what is accepted, and not yet a connection
        for connection in list(state.connections):
            connection.drain()

    def drain(self) -> None:
        """Take no more connections, and close each one that is open after its next answer; until then it stays."""
        self.part()
        for server in self._server.servers:
            server.close()

    async def emptied(self, seconds: float) -> None:
        """Wait until the last connection is gone; for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.connections:  # noqa: ASYNC110 - uvicorn tells no one
                    await asyncio.sleep(0.02)

    def cut(self) -> None:
        """Whoever waits in `stop` waits no more."""
        self._server.force_exit = True

    async def stop(self, grace: float = GRACE) -> None:
        """Take no more, finish what is under way, and after the grace (s) cut the rest."""
        self._server.config.timeout_graceful_shutdown = grace  # type: ignore[assignment] # uvicorn waits for floats too
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.shield(self._task)  # who waits may be told to wait no more; the server ends all the same
        for gate in self._server.gates:
            await gate.wait_closed()
        for connection in list(self._server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self.socket.close()
