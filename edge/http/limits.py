"""Limits: what one connection may cost, as named values.

Here lives nothing but them. Each is tested at its value and one past it (tests/edge/http/test_protocol.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost. Sizes in bytes, times in seconds."""

    head: int = 16 * 1024  # target, field names and values; nginx's and h11's are of this order
    fields: int = 100
    target: int = 8 * 1024
    pipelined: int = 16  # requests waiting behind one that is being answered
    idle: float = 75.0  # above the 60 s that proxies keep their upstream connections, or they would meet a closed one
    head_time: float = 10.0
    write_stall: float = 30.0  # no byte taken by the client: boxo's figure
    linger: float = 2.0  # a client is heard out behind its last answer


LIMITS = Limits()
