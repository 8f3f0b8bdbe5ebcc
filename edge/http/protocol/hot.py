"""Hot: plain requests for what is ready, answered in one write, without parser, task, scope or await.

Here lives the hot path. Not here: what a plain request is (edge/http/heads), what answers it (edge/ready). Whatever is
unusual goes through the parser to the app (reading).
"""

from __future__ import annotations

from edge.http.heads import Plain
from edge.http.pour import Pour
from edge.http.protocol.life import IDLE
from edge.http.protocol.pouring import Pouring
from edge.kept import Shot
from edge.ready import Ready

_JOINED = 8 * 1024  # up to here head and body are joined and written at once; above, copying costs more than writev
_CLOSE = b"connection: close\r\n"
_AT_ONCE = 256 * 1024  # bytes of answers to one read, then others have their turn


class Protocol(Pouring):
    """One connection, whole."""

    def data_received(self, data: bytes) -> None:
        if self._awaits_header and self._door is not None and not self._deaf:
            data = self._read_header(self._door, self._backlog + data)
            if not data:
                return
        if self._deaf:
            return
        if self._backlog or self._pour is not None:
            self._hold(self._backlog + data)
            return
        if self._phase is IDLE and self._hot is not None and not self._in_message:
            before = 0
            while len(data) != before and self._pour is None and not self.flow.write_paused:
                before = len(data)
                data = self._answer(data)
                if not data:
                    return
            if self._pour is not None or self.flow.write_paused:
                self._hold(data)
                return
        elif self._draining and self._answer_last(data):
            return
        self._feed(data)
        self._settle()

    def _answer_last(self, data: bytes) -> bool:
        """As `_answer`, for the one answer that this connection still gets: whether it is one that waits in memory. An
        edge that leaves has as many requests as ever until the last of its clients knows."""
        ready = self._ready
        if ready is None or self._phase is not IDLE or self._in_message or ready.pause.look():
            return False
        plain = ready.heads.read(data, 0)
        shot = None if plain is None else ready.shot(plain.head, plain.target, plain.is_get)
        if plain is None or shot is None or not self._may(shot, plain):
            return False
        out: list[bytes | memoryview] = []
        if shot.leaves:
            self._pour = Pour(ready, shot, plain)
            out += (shot.head, self._lines(), b"\r\n")
        else:
            self._take(shot, out)
            if ready.log is not None:
                self._tell(plain, shot, shot.size)
        out.insert(2, _CLOSE)  # the head's last line
        self.transport.write(b"".join(out))
        self._last_one()
        if self._pour is not None:
            self._begin_pour(self._pour)
        self._settle()
        return True

    def _answer(self, data: bytes) -> bytes:
        """Answer the plain requests at the front of these bytes that wait in memory. Returns what is left."""
        ready = self._ready
        assert ready is not None
        if ready.pause.look():
            return data
        out: list[bytes | memoryview] = []
        shot = ready.known.find(data) if self._rates is None else None  # a rate looks at the request's fields
        if shot is not None and (shot.body is None or shot.body.value is not None):
            self._take(shot, out)
            left, due = b"", shot.size
            if ready.log is not None and (plain := ready.heads.read(data, 0)) is not None:
                self._tell(plain, shot, due)
        else:
            left, due = self._gather(ready, data, out)
            if not out:
                return data
        self._deadline.at = self.loop.time() + self._limits.idle
        if due <= _JOINED or self._pour is not None:
            self.transport.write(b"".join(out))
        else:
            self.transport.writelines(out)
        if self._pour is not None:
            self._begin_pour(self._pour)
        elif left and due >= _AT_ONCE:
            self.loop.call_soon(self._release)
            self._hold(left)
            return b""
        return left

    def _gather(self, ready: Ready, data: bytes, out: list[bytes | memoryview]) -> tuple[bytes, int]:
        """Gather the answers to the requests at the front; what is left, and how many bytes of bodies those are."""
        at = due = 0
        while at < len(data) and due < _AT_ONCE and self._pour is None:
            plain = ready.heads.read(data, at)
            shot = None if plain is None else ready.shot(plain.head, plain.target, plain.is_get)
            if plain is None or shot is None or not self._may(shot, plain):
                break
            if shot.leaves:
                self._pour = Pour(ready, shot, plain)
                out += (shot.head, self._lines(), b"\r\n")
            else:
                self._take(shot, out)
                if ready.log is not None:
                    self._tell(plain, shot, shot.size)
                if at == 0 and plain.end == len(data):
                    ready.known.put(data, shot)
            at, due = plain.end, due + shot.size
        return data[at:] if at else data, due

    def _take(self, shot: Shot, out: list[bytes | memoryview]) -> None:
        """Put this shot's bytes behind the others, and count it."""
        out += (shot.head, self._lines(), b"\r\n")
        slot = shot.body
        if slot is not None and (block := slot.value) is not None:
            slot.mark = True
            data, size = block.data, shot.size
            out.append(data if size == shot.whole else memoryview(data)[shot.start : shot.start + size])
        shot.kept.asked += 1
        tally = shot.tally
        tally.requests += 1
        tally.bytes += shot.size

    def _may(self, shot: Shot, plain: Plain) -> bool:
        """Whether one more request is within the rates, if there are any. The app tells who is refused."""
        return self._rates is None or self._rates.allows(self._client_of(plain.head.fields), shot.kind[0])
