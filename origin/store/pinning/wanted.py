"""Wanted: which DAGs are pinned at a service by themselves.

Here lives the choice: the Root of each site's live release, and as many retained ones as the service's `keep` says.
Not here: what is done about it (store/pinning/keeper).

What is pinned at a service is public for good: the service fetches it over IPFS, where everybody who knows a CID may
ask. So it is the Root, which is nothing but the published files, never the Release, Index, Site or Catalog, which are
for nodes only. Live and retained releases are public already (origin/public); what is staged, rolled out to some, or
shown as a preview is not pinned, password or none. What HTTP rules hide is no exception: a file that a redirect or a
rule keeps from visitors is in the Root all the same, and whoever may not see it must not be published: a site of that
kind is left out of the service's sites. A release with anything in it that is denied is not wanted, and one that was
pinned before is unpinned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from content.catalog import Site
from content.cid import CID
from content.release import Release
from origin.denials import Denials
from origin.errors import Unprocessable
from origin.store.pinning.service import Service
from origin.world import World

Wanted = dict[CID, str]


class Judge:
    """What is known of releases: their Roots, and whether anything in one is denied, until the lists change."""

    def __init__(self, release_of: Callable[[CID], Release], denials: Denials) -> None:
        self._release_of = release_of
        self._denials = denials
        self._mark = b""
        self._denied: dict[CID, bool] = {}

    def __repr__(self) -> str:
        return f"<Judge of {len(self._denied)}>"

    def root(self, release: CID) -> CID:
        """Its Root. Raises Absent."""
        return self._release_of(release).root.v1

    def denied(self, cids: Iterable[CID]) -> set[CID]:
        """Which of these CIDs are denied themselves."""
        lists = self._denials.lists
        return {cid for cid in cids if lists.refusal(cid)} if lists.mark else set()

    def denies(self, release: CID) -> bool:
        """Whether it holds anything that is denied. The first time it reads the whole Index: call it in a thread."""
        mark = self._denials.lists.mark
        if mark != self._mark:
            self._mark, self._denied = mark, {}
        if not mark:
            return False
        if release not in self._denied:
            try:
                self._denials.check_release(self._release_of(release), None, [])
                self._denied[release] = False
            except Unprocessable:
                self._denied[release] = True
        return self._denied[release]


def wanted(world: World, service: Service, judge: Judge) -> Wanted:
    """Root → its site, of all that is to be pinned here. Two sites of one Root: the first by name has it."""
    found: Wanted = {}
    for name in sorted(world.sites):
        if service.takes(name):
            for release in _releases(world.sites[name], service.keep):
                if not judge.denies(release):
                    found.setdefault(judge.root(release), name)
    return found


def label(site: str) -> str:
    """The name of a site's pins, as `ipfs pin remote ls --name` finds them."""
    return f"rim/{site}"


def _releases(site: Site, keep: int) -> list[CID]:
    """Live, and the newest retained ones beside it."""
    if site.live is None:
        return []
    others = [item.release for item in site.retained if item.release != site.live.release]
    return [site.live.release, *others[: keep - 1]]
