"""The disk tier: what lies there is served when it proves itself, and a sick disk costs a count, never an error."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pickle
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from content.block import Block
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from edge.cache.disk import DiskTier
from edge.cache.shelf import DATABASE, DOOMED, BlockFiles, key_of, name_of, retire_indexes
from tests.kit import disks

MiB = 1 << 20
BUDGET = 64 * MiB


def block(number: int, size: int = 4096) -> Block:
    return Block.make(RAW, random.Random(number).randbytes(size))


def path_of(folder: Path, cid: CID) -> Path:
    return folder / name_of(cid.store_key)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(DATABASE))


@contextlib.asynccontextmanager
async def opened(folder: Path, budget: int = BUDGET, *, owner: bool = True) -> AsyncIterator[DiskTier]:
    tier = DiskTier(folder, budget, owner=owner)
    await tier.open()
    await tier.ready()
    try:
        yield tier
    finally:
        await tier.close()


def play(folder: Path, scene: Callable[[DiskTier], Awaitable[None]], budget: int = BUDGET) -> None:
    """Run a scene on a tier over this folder, from opening to closing."""

    async def run() -> None:
        async with opened(folder, budget) as tier:
            await scene(tier)

    asyncio.run(run())


def fill(folder: Path, blocks: list[Block], budget: int = BUDGET) -> None:
    """Put these blocks in their order and close."""

    async def scene(tier: DiskTier) -> None:
        for each in blocks:
            assert await tier.put(each)

    play(folder, scene, budget)


def held(folder: Path, blocks: list[Block], budget: int = BUDGET) -> list[bool]:
    """Which of these a fresh start serves; what it serves must be true."""
    found: list[bool] = []

    async def scene(tier: DiskTier) -> None:
        for each in blocks:
            got = await tier.get(each.cid)
            assert got is None or got == each
            found.append(got is not None)

    play(folder, scene, budget)
    return found


# What it does on a good day.


@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 20, 2 << 20])
def test_what_was_put_is_there_after_a_restart(tmp_path: Path, size: int) -> None:
    """Blocks of every allowed size come back, verified, from a second start."""
    one = block(1, size)
    fill(tmp_path, [one])
    assert held(tmp_path, [one, block(2)]) == [True, False]
    assert files_in(tmp_path) == [path_of(tmp_path, one.cid)]


def test_names_on_disk_are_a_format(tmp_path: Path) -> None:
    """blocks/ab/<b or c><multihash in hex>, content and control apart, no body in the index."""
    data = b"\xa1dkindctree"
    content, control = Block.make(RAW, data), Block.make(DAG_CBOR, data)
    fill(tmp_path, [content, control])
    digest = content.cid.digest.hex()
    assert files_in(tmp_path) == [tmp_path / digest[:2] / f"{room}1220{digest}" for room in "bc"]
    assert data not in (tmp_path / DATABASE).read_bytes()
    assert key_of(f"b1220{digest}") == content.cid.store_key
    assert key_of("b1220") is key_of("README") is key_of("ü" * 69) is None


def test_a_block_is_found_under_every_codec_but_never_across_the_rooms(tmp_path: Path) -> None:
    """raw, dag-pb and CIDv0 share the bytes; a control block is not to be had under its raw name."""
    data = b"\n\x02\x08\x01"
    content, control = Block.make(DAG_PB, data), Block.make(DAG_CBOR, b"\xa0")

    async def scene(tier: DiskTier) -> None:
        await tier.put(content)
        await tier.put(control)
        for cid in (CID.of(RAW, data), content.cid, CID(content.cid[2:])):
            assert (await tier.get(cid)) == Block(cid, data)
        assert await tier.get(CID.of(RAW, b"\xa0")) is None
        assert await tier.get(control.cid) == control

    play(tmp_path, scene)


def test_an_identity_cid_never_touches_the_disk(tmp_path: Path) -> None:
    """Its data is its name."""

    async def scene(tier: DiskTier) -> None:
        cid = CID(bytes((1, RAW, 0, 2)) + b"hi")
        assert not await tier.put(Block(cid, b"hi"))
        assert await tier.get(cid) is None

    play(tmp_path, scene)
    assert files_in(tmp_path) == []


def test_a_block_offered_is_served_before_it_is_written(tmp_path: Path) -> None:
    """offer() returns at once, and get() finds what is still waiting; the same block twice is one write."""
    one = block(1)

    async def scene(tier: DiskTier) -> None:
        assert tier.offer(one)
        assert tier.offer(one)
        assert one.cid in tier
        assert await tier.get(one.cid) == one
        assert await tier.put(one)
        assert tier.counts.stored == 1

    play(tmp_path, scene)


def test_the_budget_holds_and_the_least_recently_used_go(tmp_path: Path) -> None:
    """Past the budget old blocks leave the disk, files and rows; a block read lately stays."""
    blocks = [block(number) for number in range(100)]

    async def scene(tier: DiskTier) -> None:
        for each in blocks[:32]:
            await tier.put(each)
        assert tier.used == 32 * 4096
        assert await tier.get(blocks[0].cid) is not None
        for each in blocks[32:60]:
            await tier.put(each)
            assert tier.used <= 32 * 4096
        assert blocks[0].cid in tier
        assert blocks[1].cid not in tier
        assert blocks[59].cid in tier
        assert tier.counts.evicted == 60 - len(tier)

    play(tmp_path, scene, budget=32 * 4096)
    assert len(files_in(tmp_path)) <= 32
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as index:
        assert index.execute("SELECT count(*) FROM Cache").fetchone() == (len(files_in(tmp_path)),)


def test_recency_survives_a_restart(tmp_path: Path) -> None:
    """What was read before the restart is not the first to go after it."""
    blocks = [block(number) for number in range(32)]
    fill(tmp_path, blocks, 32 * 4096)

    async def read(tier: DiskTier) -> None:
        for each in blocks[:8]:
            await tier.get(each.cid)

    async def write(tier: DiskTier) -> None:
        for number in range(8):
            await tier.put(block(1000 + number))
        assert all(each.cid in tier for each in blocks[:8])
        assert not any(each.cid in tier for each in blocks[8:16])

    play(tmp_path, read, 32 * 4096)
    play(tmp_path, write, 32 * 4096)


def test_a_smaller_budget_at_the_next_start_is_kept(tmp_path: Path) -> None:
    """The tier shrinks to it, files and all."""
    fill(tmp_path, [block(number) for number in range(32)])

    async def scene(tier: DiskTier) -> None:
        while tier.counts.evicted == 0:
            await asyncio.sleep(0)
        assert tier.used <= 8 * 4096

    play(tmp_path, scene, budget=8 * 4096)
    assert len(files_in(tmp_path)) <= 8


@pytest.mark.parametrize(("pages", "taken"), [(8, True), (7, False)])
def test_one_block_takes_an_eighth_of_the_budget_at_most(tmp_path: Path, pages: int, taken: bool) -> None:
    """At the limit it is kept, past it it is served on uncached."""

    async def scene(tier: DiskTier) -> None:
        assert await tier.put(block(1)) is taken
        assert tier.counts.skipped == (not taken)

    play(tmp_path, scene, budget=pages * 4096)


def test_removal_takes_file_and_row_and_the_block_may_come_back(tmp_path: Path) -> None:
    """Also of a block that is still waiting to be written, and of one never held."""
    one, two = block(1), block(2)

    async def scene(tier: DiskTier) -> None:
        await tier.put(one)
        tier.offer(two)
        await tier.remove([one.cid, two.cid, block(3).cid])
        assert await tier.get(one.cid) is None
        assert await tier.get(two.cid) is None
        assert files_in(tmp_path) == []
        assert tier.used == len(tier) == 0
        assert await tier.put(one)
        assert await tier.get(one.cid) == one

    play(tmp_path, scene)


def test_a_crowd_of_puts_gets_and_removals_never_loses_its_count(tmp_path: Path) -> None:
    """Seeded disorder over a tiny budget: bytes are true, the budget holds, files equal what is known."""
    chance = random.Random(7)
    blocks = [block(number, chance.choice([9, 100, 4096, 5000])) for number in range(40)]
    budget = 20 * 4096

    async def one_of_them(tier: DiskTier) -> None:
        each = chance.choice(blocks)
        move = chance.random()
        if move < 0.5:
            await tier.put(each)
        elif move < 0.9:
            got = await tier.get(each.cid)
            assert got is None or got == each
        else:
            await tier.remove([each.cid])
        assert tier.used <= budget

    async def scene(tier: DiskTier) -> None:
        for _ in range(30):
            await asyncio.gather(*(one_of_them(tier) for _ in range(20)))
        assert len(files_in(tmp_path)) == len(tier)

    play(tmp_path, scene, budget)
    assert sum(held(tmp_path, blocks, budget)) == len(files_in(tmp_path))


def test_a_second_process_reads_and_never_writes(tmp_path: Path) -> None:
    """Processes of one machine share the folder; only the owner changes it."""
    one, two, bad = block(1), block(2), block(3)

    async def scene() -> None:
        async with opened(tmp_path) as owner, opened(tmp_path, owner=False) as other:
            await owner.put(one)
            assert await other.get(one.cid) == one
            assert not await other.put(two)
            assert not other.offer(two)
            await owner.put(bad)
            path_of(tmp_path, bad.cid).write_bytes(b"rot")
            assert await other.get(bad.cid) is None
            assert path_of(tmp_path, bad.cid).exists()

    asyncio.run(scene())


def ours(number: int, of: int) -> Callable[[bytes], bool]:
    """Which keys process `number` of so many owns."""
    return lambda key: key[-1] % of == number


@contextlib.asynccontextmanager
async def opened_by_two(folder: Path) -> AsyncIterator[tuple[DiskTier, DiskTier]]:
    first = DiskTier(folder, BUDGET // 2, owns=ours(0, 2), index="process-0")
    second = DiskTier(folder, BUDGET // 2, owns=ours(1, 2), index="process-1")
    for tier in (first, second):
        await tier.open()
    for tier in (first, second):
        await tier.ready()
    try:
        yield first, second
    finally:
        await first.close()
        await second.close()


def test_two_processes_share_a_folder_and_each_writes_its_own(tmp_path: Path) -> None:
    """Each takes, counts and indexes only what it owns, after a restart too; both read all of it."""
    blocks = [block(number) for number in range(40)]

    async def scene() -> None:
        async with opened_by_two(tmp_path) as (first, second):
            taken = [(await first.put(each), await second.put(each)) for each in blocks]
            assert all(one != other for one, other in taken)
            for each in blocks:
                assert await first.get(each.cid) == await second.get(each.cid) == each
            assert len(first) + len(second) == 40
            shares = len(first), len(second)
        (tmp_path / "process-0" / DATABASE).unlink()
        async with opened_by_two(tmp_path) as (first, second):
            assert (len(first), len(second)) == shares
            assert (await first.get(blocks[0].cid), await second.get(blocks[0].cid)) == (blocks[0], blocks[0])

    asyncio.run(scene())
    for number in range(2):
        with contextlib.closing(sqlite3.connect(tmp_path / f"process-{number}" / DATABASE)) as index:
            rows = {bytes(key) for (key,) in index.execute("SELECT key FROM Cache")}
        assert rows == {key for each in blocks if ours(number, 2)(key := each.cid.store_key)}


def test_what_one_process_was_told_to_remove_it_does_not_read_from_another(tmp_path: Path) -> None:
    """A purge reaches the processes one after the other: who had it reads a block only if it was written since."""
    mine, yours = (next(each for n in range(99) if ours(i, 2)((each := block(n)).cid.store_key)) for i in range(2))

    async def scene() -> None:
        async with opened_by_two(tmp_path) as (first, second):
            assert await first.put(mine)
            assert await second.put(yours)
            await first.remove([mine.cid, yours.cid])
            assert await first.get(mine.cid) is await first.get(yours.cid) is None
            assert await second.get(yours.cid) == yours  # it has not heard yet
            await second.remove([mine.cid, yours.cid])
            assert not files_in(tmp_path)
            while not await first.get(yours.cid):  # the clock of file times ticks every few milliseconds
                await second.remove([yours.cid])
                assert await second.put(yours)
            assert await first.get(mine.cid) is None

    asyncio.run(scene())


def test_another_number_of_processes_takes_the_folder_over(tmp_path: Path) -> None:
    """Their indexes go, the blocks stay, but for those that one of them had still to remove; strangers' files stay."""
    blocks = [block(number) for number in range(20)]
    gone = next(each for each in blocks if ours(1, 2)(each.cid.store_key))

    async def scene() -> None:
        async with opened_by_two(tmp_path) as both:
            for each in blocks:
                assert await both[0].put(each) or await both[1].put(each)
        (tmp_path / "process-1" / DOOMED).write_bytes(gone.cid.store_key)
        assert await DiskTier(tmp_path, BUDGET, owns=ours(0, 2), index="process-0").get(gone.cid) is None

    asyncio.run(scene())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README").write_text("mine")
    retire_indexes(tmp_path, ("",))
    assert held(tmp_path, blocks) == [each is not gone for each in blocks]
    assert not list(tmp_path.glob("process-*"))
    assert (tmp_path / "mine" / "README").exists()


