"""Frozen: the packs of an embedded store as they were at one moment, to read from and never to change.

Here lives what a backup needs beside a running origin: the packs are opened, and from then on nothing can take a byte
of them away. They are append-only, and a compaction that unlinks one leaves it to whoever holds it open. So a backup
needs no lock, no hold and no word from the origin. Not here: which blocks are wanted (origin/backup).

The end of the last pack may be a batch that is being written: what is not whole is passed over, and what was not
acknowledged yet is not named by any Head. Nothing is believed unhashed: `get` proves every block.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from content.block import Block
from content.cid import CID, IDENTITY
from content.errors import BadBlock
from origin.store.pack import Pack


def open_packs(folder: Path) -> dict[int, Pack]:
    """The packs of this folder, by inode. One that compaction takes between the look and the opening is passed over:
    what lived in it is in another one by then."""
    packs: dict[int, Pack] = {}
    for path in sorted(folder.glob("*.car")):
        with suppress(FileNotFoundError):
            pack = Pack.open(path, write=False)
            packs[pack.inode] = pack
    return packs


class Frozen:
    """Blocks of open packs."""

    def __init__(self, packs: dict[int, Pack]) -> None:
        self._index: dict[bytes, tuple[Pack, int, int]] = {}
        self._order = {pack: number for number, pack in enumerate(packs.values())}
        for pack in packs.values():
            for cid, _, offset, length in pack.sections():
                self._index[cid.store_key] = pack, offset, length  # the later one: it came because the first was broken

    def __repr__(self) -> str:
        return f"<Frozen {len(self._index)} blocks, {len(self._order)} packs>"

    def get(self, cid: CID) -> Block | None:
        if cid.hash_code == IDENTITY:
            return Block(cid, cid.digest)
        entry = self._index.get(cid.store_key)
        if entry is not None:
            pack, offset, length = entry
            with suppress(OSError, BadBlock):
                return Block(cid, pack.read(offset, length))
        return None

    def length(self, cid: CID) -> int | None:
        entry = self._index.get(cid.store_key)
        return None if entry is None else entry[2]

    def place(self, cid: CID) -> tuple[int, int]:
        """Where it lies: read in this order, a disk reads forward."""
        entry = self._index.get(cid.store_key)
        return (-1, 0) if entry is None else (self._order[entry[0]], entry[1])
