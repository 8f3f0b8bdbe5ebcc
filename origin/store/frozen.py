"""Frozen: the packs of an embedded store as they were at one moment, to read from and never to change.

Here lives what a backup needs beside a running origin: the packs are opened, and from then on nothing can take a byte
of them away. They are append-only, and a compaction that unlinks one leaves it to whoever holds it open. So a backup
needs no lock, no hold and no word from the origin. Not here: which blocks are wanted (origin/backup).

The end of the last pack may be a batch that is being written: what is not whole is passed over, and what was not
acknowledged yet is not named by any Head. Nothing is believed unhashed: `get` proves every block.

Where Kubo keeps the blocks of releases, those without links are only there (store/kubo/keeping). Kubo may collect one
while we read; then it is lacking, and the backup looks again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from content.block import Block
from content.cid import CID, IDENTITY
from content.errors import BadBlock, LimitExceeded
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

    readers = 1  # threads that may read at once to advantage

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

    def length(self, cid: CID) -> int:
        """Of its bytes; 0 where nobody knows."""
        entry = self._index.get(cid.store_key)
        return 0 if entry is None else entry[2]

    def place(self, cid: CID) -> tuple[int, int]:
        """Where it lies: read in this order, a disk reads forward."""
        entry = self._index.get(cid.store_key)
        return (-1, 0) if entry is None else (self._order[entry[0]], entry[1])

    def close(self) -> None:
        """The packs close when nobody has them."""


class Kubo(Protocol):
    """What is needed of store/kubo/rpc."""

    def block(self, cid: CID) -> bytes | None: ...

    def close(self) -> None: ...


class BesideKubo(Frozen):
    """Blocks of open packs, and of a Kubo where those have not got them."""

    readers = 8  # each waits for an answer over HTTP

    def __init__(self, packs: dict[int, Pack], kubo: Kubo) -> None:
        super().__init__(packs)
        self._kubo = kubo

    def get(self, cid: CID) -> Block | None:
        block = super().get(cid)
        if block is None and (data := self._kubo.block(cid)) is not None:
            with suppress(BadBlock, LimitExceeded):
                return Block(cid, data)
        return block

    def close(self) -> None:
        self._kubo.close()
