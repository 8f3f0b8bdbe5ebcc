"""Node: an origin as a process.

Here lives the assembly: state folder → Origin → listener, what is said at start, and the way down: on SIGINT or SIGTERM
waiting requests answer, those under way finish, and within ten seconds the process is gone. Not here: anything that
could be tested without a socket.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
import uvloop

from origin.app import make
from origin.config import OriginConfig
from origin.errors import OriginError, StateError
from origin.heap import calm
from origin.origin import Origin
from origin.state import State

IDLE_SECONDS = 75  # keep-alive: longer than the pools of our own nodes and publishers keep a connection
BACKLOG = 2048
THREADS = 128  # with a store elsewhere: uploads, stages and reads that all hang there at once
log = logging.getLogger("rim.origin")


def serve(config: OriginConfig) -> int:
    """Run an origin until SIGINT or SIGTERM. The exit code: 0, or 1 with a sentence on stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        with State(config.state) as state, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(state, config))
    except (StateError, OriginError) as error:
        print(f"rim origin: {error}", file=sys.stderr)
    except OSError as error:
        print(f"rim origin: {config.state}: {error}", file=sys.stderr)
    return 1


async def _serve(state: State, config: OriginConfig) -> int:
    listener = _listen(config)
    with listener:
        origin = Origin(state, config)
        running = Running(origin, listener)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.stop)
        calm()
        _announce(running)
        await running.run()
    return 0


@dataclass(slots=True)
class Running:
    """An origin and its listener. Also what tests run in their own process."""

    origin: Origin
    listener: socket.socket
    server: uvicorn.Server

    def __init__(self, origin: Origin, listener: socket.socket) -> None:
        self.origin = origin
        self.listener = listener
        self.server = _Server(
            uvicorn.Config(
                make(origin),
                http="httptools",
                loop="none",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                proxy_headers=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=max(1, int(origin.config.grace)),
                backlog=BACKLOG,
            )
        )

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stop(self) -> None:
        """Begin to end: no new connections, waiting requests answer now."""
        self.origin.stop()
        self.server.should_exit = True

    async def run(self) -> None:
        """Serve until `stop`."""
        if self.origin.store.follows:  # its threads wait for another program, and the Head must not wait for them
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "origin"))
        work = [asyncio.create_task(task) for task in self.origin.works()]
        try:
            await self.server.serve(sockets=[self.listener])
        finally:
            self.origin.stop()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await self.origin.close()


class _Server(uvicorn.Server):
    """uvicorn, but that signals are ours: it would raise them again at the end, and exit codes would lie."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(config: OriginConfig) -> socket.socket:
    """The bound socket. Raises StateError with a sentence when the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listener = socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except (OSError, ValueError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = "; choose another with --listen" if isinstance(error, OSError) else ""
        raise StateError(f"cannot listen on {config.listen}: {reason}{hint}") from error
    listener.setblocking(False)
    return listener


def _announce(running: Running) -> None:
    """Say where we are; and the first admin token, which is said only once."""
    origin = running.origin
    if origin.config.json:
        line = {"origin": running.url, "catalog": origin.catalog.head.name, "pid": os.getpid()}
        token = {"admin_token": origin.first_token} if origin.first_token else {}
        print(json.dumps({**line, **token}), flush=True)
        return
    print(f"origin   {running.url}\ncatalog  {origin.catalog.head.name}", flush=True)
    if origin.first_token:
        print(f"token    {origin.first_token}  (admin; shown this once, kept in admin-token)", flush=True)
