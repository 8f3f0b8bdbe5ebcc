"""Trees: an honest one does what a sorted dict does, and one whose nodes lie is refused or read as one sorted map.

Both are built from choices. Not here: the bytes of one node (targets/release).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from content import cbor, tree
from content.asking import Walk, drive
from content.block import Block
from content.cid import CID, RAW
from content.errors import BadNode, ContentError
from tests.fuzz.taking import Taking

T = TypeVar("T")

STEPS = (40_000, 3_000)
_ASKED = 400  # blocks that a walk over a tree of a few nodes may ask for
_CID = CID.of(RAW, b"a file")


def check(data: bytes, thorough: bool) -> None:
    taking = Taking(data)
    if taking.byte() & 1:
        _lying_tree(taking)
    else:
        _honest_tree(taking, thorough)


class _Source(dict[CID, Block]):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def emit(self, block: Block) -> None:
        self[block.cid] = block

    def run(self, walk: Walk[T]) -> T:
        self.asked = 0
        return drive(walk, self._get)

    def _get(self, cid: CID) -> Block:
        self.asked += 1
        assert self.asked <= _ASKED, "a walk without end"
        if cid not in self:
            raise BadNode("absent")
        return self[cid]


def _honest_tree(taking: Taking, thorough: bool) -> None:
    """Build, look up, list, change and compare, beside a dict."""
    blocks = _Source()
    before: dict[str, Any] = {_key(taking): "v" * (taking.byte() << 5) for _ in range(taking.byte() % 12)}
    root = tree.build(sorted(before.items()), blocks.emit)
    changes: dict[str, Any] = {}
    for _ in range(taking.byte() % 4):
        key, choice = _key(taking), taking.byte()
        changes[key] = None if choice % 3 == 0 else "w" * (choice << 5)
    after = {key: value for key, value in (before | changes).items() if value is not None}
    changed = blocks.run(tree.update(root, changes, blocks.emit))
    assert changed == tree.build(sorted(after.items()), blocks.emit), "the same rows, another tree"
    key = _key(taking)
    assert blocks.run(tree.get(changed, key)) == after.get(key)
    assert blocks.run(tree.first(changed, key)) == next((row for row in sorted(after.items()) if row[0] >= key), None)
    listed = blocks.run(tree.rows(changed, key[:1]))
    assert listed == [row for row in sorted(after.items()) if row[0].startswith(key[:1])]
    if thorough:
        wanted = [(key, before.get(key), after.get(key)) for key in sorted(before | after)]
        assert blocks.run(tree.diff(root, changed)) == [row for row in wanted if row[1] != row[2]]
        assert set(blocks.run(tree.node_cids(changed))) <= blocks.keys() | {tree.EMPTY.cid}


def _key(taking: Taking) -> str:
    byte = taking.byte()
    return f"/{'abcdefgh'[byte % 8]}{byte >> 3}" if byte < 0xF8 else "/é" * (byte & 7)


def _lying_tree(taking: Taking) -> None:
    """Nodes that say what they like of level, keys and children: a walk ends in a value or in a fault of content."""
    blocks = _Source()
    cids = [tree.EMPTY.cid, _CID]
    while not taking.is_over and len(cids) < 10:
        level, rows = taking.byte() % 5, []
        for _ in range(taking.byte() % 5):
            value: Any = cids[-1 - taking.byte() % len(cids)] if level or taking.byte() & 1 else taking.byte()
            rows.append([_key(taking), value])
        if taking.byte() & 1:
            rows.sort(key=lambda row: str(row[0]))
        block = cbor.encode({"kind": "tree", "v": 1, "level": level, "rows": rows})
        blocks.emit(block)
        cids.append(block.cid)
    top, other, key = cids[-1], cids[-1 - taking.byte() % len(cids)], "/b3"
    listed = _outcome(lambda: blocks.run(tree.rows(top)))
    for walk in (
        lambda: blocks.run(tree.first(top, key)),
        lambda: blocks.run(tree.diff(top, other)),
        lambda: blocks.run(tree.update(top, {key: "x", "/a": None}, blocks.emit)),
        lambda: blocks.run(tree.node_cids(top)),
    ):
        _outcome(walk)
    if isinstance(listed, list):
        keys = [key for key, _ in listed]
        assert keys == sorted(set(keys)), "two rows of one key, or rows out of order"
        for key, value in listed[:3]:
            assert blocks.run(tree.get(top, key)) == value


def _outcome(read: Callable[[], T]) -> T | str:
    try:
        return read()
    except ContentError as error:
        return type(error).__name__


def seeds() -> Iterator[bytes]:
    yield bytes((0, 5, 1, 200, 2, 255, 3, 255, 4, 200, 5, 255, 3, 1, 0, 0, 2, 1, 9, 3, 1, 255))
    yield bytes((0, 11, *range(1, 255, 9)))
    yield bytes((0, 7, *range(255, 200, -3)))
    yield bytes((0, 0, 2, 1, 1, 9, 9))
    yield bytes((1, 0, 1, 1, 1, 5, 1, 1, 1, 0, 1, 5, 1, 2, 2, 0, 1, 1, 5, 1))
    yield bytes((1, 0, 2, 1, 5, 0, 2, 1, 1, 2, 0, 1, 1, 0, 1))
    yield bytes((1, 0, 2, 1, 5, 0, 2, 1, 0, 4, 1, 0, 1, 1))
    yield bytes((1, 0, 1, 0, 3, 1, 1, 1, 0, 0, 3, 1, 2, 2, 0, 3, 0, 3, 1))
    yield bytes((1, 1, 0, 1))
    yield b""
