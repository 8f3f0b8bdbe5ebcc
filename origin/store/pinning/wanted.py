"""Wanted: which DAGs are pinned at a service by themselves.

Here lives the choice: the Root of each site's live release, and as many retained ones as the service's `keep` says.
Not here: what is done about it (store/pinning/keeper).

What is pinned at a service is public for good: the service fetches it over IPFS, where everybody who knows a CID may
ask. So it is the Root, which is nothing but the published files, never the Release, Index, Site or Catalog, which are
for nodes only. Live and retained releases are public already (origin/public); what is staged, rolled out to some, or
shown as a preview is not pinned, password or none. What HTTP rules hide is no exception: a file that a redirect or a
rule keeps from visitors is in the Root all the same, and whoever may not see it must not be published: a site of that
kind is left out of the service's sites. A denied Root is not wanted, and one that becomes so is unpinned.
"""

from __future__ import annotations

from collections.abc import Callable

from content.catalog import Site
from content.cid import CID
from origin.store.pinning.service import Service
from origin.world import World

Wanted = dict[CID, str]


def wanted(world: World, service: Service, root_of: Callable[[CID], CID], denied: Callable[[CID], bool]) -> Wanted:
    """Root → its site, of all that is to be pinned here. Two sites of one Root: the first by name has it."""
    found: Wanted = {}
    for name in sorted(world.sites):
        if service.takes(name):
            for root in (root_of(release) for release in _releases(world.sites[name], service.keep)):
                if not denied(root):
                    found.setdefault(root.v1, name)
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
