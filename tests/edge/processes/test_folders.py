"""An edge that starts with another number of processes: which Head each begins with, and what is left of the others."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns
from content.block import Block
from content.catalog import Site
from content.cid import DAG_CBOR
from edge.control.stored import CONTROL, HEAD, HeadStore, StoredHead
from edge.control.trust import Handover
from edge.processes import folders
from edge.processes.folders import COUNTED, folder_of, level, trust_in


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


def test_the_oldest_is_found_after_a_rotation(tmp_path: Path) -> None:
    """The Heads are signed by a key that was inherited, as one of the processes has noted: their sequences count."""
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    name = ipns.name_of(old.public_key())
    catalog = Block.make(DAG_CBOR, b"\xa0")
    for index, sequence in enumerate((9, 8)):
        folder = folder_of(tmp_path, index, 2)
        folder.mkdir()
        record = ipns.create(new, f"/ipfs/{catalog.cid}", sequence, time.time() + 3600, 60)
        HeadStore(folder).save(StoredHead(record, catalog.cid, (catalog,)))
        HeadStore(folder).trust((Handover(name, ipns.name_of(new.public_key()), 5),))
    trust = trust_in(tmp_path, [name])
    level(tmp_path, 3, trust.sequence_of)
    records = [(folder_of(tmp_path, index, 3) / HEAD).read_bytes() for index in range(3)]
    assert [trust.sequence_of(record) for record in records] == [8, 8, 8]


class Killed(BaseException):
    """What no code catches."""


@pytest.mark.parametrize(("before", "count"), [([7, 9], 3), ([9, 7], 3), ([9, 7], 1), ([7], 2)])
def test_killed_at_any_step_it_is_done_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: list[int], count: int
) -> None:
    """Or without room at any step: no process ever begins further on than the oldest was, or without what it had."""
    for step in range(12):
        state = tmp_path / str(step)
        for index, sequence in enumerate(before):
            put(folder_of(state, index, len(before)), sequence)
        with monkeypatch.context() as patched, suppress(Killed):
            kill_at(step, patched)
            level(state, count, int)
        level(state, count, int)
        assert heads(state, count) == [7] * count


def kill_at(step: int, patched: pytest.MonkeyPatch) -> None:
    """Each name that turns or goes is a step."""
    steps, replace, unlink = itertools.count(), folders.replace_files, Path.unlink

    def count_down() -> None:
        if next(steps) >= step:
            raise Killed

    def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            count_down()
            replace(folder, {name: data})

    def gone(path: Path, missing_ok: bool = False) -> None:
        if path.name in (HEAD, CONTROL):
            count_down()
        unlink(path, missing_ok)

    patched.setattr(folders, "replace_files", replace_files)
    patched.setattr(Path, "unlink", gone)


def test_without_room_all_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge does not start, and what it would begin with is whole when there is room again."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for index, sequence in enumerate((7, 9)):
        put(folder_of(tmp_path, index, 2), sequence)
    with monkeypatch.context() as patched:
        patched.setattr("edge.state._write", full)
        with pytest.raises(OSError, match="No space left"):
            level(tmp_path, 3, int)
    assert heads(tmp_path, 2) == [7, 9]
