"""Proof: that a path is in a release, or is not, for whoever trusts the CID of its Index.

Here lives the walk that gathers the nodes on the way to it, and to the files that could stand under its address. Not
here: the tree (content/tree), the reading of the query, the CAR's sending (edge/browsers/own).

A node names the first key of each child, and keys are in order: who has the nodes on the way to a key has seen the one
leaf that could hold it. So presence and absence are proved by the same blocks.
"""

from __future__ import annotations

from content import car, tree
from content.asking import Walk
from content.block import Block
from content.cid import CID


def candidates(path: str) -> tuple[str, ...]:
    """The files that may answer under this address, whatever the release's rules are: itself, a folder's page, a page
    without its ending.

    >>> candidates("/docs"), candidates("/docs/")
    (('/docs', '/docs/index.html', '/docs.html'), ('/docs/', '/docs/index.html', '/docs.html'))
    """
    bare = path.removesuffix("/")
    return (path, f"{bare}/index.html", f"{bare}.html")


def proof(index: CID, path: str) -> Walk[bytes]:
    """A CARv1 whose root is the Index, with the nodes on the way to each candidate, each once: three ways of TREE_DEPTH
    nodes at most (content/limits). Raises BadNode."""
    blocks: list[Block] = []
    walk = tree.select(index, candidates(path))
    try:
        wanted = next(walk)
        while True:
            blocks.append((yield wanted))
            wanted = walk.send(blocks[-1])
    except StopIteration:
        return car.write((index,), blocks)
