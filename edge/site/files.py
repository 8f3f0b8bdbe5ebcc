"""Files: what lies under a path of a release, and which address of a document is its own.

Here live lookups in an Index as walks: folders, the nearest page of a name; and the modes of addresses (clean URLs,
slashes). Not here: rows and symlinks, whose names are given on from here (content/symlinks), which release is looked
at, rules, or stand-ins for what is missing (edge/site/view).

Addresses. Without `clean` a file answers under its own name and a folder under its slash. With `clean` a document's own
address has no `.html`: X.html is X, or X/ where the mode is `always`; D/index.html is D/, or D where it is `never`.
Every other spelling leads to it. Where two documents want one address, the second keeps its name as its address: every
published path can be reached, and none leads to another document.
"""

from __future__ import annotations

from content.cid import CID
from content.release import Rules
from content.symlinks import Held, follow, is_folder, row
from content.walk import Walk

__all__ = ["Held", "document", "follow", "nearest", "row", "target"]

_PAGE, _INDEX = ".html", "/index.html"
_STEM = "/index"  # a folder's page without its ending: no address either


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


def nearest(index: CID, path: str, name: str) -> Walk[tuple[str, Held] | None]:
    """The file of this name in the deepest folder on the path that has one, and where it is."""
    folders = [""]
    for segment in path.split("/")[1:-1]:
        folder = f"{folders[-1]}/{segment}"
        if not (yield from is_folder(index, folder)):
            break
        folders.append(folder)
    for folder in reversed(folders):
        held = yield from follow(index, f"{folder}/{name}")
        if held is not None:
            return f"{folder}/{name}", held
    return None
