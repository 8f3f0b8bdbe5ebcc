"""Bases: what a visitor may have as a dictionary, found by the digest that his browser names (RFC 9842 §2.2).

Here live the form of a Site's `bases` tree and its reading, as walks. Not here: how it follows a site (origin/bases),
which files are in it (content/deltas), the delta itself (edge).

A key is a file's SHA-256 in hex and one path that has it (`ab…cd/assets/app.js`); the value is the Asset row, and
`gen` where live lacks this content under this path. So one content under many paths is many rows: what becomes of a row
is a matter of its path alone, and a change of the site touches the rows of the paths that changed. (One row with a list
of paths would have to know them all to know when it ends, and a placeholder file may lie under ten thousand.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from content import tree
from content.asking import Walk
from content.cbor import typed
from content.cid import CID
from content.errors import BadNode
from content.limits import PATH_BYTES
from content.release import Asset

_HEX = 64  # characters of a SHA-256


@dataclass(frozen=True, slots=True)
class Base:
    """One file that a delta may begin from. `generation`: of the newest release that has it there; None: live has."""

    path: str
    asset: Asset
    generation: int | None = None


def key(sha256: str, path: str) -> str | None:
    """The tree's key of this file (hex, path); None for a path so long that no key holds it: it is no base then."""
    return made if len((made := sha256 + path).encode()) <= PATH_BYTES else None


def value(row: Any, generation: int | None) -> Any:
    """The tree's value for an Asset row."""
    return row if generation is None else {**row, "gen": generation}


def find(root: CID, sha256: str) -> Walk[Base | None]:
    """The file with this digest (hex); of several copies the first by path. Raises BadNode.

    Costs the way to one row, two nodes a level at most, whatever digest is asked for."""
    first = yield from tree.first(root, sha256 + "/")
    if first is None or not first[0].startswith(sha256 + "/"):
        return None
    return read(*first)


def read(key: str, value: Any) -> Base:
    """A row of the tree. Raises BadNode."""
    asset = Asset.from_row(value)
    if asset.sha256 != key[:_HEX] or key[_HEX : _HEX + 1] != "/":
        raise BadNode(f"a base under {key[:80]!r} whose SHA-256 is {asset.sha256}")
    generation = value.get("gen")
    return Base(key[_HEX:], asset, None if generation is None else typed(generation, int, "gen"))


def rows(root: CID) -> Walk[list[Base]]:
    """All of them, by digest and path: for people who ask (rim explain), not for requests. Raises BadNode."""
    return [read(*row) for row in (yield from tree.rows(root))]
