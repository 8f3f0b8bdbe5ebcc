"""The embedded store: durable batches, torn tails, disks that fail, compaction."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from content import car
from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from origin.errors import StoreFailed, StoreFull
from origin.store.compact import compact
from origin.store.embedded import Embedded
from origin.store.pack import HEADER, Pack


def blocks_of(seed: int, count: int, size: int = 3000) -> list[Block]:
    noise = random.Random(seed)
    return [Block.make(RAW, noise.randbytes(noise.randrange(1, size))) for _ in range(count)]


def only_pack(folder: Path) -> Path:
    (path,) = folder.glob("*.car")
    return path


def test_a_block_is_found_by_its_multihash_but_control_blocks_have_a_room_of_their_own(tmp_path: Path) -> None:
    """Raw and dag-pb name the same bytes; dag-cbor never does."""
    store = Embedded(tmp_path)
    data = b"\x0a\x02\x08\x01"
    store.put([Block.make(RAW, data)])
    assert store.get(CID.of(DAG_PB, data)) == Block.make(DAG_PB, data)
    assert store.get(CID.of(DAG_CBOR, data)) is None
    assert store.missing([CID.of(DAG_CBOR, data), CID.of(RAW, data)]) == [CID.of(DAG_CBOR, data)]


def test_what_was_put_is_there_after_a_restart_and_the_pack_is_a_car(tmp_path: Path) -> None:
    """The index is rebuilt from the packs, and any CAR reader reads them."""
    blocks = blocks_of(1, 300)
    first = Embedded(tmp_path, batch_bytes=64 * 1024)
    assert first.put(blocks) == 300
    assert first.put(blocks[:10]) == 0
    again = Embedded(tmp_path)
    assert (again.blocks, again.bytes) == (first.blocks, first.bytes) == (300, sum(len(b.data) for b in blocks))
    assert all(again.get(block.cid) == block for block in blocks)
    _, read = car.read(only_pack(tmp_path).read_bytes())
    assert read == blocks


def test_packs_roll_over(tmp_path: Path) -> None:
    """A pack past its size is closed; all packs are read at start."""
    store = Embedded(tmp_path, pack_bytes=50_000, batch_bytes=10_000)
    blocks = blocks_of(2, 200)
    for start in range(0, 200, 10):
        store.put(blocks[start : start + 10])
    assert len(store.packs) > 3
    assert Embedded(tmp_path).missing([block.cid for block in blocks]) == []


def test_a_torn_tail_is_cut_at_every_length(tmp_path: Path) -> None:
    """Whatever part of the last section reached the disk, start cuts it and goes on appending."""
    blocks = blocks_of(3, 3, 90)
    Embedded(tmp_path).put(blocks)
    path = only_pack(tmp_path)
    whole = path.read_bytes()
    last = len(car.section(blocks[2].cid, blocks[2].data))
    for length in range(len(whole) - last, len(whole)):
        path.write_bytes(whole[:length])
        store = Embedded(tmp_path)
        assert store.missing([block.cid for block in blocks]) == [blocks[2].cid]
        assert path.stat().st_size == len(whole) - last
        store.put([blocks[2]])
        assert path.read_bytes() == whole


def test_a_tail_of_unwritten_pages_is_cut(tmp_path: Path) -> None:
    """After power loss the length may be there and the bytes not: zeros, or an older file's."""
    blocks = blocks_of(4, 5)
    Embedded(tmp_path).put(blocks)
    path = only_pack(tmp_path)
    whole = path.read_bytes()
    last = len(car.section(blocks[4].cid, blocks[4].data))
    for tail in (bytes(last), whole[-last:-1] + bytes([whole[-1] ^ 1]), random.Random(5).randbytes(last)):
        path.write_bytes(whole[:-last] + tail)
        store = Embedded(tmp_path)
        assert store.missing([block.cid for block in blocks]) == [blocks[4].cid]
        assert path.stat().st_size == len(whole) - last


def test_a_pack_killed_while_it_was_made_is_no_trouble(tmp_path: Path) -> None:
    """A file shorter than a header is taken away."""
    blocks = blocks_of(6, 2)
    (tmp_path / "000001.car").write_bytes(HEADER[:3])
    store = Embedded(tmp_path)
    store.put(blocks)
    assert Embedded(tmp_path).missing([block.cid for block in blocks]) == []


