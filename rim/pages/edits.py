"""Edits: bytes that are inserted into a page on its way, and a published file's bytes with them.

Here lives inserting, and the reading of a part of a file as it is published. Not here: what is inserted and why
(rim/pages/rewriting), or reading a file as it lies there (rim/reading). Nothing is ever replaced or taken out, so what
a publish did to a page can be seen by leaving the insertions away.
"""

from __future__ import annotations

from typing import TypeAlias

from rim.reading import read_part
from rim.scan import File

Edits: TypeAlias = tuple[tuple[int, bytes], ...]  # place in the folder's bytes, ascending, and what comes there


def applied(data: bytes, edits: Edits) -> bytes:
    """These bytes with all insertions."""
    parts, last = [], 0
    for at, insertion in edits:
        parts += [data[last:at], insertion]
        last = at
    return b"".join([*parts, data[last:]])


def part_of(folder: str, file: File, offset: int, length: int) -> bytes:
    """Some bytes of a file as it is published. Raises Changed or Usage, as read_part does."""
    if not file.edits:
        return read_part(folder, file.path, file.stat, offset, length)
    whole = applied(read_part(folder, file.path, file.stat, 0, file.stat[0]), file.edits)
    return whole[offset : offset + length]
