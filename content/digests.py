"""Digests: a great many SHA-256 digests, each with a small number beside it, in little more than their own bytes.

Here lives that one map. Not here: what the numbers mean (content/denylist).

A million take 56 B each here (seen, of resident memory); a set of bytes takes 130. Digests are dealt to 65,536 buckets
by their first two bytes; a bucket is the rest of each, one after another, and is searched as bytes are. Nothing is
sorted, so a list can be read a slice at a time and no step takes long. Roads not taken: one sorted array, which takes
32 B, but must be sorted in one go (1 s for a million) or in another process; bytearrays, which grow ahead of what they
hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from content.limits import DENYLIST_ALIKE, check

DIGEST = 32
NUMBERS = 1 << 16  # how many different numbers there are
_ROW = DIGEST  # the digest without its first two bytes, which say the bucket; then the number


class Digests:
    """digest → number. The last number put with a digest is its."""

    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets: dict[bytes, bytes] = {}
        self._count = 0

    def put(self, digests: Iterable[bytes], number: int) -> None:
        """Add digests of 32 bytes, or change their number. Raises LimitExceeded: hashes are dealt evenly, and a list
        whose are not would have us search one bucket of millions."""
        buckets, tail, come = self._buckets, number.to_bytes(2, "big"), 0
        for digest in digests:
            key, rest = digest[:2], digest[2:]
            bucket = buckets.get(key, b"")
            if (at := bucket.find(rest)) >= 0 and (at := _whole(bucket, rest, at)) >= 0:
                buckets[key] = bucket[: at + len(rest)] + tail + bucket[at + _ROW :]
            else:
                check("hashes of a denylist that begin alike", len(bucket) // _ROW + 1, DENYLIST_ALIKE)
                buckets[key] = bucket + rest + tail
                come += 1
        self._count += come

    def get(self, digest: bytes) -> int | None:
        """The number of a digest; None where it is not there."""
        bucket, rest = self._buckets.get(digest[:2], b""), digest[2:]
        at = bucket.find(rest)
        if at < 0 or (at := _whole(bucket, rest, at)) < 0:
            return None
        return int.from_bytes(bucket[at + len(rest) : at + _ROW], "big")

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<Digests {self._count}>"


def _whole(bucket: bytes, rest: bytes, at: int) -> int:
    """Where, from here on, a row begins with this; -1: nowhere, it was found across two rows."""
    while at >= 0 and at % _ROW:
        at = bucket.find(rest, at + 1)
    return at
