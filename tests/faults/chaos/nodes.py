"""Processes of the run: origin, edges, publishers, each a real one that may be killed, stopped and started again.

Here lives a server that has loaded Rim once and forks for every start, which then costs a tenth of a second and not a
second of imports (a run has dozens of starts); what runs then is the `rim` command, with its arguments and its
environment. `anew` starts it from the interpreter on, where the environment has to (libfaketime). Not here: what they
are told (ring), when they die (faults).

All end with this process, however it ends: the kernel kills a child whose parent is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

# What is loaded before the fork. Not rim.publisher, rim.client or rim.steps: they read the environment as they load.
_PRELOAD = ["tests.faults.chaos.nodes", "edge.node", "edge.serving", "edge.processes.start", "origin.node", "typer",
            "rim.commands.serve", "rim.cli", "libipld", "brotli", "zstandard"]  # fmt: skip
_PDEATHSIG = 1
_context: ForkServerContext | None = None


def server() -> ForkServerContext:
    """The one that forks, started when first asked for."""
    global _context
    if _context is None:
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload(_PRELOAD)
    return _context


def _tell_tasks(*_: object) -> None:
    """Where every task of the loop waits, to stderr."""
    for task in asyncio.all_tasks():
        task.print_stack(limit=4, file=sys.stderr)
    sys.stderr.flush()


def _child(arguments: list[str], env: dict[str, str], out: str, errors: str, anew: bool) -> None:
    """In the child: `rim ARGUMENTS`."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    for descriptor, path in ((1, out), (2, errors)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    signal.signal(signal.SIGUSR2, _tell_tasks)
    os.setsid()  # Ctrl-C at the terminal is for who runs this, and ends the children in order
    os.environ.update(env)
    if anew:
        os.execv(sys.executable, [sys.executable, "-m", "rim", *arguments])
    sys.argv = ["rim", *arguments]
    from rim.__main__ import main

    try:
        main()
    finally:
        sys.stdout.flush()


@dataclass
class Node:
    """One node, at a fixed address; `life` counts its starts, and is what an answer is booked under."""

    name: str
    folder: Path  # its state; what it prints lies beside
    arguments: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    life: int = 0
    started: float = 0.0
    process: ForkServerProcess | None = None
    stopped: bool = False
    anew: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # whoever ends it also brings it back
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        assert self.process is not None
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.exitcode is None

    @property
    def errors(self) -> Path:
        return self.folder.with_suffix(".log")

    async def start(self, seconds: float = 60.0, anew: bool = False, env: Mapping[str, str] | None = None) -> None:
        """Start it, and wait for the line that says it is ready. Raises RuntimeError when it does not become so."""
        out = self.folder.parent / f"{self.name}.{self.life}.out"
        self.process = spawn(self.arguments, {**self.env, **(env or {})}, out, self.errors, anew)
        self.life, self.stopped, self.anew, self.started = self.life + 1, False, anew, time.monotonic()
        end = time.monotonic() + seconds
        while not (line := _first_line(out)):
            if not self.alive or time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not become ready: {_tail(self.errors)}")
            await asyncio.sleep(0.01)
        self.ready = json.loads(line)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
        await self.gone(10)

    async def end(self, seconds: float = 20.0) -> None:
        """SIGTERM, and wait until it is gone. Raises RuntimeError when it stays."""
        if self.alive:
            self.resume()
            os.kill(self.pid, signal.SIGTERM)
        if not await self.gone(seconds):
            await self.kill()
            raise RuntimeError(f"{self.name} did not end within {seconds} s of its SIGTERM")

    async def gone(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.alive and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return not self.alive

    def tell(self) -> None:
        """Have it write into its log where its tasks wait: for who has to find out why it does not go on."""
        if self.alive and not self.anew:
            os.kill(self.pid, signal.SIGUSR2)

    def pause(self) -> None:
        if self.alive:
            self.stopped = True
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.alive and self.stopped:
            os.kill(self.pid, signal.SIGCONT)
        self.stopped = False


def spawn(
    arguments: list[str], env: Mapping[str, str], out: Path, errors: Path, anew: bool = False
) -> ForkServerProcess:
    """Start `rim ARGUMENTS`, its stdout and stderr to these files."""
    process = server().Process(target=_child, args=(arguments, dict(env), str(out), str(errors), anew), daemon=True)
    process.start()
    return process


def _first_line(path: Path) -> str:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return ""
    return text.partition("\n")[0] if "\n" in text else ""


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:] if path.exists() else ""
