"""An edge's disk tier on a disk that lies, fails, dies under it, or is held by others.

Whatever happens: never a wrong byte, a start within five seconds, and recovery without help. What is enumerated by hand
(RIM_LONG=1) is taken by a tenth in CI, with a fresh seed that is printed; RIM_SEED replays one. The small cases, one
fault each, stand in tests/edge/cache/test_disk.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from content.block import Block
from content.cid import RAW
from edge.cache.disk import DiskTier
from edge.cache.shelf import DATABASE, name_of

SEED = int(os.environ.get("RIM_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
LONG = bool(os.environ.get("RIM_LONG"))
START = 5.0  # s
KILLED, ENDED = -9, 0


def block(number: int, size: int = 4_096) -> Block:
    return Block.make(RAW, random.Random(number).randbytes(size))


def path_of(folder: Path, one: Block) -> Path:
    return folder / name_of(one.cid.store_key)


def play(folder: Path, scene: Callable[[DiskTier], Awaitable[None]], budget: int = 64 << 20) -> None:
    """A scene on a tier that must be up within five seconds, from opening to closing."""

    async def run() -> None:
        tier = DiskTier(folder, budget)
        await tier.open()
        async with asyncio.timeout(START):
            await tier.ready()
        await scene(tier)
        await tier.close()

    asyncio.run(run())


def fill(folder: Path, blocks: list[Block]) -> None:
    async def scene(tier: DiskTier) -> None:
        for each in blocks:
            assert await tier.put(each)

    play(folder, scene)


def check(folder: Path, blocks: list[Block], budget: int = 64 << 20) -> int:
    """Start on this folder: what is served is true, what is not can be stored again. How many were served."""
    served = 0

    async def scene(tier: DiskTier) -> None:
        nonlocal served
        for each in blocks:
            got = await tier.get(each.cid)
            assert got is None or got == each
            served += got is not None
            assert tier.used <= budget
        assert await tier.put(blocks[0])
        assert await tier.get(blocks[0].cid) == blocks[0]

    play(folder, scene, budget)
    return served


# Killed at every step of a put and of an eviction.

BUDGET = 8 * 8_192  # one block is an eighth, as large as it may be
PUTS = 14
WRITER = f"""
import asyncio, sys
from pathlib import Path
from edge.cache.disk import DiskTier
from tests.faults.test_sick_disks import block

