"""What a process weighs: descriptors, threads, memory, tasks, connections; and whether that is as it was.

Here lives the reading of /proc and of a node's own numbers. Not here: when to look (audit).
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MiB = 1 << 20
_CLOSE_WAIT, _LISTEN = "08", "0A"
_SHEET = "/memfd:rim-block"
# What a busy day leaves behind without being a leak: connections that nodes keep for their next questions (closed when
# idle for half a minute), threads of pools, SQLite, memory up to the budget with some slack of the allocator.
FILES, SHEETS, SOCKETS, THREADS, TASKS, MEMORY = 8, 64, 250, 24, 40, 160 * MiB


@dataclass(frozen=True, slots=True)
class Weight:
    """Of one process, at one moment."""

    files: int  # descriptors that are no sockets, nor sheets
    sheets: int  # blocks in memory that have a descriptor: as many as were read again
    sockets: int
    half_open: int  # sockets whose other end has gone, and that nobody closed
    visitors: int  # connections of visitors, by its own count
    tasks: int  # of its event loop, by its own count; 0 where it does not say
    threads: int
    memory: int  # bytes resident

    def is_like(self, before: Weight) -> bool:
        """Whether nothing of it has grown as a leak would."""
        return (
            self.files <= before.files + FILES
            and self.sheets <= before.sheets + SHEETS
            and self.sockets <= before.sockets + SOCKETS
            and self.half_open <= before.half_open
            and self.visitors == 0
            and self.tasks <= before.tasks + TASKS
            and self.threads <= before.threads + THREADS
            and self.memory <= before.memory + MEMORY
        )


def weigh(pid: int, port: int, numbers: Mapping[str, float]) -> Weight:
    """The weight of a node now, with what it says of itself."""
    links = [link for link in _links(pid) if link]
    sheets = sum(link.startswith(_SHEET) for link in links)
    sockets = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:")}
    states = [state for inode, state in _states().items() if inode in sockets]
    status = dict(line.partition(":")[::2] for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Weight(
        files=len(links) - len(sockets) - sheets,
        sheets=sheets,
        sockets=len(sockets),
        half_open=states.count(_CLOSE_WAIT),
        visitors=int(numbers.get("rim_connections", 0)),
        tasks=int(numbers.get("rim_tasks", 0)),
        threads=int(status["Threads"]),
        memory=int(status["VmRSS"].split()[0]) * 1024,
    )


def named(pid: int) -> str:
    """What the descriptors that are no sockets are open on, most first; for who looks for the one too many."""
    names = Counter(Path(link).name for link in _links(pid) if link and not link.startswith("socket:"))
    return ", ".join(f"{count} {name}" for name, count in names.most_common())


def _links(pid: int) -> list[str]:
    found: list[str] = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def _states() -> dict[str, str]:
    """TCP sockets of this machine: inode → state."""
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[9]: line[3] for line in lines}
