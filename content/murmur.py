"""MurmurHash3 x64, the first 64 bits: where a name stands in a UnixFS HAMT directory (UnixFS spec, multicodec 0x22).

Here lives only the hash: not cryptographic, so it places entries and proves nothing. Own code, because the wheels
that have it are compiled extensions with a history of missing builds, and a directory large enough to need it is rare.
"""

from __future__ import annotations

from struct import unpack_from

MURMUR3_X64_64 = 0x22  # the only hash type a HAMT may state (UnixFS spec)

_MASK = 0xFFFFFFFFFFFFFFFF
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F


def murmur3(data: bytes) -> int:
    """The hash as an integer; its highest bits choose the slot of the highest shard (boxo writes it big-endian)."""
    h1 = h2 = 0
    length = len(data)
    body = length & ~15
    for at in range(0, body, 16):
        k1, k2 = unpack_from("<QQ", data, at)
        h1 ^= _mix1(k1)
        h1 = ((h1 << 27 | h1 >> 37) + h2 & _MASK) * 5 + 0x52DCE729 & _MASK
        h2 ^= _mix2(k2)
        h2 = ((h2 << 31 | h2 >> 33) + h1 & _MASK) * 5 + 0x38495AB5 & _MASK
    if length > body:  # a tail of zeros mixes to zero, so a short one needs no case of its own
        h1 ^= _mix1(int.from_bytes(data[body : body + 8], "little"))
        h2 ^= _mix2(int.from_bytes(data[body + 8 :], "little"))
    h1 ^= length
    h2 ^= length
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return _final(h1) + _final(h2) & _MASK


def _mix1(k: int) -> int:
    k = k * _C1 & _MASK
    return (k << 31 | k >> 33) * _C2 & _MASK


def _mix2(k: int) -> int:
    k = k * _C2 & _MASK
    return (k << 33 | k >> 31) * _C1 & _MASK


def _final(k: int) -> int:
    k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD & _MASK
    k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return k ^ k >> 33
