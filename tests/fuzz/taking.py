"""Taking: an input as a run of choices, so that a mutated byte is another choice and every input means something.

Not atheris' FuzzedDataProvider: a corpus must be replayed where atheris is not installed.
"""

from __future__ import annotations

from zlib import crc32


class Taking:
    """Takes from the front; past the end everything is zero."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        at = self._at
        self._at = at + 1
        return self._data[at] if at < len(self._data) else 0

    def number(self, width: int) -> int:
        return int.from_bytes(self.bytes(width), "big")

    def bytes(self, length: int) -> bytes:
        """Up to so many bytes."""
        found = self._data[self._at : self._at + length]
        self._at += length
        return found

    def short(self) -> bytes:
        """A length byte and as many bytes."""
        return self.bytes(self.byte())

    def rest(self) -> bytes:
        found = self._data[self._at :]
        self._at = len(self._data)
        return found


def dice(data: bytes) -> int:
    """A number that is the input's own: the same choice when it is replayed."""
    return crc32(data)