def test_the_event_loop_never_waits_for_the_disk(tmp_path: Path) -> None:
    """Whatever is opened, read, renamed or unlinked in the folder is so by a thread; a hit writes nothing at all."""
    code = """
import asyncio, sys, threading
from pathlib import Path
from edge.cache.disk import DiskTier
from tests.edge.cache.test_disk import FULL, MANY, block, filled

seen = {"loop": [], "others": []}

def hook(event, arguments):
    if event in ("open", "os.remove", "os.rename", "os.scandir", "os.mkdir", "os.listdir", "sqlite3.connect"):
        if any(sys.argv[1] in str(each) for each in arguments):
            by_the_loop = threading.current_thread() is threading.main_thread()
            seen["loop" if by_the_loop else "others"].append((event, arguments))

async def main():
    tier = DiskTier(Path(sys.argv[1]), FULL)
    sys.addaudithook(hook)
    await tier.open()
    await tier.ready()
    await filled(tier)
    for each in MANY:
        tier.offer(each)
        tier.offer(each)
    await tier.settled()
    await tier.remove([each.cid for each in MANY])
    await tier.put(block(99))
    await tier.tick()
    await tier.settled()
    seen["others"].clear()
    assert await tier.get(block(99).cid)
    hits = list(seen["others"])
    await tier.close()
    assert len(hits) == 1 and hits[0][1][1] == "r", hits

asyncio.run(main())
assert not seen["loop"], seen["loop"]
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "blocks"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Bytes that rot.


def spoil(path: Path, how: str, seed: int) -> None:
    data = bytearray(path.read_bytes())
    if how == "flip":
        bit = random.Random(seed).randrange(8)
        data[seed % len(data)] ^= 1 << bit
    path.write_bytes(
        {"flip": data, "cut": data[:-1], "empty": b"", "longer": data + b"!", "zero": bytes(len(data))}[how]
    )


@pytest.mark.parametrize("at", [0, 1, 511, 512, 2048, 4094, 4095])
def test_one_flipped_bit_is_found_wherever_it_is(tmp_path: Path, at: int) -> None:
    """A bit of a 4 KiB block flips on disk: never served, quarantined, counted, and stored anew."""
    one = block(at)
    fill(tmp_path, [one])
    spoil(path_of(tmp_path, one.cid), "flip", at)

    async def scene(tier: DiskTier) -> None:
        assert await tier.get(one.cid) is None
        assert (tier.counts.quarantined, tier.counts.hits) == (1, 0)
        assert await tier.put(one)
        assert await tier.get(one.cid) == one

    play(tmp_path, scene)


def test_no_flipped_bit_anywhere_is_ever_served(tmp_path: Path) -> None:
    """A bit at each 16th byte of a 4 KiB block, under a running tier."""
    one = block(1)
    path = path_of(tmp_path, one.cid)

    async def scene(tier: DiskTier) -> None:
        for at in range(0, 4096, 16):
            assert await tier.put(one)
            spoil(path, "flip", at)
            assert await tier.get(one.cid) is None
        assert tier.counts.quarantined == 256
        assert tier.counts.hits == 0

    play(tmp_path, scene)


@pytest.mark.parametrize("how", ["cut", "empty", "longer", "zero"])
def test_a_damaged_file_is_found(tmp_path: Path, how: str) -> None:
    """Cut, empty, longer and zeroed files are misses, and leave."""
    one = block(1)
    fill(tmp_path, [one])
    spoil(path_of(tmp_path, one.cid), how, 0)
    assert held(tmp_path, [one]) == [False]
    assert files_in(tmp_path) == []


def test_two_files_swapped_are_both_found(tmp_path: Path) -> None:
    """Each holds a true block under a false name."""
    one, two = block(1), block(2)
    fill(tmp_path, [one, two])
    first, second = path_of(tmp_path, one.cid), path_of(tmp_path, two.cid)
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    assert held(tmp_path, [one, two]) == [False, False]


def test_a_file_that_vanished_is_a_miss_and_its_row_goes(tmp_path: Path) -> None:
    """Someone tidied up by hand: while stopped, and while running."""
    one, two = block(1), block(2)
    fill(tmp_path, [one, two])
    path_of(tmp_path, one.cid).unlink()

    async def scene(tier: DiskTier) -> None:
        assert len(tier) == 1
        path_of(tmp_path, two.cid).unlink()
        assert await tier.get(two.cid) is None
        assert len(tier) == tier.used == 0
        assert await tier.put(two)

    play(tmp_path, scene)


def test_a_file_longer_than_any_block_is_not_read_whole(tmp_path: Path) -> None:
    """A terabyte under a block's name costs 2 MiB of memory."""
    one = block(1)
    fill(tmp_path, [one])
    os.truncate(path_of(tmp_path, one.cid), 1 << 40)
    assert held(tmp_path, [one]) == [False]


