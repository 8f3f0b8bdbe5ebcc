"""Changing a prolly tree: the same tree that building from scratch would give, from the nodes near the change.

Not here: nodes and where they end (content/treenode). A node's end depends only on rows since its start. So rows are
dealt anew from the start of the first node that changes, and as soon as a new node starts where an old one did, all
that follows is as it was. The nodes that came and went are changes of the level above, made the same way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from content.block import Block
from content.cid import CID
from content.errors import BadNode
from content.treenode import EMPTY, Dealer, Emit, Node, Row, Value, grow, load, load_child, read, row
from content.walk import Walk


def update(root: CID, changes: Mapping[str, Value | None], emit: Emit) -> Walk[CID]:
    """The tree with these rows set, or taken away where the value is None. Only blocks that are new go to emit."""
    tree = _Tree((yield from load(root)))
    edits = {key: None if value is None else row(key, value) for key, value in changes.items()}
    made: dict[CID, Block] = {}
    for level in range(tree.root.level + 1):
        if not edits:
            return root
        edit = _Edit(tree, level, edits)
        yield from edit.run()
        nodes = dict(edit.dealer.nodes)
        fresh = {first: block for first, block in nodes.items() if edit.gone.get(first) != block.cid}
        made.update((block.cid, block) for block in fresh.values())
        edits = {first: None for first in edit.gone if first not in nodes}
        edits.update((first, row(first, block.cid)) for first, block in fresh.items())
    if len(nodes) > 1:
        links = [(first, row(first, block.cid)) for first, block in nodes.items()]
        top = grow(tree.root.level + 1, links, emit)
    else:
        top = (yield from _lowered(next(iter(nodes.values())), made)) if nodes else EMPTY.cid
    for block in made.values() if nodes else (EMPTY,):
        emit(block)
    return top


def _lowered(block: Block, made: dict[CID, Block]) -> Walk[CID]:
    """The root below nodes of one row, which a tree that shrank leaves on top; those are taken out of made."""
    node = read(block)
    while node.level and len(node.keys) == 1:
        made.pop(node.cid, None)
        below = made.get(node.child(0))
        node = read(below) if below else (yield from load_child(node, 0))
    return node.cid


@dataclass(slots=True)
class _Tree:
    """The tree an update starts from: each node read once, and only where it is needed."""

    root: Node
    nodes: dict[CID, Node] = field(default_factory=dict)

    def at(self, level: int, key: str) -> Walk[Node]:
        """The node whose range holds key; the first one's reaches down to everything."""
        return self._descend(level, key, bisect_right)

    def before(self, level: int, node: Node) -> Walk[Node | None]:
        """The node left of this one, if there is one."""
        if node.keys[0] == self.root.keys[0]:
            return None
        return (yield from self._descend(level, node.keys[0], bisect_left))

    def after(self, level: int, node: Node) -> Walk[Node]:
        """The node right of this one, which must begin where this one ends: a node that two parents share may not, and
        who went on from it would go round for ever. Raises BadNode."""
        found = yield from self.at(level, node.high or "")
        if found.keys[:1] != [node.high]:
            raise BadNode("tree node that does not begin where the one before it ends")
        return found

    def _descend(self, level: int, key: str, bisect: Callable[[list[str], str], int]) -> Walk[Node]:
        node = self.root
        while node.level > level:
            index = max(0, bisect(node.keys, key) - 1)
            cid = node.child(index)
            if cid not in self.nodes:
                self.nodes[cid] = yield from load_child(node, index)
            node = self.nodes[cid]
        return node


@dataclass(slots=True)
class _Edit:
    """One level of an update: rows (None: taken away) go in, `gone` and the dealer's nodes come out."""

    tree: _Tree
    level: int
    edits: Mapping[str, bytes | None]
    dealer: Dealer = field(init=False)
    gone: dict[str, CID] = field(default_factory=dict)  # old nodes whose rows were dealt anew, by first key
    keys: list[str] = field(init=False)
    done: int = 0  # keys that were dealt with
    reached: str | None = None  # the first key after the last old node dealt anew

    def __post_init__(self) -> None:
        self.dealer = Dealer(self.level)
        self.keys = sorted(self.edits)

    def run(self) -> Walk[None]:
        while self.done < len(self.keys):
            node = yield from self._start(self.keys[self.done])
            while not (yield from self._through(node)):
                node = yield from self.tree.after(self.level, node)

    def _start(self, key: str) -> Walk[Node]:
        """The node to deal anew from. One that ended because the row after it was too large may take that row now."""
        node = yield from self.tree.at(self.level, key)
        if node.keys and node.keys[0] == key and key != self.reached:
            before = yield from self.tree.before(self.level, node)
            if before and not before.ends_by_hash:
                return before
        return node

    def _through(self, node: Node) -> Walk[bool]:
        """Deal one old node's rows; whether what follows it is as it was."""
        if node.keys:
            self.gone[node.keys[0]] = node.cid
        for key, data in self._merged(node):
            self.dealer.deal(key, data)
        self.reached = node.high
        if node.high is None:
            self.dealer.cut()
        if not self.dealer.is_open:
            return True
        following = yield from self.tree.after(self.level, node)
        if self._stop(following) == self.done and self.dealer.overflows(following.row(0)):
            self.dealer.cut()
        return not self.dealer.is_open

    def _stop(self, node: Node) -> int:
        """How many edits lie before the node's end."""
        return len(self.keys) if node.high is None else bisect_left(self.keys, node.high, self.done)

    def _merged(self, node: Node) -> Iterator[Row]:
        """The node's rows with its edits put in."""
        stop = self._stop(node)
        edits = self.keys[self.done : stop]
        self.done = stop
        kept: Mapping[str, bytes] = {key: node.row(index) for index, key in enumerate(node.keys)}
        for key in sorted(kept.keys() | set(edits)) if edits else kept:
            data = self.edits[key] if key in self.edits else kept[key]
            if data is not None:
                yield key, data
