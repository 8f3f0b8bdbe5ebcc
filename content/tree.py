"""The prolly tree: a sorted map as blocks, with one shape per content, whatever its history.

Here lives building and reading such trees (Index, attic, bases, the Catalog's maps), and the door to changing and
comparing them. Not here: the form of a node and where it ends (content/treenode), what the rows mean (content/release,
content/catalog), or where blocks come from (walks yield the CID they need).

Roads not taken: nodes of a fixed number of rows (one insertion moves every node after it), and a B-tree (its shape
tells its history, so equal sites would have unequal Indexes).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from content.cid import CID
from content.limits import RELEASE_ENTRIES, check
from content.treediff import diff
from content.treenode import EMPTY, Emit, Node, Row, Value, grow, load, load_child, row
from content.treeupdate import update
from content.walk import Walk

__all__ = ["EMPTY", "Value", "build", "diff", "first", "get", "node_cids", "rows", "select", "update"]


def build(rows: Iterable[tuple[str, Value]], emit: Emit) -> CID:
    """The tree of these rows, sorted by key and without doubles (else ValueError). Its blocks go to emit."""
    return grow(0, _encoded(rows), emit)


def get(root: CID, key: str) -> Walk[Value | None]:
    """The value under this key, or None."""
    node = yield from load(root)
    while node.level:
        index = bisect_right(node.keys, key) - 1
        if index < 0:
            return None
        node = yield from load_child(node, index)
    index = bisect_left(node.keys, key)
    return node.values[index] if index < len(node.keys) and node.keys[index] == key else None


def select(root: CID, keys: Iterable[str]) -> Walk[dict[str, Value]]:
    """The rows of those of these keys that are there. Each node is read once, however many of them lie below it."""
    found: dict[str, Value] = {}
    pending = [((yield from load(root)), sorted(set(keys)))]
    while pending:
        node, wanted = pending.pop()
        if not node.level:
            rows = dict(zip(node.keys, node.values, strict=True))
            found |= {key: rows[key] for key in wanted if key in rows}
            continue
        start = bisect_left(wanted, node.keys[0]) if node.keys else len(wanted)
        while start < len(wanted):
            index = bisect_right(node.keys, wanted[start]) - 1
            last = index + 1 == len(node.keys)
            stop = len(wanted) if last else bisect_left(wanted, node.keys[index + 1])
            pending.append(((yield from load_child(node, index)), wanted[start:stop]))
            start = stop
    return found


def first(root: CID, start: str) -> Walk[tuple[str, Value] | None]:
    """The first row whose key is `start` or comes after it; None past the end. Two nodes a level, at most."""
    node = yield from load(root)
    after: tuple[Node, int] | None = None  # the nearest child to the right of the way down
    while node.level:
        index = max(0, bisect_right(node.keys, start) - 1)
        if index + 1 < len(node.keys):
            after = node, index + 1
        node = yield from load_child(node, index)
    index = bisect_left(node.keys, start)
    if index == len(node.keys):
        if after is None:
            return None
        node, index = (yield from load_child(*after)), 0
        while node.level:
            node = yield from load_child(node, 0)
    return node.keys[index], node.values[index]


def rows(root: CID, prefix: str = "") -> Walk[list[tuple[str, Value]]]:
    """All rows whose key starts with prefix, in order. Only nodes that may hold some are asked for."""
    found: list[tuple[str, Value]] = []
    pending: list[tuple[Node, int]] = []
    node = yield from load(root)
    while True:
        start, stop = _range(node.keys, prefix)
        if node.level:
            pending += [(node, index) for index in reversed(range(max(0, start - 1), stop))]
        else:
            found += zip(node.keys[start:stop], node.values[start:stop], strict=True)
            check("tree rows", len(found), RELEASE_ENTRIES)
        if not pending:
            return found
        node = yield from load_child(*pending.pop())


def node_cids(root: CID) -> Walk[list[CID]]:
    """All nodes, root first, level by level. Leaves are named by their parents, so they are not asked for."""
    cids = [root]
    level = [(yield from load(root))]
    while level[0].level:
        cids += [node.child(index) for node in level for index in range(len(node.keys))]
        check("tree nodes", len(cids), RELEASE_ENTRIES)
        if level[0].level == 1:
            break
        below: list[Node] = []
        for node in level:
            for index in range(len(node.keys)):
                below.append((yield from load_child(node, index)))  # noqa: PERF401 - no yield in a comprehension
        level = below
    return cids


def _range(keys: list[str], prefix: str) -> tuple[int, int]:
    """Which keys start with prefix: [start, stop)."""
    start = stop = bisect_left(keys, prefix)
    if not prefix:
        return 0, len(keys)
    while stop < len(keys) and keys[stop].startswith(prefix):
        stop += 1
    return start, stop


def _encoded(rows: Iterable[tuple[str, Value]]) -> Iterator[Row]:
    last = None
    for key, value in rows:
        if last is not None and key <= last:
            raise ValueError(f"rows out of order at {key!r}")
        last = key
        yield key, row(key, value)
