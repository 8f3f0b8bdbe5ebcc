"""Life: a connection from its first moment to its last, and what is awaited of it meanwhile.

Here live the one timer (idle, a head's deadline, a client that takes nothing), the ways to an end, and what all layers
know. Not here: who may come in (entry), what is read (reading).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum, auto
from fcntl import ioctl
from itertools import islice
from termios import TIOCOUTQ
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edge.http.address import of_peer
from edge.http.deadline import Deadline
from edge.http.door import Door
from edge.http.limits import LIMITS, Limits
from edge.http.pour import Pour
from edge.ready import Ready

_LOOKED_AT = 256  # connections, to find an idle one


class Phase(Enum):
    IDLE = auto()  # between requests
    HEAD = auto()  # a head has begun and not ended
    BUSY = auto()  # a request is being answered


IDLE = Phase.IDLE


class Life(HttpToolsProtocol):
    """One connection. `ready` None: no hot path (the private listener). `door` None: everybody is let in. `tunnels`:
    whether CONNECT to this authority leads here; None: none does."""

    def __init__(
        self,
        *args: Any,
        ready: Ready | None = None,
        limits: Limits = LIMITS,
        door: Door | None = None,
        client: str | None = None,
        tunnels: Callable[[bytes], bool] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(*args, **rest)
        self._ready = self._hot = ready
        self._draining = False
        self._limits = limits
        self._door = door
        self._tunnels = tunnels
        self._opens_tunnel = self._in_tunnel = False
        self._rates = door if door is not None and door.has_rates else None
        self._has_entered = False
        self._named = client
        self._awaits_header = False  # of the PROXY protocol; what came of it stands in the backlog
        self._phase = IDLE
        self._deadline = Deadline(self.loop, self._on_deadline)
        self._unsent = 0
        self._backlog = b""  # read, not looked at: too much is queued, or a long answer is on its way
        self._pour: Pour | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._socket: int | None = None  # while a long answer may go past the transport
        self._in_head = False
        self._in_message = False
        self._deaf = False  # refused: nothing further is read from this connection
        self._ending = False  # when all that is due is answered, it closes
        self._heard_all = False  # the client has closed its half
        self._lingers = False  # ours is closed, the client is heard out
        self._refusal = 400
        self._size = self._fields = self._raw = 0
        self.client_address = ""

    # The connection's life.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client_address = self._named or (of_peer(self.client[0]) if self.client else "")
        self._deadline.set(self._limits.idle)
        if self._door is not None:
            self._knock(self._door)
        if getattr(self.server_state, "draining", False):
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._backlog, self._deaf = b"", True
        self.pipeline.clear()
        if self._fetching is not None:
            self._fetching.cancel()
        if self._pour is not None:
            self._end_pour(self._pour)
        if self._has_entered and self._door is not None:
            self._door.leave(self.client_address)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that has said all it will may still read: stay open for writing until all it asked is answered."""
        self._ending = self._heard_all = True
        if self._lingers or self._awaits_header or self._is_quiet():
            return False
        if self._is_asking() and not self._backlog:
            self.cycle.keep_alive = False
        return self.scheme != "https"  # TLS has no half: asyncio closes, whatever is said here

    def shutdown(self) -> None:
        """Finish what is under way, then close (uvicorn calls this when the server ends)."""
        if self._is_quiet():
            self.transport.close()
        else:
            self._last_one()
        self._settle()

    def drain(self) -> None:
        """Close after the next answer, and say so in it: who is about to ask would meet a closed door."""
        self._hot, self._draining = None, True
        if self._is_asking() and not (self.cycle.response_started or self.pipeline or self._backlog):
            self.cycle.keep_alive = False  # the next answer is the one that is being made

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self._untaken()
        self._deadline.set(self._limits.write_stall)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pour is not None:
            self._pour_on()
        self._settle()
        self._release()

    # What is awaited, and what becomes of it when it does not come.

    def _on_deadline(self) -> None:
        if self.flow.write_paused or self.transport.is_closing():
            self._on_write_stall()
        elif self._lingers:
            self._on_write_stall() if self._untaken() else self.transport.abort()
        elif self._phase is Phase.HEAD and self._awaits_header:
            self.transport.close()
        elif self._phase is Phase.HEAD:
            self._refuse(408)
        else:
            self.transport.close()
            self._deadline.set(self._limits.write_stall)

    def _on_write_stall(self) -> None:
        """The client has taken nothing for so long: give up. Has it taken something, however little: wait on."""
        unsent = self._untaken()
        if unsent and unsent >= self._unsent and self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._deadline.set(self._limits.write_stall)

    def _untaken(self) -> int:
        """Bytes that the client has not taken yet, those that the system keeps for it included: they may be megabytes,
        and who takes a little of them at a time is slow, not gone."""
        waiting = self.transport.get_write_buffer_size()
        with suppress(OSError, ValueError):
            fd = self.transport.get_extra_info("socket").fileno()
            waiting += int.from_bytes(ioctl(fd, TIOCOUTQ, bytes(4)), sys.byteorder)
        return waiting

    def _settle(self) -> None:
        """What is awaited now, and for how long."""
        if self._ending and self._is_quiet() and not self.transport.is_closing():
            self._close()
        if self.transport.is_closing():
            self._unsent = self._untaken()
            self._deadline.set(self._limits.write_stall)
        elif self._lingers:
            return  # its own deadline stands
        elif self._is_busy():
            self._phase = Phase.BUSY
            if not self.flow.write_paused:  # its own deadline stands
                self._deadline.clear()
        elif self._in_head:
            if self._phase is not Phase.HEAD:  # counted from the head's start, not from its last byte
                self._phase = Phase.HEAD
                self._deadline.set(self._limits.head_time)
        else:
            self._phase = IDLE
            if not self.flow.write_paused:
                self._deadline.set(self._limits.idle)

    def _is_asking(self) -> bool:
        """Whether the app has a request."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_busy(self) -> bool:
        return self._pour is not None or self._is_asking()

    def _is_quiet(self) -> bool:
        """Whether nothing is due to this client."""
        return not (self._backlog or self._is_busy())

    def _close(self) -> None:
        """Say that all is said. Where the client may still be sending it is heard out for a moment: with bytes of its
        unread, the kernel would send a reset, and what was written last might never be read (RFC 9112 §9.6)."""
        unread = self._deaf or self._in_message or self._backlog or self.flow.read_paused
        if not unread or self._heard_all or not self.transport.can_write_eof():
            self.transport.close()
        elif not self._lingers:
            self._lingers = self._deaf = True
            self._backlog = b""
            self.pipeline.clear()
            self.transport.write_eof()
            self.flow.resume_reading()
            self._unsent = 0  # when the moment is over, who has not taken all yet has until the next look
            self._deadline.set(self._limits.linger)

    @property
    def idle_until(self) -> float | None:
        """When it will be closed if nothing comes; None: it has something to do."""
        if self.flow.write_paused or self.transport.is_closing() or self._backlog:
            return None
        if self._phase is not IDLE and not self._lingers:
            return None
        return self._deadline.at

    def _last_one(self) -> None:
        """After the answers that are due, close."""
        self._deaf, self._backlog, self._ending = True, b"", True
        if self._is_asking():
            self.cycle.keep_alive = False
        elif self._pour is None:
            self._close()

    # What the layers above do, and this one calls.

    def _knock(self, door: Door) -> None:
        raise NotImplementedError

    def _refuse(self, status: int) -> None:
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError

    def _pour_on(self) -> None:
        raise NotImplementedError

    def _end_pour(self, pour: Pour) -> None:
        raise NotImplementedError


def make_room(connections: Iterable[Any]) -> bool:
    """Close the connection that has waited longest for its next request; whether there is one. Of some, not of all: to
    look at tens of thousands would cost more than they are worth. nginx makes room the same way."""
    idle = [one for one in islice(connections, _LOOKED_AT) if one.idle_until is not None]
    if not idle:
        return False
    min(idle, key=lambda one: one.idle_until).transport.close()
    return True
