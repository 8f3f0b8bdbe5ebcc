"""The prolly tree: one shape per content, few nodes per change, and nodes that lie are refused."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import libipld
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content import tree, treenode
from content.block import Block
from content.cbor import encode
from content.cid import CID, RAW
from content.errors import BadNode, LimitExceeded
from content.limits import PATH_BYTES, TREE_DEPTH, TREE_LEAF
from content.release import Asset, Encoding
from content.walk import Walk, drive

Rows = dict[str, Any]


class Blocks:
    """A store that counts what is asked of it."""

    def __init__(self) -> None:
        self.held: dict[CID, Block] = {}
        self.asked: list[CID] = []

    def emit(self, block: Block) -> None:
        self.held[block.cid] = block

    def get(self, cid: CID) -> Block:
        self.asked.append(cid)
        return self.held[cid]

    def build(self, rows: Mapping[str, Any]) -> CID:
        return tree.build(sorted(rows.items()), self.emit)

    def run(self, walk: Walk[Any]) -> Any:
        self.asked.clear()
        return drive(walk, self.get)


def value(size: int, mark: int = 0) -> Rows:
    return {"mark": mark, "pad": "x" * size}


def assets(count: int) -> Rows:
    """Rows as an Index holds them, encodings included."""
    coded = Encoding(CID.of(RAW, b"coded"), 3_000)
    codings = {"br": coded, "gzip": coded, "zstd": coded}
    return {
        f"/assets/{i // 100:03}/app-{i:05}.js": Asset(
            CID.of(RAW, b"%d" % i), 10 * i, "", "text/javascript; charset=utf-8", codings, immutable=True
        ).to_row()
        for i in range(count)
    }


# A small pool of keys, so that changes meet rows; sizes from nothing to nearly a whole node, so that cuts are forced.
keys = st.integers(0, 400).map(lambda n: f"/{'é' * (n % 3)}{n * 7919 % 401}")
sizes = st.sampled_from([0, 1, 40, 200, 1_000, 5_000, 9_000, 20_000, 32_500])
values = st.builds(value, sizes, st.integers(0, 3))
maps = st.dictionaries(keys, values, max_size=120)
changes = st.dictionaries(keys, st.one_of(st.none(), values), max_size=60)


def changed(rows: Rows, edits: Mapping[str, Any]) -> Rows:
    return {key: row for key, row in {**rows, **edits}.items() if row is not None}


@settings(deadline=None, max_examples=150)
@given(maps, changes, changes)
def test_update_equals_build(rows: Rows, first: Rows, second: Rows) -> None:
    """After any changes the root is the one of building from scratch, and only its new nodes are emitted."""
    blocks, fresh = Blocks(), Blocks()
    root = blocks.build(rows)
    for edits in (first, second):
        made: list[Block] = []
        rows = changed(rows, edits)
        old = set(blocks.run(tree.node_cids(root)))
        root = blocks.run(tree.update(root, edits, made.append))
        fresh.held.clear()
        assert root == fresh.build(rows)
        assert {block.cid for block in made} - {tree.EMPTY.cid} == set(fresh.held) - old - {tree.EMPTY.cid}
        for block in made:
            blocks.emit(block)
        assert dict(blocks.run(tree.rows(root))) == rows


@settings(deadline=None, max_examples=80)
@given(maps)
def test_deleting_all_rows_gives_the_empty_tree(rows: Rows) -> None:
    """Whatever was there, without rows it is the empty leaf; and from it all can come back."""
    blocks = Blocks()
    root = blocks.build(rows)
    empty = blocks.run(tree.update(root, dict.fromkeys(rows), blocks.emit))
    assert empty == tree.EMPTY.cid == tree.build([], blocks.emit)
    assert blocks.run(tree.update(empty, rows, blocks.emit)) == root


@settings(deadline=None, max_examples=80)
@given(maps, st.randoms(use_true_random=False))
def test_any_history_gives_the_same_root(rows: Rows, chance: random.Random) -> None:
    """Rows put in one by one, in any order, with detours, end in the same root."""
    blocks = Blocks()
    root = tree.EMPTY.cid
    order = list(rows)
    chance.shuffle(order)
    for key in order:
        for edit in ({key + "~": value(3_000)}, {key: rows[key], key + "~": None}):
            root = blocks.run(tree.update(root, edit, blocks.emit))
    assert root == Blocks().build(rows)


@settings(deadline=None, max_examples=80)
@given(maps, changes, st.text(max_size=3))
def test_reads_equal_those_of_a_dict(rows: Rows, others: Rows, prefix: str) -> None:
    """get, select, rows by prefix and node_cids say what a dict says; select reads each node once."""
    blocks = Blocks()
    root = blocks.build(rows)
    asked = [*rows, *others, "", "/", "\U0010ffff"]
    for key in asked:
        assert blocks.run(tree.get(root, key)) == rows.get(key)
    for some in (asked, list(others)):
        assert blocks.run(tree.select(root, some)) == {key: rows[key] for key in some if key in rows}
        assert len(blocks.asked) == len(set(blocks.asked))
    for start in (prefix, "/" + prefix, "/1", "/é", ""):
        expected = sorted((key, row) for key, row in rows.items() if key.startswith(start))
        assert blocks.run(tree.rows(root, start)) == expected
    cids = blocks.run(tree.node_cids(root))
    assert cids[0] == root
    assert sorted(cids) == sorted(set(blocks.held))


@settings(deadline=None, max_examples=120)
@given(maps, st.one_of(maps, changes))
def test_diff_equals_the_diff_of_dicts(rows: Rows, edits: Rows) -> None:
    """Every key that differs, with both values, in order; nothing else."""
    blocks = Blocks()
    after = changed(rows, edits)
    a, b = blocks.build(rows), blocks.build(after)
    expected = [(k, rows.get(k), after.get(k)) for k in sorted({**rows, **after}) if rows.get(k) != after.get(k)]
    assert blocks.run(tree.diff(a, b)) == expected
    assert blocks.run(tree.diff(b, a)) == [(k, y, x) for k, x, y in expected]


def test_diff_tells_true_from_one() -> None:
    """Values that Python holds for equal, but that are other bytes, differ."""
    blocks = Blocks()
    a, b = blocks.build({"/a": True, "/b": 1}), blocks.build({"/a": 1, "/b": 1})
    found = blocks.run(tree.diff(a, b))
    assert [(key, type(x), type(y)) for key, x, y in found] == [("/a", bool, int)]


@settings(deadline=None, max_examples=60)
@given(maps)
def test_nodes_are_canonical_and_bounded(rows: Rows) -> None:
    """Nodes put together by hand are what a DAG-CBOR encoder writes, and none grows past 32 KiB."""
    blocks = Blocks()
    blocks.build(rows)
    for block in blocks.held.values():
        assert len(block.data) <= TREE_LEAF
        assert libipld.encode_dag_cbor(libipld.decode_dag_cbor(block.data)) == block.data


def test_the_shape_is_a_format() -> None:
    """The roots of these trees are on disks and in signed Catalogs: they never change."""
    assert str(tree.EMPTY.cid) == "bafyreid2qumfytd5cjwwkqcyl35qssp7ziafr3oc4z3f5colozy2qm7hym"
    assert (
        str(Blocks().build({"/a": 1, "/b": {"x": [None, "ü"]}}))
        == "bafyreidneduyz6fqbk7fqhecf4g3rhf3cp3j4dtuutbrszajj5gk6scbcu"
    )
    assert str(Blocks().build(assets(3_000))) == "bafyreiascppgho2rhsljvwvznyd6t4ceicxx5nde6cuoyjhlxik2l2mfaq"


def test_nodes_have_the_size_that_was_promised() -> None:
    """The mean leaf is about 8 KiB and the fan-out between 40 and 160, for rows of 60 bytes and of 300."""
    for rows in (assets(10_000), {f"{i:08}": CID.of(RAW, b"%d" % i) for i in range(20_000)}):
        blocks = Blocks()
        nodes = [treenode.read(blocks.held[cid]) for cid in blocks.run(tree.node_cids(blocks.build(rows)))]
        leaves = [len(blocks.held[node.cid].data) for node in nodes if node.level == 0]
        inner = [len(node.keys) for node in nodes if node.level == 1]
        assert 5_000 < sum(leaves) / len(leaves) < 12_000
        assert 40 < sum(inner) / len(inner) < 160


def test_a_change_of_one_key_touches_a_handful_of_nodes() -> None:
    """In 10,000 rows: one path of nodes is read, now and then a neighbour, and one path is made anew."""
    rows, blocks = assets(10_000), Blocks()
    root = blocks.build(rows)
    asked, made = [], []
    for index, key in enumerate(sorted(rows)[::53]):
        new: list[Block] = []
        for edit in ({key: {"changed": index}}, {key: None}, {key + "+": {"added": index}}):
            blocks.run(tree.update(root, edit, new.append))
            asked.append(len(blocks.asked))
        made.append(len(new) / 3)
    assert max(asked) <= 8
    assert sum(asked) / len(asked) < 4
    assert sum(made) / len(made) < 4


def test_reads_ask_for_what_they_need_only() -> None:
    """A get asks for one path, a prefix for its leaves, a diff for what differs, node_cids for no leaf."""
    rows, blocks = assets(10_000), Blocks()
    root = blocks.build(rows)
    blocks.run(tree.get(root, "/assets/050/app-05000.js"))
    assert len(blocks.asked) == 3
    blocks.run(tree.rows(root, "/assets/050/"))
    assert len(blocks.asked) < 12
    other = blocks.run(tree.update(root, {"/assets/050/app-05000.js": None}, blocks.emit))
    blocks.run(tree.diff(root, other))
    assert len(blocks.asked) <= 8
    blocks.run(tree.diff(root, root))
    assert blocks.asked == []
    cids = blocks.run(tree.node_cids(root))
    assert len(blocks.asked) < len(cids) / 10


def test_changes_that_change_nothing_make_nothing() -> None:
    """Setting what is there and deleting what is not gives the same root and no block."""
    rows, blocks = assets(500), Blocks()
    root = blocks.build(rows)
    made: list[Block] = []
    key = next(iter(rows))
    for edit in ({}, {key: rows[key]}, {"/none": None}, {key: rows[key], "": None, "~": None}):
        assert blocks.run(tree.update(root, edit, made.append)) == root
    assert made == []


def test_mined_keys_make_no_stick() -> None:
    """Keys chosen so that each would end its node, on every level that can be mined for, still make a low tree."""
    mined = [key for key in map(str, range(60_000)) if treenode.ends(0, key, 50, 1) and treenode.ends(1, key, 50, 9)]
    blocks = Blocks()
    links = {key: CID.of(RAW, key.encode()) for key in mined}
    nodes = blocks.run(tree.node_cids(blocks.build(links)))
    assert treenode.read(blocks.held[nodes[0]]).level <= 3
    assert all(treenode.ends(3, key, 65_536, treenode.INNER_ROWS) for key in mined)
    assert not any(treenode.ends(3, key, 65_536, treenode.INNER_ROWS - 1) for key in mined)


def test_limits_at_their_value_and_one_past() -> None:
    """A row that fits a node alone is taken, one byte more is refused; so are a key and a depth past theirs."""
    blocks = Blocks()
    pad = treenode.ROWS_MAX - len(libipld.encode_dag_cbor(["/a", "x" * 30_000])) + 30_000
    root = blocks.build({"/a": "x" * pad, "/b": "y" * pad})
    assert len(blocks.run(tree.node_cids(root))) == 3
    with pytest.raises(LimitExceeded, match="tree row"):
        blocks.build({"/a": "x" * (pad + 1)})
    blocks.build({"k" * PATH_BYTES: 1})
    with pytest.raises(LimitExceeded, match="tree key"):
        blocks.build({"k" * (PATH_BYTES + 1): 1})
    treenode.make(TREE_DEPTH - 1, [b"\x01"])
    with pytest.raises(LimitExceeded, match="tree depth"):
        treenode.make(TREE_DEPTH, [b"\x01"])


def test_rows_out_of_order_are_a_mistake() -> None:
    """build() takes sorted rows without doubles and says where they are not."""
    for wrong in ([("b", 1), ("a", 1)], [("a", 1), ("a", 1)]):
        with pytest.raises(ValueError, match="'a'"):
            tree.build(wrong, Blocks().emit)


LEAF = encode({"kind": "tree", "v": 1, "level": 0, "rows": [["a", 1], ["c", 2]]})


def node(level: Any, rows: Any, **other: Any) -> Block:
    return encode({"kind": "tree", "v": 1, "level": level, "rows": rows} | other)


@pytest.mark.parametrize(
    "block",
    [
        Block.make(0x71, b"\x81" * 4_000),
        Block.make(0x71, b"\x80"),
        node(0, [], kind="site"),
        node(0, [], v=2),
        node(-1, []),
        node(TREE_DEPTH, [["a", LEAF.cid]]),
        node(True, []),
        node(1, []),
        node(0, {}),
        node(0, [["a"]]),
        node(0, [["a", 1, 2]]),
        node(0, ["ab"]),
        node(0, [[1, 1]]),
        node(0, [["b", 1], ["a", 1]]),
        node(0, [["a", 1], ["a", 1]]),
        node(0, [["a", "x" * TREE_LEAF]]),
        node(1, [["a", 1]]),
        node(2, [["a", LEAF.cid]]),
        node(1, [["b", LEAF.cid]]),
        node(1, [["a", LEAF.cid], ["b", LEAF.cid]]),
        node(1, [["a", LEAF.cid], ["c", LEAF.cid]]),
        node(1, [["a", tree.EMPTY.cid]]),
    ],
)
def test_nodes_that_lie_are_refused(block: Block) -> None:
    """Malformed, unsorted, on another level, not under its parent's key: BadNode from every walk, and no way round."""
    blocks = Blocks()
    for each in (block, LEAF, tree.EMPTY):
        blocks.emit(each)
    other = blocks.build({"z": 1})
    for walk in (
        tree.rows(block.cid),
        tree.get(block.cid, "c"),
        tree.update(block.cid, {"c": 5}, blocks.emit),
        tree.diff(block.cid, other),
        tree.diff(other, block.cid),
    ):
        with pytest.raises(BadNode):
            blocks.run(walk)


