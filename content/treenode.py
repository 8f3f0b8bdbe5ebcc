"""One node of the prolly tree: its bytes, its checks, and the rules that say where it ends.

Not here: whole trees (content/tree reads and builds, content/treeupdate changes, content/treediff compares).

A node is DAG-CBOR `{"kind": "tree", "v": 1, "level": n, "rows": [[key, value], …]}`, keys in the order of their UTF-8
bytes; above level 0 a row is [first key of a child, link to it]. Rows are dealt to nodes from left to right, and
- a node ends *after* a row when 16 bits of its key's sha-256 (bytes 2n and 2n + 1, for level n) are below row size ×
  65,536 / 8,192. Hence nodes of 8 KiB in the mean, whatever the rows' size, and a fan-out of about 64 to 128;
- a node above level 0 holds ≥ 4 rows first (but the last one), so nobody can mine keys that make a tree of sticks;
- a node ends *before* a row that would take it past 32 KiB.
All three look only at rows since the node's start: that is what makes a tree's shape a matter of content alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeAlias

import libipld

from content.asking import Walk, ask, under
from content.block import Block
from content.cbor import decode, link, typed
from content.cid import CID, DAG_CBOR
from content.errors import BadNode
from content.limits import PATH_BYTES, TREE_DEPTH, TREE_LEAF, check

Value: TypeAlias = Any  # a DAG-CBOR value; bytes are links
Row: TypeAlias = tuple[str, bytes]  # a key, and its [key, value] encoded
Emit: TypeAlias = Callable[[Block], None]

MEAN: Final = 8 * 1024  # bytes of rows, the mean of a node
INNER_ROWS: Final = 4  # the fewest rows of a node above level 0, but the last of its level
_HEAD: Final = bytes.fromhex("a4 61 76 01 64 6b696e64 64 74726565 64 726f7773")  # {"v": 1, "kind": "tree", "rows":
_TAIL: Final = bytes.fromhex("65 6c6576656c")  # "level":
ROWS_MAX: Final = TREE_LEAF - len(_HEAD) - 3 - len(_TAIL) - 1  # for rows: 3 is the longest array header, 1 the level

encoded: Final[Callable[[Any], bytes]] = libipld.encode_dag_cbor


def row(key: str, value: Value) -> bytes:
    """A row's bytes. Raises LimitExceeded for a key or row that no node can hold."""
    data = encoded([key, value])
    check("tree row", len(data), ROWS_MAX)
    check("tree key", len(key.encode()), PATH_BYTES)
    return data


def ends(level: int, key: str, size: int, count: int) -> bool:
    """Whether a node ends after its count-th row, of this key and size, because the key's hash says so."""
    digest = sha256(key.encode()).digest()
    chance = digest[2 * level] << 8 | digest[2 * level + 1]
    return chance * MEAN < size << 16 and (level == 0 or count >= INNER_ROWS)


@dataclass(slots=True)
class Dealer:
    """Deals the rows of one level to nodes; `nodes` are the finished ones with their first keys."""

    level: int
    nodes: list[tuple[str, Block]] = field(default_factory=list)
    _first: str = ""
    _rows: list[bytes] = field(default_factory=list)
    _size: int = 0

    def deal(self, key: str, data: bytes) -> None:
        if self._size + len(data) > ROWS_MAX:
            self.cut()
        if not self._rows:
            self._first = key
        self._rows.append(data)
        self._size += len(data)
        if ends(self.level, key, len(data), len(self._rows)):
            self.cut()

    @property
    def is_open(self) -> bool:
        return bool(self._rows)

    def overflows(self, data: bytes) -> bool:
        """Whether the open node would end before this row."""
        return self._size + len(data) > ROWS_MAX

    def cut(self) -> None:
        """End the open node, if there is one."""
        if self._rows:
            self.nodes.append((self._first, make(self.level, self._rows)))
            self._rows = []
            self._size = 0


