"""Parent: a small process that keeps the processes of an edge.

Here live starting them, watching, restarting one by one (SIGHUP) and ending. Not here: what it holds for them
(edge/processes/holding), their side (child). It answers nothing, and has no event loop and no thread.

    SIGHUP: for each place in turn, start another process → it is ready → the old one releases its place → GO
"""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import sys
import time
from contextlib import suppress

from edge.config import EdgeConfig
from edge.control.identity import load
from edge.http.listener import BindError
from edge.processes.board import Row
from edge.processes.folders import level, trust_in
from edge.processes.holding import Holding
from edge.processes.place import DRAIN, GO, READY_TO_GO, RELEASED, SERVING
from edge.processes.standins import StandIns
from edge.processes.started import Started
from edge.state import State, StateError

SETTLED = 10.0  # s after which one that dies is taken for one that had served well, and is started again at once
FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0  # s before one that died early is started again; doubles
READY_WITHIN = 60.0  # s for one that is to take another's place
RELEASE_WITHIN, LEAVE_WITHIN = 15.0, 30.0  # s for one whose place is taken: to release it, and to end
CLOSING = 2.0  # s beyond the drain's deadline that the processes have to close what they hold
_STOPS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOPS, signal.SIGHUP, signal.SIGCHLD)


def serve(config: EdgeConfig) -> int:
    """Run an edge of several processes until SIGINT or SIGTERM; the exit code."""
    try:
        return Parent(config).run()
    except (StateError, BindError) as error:
        print(f"edge {config.name}: {error}", file=sys.stderr)
        return 1


