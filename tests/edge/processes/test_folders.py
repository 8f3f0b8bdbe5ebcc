"""An edge that starts with another number of processes: which Head each begins with, and what is left of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from content.block import Block
from content.catalog import Site
from content.cid import DAG_CBOR
from edge.control.stored import CONTROL, HEAD, HeadStore, StoredHead
from edge.processes.folders import COUNTED, folder_of, level


def put(folder: Path, sequence: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD).write_bytes(b"%d" % sequence)
    (folder / CONTROL).write_bytes(b"control of %d" % sequence)


def heads(state: Path, count: int) -> list[int]:
    folders = [folder_of(state, index, count) for index in range(count)]
    for folder in folders:
        assert (folder / CONTROL).read_bytes() == b"control of " + (folder / HEAD).read_bytes()
    return [int((folder / HEAD).read_bytes()) for folder in folders]


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [
        ([7, 9, 8], 3, [7, 9, 8]),  # the same number: each goes on where it was
        ([7, 9, 8], 2, [7, 7]),  # a part of the disk has another owner: from the oldest on
        ([9, 8, 7], 2, [7, 7]),  # ... also where that is of one that is gone
        ([9, 8], 3, [8, 8, 8]),
        ([9, 8], 1, [8]),
        ([9], 3, [9, 9, 9]),
        ([9], 1, [9]),
    ],
)
def test_which_head_each_begins_with(tmp_path: Path, before: list[int], count: int, after: list[int]) -> None:
    """Each with its own, or all with the oldest."""
    for index, sequence in enumerate(before):
        put(folder_of(tmp_path, index, len(before)), sequence)
    level(tmp_path, count, int)
    assert heads(tmp_path, count) == after
    kept = {folder_of(tmp_path, index, count) for index in range(count)}
    assert {path.parent for path in tmp_path.rglob(HEAD)} == kept


def test_a_process_that_lost_its_head_starts_with_the_oldest_of_the_others(tmp_path: Path) -> None:
    """Its part of the disk may be as old as that."""
    for index, sequence in ((0, 9), (2, 8)):
        put(folder_of(tmp_path, index, 3), sequence)
    level(tmp_path, 3, int)
    assert heads(tmp_path, 3) == [8, 8, 8]


def test_a_new_edge_has_nothing_to_level(tmp_path: Path) -> None:
    """No Head anywhere; and what was counted in another life is forgotten."""
    counted = folder_of(tmp_path, 1, 2) / COUNTED
    counted.mkdir(parents=True)
    (counted / "1-2.json").write_text("{}")
    level(tmp_path, 2, int)
    assert not counted.exists()
    assert folder_of(tmp_path, 0, 2).is_dir()
    assert not list(tmp_path.rglob(HEAD))


def test_what_any_process_owes_all_begin_with(tmp_path: Path) -> None:
    """One is at the oldest Head and owes nothing, another further on owes a purge: the parts of the disk have new
    owners, so each of them begins at the oldest with that purge to carry out."""
    catalog, site = Block.make(DAG_CBOR, b"\xa0"), Site("demo", 3).to_block()
    for index, sequence, owed in ((0, b"8", ()), (1, b"9", (site,))):
        folder = folder_of(tmp_path, index, 2)
        folder.mkdir()
        HeadStore(folder).save(StoredHead(sequence, catalog.cid, (catalog,), owed))
    level(tmp_path, 3, int)
    stored = [HeadStore(folder_of(tmp_path, index, 3)).load() for index in range(3)]
    assert [(head.record, head.owed) for head in stored if head is not None] == [(b"8", (site,))] * 3
