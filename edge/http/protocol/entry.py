"""Entry: who is there, and whether there is room.

Here live the PROXY header before the first request, the limits on connections, and whose a request is. Not here: the
counting itself (edge/http/door), TLS (edge/http/gate).
"""

from __future__ import annotations

from edge.http.door import Door
from edge.http.forwarded import Fields
from edge.http.protocol.life import IDLE, Life, Phase, make_room
from edge.http.proxy import BadHeader
from edge.http.proxy import read as read_header


class Entry(Life):
    """The part of a connection that looks who comes."""

    def _knock(self, door: Door) -> None:
        others = (one for one in self.connections if one is not self)
        if not door.has_room(len(self.connections), lambda: make_room(others)):
            self._refuse(503)
        elif self._named is None and door.expects_header(self.client_address):
            self._awaits_header = True
            self._phase = Phase.HEAD
            self._deadline.set(self._limits.head_time)
        else:
            self._enter(door)

    def _enter(self, door: Door) -> None:
        self._has_entered = door.enter(self.client_address)
        if not self._has_entered:
            self._refuse(429)

    def _read_header(self, door: Door, data: bytes) -> bytes:
        """What follows the PROXY header. One that is none ends the connection, without a word."""
        try:
            header = read_header(data)
        except BadHeader:
            door.refused["PROXY header"] += 1
            self._last_one()
            self._settle()
            return b""
        if header is None:
            self._backlog = data
            return b""
        self._backlog, self._awaits_header, self._phase = b"", False, IDLE
        self.client_address = header.client or self.client_address
        self._deadline.set(self._limits.idle)
        self._enter(door)
        return data[header.size :]

    def _client_of(self, fields: Fields) -> str:
        """Whose request this is."""
        door = self._door
        if door is None or not door.reads_fields or self._in_tunnel:
            return self.client_address
        return door.client(self.client_address, fields)