def test_a_read_error_is_counted_and_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO takes the block out; running out of descriptors does not."""
    one = block(1)
    code = [errno.EMFILE]

    def broken(self: object, key: bytes, since: int) -> bytes:
        raise OSError(code[0], "injected")

    async def scene(tier: DiskTier) -> None:
        await tier.put(one)
        with monkeypatch.context() as patch:
            patch.setattr("edge.cache.shelf.Shelf.read", broken)
            assert await tier.get(one.cid) is None
            assert one.cid in tier
            code[0] = errno.EIO
            assert await tier.get(one.cid) is None
            assert one.cid not in tier
        assert tier.counts.read_errors == {"EMFILE": 1, "EIO": 1}

    play(tmp_path, scene)


# An index that is lost, wrong or locked.


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))


def _rotten_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(4096, len(data), 97):
        data[at] ^= 0x55
    path.write_bytes(data)


def _other_schema(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as index:
        index.execute("CREATE TABLE Cache (colour)")
        index.execute("CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)")
        index.execute("INSERT INTO Settings VALUES ('disk_nonsense', 1)")
        index.commit()


def _lying_rows(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as index:
        index.execute("UPDATE Cache SET size = 1000000000 WHERE rowid % 3 = 0")
        index.execute("UPDATE Cache SET key = 'text' || rowid, raw = 0 WHERE rowid % 3 = 1")
        index.execute(
            "UPDATE Cache SET size = -1, filename = '../../etc/passwd', mode = 4, value = x'80' WHERE rowid % 3 = 2"
        )
        index.commit()


HARM: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "garbage": _garbage,
    "rotten pages": _rotten_pages,
    "another program's": _other_schema,
    "lying rows": _lying_rows,
    "a garbage log beside it": lambda path: Path(f"{path}-wal").write_bytes(random.Random(2).randbytes(9000)),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_harmed_index_costs_nothing_but_its_rebuilding(tmp_path: Path, harm: str) -> None:
    """The files are the truth: all blocks are served, the bytes are counted right, and the next start is well."""
    blocks = [block(number, 1000) for number in range(50)]
    fill(tmp_path, blocks)
    HARM[harm](tmp_path / DATABASE)

    async def scene(tier: DiskTier) -> None:
        assert len(tier) == 50
        assert tier.used == 50 * 4096
        for each in blocks:
            assert await tier.get(each.cid) == each
        assert await tier.put(block(99))

    play(tmp_path, scene)

    async def well(tier: DiskTier) -> None:
        assert len(tier) == 51
        assert tier.counts.rebuilds == 0
        assert not tier.counts.index_errors

    play(tmp_path, well)


@pytest.mark.parametrize("seed", range(20))
def test_a_fuzzed_index_never_stops_a_start(tmp_path: Path, seed: int) -> None:
    """Random bytes of the index change: the tier starts, serves and closes."""
    blocks = [block(number, 100) for number in range(20)]
    fill(tmp_path, blocks)
    path, chance = tmp_path / DATABASE, random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 10, 300])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)
    assert held(tmp_path, blocks) == [True] * 20
    assert held(tmp_path, blocks) == [True] * 20


def test_an_index_from_before_is_put_right_by_the_walk(tmp_path: Path) -> None:
    """A restored backup of the index: rows of blocks long gone, none of the new."""
    fill(tmp_path, [block(1), block(2)])
    old = (tmp_path / DATABASE).read_bytes()

    async def change(tier: DiskTier) -> None:
        await tier.remove([block(1).cid])
        await tier.put(block(3))

    play(tmp_path, change)
    (tmp_path / DATABASE).write_bytes(old)
    assert held(tmp_path, [block(1), block(2), block(3)]) == [False, True, True]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else holds the index for writing."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_a_locked_index_holds_nobody_up(tmp_path: Path) -> None:
    """Locked from the start: served and stored by name; won back when the lock goes, with all rows."""
    fill(tmp_path, [block(1)])

    async def scene() -> None:
        with locked(tmp_path / DATABASE) as other:
            async with opened(tmp_path) as tier:
                assert await tier.get(block(1).cid) == block(1)
                assert await tier.put(block(2))
                assert tier.counts.index_errors["OperationalError"] >= 1
                other.execute("ROLLBACK")
                await tier.tick()
                assert await tier.put(block(3))

    asyncio.run(scene())
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as index:
        assert index.execute("SELECT count(*) FROM Cache").fetchone() == (3,)
    assert held(tmp_path, [block(1), block(2), block(3)]) == [True] * 3


def test_a_lock_taken_while_running_costs_rows_only(tmp_path: Path) -> None:
    """The write of a block does not wait for it, its file stays (diskcache would remove it), rows follow."""

    async def scene(tier: DiskTier) -> None:
        await tier.put(block(1))
        with locked(tmp_path / DATABASE):
            assert await tier.put(block(2))
            assert await tier.get(block(2).cid) == block(2)
            assert tier.counts.index_errors == {"Timeout": 1}
            await tier.remove([block(1).cid])
            assert not path_of(tmp_path, block(1).cid).exists()
        await tier.tick()

    play(tmp_path, scene)
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as index:
        rows = index.execute("SELECT key FROM Cache").fetchall()
    assert rows == [(block(2).cid.store_key,)]


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    """The seam refuses pickles both ways, whatever the rows say (CVE-2025-69872)."""
    files = BlockFiles(str(tmp_path))
    for call in (
        lambda: files.put(("a", "tuple")),
        lambda: files.get(pickle.dumps("key"), False),
        lambda: files.store({"a": 1}, False, block(1).cid.store_key),
        lambda: files.store(b"x", True, block(1).cid.store_key),
        lambda: files.fetch(4, None, pickle.dumps("value"), False),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="not the key"):
        files.filename(b"b/../../../etc/passwd")


# Death and a full disk.

CRASHER = """
import asyncio, sys
from pathlib import Path
from content.block import Block
from content.cid import RAW
from edge.cache.disk import DiskTier
import random

