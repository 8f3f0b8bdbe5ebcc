"""The first row at or after a key, against a sorted list."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given, settings
from hypothesis import strategies as st

from content import tree
from content.block import Block
from content.cid import CID
from content.walk import drive


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 600), starts=st.lists(st.text("abc/09~", max_size=6), max_size=12))
def test_first_is_what_a_sorted_list_says(count: int, starts: list[str]) -> None:
    """first() finds what bisect finds, in trees of one node and of many."""
    keys = sorted({f"/{number * 7919 % 1009:04}/{'x' * (number % 9)}" for number in range(count)})
    blocks: dict[CID, Block] = {}
    root = tree.build([(key, "v" * 200) for key in keys], lambda block: blocks.update({block.cid: block}))
    for start in [*starts, *(f"/{text}" for text in starts), *keys[::97], "", "~"]:
        at = bisect_left(keys, start)
        found = drive(tree.first(root, start), blocks.__getitem__)
        assert found == ((keys[at], "v" * 200) if at < len(keys) else None)
