"""Files: what lies under a path of a release, and which address of a document is its own.

Here live lookups in an Index as walks: rows, symlinks, folders, the nearest page of a name; and the modes of addresses
(clean URLs, slashes). Not here: which release is looked at, rules, or stand-ins for what is missing (edge/site/view).

Addresses. Without `clean` a file answers under its own name and a folder under its slash. With `clean` a document's own
address has no `.html`: X.html is X, or X/ where the mode is `always`; D/index.html is D/, or D where it is `never`.
Every other spelling leads to it. Where two documents want one address, the second keeps its name as its address: every
published path can be reached, and none leads to another document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from content import tree
from content.cid import CID
from content.limits import SYMLINK_HOPS
from content.release import Asset, Rules
from content.walk import Walk
from edge.site.rules import NEVER_FILES

_PAGE, _INDEX = ".html", "/index.html"
_STEM = "/index"  # a folder's page without its ending: no address either


@dataclass(frozen=True, slots=True)
class Held:
    """A file, found. `immutable`: each step of the way to it was. `path`: where it lies, past all symlinks."""

    asset: Asset
    immutable: bool
    path: str


def document(index: CID, path: str, rules: Rules) -> Walk[Held | str | None]:
    """What answers under this address: a file, or the address that it is to be asked under, or nothing."""
    if path.endswith("/"):
        return (yield from _folder(index, path, rules))
    held = yield from follow(index, path)
    if held is not None:
        own = (yield from _own_address(index, path, rules)) if rules.clean and path.endswith(_PAGE) else path
        return held if own == path else own
    if rules.clean and (page := (yield from follow(index, path + _PAGE))) is not None:
        if path.endswith(_STEM):
            return (yield from _own_address(index, path + _PAGE, rules))
        return path + "/" if rules.slash == "always" else page
    inside = yield from follow(index, path + _INDEX)
    if inside is None:
        return None
    return inside if rules.slash == "never" else path + "/"


def _folder(index: CID, path: str, rules: Rules) -> Walk[Held | str | None]:
    bare = path[:-1]
    inside = yield from follow(index, path + "index.html")
    if inside is not None:
        if rules.slash != "never" or not bare or (yield from _is_taken(index, bare, rules)):
            return inside
        return bare
    page = (yield from follow(index, bare + _PAGE)) if rules.clean and bare else None
    if page is None:
        return None
    if bare.endswith(_STEM):
        return (yield from _own_address(index, bare + _PAGE, rules))
    return page if rules.slash == "always" else bare


def _own_address(index: CID, path: str, rules: Rules) -> Walk[str]:
    """The one address of an .html file (with `clean`)."""
    if path.endswith(_INDEX):
        folder = path[: -len("index.html")]
        if rules.slash != "never" or folder == "/":
            return folder
        return path if (yield from _is_taken(index, folder[:-1], rules)) else folder[:-1]
    bare = path[: -len(_PAGE)]
    if rules.slash == "always":
        return path if (yield from follow(index, bare + _INDEX)) is not None else bare + "/"
    return path if (yield from follow(index, bare)) is not None else bare


def _is_taken(index: CID, bare: str, rules: Rules) -> Walk[bool]:
    """Whether another file answers under this address already."""
    if (yield from follow(index, bare)) is not None:
        return True
    return rules.clean and (yield from follow(index, bare + _PAGE)) is not None


def target(index: CID, path: str) -> Walk[Held | None]:
    """The file that a rewrite names: as it is written, or a folder's or a page's short form."""
    if path.endswith("/"):
        return (yield from follow(index, path + "index.html"))
    for tail in ("", _PAGE, _INDEX):
        if (held := (yield from follow(index, path + tail))) is not None:
            return held
    return None


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
            aim = _join(path.split("/")[1:-1], asset.link_target or "")
        else:
            steady = False
            aim = yield from _around(index, path)
        if aim is None:
            return None
        path = aim
    return None


def _around(index: CID, path: str) -> Walk[str | None]:
    """The path with its topmost symlinked folder replaced by that link's target; None where no folder is a symlink."""
    segments = path.split("/")[1:]
    for depth in range(1, len(segments)):
        folder = "/" + "/".join(segments[:depth])
        asset = yield from row(index, folder)
        if asset is not None:
            rest = "/".join(segments[depth:])
            return None if asset.link_target is None else _join(segments[: depth - 1], f"{asset.link_target}/{rest}")
        if not (yield from _is_folder(index, folder)):
            return None  # so what a request costs is bounded by the depth of what was published
    return None


def nearest(index: CID, path: str, name: str) -> Walk[tuple[str, Held] | None]:
    """The file of this name in the deepest folder on the path that has one, and where it is."""
    folders = [""]
    for segment in path.split("/")[1:-1]:
        folder = f"{folders[-1]}/{segment}"
        if not (yield from _is_folder(index, folder)):
            break
        folders.append(folder)
    for folder in reversed(folders):
        held = yield from follow(index, f"{folder}/{name}")
        if held is not None:
            return f"{folder}/{name}", held
    return None


def _is_folder(index: CID, path: str) -> Walk[bool]:
    first = yield from tree.first(index, path + "/")
    return first is not None and first[0].startswith(path + "/")


def _join(folder: Sequence[str], aim: str) -> str | None:
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