def test_an_update_of_a_tree_that_names_one_node_twice_ends() -> None:
    """The second place of a node that was read under its first is not where it begins: BadNode. Found by fuzzing: the
    update went from the node's end to its beginning for ever, without asking for another block."""
    blocks = Blocks()
    leaf = node(0, [["a", 1]])
    lying = node(1, [["a", leaf.cid], ["b", leaf.cid], ["c", leaf.cid]])
    for each in (lying, leaf):
        blocks.emit(each)
    with pytest.raises(BadNode):
        blocks.run(tree.update(lying.cid, {"a": "x", "b": None}, blocks.emit))


def test_values_nested_to_the_readers_end_are_refused_not_crashed() -> None:
    """A value as deep as the decoder just takes is BadNode where it would have to be written again."""
    blocks = Blocks()
    for depth in range(900, 1_100):
        data = node(0, [["a", 0]]).data.replace(b"\x82\x61a\x00", b"\x82\x61a" + b"\x81" * depth + b"\x80")
        deep = Block.make(0x71, data)
        blocks.emit(deep)
        try:
            blocks.run(tree.update(deep.cid, {"b": 1}, blocks.emit))
        except BadNode:
            return
    pytest.fail("never refused")


@pytest.mark.parametrize("seed", range(6))
def test_large_trees_of_mixed_rows(seed: int) -> None:
    """Thousands of rows of 20 bytes to 32 KiB, runs of them deleted and put in: the root is that of building anew."""
    chance = random.Random(seed)
    blocks = Blocks()

    def some(count: int) -> Rows:
        sizes = [0, 30, 200, 900, 9_000, 20_000, 32_500] if seed % 2 else [0, 30, 90]
        return {f"/{chance.randrange(10**6)}": value(chance.choice(sizes)) for _ in range(count)}

    rows = some(700 if seed % 2 else 20_000)
    root = blocks.build(rows)
    for edit in range(4):
        ordered = sorted(rows)
        start = chance.randrange(len(ordered))
        taken = ordered[start : start + len(ordered) // (edit + 1)]
        edits = {**dict.fromkeys(taken[1:]), **some(chance.choice([0, 1, 40]))}
        before, rows = rows, changed(rows, edits)
        after = blocks.run(tree.update(root, edits, blocks.emit))
        assert after == Blocks().build(rows)
        assert blocks.run(tree.diff(root, after)) == [
            (k, before.get(k), rows.get(k)) for k in sorted({**before, **rows}) if before.get(k) != rows.get(k)
        ]
        root = after
