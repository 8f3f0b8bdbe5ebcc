"""Naming: the names of one edge, put together: who is asked for which record, and where it is kept.

Here lives the order of sources, as callables for edge/names. Not here: what they say (edge/names), or who else is put
together (edge/assembly).

The record of a site's own key is at the origin, and peers may hold it. Other keys are nobody's here: of peers only what
they hold, then gateways (a Kubo among them, say) and delegated routers. The origin is not asked for those, so that a
visitor who makes up names costs it nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edge.cache.loader import Loader
from edge.config import EdgeConfig
from edge.names.asking import Asker
from edge.names.dnslink import DNSLinks
from edge.names.names import Names
from edge.names.records import Records, Source
from edge.names.servers import OFF
from edge.names.shelf import LinkShelf, Shelf
from edge.names.txt import Resolver
from edge.site.router import Router, Table
from edge.site.view import SiteView

FOLDER = "names"  # below the state folder
PEERS_ASKED = 2  # for what they hold of a name
_HELD = {"Cache-Control": "only-if-cached"}


class Sites:
    """The keys of the sites that this edge serves, and the release that each has live, with its Root."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._table: Table | None = None
        self._keys: Mapping[str, tuple[str, str] | None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._now()

    def live(self, name: str) -> str | None:
        """The live release of the site with this key."""
        found = self._now().get(name)
        return None if found is None else found[0]

    def path(self, name: str) -> str | None:
        """Its Root, as a path."""
        found = self._now().get(name)
        return None if found is None else found[1]

    def _now(self) -> Mapping[str, tuple[str, str] | None]:
        table = self._router.table
        if table is not self._table:
            self._keys = {view.site.ipns: _live(view) for view in table.sites.values() if view.site.ipns}
            self._table = table
        return self._keys


def _live(view: SiteView) -> tuple[str, str] | None:
    return None if view.live is None else (str(view.live.cid), f"/ipfs/{view.live.release.root}")


def names_of(config: EdgeConfig, loader: Loader, router: Router) -> Names:
    """Every name that this edge can follow. `reload` reads the operator's records; before that there are none."""
    asker = Asker(lambda: loader.client.session)
    proof = {"Authorization": f"Bearer {config.token}"} if config.token else {}
    sites = Sites(router)
    origin = asker.gateway("origin", config.origin, proof)
    outside = [asker.gateway("gateway", url) for url in config.gateways]
    outside += [asker.router(url) for url in config.routers]

    def sources(name: str) -> Sequence[Source]:
        order = loader.ring.order(name.encode(), config.region)
        members = [member for member in order if member.name != config.name][:PEERS_ASKED]
        peers = [asker.gateway("peer", member.url, {**proof, **_HELD}, knows=False) for member in members]
        return [origin, *peers] if name in sites else [*peers, *outside]

    ask = None if config.resolvers == (OFF,) else Resolver(config.resolvers)
    records = Records(config.ipns_records, Shelf(config.state / FOLDER), sources, sites.live)
    return Names(DNSLinks(config.dnslinks, ask, LinkShelf(config.state / FOLDER)), records, sites.path)
