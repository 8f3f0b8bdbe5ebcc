"""Sheet: a block's bytes a second time, in sealed memory of the kernel's, to be sent from there without copying.

Here lives one memfd. Not here: when a block gets one (edge/cache/memory counts it), or the sending (edge/http/pour).

This is no mapping of a file: it lies in memory alone, holds what was verified when it was made, and its seals let
nobody write to it again, us included. So what goes out is what was proved, also while a slow client's socket holds on
to pages whose block has left the tier long ago (docs/decisions/0010).
"""

from __future__ import annotations

import fcntl
import os

SMALLEST = 256 * 1024  # bytes; below, what a copy costs is not worth the same bytes twice and a descriptor
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, _SHRINK, _GROW, _WRITE (memfd_create(2))
_ADD_SEALS = 1033  # F_ADD_SEALS
IS_THERE = hasattr(os, "memfd_create") and hasattr(os, "sendfile")


class Sheet:
    """Close it when its block goes."""

    __slots__ = ("fd", "size")

    def __init__(self, data: bytes) -> None:
        """Raises OSError where there are no more descriptors, or no memory."""
        self.size = len(data)
        self.fd = os.memfd_create("rim-block", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.fd, view) :]
            fcntl.fcntl(self.fd, _ADD_SEALS, _SEALS)
        except OSError:
            os.close(self.fd)
            raise

    def send(self, to: int, start: int, size: int) -> int:
        """Bytes that a socket took of those from `start` on; 0: it is full. Raises OSError where it is broken."""
        try:
            return os.sendfile(to, self.fd, start, size)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self.fd)
