"""Counters: what the origin counts, as plain numbers.

Here live the numbers that handlers raise. origin/metrics renders them; nothing reads them to decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Since start."""

    blocks_sent: dict[str, int] = field(default_factory=lambda: {"content": 0, "control": 0})
    bytes_sent: dict[str, int] = field(default_factory=lambda: {"content": 0, "control": 0})
    blocks_received: int = 0
    bytes_received: int = 0
    refused: dict[str, int] = field(default_factory=dict)  # error code → how often
    collections: int = 0
    collected_blocks: int = 0
    collected_bytes: int = 0

    def sent(self, control: bool, size: int) -> None:
        kind = "control" if control else "content"
        self.blocks_sent[kind] += 1
        self.bytes_sent[kind] += size

    def refuse(self, code: str) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1