def make(level: int, rows: Sequence[bytes]) -> Block:
    """The block of these rows, put together by hand: each row was encoded once already, to know its size."""
    check("tree depth", level + 1, TREE_DEPTH)
    count = len(rows)
    if count < 24:
        head = bytes((0x80 | count,))
    else:
        head = bytes((0x98, count)) if count < 256 else b"\x99" + count.to_bytes(2, "big")
    return Block.make(DAG_CBOR, b"".join((_HEAD, head, *rows, _TAIL, bytes((level,)))))


EMPTY: Final[Block] = make(0, ())


@dataclass(frozen=True, slots=True)
class Node:
    """A node, read and checked. `high` is the first key after it, None where it is the last of its level."""

    cid: CID
    level: int
    keys: list[str]
    values: list[Value]
    high: str | None = None

    def row(self, index: int) -> bytes:
        """The row's bytes again. Raises BadNode for a value nested so deep that reading it just went well."""
        try:
            return encoded([self.keys[index], self.values[index]])
        except RecursionError as error:
            raise BadNode("tree row that is nested too deep") from error

    def child(self, index: int) -> CID:
        """The link in a row above level 0. Read on demand: a node has hundreds, and a lookup follows one."""
        return link(self.values[index])

    @property
    def ends_by_hash(self) -> bool:
        """Whether it ends after its last row whatever follows (not: before a row that was too much)."""
        return bool(self.keys) and ends(self.level, self.keys[-1], len(self.row(-1)), len(self.keys))


def read(block: Block, high: str | None = None) -> Node:
    """The node in a block. Raises BadNode."""
    if len(block.data) > TREE_LEAF:
        raise BadNode(f"tree node of {len(block.data):,} bytes (at most {TREE_LEAF:,})")
    value = decode(block.data, "tree")
    level = typed(value.get("level"), int, "level")
    rows = typed(value.get("rows"), list, "rows")
    if not 0 <= level < TREE_DEPTH or (level and not rows):
        raise BadNode(f"tree node of level {level} with {len(rows)} rows")
    for item in rows:
        if type(item) is not list or len(item) != 2 or type(item[0]) is not str:
            raise BadNode("tree row: expected [key, value]")
    keys = [item[0] for item in rows]
    if any(keys[i] >= keys[i + 1] for i in range(len(keys) - 1)):  # code points sort as their UTF-8 bytes do
        raise BadNode("tree node with keys out of order")
    return Node(block.cid, level, keys, [item[1] for item in rows], high)


def load(root: CID) -> Walk[Node]:
    """The root node. The empty tree is known to all and never asked for."""
    return read(EMPTY if root == EMPTY.cid else under(root, (yield from ask(root))))


def load_child(node: Node, index: int) -> Walk[Node]:
    """A child, which must be what its parent says: one level below, from its row's key to before the next."""
    high = node.keys[index + 1] if index + 1 < len(node.keys) else node.high
    cid = node.child(index)
    child = read(under(cid, (yield from ask(cid))), high)
    if child.level != node.level - 1 or child.keys[:1] != node.keys[index : index + 1]:
        raise BadNode("tree node that is not what its parent says")
    if high is not None and child.keys[-1] >= high:
        raise BadNode("tree node that reaches into the next one")
    return child


def grow(level: int, rows: Iterable[Row], emit: Emit) -> CID:
    """Deal these rows of one level to nodes, and those to the level above, until one node holds all: the root."""
    while True:
        dealer = Dealer(level)
        for key, data in rows:
            dealer.deal(key, data)
        dealer.cut()
        for _, block in dealer.nodes or [("", EMPTY)]:
            emit(block)
        if len(dealer.nodes) <= 1:
            return dealer.nodes[0][1].cid if dealer.nodes else EMPTY.cid
        rows = [(first, row(first, block.cid)) for first, block in dealer.nodes]
        level += 1