def test_a_bad_block_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    """A flipped bit is a miss and a count, never wrong bytes; sending the block again heals it."""
    blocks = blocks_of(7, 20)
    Embedded(tmp_path).put(blocks)
    path = only_pack(tmp_path)
    whole = bytearray(path.read_bytes())
    at = whole.index(blocks[9].data)
    whole[at] ^= 0x10
    path.write_bytes(whole)
    store = Embedded(tmp_path)
    assert [block.cid for block in blocks if store.get(block.cid) is None] == [blocks[9].cid]
    store.put([blocks[9]])
    assert store.get(blocks[9].cid) == blocks[9]


@pytest.mark.parametrize("failing", ["append", "sync"])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreFailed)])
def test_a_disk_that_fails_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, number: int, error: type[Exception]
) -> None:
    """ENOSPC and EIO while writing or syncing: the pack ends where it was acknowledged, and later puts succeed."""
    store = Embedded(tmp_path)
    old, new = blocks_of(8, 5), blocks_of(9, 50)
    store.put(old)
    size = only_pack(tmp_path).stat().st_size
    real = Pack.append

    def fail(self: Pack, *arguments: object) -> int:
        if arguments:
            real(self, arguments[0][:3], arguments[1])  # type: ignore[index, arg-type]
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Pack, failing, fail)
        with pytest.raises(error):
            store.put(new)
    assert only_pack(tmp_path).stat().st_size == size
    assert len(store.missing([block.cid for block in new])) == 50
    store.put(new)
    assert Embedded(tmp_path).missing([block.cid for block in old + new]) == []


def test_a_put_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    """When the source of blocks fails in the middle, the unacknowledged ones are taken back."""
    store = Embedded(tmp_path, batch_bytes=1)
    blocks = blocks_of(10, 5)

    def source() -> object:
        yield from blocks
        raise KeyError("the source is gone")

    with pytest.raises(KeyError):
        store.put(source())  # type: ignore[arg-type]
    assert Embedded(tmp_path).blocks == store.blocks


def test_compaction_gives_back_the_room_of_forgotten_blocks(tmp_path: Path) -> None:
    """Live blocks stay readable through it, also by readers that looked them up before, and after a restart."""
    store = Embedded(tmp_path, pack_bytes=60_000)
    blocks = blocks_of(11, 200)
    for start in range(0, 200, 10):
        store.put(blocks[start : start + 10])
    dead, live = blocks[::3], [block for index, block in enumerate(blocks) if index % 3]
    before = sum(path.stat().st_size for path in tmp_path.glob("*.car"))
    held = store.index[live[0].cid.store_key]
    assert store.forget([block.cid.store_key for block in dead]) == len(dead)
    freed = compact(store)
    assert held[0].read(held[1], held[2]) == live[0].data
    assert (
        before - freed
        <= sum(path.stat().st_size for path in tmp_path.glob("*.car"))
        <= before - freed + 2 * len(HEADER)
    )
    assert freed > sum(len(block.data) for block in dead)
    for again in (store, Embedded(tmp_path)):
        assert all(again.get(block.cid) == block for block in live)
        assert again.missing([block.cid for block in dead]) == [block.cid for block in dead]
    store.put(dead)
    assert Embedded(tmp_path).missing([block.cid for block in blocks]) == []


def test_compaction_leaves_packs_that_are_mostly_alive(tmp_path: Path) -> None:
    """Rewriting a whole pack for one small dead block is not worth it."""
    store = Embedded(tmp_path)
    blocks = blocks_of(12, 100)
    store.put(blocks)
    store.forget([blocks[0].cid.store_key])
    assert compact(store) == 0


def test_a_pack_without_live_blocks_goes_whole(tmp_path: Path) -> None:
    """Nothing is copied when nothing is left."""
    store = Embedded(tmp_path)
    blocks = blocks_of(13, 20)
    store.put(blocks)
    store.forget([block.cid.store_key for block in blocks])
    assert compact(store) > 0
    assert (store.blocks, store.bytes) == (0, 0)
    assert Embedded(tmp_path).blocks == 0
