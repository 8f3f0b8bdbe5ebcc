"""Started: one process of an edge, as its parent sees it.

Here live its start, the words it said, and its end. Not here: when these come (edge/processes/parent).
"""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress

from edge.processes.holding import Holding


class Started:
    """A running process: the command of this one anew, with a place in its environment.

    Road not taken: fork. It starts faster, but a process that is to take up new code and new settings must read them.
    """

    def __init__(self, holding: Holding, index: int, row: int) -> None:
        self.index, self.row = index, row
        self.begun = time.monotonic()
        self.deadline = math.inf  # when its parent's patience ends, of the monotonic clock
        self.said: set[bytes] = set()
        self.told: set[bytes] = set()
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        with theirs:
            place = holding.place(index, row, theirs.fileno())
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, *sys.orig_argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **place.to_env()},
                pass_fds=place.descriptors,
                process_group=0,  # a Ctrl-C is for the parent, which ends its processes
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def code(self) -> int:
        """The exit code, negative for a signal; of one that has ended."""
        return self._process.returncode

    def hear(self) -> bool:
        """Take what it said; False when it will say no more."""
        try:
            words = self.channel.recv(64)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.said.update(bytes([word]) for word in words)
        return bool(words)

    def tell(self, word: bytes) -> None:
        """Say a word to it that is said once."""
        if word not in self.told:
            self.told.add(word)
            self.say(word)

    def say(self, word: bytes) -> None:
        """Say a word to it."""
        with suppress(OSError):  # it is gone, which a signal tells
            self.channel.send(word)

    def end(self) -> None:
        """Ask it to finish what is under way, and to end."""
        self._process.terminate()

    def expect_within(self, seconds: float) -> None:
        """Something is awaited of it, for so long."""
        self.deadline = time.monotonic() + seconds

    def kill(self) -> None:
        self.deadline = math.inf
        self._process.kill()

    def wait(self, seconds: float) -> None:
        """Until it is gone, by force after so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.channel.close()
