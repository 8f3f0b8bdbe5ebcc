"""What plays of names share: keys with records, and clocks that move when told.

Not here: the DNS server (tests/kit/dns).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns
from content.cid import CID, RAW

T = TypeVar("T")
HOUR = 3600.0


def path(text: str) -> str:
    """A content path whose content is this text."""
    return f"/ipfs/{CID.of(RAW, text.encode())}"


@dataclass
class Key:
    """A key that signs."""

    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def name(self) -> str:
        return ipns.name_of(self.private.public_key())

    def sign(self, value: str, sequence: int = 1, left: float = HOUR, ttl: float = 60.0, **extra: str) -> bytes:
        """A record that ends in `left` seconds."""
        return ipns.create(self.private, value, sequence, time.time() + left, ttl, extra)


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Asked:
    """A source, DNS or a router's answers, that is counted and can be held, replaced, or made to fail."""

    answer: Any
    times: int = 0
    gate: asyncio.Event | None = None

    async def __call__(self, name: str) -> Any:
        self.times += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def run(play: Callable[[], Coroutine[Any, Any, T]] | Callable[[], Awaitable[T]]) -> T:
    """On the loop that `rim edge` runs on."""

    async def main() -> T:
        async with asyncio.timeout(60):
            return await play()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
