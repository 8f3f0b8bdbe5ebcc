"""Log: one line per answer, in the form that the operator chose, written where nobody waits for it.

Here live the two forms of a line, and its way: noted when the answer is given, made into text in slices between other
work, written by a thread that does nothing else (edge/control/sink). A sink that blocks therefore holds up nobody: what
finds no room is lost, and counted. Not here: what is logged of faults (logging, as everywhere).

No request can forge a line or reach a terminal (CVE-2020-7695 and its kin): JSON is ASCII with all else escaped, and
`combined` escapes as nginx does.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge.control.sink import Sink
from edge.counting import Told
from edge.http.outcome import Outcome

NOTES_MAX = 16_384  # answers that wait to be written; then the newest are lost
TARGET_BYTES, FIELD_BYTES = 2_048, 1_024  # of a target; of a Referer and a User-Agent: so all notes are bounded
_SLICE = 64  # lines made in one go: a fifth of a millisecond
_BATCH = 1_024  # lines handed over in one go: the thread may wait 5 ms for the GIL before it takes them
_PAUSE = 0.05  # s between two looks; at 100,000 answers a second 5,000 wait then
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(rb'["\\\x00-\x1f\x7f-\xff]')
_SAFE = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))


class Note(NamedTuple):
    """What a line is made of."""

    time: float
    client: str
    site: str
    method: str
    host: bytes
    target: bytes
    status: int
    size: int
    outcome: Outcome
    referer: bytes
    agent: bytes


class AccessLog:
    """The log of one edge. `tell` is the hook; `run` writes, until it is cancelled; `close` writes what is left."""

    def __init__(self, form: str, edge: str, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        """`path` None: stderr. Raises OSError where the file cannot be opened."""
        self._form = Combined() if form == "combined" else Json(edge)
        self._clock = clock
        self._notes: deque[Note] = deque()
        self._lines: list[bytes] = []
        self._unplaced = 0
        self.sink = Sink(path)

    @property
    def lost(self) -> int:
        """Answers without a line, because the sink blocked or failed."""
        return self._unplaced + self.sink.lost

    def tell(self, told: Told) -> None:
        """An answer has been given."""
        if len(self._notes) >= NOTES_MAX:
            self._unplaced += 1
            return
        referer = agent = b""
        for name, value in told.fields:
            if name == b"user-agent":
                agent = value[:FIELD_BYTES]
            elif name == b"referer":
                referer = value[:FIELD_BYTES]
        client, site, method, host, target, status, size, outcome, _ = told
        now, target = self._clock(), target[:TARGET_BYTES]
        self._notes.append(Note(now, client, site, method, host, target, status, size, outcome, referer, agent))

    async def run(self) -> None:
        """Write as long as this lives."""
        while True:
            while self._notes and len(self._lines) < _BATCH:
                self._shape()
                await asyncio.sleep(0)
            if self._lines and self.sink.is_free:
                self._hand_over(0)
            if len(self._notes) < _SLICE or not self.sink.is_free:
                await asyncio.sleep(_PAUSE if self.sink.is_free else _PAUSE / 10)

    def reopen(self) -> None:
        """From now on write to a new file of the same name: the old one has been moved away."""
        self.sink.reopen()

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left. A sink that takes nothing for so long is left to itself."""
        while self._notes:
            self._shape()
        self._hand_over(seconds)
        self.sink.close(seconds)

    def _shape(self) -> None:
        notes = (self._notes.popleft() for _ in range(min(_SLICE, len(self._notes))))
        self._lines += [self._form(note) for note in notes]

    def _hand_over(self, seconds: float) -> None:
        lines, self._lines = self._lines, []
        self.sink.put(lines, seconds)

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._notes)} waiting, {self.lost} lost>"


class Json:
    """One object per line. `target` is host, path and query; `client` is the address after PROXY and Forwarded."""

    def __init__(self, edge: str) -> None:
        self._quoted = json.JSONEncoder().encode  # of a text: its shortest way, seen at a third of dumps' time
        self._edge = self._quoted(edge)

    def __call__(self, note: Note) -> bytes:
        quoted = self._quoted
        line = (
            f'{{"time": {round(note.time, 3)}, "edge": {self._edge}, "client": {quoted(note.client)}, '
            f'"site": {quoted(note.site)}, "method": {quoted(note.method)}, '
            f'"target": {quoted((note.host + note.target).decode("latin-1"))}, "status": {note.status}, '
            f'"bytes": {note.size}, "outcome": "{note.outcome}", "referer": {quoted(note.referer.decode("latin-1"))}, '
            f'"agent": {quoted(note.agent.decode("latin-1"))}}}\n'
        )
        return line.encode()


class Combined:
    """Apache's and nginx's line, with times in UTC. It has no host and no outcome: `json` has. What was refused before
    it was a request has `-` in its place."""

    def __init__(self) -> None:
        self._second = -1
        self._time = b""

    def __call__(self, note: Note) -> bytes:
        if int(note.time) != self._second:
            self._second = int(note.time)
            self._time = _stamp(self._second).encode()
        return b'%s - - [%s] "%s" %d %d "%s" "%s"\n' % (
            _escaped(note.client.encode("latin-1", "replace")),
            self._time,
            _escaped(
                b"%s %s HTTP/1.1" % (note.method.encode("latin-1", "replace"), note.target) if note.method else b""
            ),
            note.status,
            note.size,
            _escaped(note.referer),
            _escaped(note.agent),
        )


def _stamp(second: int) -> str:
    """`24/Nov/2026:20:18:56 +0000`, in English whatever the locale."""
    at = time.gmtime(second)
    return f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


def _escaped(text: bytes) -> bytes:
    """As nginx has it (`escape=default`): \\xHH for what could end a field or a line, `-` for nothing."""
    if not text.translate(None, _SAFE):
        return text or b"-"
    return _UNSAFE.sub(lambda found: b"\\x%02X" % found[0][0], text)
