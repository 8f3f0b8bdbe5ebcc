"""Child processes of `rim up`: started, waited for until they are ready, watched, ended.

Here lives how a process is held on to. Not here: which processes there are and what they are told (rim/dev).

Each child is in a process group of its own, so Ctrl-C reaches the parent alone, which ends them in order; and each asks
the kernel to be ended when the parent is gone (rim/cli), so even `kill -9` leaves nobody behind.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rim.exits import Failed

_READY_SECONDS = 60.0
_END_SECONDS = 10.0
_LOG_TAIL = 2_000


class Child:
    """One process. Its first line on stdout is JSON and says that it is ready; its stderr goes to a log file."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        self.ended = False  # we ended it, or are about to
        with open(log, "wb") as stderr:
            self.process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-P", "-m", "rim", *arguments],  # -P: a folder here may be named "content"
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "RIM_PARENT": str(os.getpid())},
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> dict[str, Any]:
        """Wait for its line. Raises Failed with what it said on stderr."""
        assert self.process.stdout is not None
        end = time.monotonic() + _READY_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self.process.stdout.fileno(), 65_536) if readable else b""
            if not part:
                raise self._not_ready(bool(readable))
            line += part
        try:
            value = json.loads(line)
        except ValueError as error:
            raise self._not_ready(True) from error
        return dict(value)

    def watch(self, tell: Callable[[Child, int], None]) -> None:
        """Call `tell` with its status when it ends without our asking."""

        def wait() -> None:
            status = self.process.wait()
            if not self.ended:
                tell(self, status)

        threading.Thread(target=wait, name=f"watch {self.name}", daemon=True).start()

    def _not_ready(self, ended: bool) -> Failed:
        try:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
        except OSError:
            said = ""
        what = "ended at once" if ended else f"was not ready within {_READY_SECONDS:.0f} s"
        return Failed(f"{self.name} {what}" + (f": {said}" if said else ""), f"its log is {self._log}")


def end(children: Sequence[Child]) -> None:
    """SIGTERM to all, and SIGKILL to those that have not gone after 10 s. On return none is left."""
    for child in children:
        child.ended = True
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    for child in children:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        if child.process.stdout is not None:
            child.process.stdout.close()
