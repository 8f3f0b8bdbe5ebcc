"""Stored: the Head as it lies on this edge's disk, and the keys it believes.

The disk is a cache's, so it may be full at any time, and yet a new Head must be stored before it is acknowledged. So a
file of zeros, `reserve`, holds a place that is given up when there is no other, and taken again from what the old Head
leaves.

Here live `control.car` (record, Catalog and every control block but Indexes: enough to answer for every site before
speaking to anyone; and which purges are still owed), `head` (the record alone: what remains of the sequence should the
CAR be lost) and `trusted`. Not here: whether a Head is to be believed (edge/control/judging), or the folder itself
(edge/state).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from content import car
from content.block import Block
from content.cbor import decode, encode, link, typed
from content.cid import CID, RAW
from content.errors import ContentError
from content.ipns import key_of
from content.limits import MiB
from edge.cache.steps import step
from edge.control.trust import Handover
from edge.state import replace_file, replace_files

CONTROL, HEAD, TRUSTED, RESERVE = "control.car", "head", "trusted", "reserve"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class StoredHead:
    """A record's bytes, the Catalog it names, and the control blocks below that. Not verified against any key yet.

    `owed`: the Site block, as it was before, of each site that has a purge which this edge has not carried out.
    """

    record: bytes
    catalog: CID
    blocks: tuple[Block, ...]
    owed: tuple[Block, ...] = ()

    def to_car(self) -> bytes:
        """What is owed comes below a third root: an older Rim that finds one begins without a Head, and not with one
        whose purges it takes for done. (The Head that it is given next it gives a receipt for, as any Rim of then that
        lost its file: what was owed may lie on its disk still.)"""
        record = Block.make(RAW, self.record)
        owed: tuple[Block, ...] = ()
        if self.owed:
            owed = (encode({"kind": "owed", "v": 1, "sites": [block.cid for block in self.owed]}), *self.owed)
        roots = (record.cid, self.catalog, *(block.cid for block in owed[:1]))
        blocks = {block.cid: block for block in (record, *self.blocks, *owed)}
        return car.write(roots, tuple(blocks.values()))

    @classmethod
    def from_blocks(cls, roots: tuple[CID, ...] | None, blocks: Iterable[Block]) -> StoredHead:
        """From a CAR's roots and blocks, the origin's as well as ours. Raises ContentError."""
        if roots is None or len(roots) not in (2, 3) or roots[0].codec != RAW or not roots[1].is_control:
            raise ContentError("a Head's CAR has two roots: the record and the Catalog; and a third where it owes")
        by_cid = {block.cid: block for block in blocks}
        if roots[0] not in by_cid:
            raise ContentError("a Head's CAR without its record")
        rest = tuple(block for cid, block in by_cid.items() if cid != roots[0])
        return cls(by_cid[roots[0]].data, roots[1], rest, _owed(roots[2], by_cid) if roots[2:] else ())


def _owed(named: CID, blocks: Mapping[CID, Block]) -> tuple[Block, ...]:
    try:
        sites = typed(decode(blocks[named].data, "owed").get("sites"), list, "sites")
        return tuple(blocks[link(site)] for site in sites)
    except KeyError as error:
        raise ContentError("a Head's CAR without what it owes") from error


class HeadStore:
    """The three files. Writing raises OSError; reading gives None for what is not there or not whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, head: StoredHead) -> None:
        """Durable on return: after this the edge may serve it."""
        packed = head.to_car()
        try:
            self._write(packed, head.record)
        except OSError as error:
            if error.errno not in _NO_SPACE or not self._give_up_reserve():
                raise
            self._write(packed, head.record)
        finally:
            self._keep_reserve(len(packed) + len(head.record))

    def _write(self, packed: bytes, record: bytes) -> None:
        """The CAR first: who is killed in between starts on the new Head, or, where the file system turns names in
        another order, on the old one, and takes none below the new."""
        replace_files(self._folder, {CONTROL: packed, HEAD: record}, _placed)

    def _give_up_reserve(self) -> bool:
        try:
            (self._folder / RESERVE).unlink()
        except OSError:
            return False
        return True

    def _keep_reserve(self, size: int) -> None:
        """Hold room for a Head half again as large as this one, if the disk has it."""
        wanted, path = max(MiB, size + size // 2), self._folder / RESERVE
        with suppress(OSError):
            if path.stat().st_size >= wanted:
                return
        with suppress(OSError), open(path, "ab") as file:
            os.posix_fallocate(file.fileno(), 0, wanted)

    def load(self) -> StoredHead | None:
        data = self._read(CONTROL)
        if data is None:
            return None
        try:
            return StoredHead.from_blocks(*car.read(data))
        except ContentError:
            return None

    def record(self) -> bytes | None:
        """The last record stored, should `load` have nothing."""
        return self._read(HEAD)

    def trust(self, handovers: Iterable[Handover]) -> None:
        """Keep which keys have handed over to which: a line each, OLD NEW SEQUENCE."""
        lines = (f"{kept.old} {kept.new} {kept.sequence}".strip() for kept in handovers)
        replace_file(self._folder / TRUSTED, "".join(f"{line}\n" for line in lines).encode())

    def trusted(self) -> tuple[Handover, ...]:
        text = (self._read(TRUSTED) or b"").decode("ascii", "replace")
        return tuple(kept for kept in map(_handover, text.splitlines()) if kept is not None)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            return None


class Unkept(HeadStore):
    """Keeps nothing: of a process whose place another one has by now. Who has the folder keeps the same Heads."""

    def save(self, head: StoredHead) -> None:
        return

    def trust(self, handovers: Iterable[Handover]) -> None:
        return


def _placed(name: str) -> None:
    step("control stored" if name == CONTROL else "head stored")


def _handover(line: str) -> Handover | None:
    """A line of `trusted`. One name alone is a successor, as an earlier Rim wrote it."""
    names = [word for word in line.split() if _is_name(word)]
    last = line.split()[-1:]
    sequence = int(last[0]) if last and last[0].isascii() and last[0].isdigit() else 0
    match names:
        case [new]:
            return Handover("", new, 0)
        case [old, new]:
            return Handover(old, new, sequence)
        case _:
            return None


def _is_name(text: str) -> bool:
    try:
        key_of(text)
    except ContentError:
        return False
    return True
