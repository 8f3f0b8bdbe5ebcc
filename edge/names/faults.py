"""What can come of a name besides a path.

Here live the three ends. Not here: which status they become (edge/gateway).
"""

from __future__ import annotations


class NameFault(Exception):
    """Base: the name led to nothing that can be served."""


class NameNotFound(NameFault):
    """There is no such name, and those who would know have said so: no key, no DNSLink, no record that counts."""


class NameLoop(NameFault):
    """The name leads to itself, or past HOPS other names (DNSLink gateway spec: 400)."""


class NameTrouble(NameFault):
    """Nobody who would know could be asked. Another try may work, after `retry_after` seconds (Retry-After)."""

    def __init__(self, message: str, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after