async def main():
    tier = DiskTier(Path(sys.argv[1]), {BUDGET})
    await tier.open()
    await tier.ready()
    for number in range({PUTS}):
        await tier.put(block(number, 8_192))
        await tier.get(block(number // 2, 8_192).cid)
    await tier.close()

asyncio.run(main())
"""


def killed_at(folder: Path, step: int) -> int:
    environment = {**os.environ, "RIM_EDGE_CRASH_AT": str(step)}
    return subprocess.run([sys.executable, "-c", WRITER, folder], env=environment, capture_output=True).returncode


def test_killed_at_every_step_of_put_and_evict(tmp_path: Path) -> None:
    """`kill -9` at step n of fourteen puts into room for eight, n = 1, 2, 3 … until a run completes: after each, a
    start serves whole blocks only, sweeps what was half-written, keeps to its budget; index and files agree."""
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    blocks = [block(number, 8_192) for number in range(PUTS)]
    step, kills = 1, 0
    while True:
        folder = tmp_path / str(step)
        code = killed_at(folder, step)
        assert code in (KILLED, ENDED)
        check(folder, blocks, BUDGET)
        assert not list((folder / "tmp").iterdir())
        files = list(folder.glob("??/b*"))
        assert len(files) * 8_192 <= BUDGET
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as index:
            assert index.execute("SELECT count(*) FROM Cache").fetchone() == (len(files),)
        shutil.rmtree(folder)
        if code == ENDED:
            break
        kills += 1
        step += 1 if LONG else chance.randrange(1, 20)
    print(f"{kills} of {step - 1} steps killed")


# Bytes that rot.


def test_a_bit_flipped_in_each_of_a_thousand_places(tmp_path: Path) -> None:
    """A seeded bit of a seeded block, under a running tier: never served, and the block can be stored anew."""
    chance = random.Random(SEED)
    places = 1_000 if LONG else 100
    print(f"seed {SEED}, {places} places")
    blocks = [block(number, size) for number, size in enumerate([1, 100, 4_096, 70_000, 1 << 20])]

    async def scene(tier: DiskTier) -> None:
        for each in blocks:
            assert await tier.put(each)
        for _ in range(places):
            each = chance.choice(blocks)
            at, bit = chance.randrange(len(each.data)), chance.randrange(8)
            with open(path_of(tmp_path, each), "r+b") as file:
                file.seek(at)
                file.write(bytes([each.data[at] ^ (1 << bit)]))
            assert await tier.get(each.cid) is None
            assert await tier.put(each)
            assert await tier.get(each.cid) == each
        assert tier.counts.quarantined == places

    play(tmp_path, scene)


# Damaged indexes.


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 10, 1_000])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _garbage(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice([16, 512, 4_096, 65_536]))
    data[start:end] = chance.randbytes(end - start)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _zeros(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data)) // 4_096 * 4_096
    data[start : start + 4_096] = bytes(len(data[start : start + 4_096]))


def _pages_swapped(data: bytearray, chance: random.Random) -> None:
    one, two = (chance.randrange(len(data) // 4_096 or 1) * 4_096 for _ in range(2))
    data[one : one + 4_096], data[two : two + 4_096] = data[two : two + 4_096], data[one : one + 4_096]


HARM: list[Callable[[bytearray, random.Random], None]] = [_flip, _garbage, _cut, _zeros, _pages_swapped]
FILES = (DATABASE, DATABASE + "-wal", DATABASE + "-shm")


def leave_running(folder: Path, blocks: list[Block]) -> None:
    """An index as a killed process leaves it: with its log beside it."""
    environment = {**os.environ, "RIM_EDGE_CRASH_AT": "committed:4"}
    code = f"""
import asyncio, sys
from pathlib import Path
from edge.cache.disk import DiskTier
from tests.faults.test_sick_disks import block

async def main():
    tier = DiskTier(Path(sys.argv[1]), 64 << 20)
    await tier.open()
    await tier.ready()
    for start in range(0, {len(blocks)}, 64):
        await asyncio.gather(*(tier.put(block(n, 500)) for n in range(start, start + 64)))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True)
    assert done.returncode == KILLED, done.stderr


def test_damaged_indexes(tmp_path: Path) -> None:
    """Flipped, overwritten, cut, zeroed, shuffled, an old one or none, in the table or its log, 500 times: a start
    within five seconds serves every block, and the start after it finds the index well."""
    chance = random.Random(SEED)
    rounds = 500 if LONG else 50
    print(f"seed {SEED}, {rounds} indexes")
    blocks = [block(number, 500) for number in range(256)]
    golden, old, folder = tmp_path / "golden", tmp_path / "old", tmp_path / "blocks"
    fill(old, blocks[:100])
    leave_running(golden, blocks)
    shutil.copytree(golden, folder)
    assert (folder / FILES[1]).exists()
    found: Counter[str] = Counter()
    slowest = 0.0
    for _ in range(rounds):
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
            if (golden / name).exists():
                shutil.copyfile(golden / name, folder / name)
        name = chance.choice(FILES[:2] * 3 + FILES[2:])
        how = chance.choice([*HARM, "gone", "old"])
        if how == "gone":
            (folder / name).unlink(missing_ok=True)
        elif how == "old":
            shutil.copyfile(old / DATABASE, folder / DATABASE)
        elif (folder / name).exists():
            data = bytearray((folder / name).read_bytes())
            how(data, chance)  # type: ignore[operator]
            (folder / name).write_bytes(data)
        begun = time.monotonic()
        rebuilt = all_served(folder, blocks)
        slowest = max(slowest, time.monotonic() - begun)
        found["rebuilt" if rebuilt else "kept"] += 1
    print(f"{dict(found)}, slowest start and look at all blocks {slowest:.2f} s")


def all_served(folder: Path, blocks: list[Block]) -> bool:
    """Start twice; whether the first had to make the index anew."""
    rebuilds = []

    async def scene(tier: DiskTier) -> None:
        for each in blocks:
            assert await tier.get(each.cid) == each
        assert len(tier) == len(blocks)
        assert tier.used == 4_096 * len(blocks)
        rebuilds.append(tier.counts.rebuilds)

    play(folder, scene)
    play(folder, scene)
    assert rebuilds[1] == 0
    return bool(rebuilds[0])


# Somebody else holds the index.

HOLDER = """
import sqlite3, sys
index = sqlite3.connect(sys.argv[1], isolation_level=None)
index.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked_by_another(folder: Path) -> Iterator[None]:
    """Another process has the index to itself."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder / DATABASE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        yield
        assert holder.stdin is not None
        holder.stdin.close()


def test_the_index_locked_by_another_process(tmp_path: Path) -> None:
    """At the start and while running: hits are served, puts and removals happen, and rows follow when it lets go."""
    blocks = [block(number) for number in range(20)]
    fill(tmp_path, blocks[:10])

    async def scene() -> None:
        tier = DiskTier(tmp_path, 64 << 20)
        with locked_by_another(tmp_path):
            await tier.open()
            async with asyncio.timeout(START):
                await tier.ready()
            for each in blocks[:10]:
                assert await tier.get(each.cid) == each
            assert await tier.put(blocks[10])
            await tier.remove([blocks[0].cid])
        await tier.tick()
        with locked_by_another(tmp_path):
            for each in blocks[11:]:
                assert await tier.put(each)
                assert await tier.get(each.cid) == each
            await tier.remove([blocks[1].cid])
        await tier.tick()
        assert tier.counts.index_errors
        assert not tier.counts.rebuilds
        await tier.close()

    asyncio.run(scene())
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as index:
        assert index.execute("SELECT count(*) FROM Cache").fetchone() == (18,)
    assert check(tmp_path, blocks) == 18


# Calls that fail: strace makes the n-th one do so.

SICK = """
import asyncio, sys
from pathlib import Path
from edge.cache.disk import DiskTier
from tests.faults.test_sick_disks import block

async def main():
    tier = DiskTier(Path(sys.argv[1]), 8 * 8192)
    await tier.open()
    async with asyncio.timeout(60):  # under strace
        await tier.ready()
    for number in range(11):
        await tier.put(block(number, 8192))
        for each in range(number + 1):
            got = await tier.get(block(each, 8192).cid)
            assert got is None or got == block(each, 8192)
    await tier.remove([block(10, 8192).cid])
    assert await tier.get(block(10, 8192).cid) is None
    await tier.tick()
    await tier.close()

asyncio.run(main())
"""
CALLS = [
    ("read", "EIO"),
    ("pread64", "EIO"),
    ("write", "EIO"),
    ("write", "ENOSPC"),
    ("write", "EDQUOT"),
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("rename", "EIO"),
    ("unlink", "EIO"),
    ("openat", "EMFILE"),
    ("fsync,fdatasync", "EIO"),
    ("ftruncate", "EIO"),
]


@pytest.mark.needs("strace")
@pytest.mark.parametrize(("call", "error"), CALLS)
def test_a_call_that_fails(tmp_path: Path, call: str, error: str) -> None:
    """strace has the n-th such call fail, and from it on the next nine; by hand n = 1, 2, 3 … until none is left (for
    reads 1, 11, 21 …), in CI one of them. The tier serves true blocks or none and ends; the next start is well."""
    blocks = [block(number, 8_192) for number in range(11)]
    chance = random.Random(f"{SEED}{call}")
    print(f"seed {SEED}")
    first, hurt = (1 if LONG else chance.randrange(1, 10)), 0
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # no writes and renames but the tier's own
    while True:
        folder = tmp_path / str(first)
        folder.mkdir()
        log = tmp_path / "strace.log"
        paths = [folder, folder / DATABASE, folder / f"{DATABASE}-wal", *(path_of(folder, each) for each in blocks)]
        command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}"]
        command += ["-e", f"inject={call}:error={error}:when={first}..{first + 9}"]
        if call in ("read", "pread64", "openat"):  # Python and its loader make such calls of their own
            command += [part for path in paths for part in ("-P", str(path))]
        command += [sys.executable, "-c", SICK, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (first, done.stderr[-2_000:])
        injected = log.read_text().count("(INJECTED)")
        check(folder, blocks, BUDGET)
        assert not list((folder / "tmp").iterdir())
        shutil.rmtree(folder)
        hurt += injected
        if not injected or not LONG:
            break
        first += 10 if call in ("read", "openat") else 1
    print(f"{call} {error}: {hurt} calls failed")
