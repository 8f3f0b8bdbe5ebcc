"""Gate: TLS connections until their handshake is done.

Here lives what is owed to a connection that has not said a word of HTTP: that it counts among all, has a deadline, ends
with the listener, and may begin with a PROXY header, before TLS. A server that asyncio gives a context to hides such
connections, and descriptors run out unseen (seen: 107 silent connections of 128 descriptors, and nobody was served).
Not here: certificates (edge/http/tls), PROXY without TLS and HTTP (edge/http/protocol).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from edge.http.address import of_peer
from edge.http.door import Door
from edge.http.proxy import BadHeader, missing, read

logger = logging.getLogger("rim.edge")
HANDSHAKE = 10.0  # s, as for a head
_PAUSE = 0.5  # s without accepting, when the system gives no more descriptors


class Gate:
    """Accepts on one socket. It has the manners of an asyncio Server."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        connection: Callable[[str | None], asyncio.Protocol],
        has_room: Callable[[], bool],
        door: Door | None,
        seconds: float = HANDSHAKE,
    ) -> None:
        """`connection`: the protocol of one that got through, and the client that its PROXY header named. `has_room`:
        whether there is room for one more. `door`: knows of whom a header is due."""
        self._context = context
        self._connection = connection
        self._has_room = has_room
        self._door = door
        self._seconds = seconds
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept(sock))

    @property
    def is_open(self) -> bool:
        """Whether it accepts."""
        return not self._accepting.done()

    @property
    def handshakes(self) -> int:
        """How many go on."""
        return len(self._handshakes)

    def close(self) -> None:
        """Accept no more, and close the socket. Handshakes that go on may end."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Cut the handshakes that still go on."""
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(sock)
                except ConnectionError:  # it was gone before it was accepted
                    continue
                except OSError as error:
                    logger.warning("no connection can be accepted for %g s: %s", _PAUSE, error.strerror or error)
                    await asyncio.sleep(_PAUSE)
                    continue
                self._take(accepted)

    def _take(self, accepted: socket.socket) -> None:
        if not self._has_room():
            accepted.close()  # there is no way to say why, before a handshake
            return
        task = asyncio.create_task(self._shake(accepted))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):
                client = await self._client(accepted)
            await loop.connect_accepted_socket(
                lambda: self._connection(client), accepted, ssl=self._context, ssl_handshake_timeout=self._seconds
            )
        except (OSError, BadHeader):  # TLS's own errors are of the former, and so is what takes too long
            accepted.close()

    async def _client(self, accepted: socket.socket) -> str | None:
        """Whom its PROXY header names; None where none is due. Takes not a byte of what follows. Raises BadHeader."""
        if self._door is None or not self._door.expects_header(peer := of_peer(accepted.getpeername()[0])):
            return None
        loop, data = asyncio.get_running_loop(), b""
        try:
            while (header := read(data)) is None:
                piece = await loop.sock_recv(accepted, missing(data))
                if not piece:
                    raise BadHeader("it ends early")
                data += piece
        except BadHeader:
            self._door.refused["PROXY header"] += 1
            raise
        return header.client or peer

    def __repr__(self) -> str:
        return f"<Gate {self.handshakes} handshakes>"
