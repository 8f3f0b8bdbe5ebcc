"""Router: which site a host means. Swapping all views is one assignment.

Here live the tables from host to view, and the memo of raw Host fields that the hot path looks into.
Not here: what a path of a site means (edge/site/view), or how views come about (edge/control/head).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from content.catalog import PREVIEW_MARK, Site
from content.denylists import NONE, Denylists
from edge.http.target import BadTarget, host_of
from edge.site.view import SiteView

_SPELLINGS = 4_096  # raw Host fields remembered; past it the memo starts anew, so nobody can grow it by inventing ports


@dataclass(frozen=True, slots=True)
class Table:
    """All hosts at one moment, and the keys of their views. `spellings` is a memo: raw field → view."""

    sites: Mapping[str, SiteView]
    hosts: Mapping[str, SiteView]
    keys: frozenset[bytes] = frozenset()
    spellings: dict[bytes, SiteView | None] = field(default_factory=dict)


class Router:
    """Host → SiteView. Readers see one table or the next, never a mix."""

    def __init__(self, domain: str = "localhost") -> None:
        self.domain = domain
        self.table = Table({}, {})
        self.watchers: list[Callable[[Table], None]] = []  # called with the new table, once it is there
        self.denials: Denylists = NONE
        self._views: list[SiteView] = []
        self._dressed: dict[bytes, tuple[SiteView, SiteView]] = {}  # as it came, as it is with these denials

    def deny(self, denials: Denylists) -> None:
        """The same views, under what is denied now."""
        self.denials = denials
        if self._views:
            self.swap(self._views)

    def swap(self, views: Iterable[SiteView]) -> None:
        """From now on these views, and no others. A site's `name.domain` is its own whatever another claims; a preview
        has its name before each host of its site, where no site claims that."""
        self._views = list(views)
        sites: dict[str, SiteView] = {}
        previews: list[SiteView] = []
        for view in self._dress(self._views):
            if view.alias:
                previews.append(view)
            else:
                sites[view.site.name] = view
        hosts = {f"{view.alias}{PREVIEW_MARK}{host}": view for view in previews for host in self.hosts_of(view.site)}
        hosts.update({host: view for view in sites.values() for host in view.site.hosts})
        hosts.update({f"{name}.{self.domain}": view for name, view in sites.items()})
        self._refuse(hosts)
        keys = frozenset(view.key for view in hosts.values())
        self.table = Table(MappingProxyType(sites), MappingProxyType(hosts), keys)
        for watch in self.watchers:
            watch(self.table)

    def _dress(self, views: Iterable[SiteView]) -> list[SiteView]:
        """The views, with what is denied. One that has not changed is the same object as before, and so are its
        ready answers."""
        if not self.denials.mark:
            self._dressed = {}
            return list(views)
        before, self._dressed = self._dressed, {}
        for view in views:
            known = before.get(view.family)
            if known is None or known[0] is not view or known[1].denials is not self.denials:
                known = view, self._with_denials(view)
            self._dressed[view.family] = known
        return [dressed for _, dressed in self._dressed.values()]

    def _with_denials(self, view: SiteView) -> SiteView:
        own = () if view.site.ipns is None else (view.site.ipns,)
        names = tuple(name for name in (*own, *self.hosts_of(view.site)) if self.denials.names_paths_of(name))
        refused = next((refusal for name in own if (refusal := self.denials.refusal_of_name(name))), None)
        return replace(view, denials=self.denials, names=names, refused=refused)

    def _refuse(self, hosts: dict[str, SiteView]) -> None:
        """A host whose name is denied answers with that alone; the site's other hosts go on."""
        if self.denials.mark:
            for host, view in hosts.items():
                if view.refused is None and (refusal := self.denials.refusal_of_name(host)):
                    hosts[host] = replace(view, refused=refusal)

    def hosts_of(self, site: Site) -> tuple[str, ...]:
        """The hosts that a site answers to here."""
        return (f"{site.name}.{self.domain}", *site.hosts)

    def lost_preview(self, host: str) -> tuple[str, SiteView] | None:
        """The name and the site of a preview that this host would be of, if it were there."""
        name, mark, rest = host.partition(PREVIEW_MARK)
        view = self.table.hosts.get(rest) if mark and name else None
        return None if view is None else (name, view)

    @property
    def sites(self) -> Mapping[str, SiteView]:
        """name → view."""
        return self.table.sites

    def view(self, host: str) -> SiteView | None:
        """The site of a host (lower case, no port), None for a host that nobody has."""
        return self.table.hosts.get(host)

    def view_of_field(self, raw: bytes) -> SiteView | None:
        """The site of a Host field as it was sent."""
        table = self.table
        view = table.spellings.get(raw)
        if view is None and raw not in table.spellings:
            try:
                view = table.hosts.get(host_of(raw))
            except BadTarget:
                return None
            if len(table.spellings) >= _SPELLINGS:
                table.spellings.clear()
            table.spellings[raw] = view
        return view

    def __repr__(self) -> str:
        return f"<Router {len(self.sites)} sites, {len(self.table.hosts)} hosts>"
