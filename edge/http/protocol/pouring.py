"""Pouring: long answers, written as the client takes them.

Here lives the pace. Not here: what the pieces are (edge/http/pour), which answers are long (edge/ready).
"""

from __future__ import annotations

import logging

from content.errors import ContentError
from edge.cache.sheet import IS_THERE
from edge.counting import Told
from edge.http.heads import Plain
from edge.http.pour import Pour
from edge.http.protocol.reading import Reading
from edge.kept import Shot

logger = logging.getLogger("rim.edge")
_NUDGE = 16 * 1024  # bytes given to the transport when the socket is full: it tells when they have gone


class Pouring(Reading):
    """The part of a connection that has a long answer on its way."""

    def _begin_pour(self, pour: Pour) -> None:
        """The head is written. uvloop hands it to the socket at the end of this turn of the loop: until then, and so
        for two turns, nothing may go past the transport."""
        self._settle()
        if not IS_THERE or self.scheme != "http":
            self._pour_on()
            return
        self.transport.set_write_buffer_limits(high=0)  # what does not go at once stops us, and tells when it has gone
        self.loop.call_soon(self.loop.call_soon, self._pour_past, pour)

    def _pour_past(self, pour: Pour) -> None:
        """From here on what the transport has nothing before may go past it."""
        if self._pour is pour and not self.transport.is_closing():
            self._socket = self.transport.get_extra_info("socket").fileno()
            self._pour_on()

    def _pour_on(self) -> None:
        """Write on as far as the client takes it."""
        pour = self._pour
        if pour is None or self._fetching is not None:
            return
        while not (pour.is_over or self.flow.write_paused or self.transport.is_closing()):
            try:
                piece = self._next_piece(pour)
            except ContentError as error:
                self._break_off(pour, error)
                return
            except OSError:  # the client has gone, which is no fault of ours
                self.transport.abort()
                return
            if piece is None:
                self._fetching = self.loop.create_task(self._fetch(pour))
                return
            if piece:
                self.transport.write(piece)
        if pour.is_over:
            self._end_pour(pour)
            self._settle()
            if self._backlog:
                self.loop.call_soon(self._release)

    def _next_piece(self, pour: Pour) -> memoryview | bytes | None:
        """What is to be written next; b"" where the socket took it by itself, None where it must be fetched."""
        if self._socket is None or self.transport.get_write_buffer_size():
            return pour.take()
        sent = pour.send(self._socket)
        if sent:
            return b""
        return pour.take() if sent is None else pour.take(_NUDGE)

    async def _fetch(self, pour: Pour) -> None:
        """Bring a block that has left memory since the answer was begun."""
        try:
            await pour.fetch()
        except Exception as error:
            self._break_off(pour, error)
        finally:
            self._fetching = None
        self._pour_on()

    def _break_off(self, pour: Pour, error: Exception) -> None:
        """The rest cannot be had: the client must not take what it has for the whole."""
        logger.warning("%r: cut off after %d bytes: %s", pour.request.target, pour.sent, error)
        if self._ready is not None:
            self._ready.counts.broken += 1
        self.transport.abort()

    def _end_pour(self, pour: Pour) -> None:
        self._pour = None
        if self._socket is not None:
            self._socket = None
            self.transport.set_write_buffer_limits()
        shot = pour.shot
        shot.kept.asked += 1
        shot.tally.requests += 1
        shot.tally.bytes += pour.sent
        self._tell(pour.request, shot, pour.sent)

    def _tell(self, plain: Plain, shot: Shot, sent: int) -> None:
        """Tell the log of a hit, if there is one."""
        if self._ready is not None and self._ready.log is not None:
            site, status, outcome = shot.kind
            method, head = "GET" if plain.is_get else "HEAD", plain.head
            said = (self._client_of(head.fields), site, method, head.host, plain.target, status, sent, outcome)
            self._ready.log(Told(*said, head.fields))
