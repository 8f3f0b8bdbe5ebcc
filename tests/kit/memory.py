"""How much memory a process has taken at most, as the kernel counted it."""

from __future__ import annotations

from pathlib import Path

from tests.kit.nodes import Process

MiB = 1 << 20


def peak(node: Process) -> int:
    """The most bytes that were ever resident (VmHWM)."""
    assert node.process is not None
    return peak_of(node.process.pid)


def peak_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