class Parent:
    """The processes of one edge, by index."""

    def __init__(self, config: EdgeConfig) -> None:
        self.config = config
        self._state = State(config.state)
        self._selector = selectors.DefaultSelector()
        self._serving: list[Started | None] = [None] * config.processes
        self._rows = [2 * index for index in range(config.processes)]  # of who has the place, or had it last
        self._coming: Started | None = None  # takes the place of another, when that one has released it
        self._leaving: list[Started] = []
        self._turns: list[int] = []  # still to be restarted
        self._again: dict[int, float] = {}  # index → when it is started again
        self._stand_ins = StandIns()
        self._pauses = [0.0] * config.processes
        self._announced = self._stopping = False
        self._code = 0

    def run(self) -> int:
        """Serve until told to stop. Raises StateError, BindError."""
        config = self.config
        self._state.open()
        try:
            level(config.state, config.processes, trust_in(config.state, config.catalog).sequence_of)
            load(config.state, config.name)  # the edge's key: made by one, or each would make its own
            self._holding = Holding(config)
        except OSError as error:
            self._state.close()
            raise StateError(f"state folder {config.state}: {error.strerror or error}") from error
        except BindError:
            self._state.close()
            raise
        try:
            self._watch_signals()
            for index in range(config.processes):
                self._serving[index] = self._start(index, self._rows[index])
            while not self._stopping:
                self._turn()
            return self._code
        finally:
            self._end()
            self._holding.close()
            self._state.close()

    def _watch_signals(self) -> None:
        """Signals become bytes in a pipe, so that nothing runs between two steps."""
        self._pipe, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._pipe, selectors.EVENT_READ)

    # One turn.

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if key.fd == self._pipe:
                self._take_signals()
            else:
                self._hear(key.data)
        now = time.monotonic()
        for index in [index for index, at in self._again.items() if at <= now]:
            del self._again[index]
            self._serving[index] = self._start(index, self._rows[index])
        for one in self._all():
            if one.deadline <= now:
                one.kill()
        self._restart()
        self._stand_ins.see_to(self._serving)

    def _patience(self) -> float | None:
        """Seconds until there is something to do of our own accord."""
        due = min([*self._again.values(), *(one.deadline for one in self._all())], default=math.inf)
        return None if due == math.inf else max(0.0, due - time.monotonic())

    def _take_signals(self) -> None:
        for number in os.read(self._pipe, 4096):
            if number in _STOPS:
                self._stopping = True
            elif number == signal.SIGHUP and self._announced and not self._turns:
                self._turns = list(range(self.config.processes))
        for one in self._all():
            if one.has_ended:
                self._bury(one)

    def _hear(self, one: Started) -> None:
        if not one.hear():
            self._selector.unregister(one.channel)  # it is about to be gone, which a signal tells
            return
        if READY_TO_GO in one.said and one is not self._coming:
            one.tell(GO)
        if not self._announced and self._all_serve():
            self._announced = True
            self._announce()

    def _announce(self) -> None:
        config, held = self.config, self._holding
        line = {"name": config.name, "public": held.public_url, "private": held.private_url, "pid": os.getpid()}
        words = f"edge {config.name} serves on {held.public_url} (private: {held.private_url})"
        with suppress(OSError):  # whoever started us may have gone; the edge serves all the same
            print(json.dumps(line) if config.json else words, flush=True)

    # Starting, and one taking another's place.

    def _start(self, index: int, row: int) -> Started:
        one = Started(self._holding, index, row)
        self._selector.register(one.channel, selectors.EVENT_READ, one)
        return one

    def _restart(self) -> None:
        """The next step of a restart, if it is time for one."""
        coming = self._coming
        if coming is None:
            if self._turns and self._all_serve():
                index = self._turns.pop(0)
                self._coming = self._start(index, self._rows[index] ^ 1)
                self._coming.expect_within(READY_WITHIN)
        elif READY_TO_GO not in coming.said:
            return
        elif (old := self._serving[coming.index]) is None:
            self._holding.board.hand_over(self._rows[coming.index], coming.row)
            self._let_go(coming)
        elif RELEASED in old.said:
            self._leaving.append(old)
            old.expect_within(LEAVE_WITHIN)
            self._let_go(coming)
        elif DRAIN not in old.told:
            old.tell(DRAIN)
            old.expect_within(RELEASE_WITHIN)

    def _let_go(self, coming: Started) -> None:
        self._serving[coming.index], self._rows[coming.index] = coming, coming.row
        self._again.pop(coming.index, None)
        self._coming = None
        coming.expect_within(math.inf)
        coming.tell(GO)

    def _all(self) -> list[Started]:
        return [one for one in (*self._serving, self._coming, *self._leaving) if one is not None]

    def _all_serve(self) -> bool:
        return all(one is not None and SERVING in one.said for one in self._serving)

    # Ending.

    def _bury(self, one: Started) -> None:
        one.hear()
        if RELEASED in one.said:
            self._restart()  # its place is free: who waits for it goes first
        with suppress(KeyError, ValueError):
            self._selector.unregister(one.channel)
        one.close()
        if one in self._leaving:
            self._leaving.remove(one)
            self._holding.board.put(one.row, Row())
        elif one is self._coming:
            self._coming, self._turns = None, []
            self._say(one, "before it could take its place; the others go on as they are")
            if self._serving[one.index] is None:
                self._again[one.index] = time.monotonic()
        elif self._announced:
            self._lose(one)
        else:  # the first start failed, and it has said why
            self._serving[one.index] = None
            self._code, self._stopping = max(1, one.code), True

    def _lose(self, one: Started) -> None:
        """It was not to end. Its row stays: the edge says nothing that its successor cannot say."""
        self._serving[one.index] = None
        settled = time.monotonic() - one.begun > SETTLED
        pause = 0.0 if settled else min(LAST_PAUSE, max(FIRST_PAUSE, 2 * self._pauses[one.index]))
        self._pauses[one.index] = pause
        self._holding.board.count_restart()
        self._say(one, f"and is started again{f' in {pause:g} s' if pause else ''}")
        if self._coming is None or self._coming.index != one.index:
            self._again[one.index] = time.monotonic() + pause
        self._stand_ins.lost(one.index)

    def _end(self) -> None:
        """SIGTERM to all, again for each that comes here meanwhile, and SIGKILL to those that have not gone in time. On
        return none is left."""
        deadline = time.monotonic() + self.config.drain_deadline + CLOSING
        self._end_all()
        while any(not one.has_ended for one in self._all()) and time.monotonic() < deadline:
            for key, _ in self._selector.select(max(0.0, deadline - time.monotonic())):
                if key.fd != self._pipe:
                    self._selector.unregister(key.fileobj)  # it has nothing to say that would matter now
                elif not set(_STOPS).isdisjoint(os.read(self._pipe, 4096)):
                    self._end_all()
        for one in self._all():
            one.wait(0.0)
            one.close()
        signal.set_wakeup_fd(-1)

    def _end_all(self) -> None:
        for one in self._all():
            one.end()

    def _say(self, one: Started, what: str) -> None:
        how = f"was killed by signal {-one.code}" if one.code < 0 else f"ended with exit code {one.code}"
        words = f"edge {self.config.name}: process {one.index} (pid {one.pid}) {how} {what}"
        with suppress(OSError):
            print(words, file=sys.stderr, flush=True)
