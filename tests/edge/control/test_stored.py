"""The Head on an edge's disk: what is there after a kill, and on a disk that is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from content import car
from content.block import Block
from content.catalog import Site
from content.cid import DAG_CBOR, RAW
from content.errors import ContentError
from content.limits import MiB
from edge.control.stored import CONTROL, HEAD, RESERVE, HeadStore, StoredHead
from tests.kit import disks

SAVER = """
import sys
from pathlib import Path
from tests.edge.control.test_stored import head_of
from edge.control.stored import HeadStore
HeadStore(Path(sys.argv[1])).save(head_of(b"new"))
"""


def head_of(record: bytes, size: int = 1) -> StoredHead:
    """What a store takes for a Head, of so many blocks of 1 MiB: whether it is to be believed is not asked there."""
    catalog = Block.make(DAG_CBOR, b"\xa0")
    return StoredHead(record, catalog.cid, (catalog, *(Block.make(RAW, bytes((n,)) * MiB) for n in range(size))))


@pytest.mark.parametrize(("step", "kept"), [("control stored", b"old"), ("head stored", b"new")])
def test_killed_between_its_files_a_store_has_each_of_them_whole(tmp_path: Path, step: str, kept: bytes) -> None:
    """The CAR's name turns first: the Head is the new one, the record beside it that or the one before."""
    HeadStore(tmp_path).save(head_of(b"old"))
    environment = {**os.environ, "RIM_EDGE_CRASH_AT": step}
    died = subprocess.run([sys.executable, "-c", SAVER, tmp_path], env=environment, capture_output=True, text=True)
    assert died.returncode == -9, died.stderr
    store = HeadStore(tmp_path)
    assert store.load() == head_of(b"new")
    assert store.record() == kept
    store.save(head_of(b"newer"))
    assert (store.load(), store.record()) == (head_of(b"newer"), b"newer")
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONTROL, HEAD, RESERVE]


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_a_head_is_stored_with_the_purges_it_owes(tmp_path: Path, count: int) -> None:
    """Of as many sites as a long absence may come to: a CAR's header would not hold their names."""
    owed = tuple(Site(f"site-{number}", 3).to_block() for number in range(count))
    HeadStore(tmp_path).save(replace(head_of(b"new"), owed=owed))
    stored = HeadStore(tmp_path).load()
    assert stored is not None
    assert stored.owed == owed
    assert set(stored.blocks) >= set(head_of(b"new").blocks)


def test_a_head_without_what_it_owes_is_none() -> None:
    """A list that names a block which is not there: no Head, rather than one that owes less."""
    blocks = head_of(b"new").blocks
    whole = replace(head_of(b"new"), owed=(Site("demo", 3).to_block(),))
    roots, came = car.read(whole.to_car())
    assert StoredHead.from_blocks(roots, came).owed == whole.owed
    with pytest.raises(ContentError):
        StoredHead.from_blocks(roots, [block for block in came if block not in whole.owed])
    with pytest.raises(ContentError):
        StoredHead.from_blocks((*roots[:2], blocks[0].cid), came)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "small", "size=5m") as folder:
        yield folder


def test_a_head_without_room_leaves_the_last_one_whole(small_disk: Path) -> None:
    """Both files stay those of one Head, nothing half is left behind, and the next one that has room is stored."""
    store = HeadStore(small_disk)
    store.save(head_of(b"old"))
    with pytest.raises(OSError, match="No space left") as refused:
        store.save(head_of(b"new", 5))
    assert refused.value.errno == errno.ENOSPC
    assert (store.load(), store.record()) == (head_of(b"old"), b"old")
    assert not list(small_disk.glob("*.tmp"))
    store.save(head_of(b"newer"))
    assert (store.load(), store.record()) == (head_of(b"newer"), b"newer")