async def main():
    tier = DiskTier(Path(sys.argv[1]), 10 * 8192)
    await tier.open()
    await tier.ready()
    print("open", flush=True)
    for number in range(30):
        await tier.put(Block.make(RAW, random.Random(number).randbytes(8192)))
    await tier.close()
    print("done", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("step", ["written", "renamed", "row", "committed", "unrowed", "unlinked"])
@pytest.mark.parametrize("time", [1, 4])
def test_killed_at_any_step_it_starts_again_with_whole_blocks(tmp_path: Path, step: str, time: int) -> None:
    """SIGKILL between two steps of a put or an eviction: nothing false, nothing half, no debris after a start."""
    folder = tmp_path / "blocks"
    environment = {**os.environ, "RIM_EDGE_CRASH_AT": f"{step}:{time}"}
    died = subprocess.run([sys.executable, "-c", CRASHER, folder], env=environment, capture_output=True, text=True)
    assert (died.returncode, died.stdout) == (-9, "open\n"), died.stderr
    blocks = [block(number, 8192) for number in range(30)]
    before = {path.name for path in files_in(folder) if path.parent.name != "tmp"}
    found = held(folder, blocks, 10 * 8192)
    assert sum(found) == len(before) <= 11
    assert not list((folder / "tmp").iterdir())
    again = subprocess.run([sys.executable, "-c", CRASHER, folder], capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (0, "open\ndone\n"), again.stderr
    assert len(files_in(folder)) <= 10
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as index:
        assert index.execute("SELECT count(*) FROM Cache").fetchone() == (len(files_in(folder)),)


MANY = [block(number, 100) for number in range(600)]


def test_many_go_behind_us_and_are_absent_at_once(tmp_path: Path) -> None:
    """A wide removal returns before the files are gone, and none of its blocks is answered from then on; what is
    fetched anew stays, whatever is still to be unlinked; and the list goes when all of it is done."""

    async def scene(tier: DiskTier) -> None:
        await asyncio.gather(*map(tier.put, MANY))
        await tier.remove([each.cid for each in MANY])
        assert (tmp_path / DOOMED).exists()
        assert not any([await tier.get(each.cid) for each in MANY])
        assert not any(each.cid in tier for each in MANY)
        again = MANY[::7]
        assert all(await asyncio.gather(*map(tier.put, again)))
        assert [await tier.get(each.cid) for each in again] == again
        assert sum([await tier.get(each.cid) is not None for each in MANY]) == len(tier) == len(again)
        assert not (tmp_path / DOOMED).exists()
        assert len(files_in(tmp_path)) == len(again)

    play(tmp_path, scene)


def test_what_waits_to_be_written_goes_with_the_many(tmp_path: Path) -> None:
    """Blocks still in the queue when they are removed are not answered out of it afterwards."""

    async def scene(tier: DiskTier) -> None:
        assert all(tier.offer(each) for each in MANY)
        await tier.remove([each.cid for each in MANY])
        assert not any([await tier.get(each.cid) for each in MANY])

    play(tmp_path, scene)


def test_many_go_first_where_the_list_cannot_be_written(tmp_path: Path) -> None:
    """Then it is waited for them, as for a few."""

    async def scene(tier: DiskTier) -> None:
        await asyncio.gather(*map(tier.put, MANY))
        (tmp_path / DOOMED).mkdir()
        await tier.remove([each.cid for each in MANY])
        assert not files_in(tmp_path)
        assert not any([await tier.get(each.cid) for each in MANY])
        assert tier.counts.write_errors["EISDIR"] == 1

    play(tmp_path, scene)


DOOMER = """
import asyncio, sys
from pathlib import Path
from edge.cache.disk import DiskTier
from tests.edge.cache.test_disk import MANY

async def main():
    tier = DiskTier(Path(sys.argv[1]), 64 << 20)
    await tier.open()
    await tier.ready()
    await asyncio.gather(*map(tier.put, MANY))
    await tier.remove([each.cid for each in MANY])
    print("acknowledged", flush=True)
    await tier.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("step", ["doomed", "unrowed", "unlinked", "unlinked:300"])
def test_killed_while_many_go_none_of_them_comes_back(tmp_path: Path, step: str) -> None:
    """SIGKILL between the list and the last unlink: a start answers none of them, and ends what was begun."""
    environment = {**os.environ, "RIM_EDGE_CRASH_AT": step}
    died = subprocess.run([sys.executable, "-c", DOOMER, tmp_path], env=environment, capture_output=True, text=True)
    assert died.returncode == -9, died.stderr

    async def scene() -> None:
        tier = DiskTier(tmp_path, BUDGET)
        early = [await tier.get(each.cid) for each in MANY]  # before it knows what lies there
        await tier.open()
        await tier.ready()
        assert not any(early + [await tier.get(each.cid) for each in MANY])
        await tier.close()
        assert not files_in(tmp_path)

    asyncio.run(scene())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a tmpfs of a given size."""
    with contextlib.ExitStack() as stack:
        yield lambda options: stack.enter_context(disks.small_disk(tmp_path / "small", options))


@pytest.mark.parametrize(
    ("options", "label"), [("size=1m", "ENOSPC"), ("nr_inodes=40", "ENOSPC")], ids=["no space", "no inodes"]
)
def test_a_full_disk_serves_on_and_heals_by_itself(small_disk: Callable[[str], Path], options: str, label: str) -> None:
    """Hits stay, new blocks pass by uncached and counted, nothing half-written stays, returning space is used."""
    folder = small_disk(options) / "blocks"
    now = [0.0]
    blocks = [block(number, 16_384) for number in range(100)]

    async def scene() -> None:
        tier = DiskTier(folder, BUDGET, min_free=0, clock=lambda: now[0])
        await tier.open()
        await tier.ready()
        stored = [each for each in blocks if await tier.put(each)]
        assert 5 < len(stored) < 90
        assert tier.counts.write_errors[label] >= 1
        assert tier.counts.skipped >= 1  # the door was shut, not every block was tried
        for each in stored:
            assert await tier.get(each.cid) == each
        assert not list((folder / "tmp").iterdir())
        await tier.remove([each.cid for each in stored[:10]])
        assert not await tier.put(blocks[99])
        now[0] += 1.0
        assert await tier.put(blocks[99])
        await tier.tick()
        await tier.close()

    asyncio.run(scene())


# A full disk that is well: who may enter.

FULL = 32 * 4096


async def filled(tier: DiskTier) -> None:
    """Fill a tier of FULL bytes."""
    for number in range(32):
        assert await tier.put(block(number))


def test_everything_is_written_at_first_sight_while_there_is_room(tmp_path: Path) -> None:
    """What was served once is there after a restart."""

    async def scene(tier: DiskTier) -> None:
        assert all(tier.offer(block(number)) for number in range(32))
        await tier.settled()

    play(tmp_path, scene, FULL)
    assert all(held(tmp_path, [block(number) for number in range(32)], FULL))


def test_on_a_full_disk_a_block_is_written_at_its_second_use(tmp_path: Path) -> None:
    """Seen once it is served from memory, and gone after a restart; asked for again it is written."""
    once, twice = block(100), block(101)

    async def scene(tier: DiskTier) -> None:
        await filled(tier)
        assert not tier.offer(once)
        assert not tier.offer(twice)
        assert tier.counts.on_probation == 2
        assert not path_of(tmp_path, twice.cid).exists()
        assert await tier.get(twice.cid) == twice
        await tier.settled()
        assert path_of(tmp_path, twice.cid).exists()
        assert twice.cid in tier
        assert once.cid not in tier
        assert tier.used <= FULL

    play(tmp_path, scene, FULL)
    assert held(tmp_path, [once, twice], FULL) == [False, True]


def test_a_ghost_is_written_when_it_comes_back(tmp_path: Path) -> None:
    """Pushed out of probation unused, a block is remembered by name, and then worth its place."""

    async def scene(tier: DiskTier) -> None:
        await filled(tier)
        for number in range(100, 110):  # three pages of memory are for these
            assert not tier.offer(block(number))
        assert await tier.get(block(100).cid) is None
        assert tier.offer(block(100))
        assert not tier.offer(block(200))
        await tier.settled()
        assert block(100).cid in tier

    play(tmp_path, scene, FULL)


def test_control_blocks_and_what_is_to_be_kept_enter_a_full_disk(tmp_path: Path) -> None:
    """A start needs the first, a release that goes live the second."""
    control = Block.make(DAG_CBOR, b"\xa1dkindctree")

    async def scene(tier: DiskTier) -> None:
        await filled(tier)
        assert tier.offer(control)
        assert tier.offer(block(100), keep=True)
        await tier.settled()
        assert control.cid in tier
        assert block(100).cid in tier

    play(tmp_path, scene, FULL)


def test_what_memory_answered_again_is_written_when_its_probation_ends(tmp_path: Path) -> None:
    """The tier above answers without asking here; its uses count all the same."""
    popular = block(100)

    async def scene() -> None:
        tier = DiskTier(tmp_path, FULL, used_above=lambda key: key == popular.cid.store_key)
        await tier.open()
        await tier.ready()
        await filled(tier)
        for number in range(100, 110):
            assert not tier.offer(block(number))
        await tier.settled()
        assert popular.cid in tier
        assert block(101).cid not in tier
        await tier.close()

    asyncio.run(scene())


def test_a_removal_reaches_blocks_on_probation(tmp_path: Path) -> None:
    """A few, and many at once."""

    async def scene(tier: DiskTier) -> None:
        await filled(tier)
        for others in ([], MANY):
            assert not tier.offer(block(100))
            await tier.remove([block(100).cid, *(each.cid for each in others)])
            assert await tier.get(block(100).cid) is None

    play(tmp_path, scene, FULL)


def test_an_lru_takes_all(tmp_path: Path) -> None:
    """As a setting."""

    async def scene() -> None:
        tier = DiskTier(tmp_path, FULL, policy="lru")
        await tier.open()
        await tier.ready()
        await filled(tier)
        assert tier.offer(block(100))
        await tier.settled()
        assert block(100).cid in tier
        await tier.close()

    asyncio.run(scene())


def test_uses_survive_a_restart(tmp_path: Path) -> None:
    """A block used twice before has two more rounds after it."""

    async def use(tier: DiskTier) -> None:
        await filled(tier)
        for _ in range(2):
            await tier.get(block(0).cid)

    async def push(tier: DiskTier) -> None:
        for number in range(100, 150):
            await tier.put(block(number))
        assert block(0).cid in tier
        for number in range(150, 250):
            await tier.put(block(number))
        assert block(0).cid not in tier

    play(tmp_path, use, FULL)
    play(tmp_path, push, FULL)


def test_the_budget_holds_from_the_first_moment_of_a_start(tmp_path: Path) -> None:
    """Nothing is written before it is known what lies there: with the index lost, that takes a walk."""
    fill(tmp_path, [block(number) for number in range(32)], FULL)
    (tmp_path / DATABASE).unlink()

    async def scene() -> None:
        tier = DiskTier(tmp_path, FULL)
        await tier.open()
        done = [asyncio.ensure_future(tier.put(block(number))) for number in range(100, 120)]
        while not all(each.done() for each in done):
            assert len(files_in(tmp_path)) <= 32
            await asyncio.sleep(0)
        assert all(each.result() for each in done)
        assert tier.used <= FULL
        await tier.close()

    asyncio.run(scene())


def test_space_is_left_to_others(small_disk: Callable[[str], Path]) -> None:
    """Others fill the filesystem: blocks go until it has its free space again, none is written, none fails; hits are
    served; once there is room it is used."""
    folder = small_disk("size=4m")
    now, ballast = [0.0], folder / "ballast"
    blocks = [block(number, 65_536) for number in range(60)]

    def free() -> int:
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize

    async def scene() -> None:
        tier = DiskTier(folder / "blocks", BUDGET, min_free=MiB, clock=lambda: now[0])
        await tier.open()
        await tier.ready()
        for each in blocks:
            now[0] += 1
            await tier.put(each)
            assert free() >= MiB - 65_536  # the index grows as well
        before = len(tier)
        assert before > 20
        ballast.write_bytes(bytes(MiB))
        now[0] += 1
        assert not await tier.put(block(100, 65_536))
        assert 0 < len(tier) < before
        assert free() >= MiB
        for each in blocks:
            assert await tier.get(each.cid) in (each, None)
        ballast.write_bytes(bytes(MiB + MiB // 4))
        while free() < MiB and len(tier):  # the index grows as it forgets, so one look may not do
            now[0] += 1
            await tier.tick()
        assert len(tier)
        ballast.unlink()
        now[0] += 1
        assert await tier.put(block(100, 65_536))
        assert not tier.counts.write_errors
        assert tier.counts.short_of_space >= 2
        await tier.close()

    asyncio.run(scene())


def test_a_file_that_cannot_be_unlinked_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, absent from then on, and taken away by the next start."""
    one = block(1)

    def broken(path: object) -> None:
        raise OSError(errno.EIO, "injected")

    async def scene(tier: DiskTier) -> None:
        await tier.put(one)
        with monkeypatch.context() as patch:
            patch.setattr("edge.cache.shelf.os.unlink", broken)
            await tier.remove([one.cid])
        assert tier.counts.write_errors == {"unlink": 1}
        assert await tier.get(one.cid) is None

    play(tmp_path, scene)
    assert path_of(tmp_path, one.cid).exists()
    assert held(tmp_path, [one]) == [False]
    assert not files_in(tmp_path)


def test_a_folder_that_cannot_be_is_a_tier_without_memory(tmp_path: Path) -> None:
    """The state folder's place is taken by a file: counted, served on."""
    (tmp_path / "blocks").write_text("in the way")

    async def scene(tier: DiskTier) -> None:
        assert not await tier.put(block(1))
        assert await tier.get(block(1).cid) is None
        assert tier.counts.write_errors

    play(tmp_path / "blocks", scene)


def test_a_folder_removed_under_a_running_tier_is_made_again(tmp_path: Path) -> None:
    """rm -rf of the whole cache: misses, then life goes on."""
    folder = tmp_path / "blocks"

    async def scene(tier: DiskTier) -> None:
        await tier.put(block(1))
        subprocess.run(["rm", "-rf", folder], check=True)
        assert await tier.get(block(1).cid) is None
        assert await tier.put(block(2))
        assert await tier.get(block(2).cid) == block(2)

    play(folder, scene)
    assert held(folder, [block(1), block(2)]) == [False, True]


def test_what_writers_left_when_they_died_is_swept(tmp_path: Path) -> None:
    """Temporary files of another life go at the start; strangers' files stay and are not served."""
    fill(tmp_path, [block(1)])
    (tmp_path / "tmp" / "b1220dead.77").write_bytes(b"half")
    (tmp_path / "ab").mkdir(exist_ok=True)
    (tmp_path / "ab" / "README").write_text("mine")
    assert held(tmp_path, [block(1)]) == [True]
    assert not list((tmp_path / "tmp").iterdir())
    assert (tmp_path / "ab" / "README").exists()
