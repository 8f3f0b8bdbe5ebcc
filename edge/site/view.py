"""SiteView: one site as this edge serves it, and what each of its paths means.

Here lives the lookup of a path: live, then for immutable paths next and attic; folders, symlinks, the shell, the
nearest 404.html. Pure: lookups are walks over Index nodes, whoever drives them brings the blocks.
Not here: which host means which site (edge/site/router), reading the request (edge/http), fetching (edge/cache).

A view never changes. A deploy, a rollback or a purge is another view, and its epoch, the CID of the Site block, is
part of the key of every ready answer: so all old ones are out of reach at once, in O(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from content import tree
from content.catalog import Site
from content.cid import CID
from content.limits import SYMLINK_HOPS
from content.release import Asset, Release
from content.walk import Walk
from edge.site.rules import NEVER_FILES, SHELL


@dataclass(frozen=True, slots=True)
class Found:
    """An asset answers. `immutable`: its bytes never change under this path. `is_shell`: it stands in for a page."""

    asset: Asset
    immutable: bool = False
    status: int = 200
    is_shell: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A folder was asked for without its slash: go to `path` (308)."""

    path: str


@dataclass(frozen=True, slots=True)
class Missing:
    """The site has no such path, and no page to say so."""


Meaning: TypeAlias = Found | Moved | Missing


@dataclass(frozen=True, slots=True)
class Published:
    """A release as a view holds it. `generation` is the one it was staged in."""

    cid: CID
    release: Release
    generation: int = 0


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site, at one generation."""

    epoch: CID
    site: Site
    live: Published | None = None
    next: Published | None = None

    @property
    def max_stale(self) -> int | None:
        """Seconds without the origin after which this site asks for a 503 rather than its last state."""
        value = self.site.settings.get("max_stale")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def is_spa(self) -> bool:
        return self.live is not None and self.live.release.rules.spa

    def resolve(self, path: str, navigation: bool = False) -> Walk[Meaning]:
        """What this path means now. `navigation`: a person goes to a page, so a shell may answer."""
        if self.live is None:
            return Missing()
        index = self.live.release.index
        if path not in NEVER_FILES:
            found = yield from self._file(index, path + "index.html" if path.endswith("/") else path)
            if found is not None:
                return found
            if not path.endswith("/") and (yield from _follow(index, path + "/index.html")) is not None:
                return Moved(path + "/")
        if self.is_spa and navigation and (shell := (yield from _follow(index, SHELL))) is not None:
            return Found(shell[0], is_shell=True)
        page = yield from _nearest(index, path, "404.html")
        return Missing() if page is None else Found(page, status=404)

    def _file(self, index: CID, path: str) -> Walk[Found | None]:
        """The file under this very path. Old and coming releases lend their immutable files only: a page that is on
        its way in or out must never mix with the live one, but the chunk that it asks for must be there."""
        held = yield from _follow(index, path)
        if held is not None:
            return Found(held[0], immutable=held[1])
        for root, generation in self._lenders():
            asset = yield from _row(root, path)
            if asset is None or not asset.immutable or asset.link_target is not None:
                continue
            if generation is None or generation >= self.site.floor_of(path, asset.tags):
                return Found(asset, immutable=True)
        return None

    def _lenders(self) -> list[tuple[CID, int | None]]:
        """The Indexes that may lend an immutable file, and the generation that a purge is measured against. The attic
        has none: the origin takes out of it what a purge covers."""
        lenders: list[tuple[CID, int | None]] = []
        if self.next is not None:
            lenders.append((self.next.release.index, self.next.generation))
        if self.site.attic is not None:
            lenders.append((self.site.attic, None))
        return lenders

    def __repr__(self) -> str:
        live = "nothing" if self.live is None else str(self.live.cid)
        return f"<SiteView {self.site.name} generation {self.site.generation}, live {live}>"


def _row(index: CID, path: str) -> Walk[Asset | None]:
    value = yield from tree.get(index, path)
    return None if value is None else Asset.from_row(value)


def _follow(index: CID, path: str) -> Walk[tuple[Asset, bool] | None]:
    """The file at this path, through symlinks inside the Root, and whether each step of the way is immutable."""
    steady = True
    for _ in range(SYMLINK_HOPS + 1):
        if path in NEVER_FILES:  # asked here, at each step: a link must not lead round the rule
            return None
        asset = yield from _row(index, path)
        if asset is not None and asset.link_target is None:
            return asset, steady and asset.immutable
        if asset is not None:
            steady = steady and asset.immutable
            target = _join(path.split("/")[1:-1], asset.link_target or "")
        else:
            steady = False
            target = yield from _around(index, path)
        if target is None:
            return None
        path = target
    return None


def _around(index: CID, path: str) -> Walk[str | None]:
    """The path with its topmost symlinked folder replaced by that link's target; None where no folder is a symlink."""
    segments = path.split("/")[1:]
    for depth in range(1, len(segments)):
        folder = "/" + "/".join(segments[:depth])
        asset = yield from _row(index, folder)
        if asset is not None:
            rest = "/".join(segments[depth:])
            return None if asset.link_target is None else _join(segments[: depth - 1], f"{asset.link_target}/{rest}")
        if not (yield from _is_folder(index, folder)):
            return None  # so what a request costs is bounded by the depth of what was published
    return None


def _nearest(index: CID, path: str, name: str) -> Walk[Asset | None]:
    """The file of this name in the deepest folder on the path that has one."""
    folders = [""]
    for segment in path.split("/")[1:-1]:
        folder = f"{folders[-1]}/{segment}"
        if not (yield from _is_folder(index, folder)):
            break
        folders.append(folder)
    for folder in reversed(folders):
        held = yield from _follow(index, f"{folder}/{name}")
        if held is not None:
            return held[0]
    return None


def _is_folder(index: CID, path: str) -> Walk[bool]:
    first = yield from tree.first(index, path + "/")
    return first is not None and first[0].startswith(path + "/")


def _join(folder: Sequence[str], target: str) -> str | None:
    """A symlink's target as a path of the Root; None where it leads outside, as an absolute one always does: it meant
    a place on the publisher's machine."""
    if target.startswith("/"):
        return None
    steps = list(folder)
    for step in target.split("/"):
        if step == "..":
            if not steps:
                return None
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return "/" + "/".join(steps)
