"""Symlinks: the file at a path of a release, past every link on the way.

Here lives following an Index's rows inside their Root, as walks. Not here: addresses of documents, folders, pages for
what is missing (edge/site/files), nor UnixFS, where links are nodes (content/walk).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from content import tree
from content.asking import Walk
from content.cid import CID
from content.limits import SYMLINK_HOPS
from content.release import Asset

NEVER_FILES = frozenset({"/_headers", "/_redirects", "/rim.toml"})  # the site's own settings, at the top of its folder


@dataclass(frozen=True, slots=True)
class Held:
    """A file, found. `immutable`: each step of the way to it was. `path`: where it lies, past all symlinks."""

    asset: Asset
    immutable: bool
    path: str


def row(index: CID, path: str) -> Walk[Asset | None]:
    """The row of exactly this path."""
    value = yield from tree.get(index, path)
    return None if value is None else Asset.from_row(value)


def follow(index: CID, path: str) -> Walk[Held | None]:
    """The file at this path, through symlinks inside the Root."""
    steady = True
    for _ in range(SYMLINK_HOPS + 1):
        if path in NEVER_FILES:  # asked here, at each step: a link must not lead round the rule
            return None
        asset = yield from row(index, path)
        if asset is not None and asset.link_target is None:
            return Held(asset, steady and asset.immutable, path)
        if asset is not None:
            steady = steady and asset.immutable
            aim = join(path.split("/")[1:-1], asset.link_target or "")
        else:
            steady = False
            aim = yield from _around(index, path)
        if aim is None:
            return None
        path = aim
    return None


def is_folder(index: CID, path: str) -> Walk[bool]:
    """Whether any file lies below this path."""
    first = yield from tree.first(index, path + "/")
    return first is not None and first[0].startswith(path + "/")


def _around(index: CID, path: str) -> Walk[str | None]:
    """The path with its topmost symlinked folder replaced by that link's target; None where no folder is a symlink."""
    segments = path.split("/")[1:]
    for depth in range(1, len(segments)):
        folder = "/" + "/".join(segments[:depth])
        asset = yield from row(index, folder)
        if asset is not None:
            rest = "/".join(segments[depth:])
            return None if asset.link_target is None else join(segments[: depth - 1], f"{asset.link_target}/{rest}")
        if not (yield from is_folder(index, folder)):
            return None  # so what a request costs is bounded by the depth of what was published
    return None


def join(folder: Sequence[str], aim: str) -> str | None:
    """A symlink's target as a path of the Root; None where it leads outside, as an absolute one always does: it meant
    a place on the publisher's machine."""
    if aim.startswith("/"):
        return None
    steps = list(folder)
    for step in aim.split("/"):
        if step == "..":
            if not steps:
                return None
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/" + "/".join(steps)
