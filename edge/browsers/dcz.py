"""dcz: one file as a difference to another (RFC 9842 §5): zstd with the old file as its dictionary.

Here lives the compression, and its parameters with what they were measured at. Pure, and run in a thread: zstd releases
the GIL. Not here: when it is done (edge/browsers/deltas), or reading the other way (browsers do; tests use zstandard).
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Final

import zstandard

from content.errors import BadNode
from edge.http.dictionary import header_of

# Measured on ten pairs of npm releases (docs/performance.md), and on sources of three.js joined to 3, 5 and 8 MiB.
# Levels are made for files without a dictionary: their tables are too small for one of megabytes. Greedy matching with
# a place in the table for each byte of the file beats level 7 in both bytes and CPU (57 to 58 kB, 25 to 38 ms). Lazy
# matching: 3 % fewer bytes for a third more CPU. Long-distance matching does not look into a dictionary.
# What a table costs is the first touch of its memory: with a place for three bytes of four 27 % less CPU, in a process
# that makes its first deltas, for 1 % more bytes; with one for two files get places that are lost.
# Greedy matching finds what its table still holds, so above 4 MiB that would be 80 MiB of tables. Two tables of hashes
# (dfast) lose single places instead of all that is far away: a fifth more bytes than with those, in 32 MiB (of 8 MiB
# 145 kB, where level 7 makes 918 kB of it).
_GREEDY: Final = {"strategy": zstandard.STRATEGY_GREEDY, "search_log": 5, "min_match": 6}
_GREEDY_LOG: Final = 22  # of a file of 4 MiB; takes 41 MiB
_LARGE: Final = {"strategy": zstandard.STRATEGY_DFAST, "min_match": 6, "hash_log": 21, "chain_log": 21}
_LEAST_LOG: Final = 10  # what zstd takes


def compress(old: bytes, new: bytes, digest: bytes) -> tuple[bytes, float]:
    """The `dcz` body of `new` for who has `old`, and the CPU seconds it took. Raises BadNode where `digest` is not the
    SHA-256 of `old`: a browser would decode something else, and has nothing to prove it by."""
    begun = time.thread_time()
    if sha256(old).digest() != digest:
        raise BadNode(f"base {digest.hex()}: its bytes have another hash")
    bits = max(_LEAST_LOG, (max(len(old), len(new)) - 1).bit_length())  # at most 23, a window every decoder has (§5)
    places = max(_LEAST_LOG, (max(len(old), len(new)) * 3 // 4).bit_length())
    tables = {**_GREEDY, "hash_log": places, "chain_log": places} if bits <= _GREEDY_LOG else _LARGE
    parameters = zstandard.ZstdCompressionParameters(window_log=bits, write_content_size=True, **tables)
    base = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    frame = zstandard.ZstdCompressor(dict_data=base, compression_params=parameters).compress(new)
    return header_of(digest) + frame, time.thread_time() - begun
