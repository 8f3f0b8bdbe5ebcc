"""CARs and TARs of a hostile DAG: what a reader without doubles gets is what one with them gets, each block once.

The DAGs are those of targets/unixfs. Streams are left after a while, as readers do: they may go on without end.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

from content import carwalk, paths, tar, walk
from content.block import Block
from content.carwalk import Bytes, Scope
from content.cid import CID, IDENTITY
from content.errors import ContentError
from tests.fuzz.taking import Taking
from tests.fuzz.targets import unixfs
from tests.fuzz.targets.unixfs import Absent, Blocks, build

STEPS = (60_000, 4_000)
_MOST = 150  # steps of a stream that are looked at
_SCOPES: tuple[Scope, ...] = ("block", "entity", "all")
_BYTES: tuple[Bytes | None, ...] = (
    None,
    None,
    (0, None),
    (0, 0),
    (2, 5),
    (-3, None),
    (-3, -2),
    (5, 2),
    (1 << 40, None),
)
_WAYS = ((), ("a",), ("b", "a"), ("n1",), ("a", "..", ""), ("Links", "0", "Hash"))


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    scope, choice = _SCOPES[taking.byte() % 3], taking.byte()
    wanted, way = _BYTES[choice % len(_BYTES)], _WAYS[choice // 16 % len(_WAYS)]
    blocks = Blocks()
    top = build(taking, blocks)
    if choice & 0x80:
        _tar(top, blocks)
        return
    once, fault = _car(top, way, scope, wanted, False, blocks)
    assert len(once) == len(set(once)), "a block twice, and none was asked for twice"
    doubled, other = _car(top, way, scope, wanted, True, blocks)
    if fault == other == "":
        assert list(dict.fromkeys(doubled)) == once or scope != "all" or wanted is not None
        assert set(doubled) == set(once)
    if fault == "" and scope == "all" and wanted is None:
        _is_everything(top, way, once, blocks)


def _car(
    top: CID, way: tuple[str, ...], scope: Scope, wanted: Bytes | None, dups: bool, blocks: Blocks
) -> tuple[list[CID], str]:
    """The blocks that are written, and how it ended."""
    written: list[CID] = []
    going = carwalk.car(top, way, scope, wanted, dups)
    try:
        want = next(going)
        for _ in range(_MOST):
            assert want.cid.hash_code != IDENTITY
            if want.write:
                written.append(want.cid)
            want = going.send(_block(blocks, want.cid))
    except StopIteration:
        return written, ""
    except (ContentError, Absent) as error:
        return written, type(error).__name__
    assert dups or len(blocks) * 8 > _MOST, "without doubles it goes on for longer than there are blocks"
    return written, "left"


def _block(blocks: Blocks, cid: CID) -> Block:
    if cid not in blocks:
        raise Absent
    return blocks[cid]


def _is_everything(top: CID, way: tuple[str, ...], once: list[CID], blocks: Blocks) -> None:
    place = blocks.run(paths.follow(top, way))
    assert isinstance(place, paths.Place)
    below: list[CID] = []
    done = blocks.run(walk.reachable((place.cid,), below.append, ask_leaves=True))
    if not isinstance(done, str):
        assert set(below) <= set(once)
        assert {cid.v1 for cid in once} - set(below) <= {cid.v1 for cid in place.passed} | set(blocks)


def _tar(top: CID, blocks: Blocks) -> None:
    """An archive that comes to its end reads: below its top, with the sizes it says."""
    made = io.BytesIO()
    going = tar.tar(top)
    try:
        step = next(going)
        for _ in range(_MOST):
            if isinstance(step, CID):
                step = going.send(_block(blocks, step))
            else:
                made.write(step.data)
                step = next(going)
    except StopIteration:
        pass
    except (ContentError, Absent):
        return
    else:
        return
    assert made.tell() % 512 == 0
    made.seek(0)
    with tarfile.open(fileobj=made) as archive:
        for member in archive:
            assert member.name.split("/")[0] == str(top)
            assert ".." not in member.name.split("/")
            if member.isfile():
                assert len(archive.extractfile(member).read()) == member.size  # type: ignore[union-attr]


def seeds() -> Iterator[bytes]:
    for n, seed in enumerate(unixfs.seeds()):
        yield bytes((n % 3, n * 37 % 256)) + seed[1:]
    yield bytes((2, 0x80)) + bytes((6, 3)) + b"abc" + bytes((5,))
    yield bytes((2, 0)) + bytes((6, 3)) + b"abc" + bytes((5,))
