"""Comparing two prolly trees without reading what is equal.

Not here: nodes (content/treenode). Both trees are walked in key order, and what is smaller is opened first: since equal
content has equal nodes, a subtree both hold comes up on both sides under one key with one link, and is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from content.cid import CID
from content.treenode import Node, Value, load, load_child
from content.walk import Walk


def diff(a: CID, b: CID) -> Walk[list[tuple[str, Value | None, Value | None]]]:
    """(key, value in a, value in b) of every key that differs, in order; None where there is none."""
    found: list[tuple[str, Value | None, Value | None]] = []
    if a == b:
        return found
    left, right = _Side((yield from load(a))), _Side((yield from load(b)))
    while left.items or right.items:
        x, y = left.key, right.key
        if x is not None and x == y and left.same(right):
            left.take()
            right.take()
        elif left.level and _first(x, y) and (x != y or left.level >= right.level):
            yield from left.open()
        elif right.level and _first(y, x):
            yield from right.open()
        elif x is not None and _first(x, y):
            found.append((x, left.take(), right.take() if x == y else None))
        elif y is not None:
            found.append((y, None, right.take()))
    return found


def _first(key: str | None, other: str | None) -> bool:
    """Whether key comes first, or with other (None: that side is at its end)."""
    return key is not None and (other is None or key <= other)


@dataclass(slots=True)
class _Side:
    """What of one tree is still to compare: rows and links by their node and index, the next one last."""

    root: Node
    items: list[tuple[Node, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._push(self.root)

    def _push(self, node: Node) -> None:
        self.items += [(node, index) for index in reversed(range(len(node.keys)))]

    @property
    def key(self) -> str | None:
        return self.items[-1][0].keys[self.items[-1][1]] if self.items else None

    @property
    def level(self) -> int:
        """0 for a row (or the end), n + 1 for a link to a node of level n."""
        return self.items[-1][0].level if self.items else 0

    def same(self, other: _Side) -> bool:
        (x, i), (y, j) = self.items[-1], other.items[-1]
        return x.level == y.level and x.row(i) == y.row(j)  # as encoded: to Python, 1 == True == 1.0

    def open(self) -> Walk[None]:
        """Put a node's rows where its link stood."""
        self._push((yield from load_child(*self.items.pop())))

    def take(self) -> Value:
        node, index = self.items.pop()
        return node.values[index]
