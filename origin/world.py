"""World: the Catalog as the origin holds it in memory, and the Draft of the next one.

Here lives reading a Catalog whole, changing it (hosts stay unique, attic and bases follow), and writing down what
changed as blocks that share every other node with the last. Not here: signing, storing and ordering commits
(origin/catalog), or what a change does to a site (origin/changes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from content import tree
from content.block import Block
from content.catalog import PREVIEW_MARK, Catalog, Site
from content.cbor import link, typed
from content.cid import CID
from content.denylists import Row
from content.limits import DENIED_ROWS, PATH_BYTES, check
from origin.changes import create
from origin.errors import Conflict, Missing
from origin.log import Entry
from origin.plans import Plans
from origin.reading import Readable, read, source
from origin.signing import Signing
from origin.store import Store


@dataclass(frozen=True, slots=True)
class World:
    """One state of everything, never changed: a commit makes another."""

    cid: CID  # of the Catalog block
    catalog: Catalog
    sites: Mapping[str, Site]
    hosts: Mapping[str, str]
    denied: Mapping[str, Row] = field(default_factory=dict)  # the Catalog's own denylist: rule → what it says

    @property
    def sequence(self) -> int:
        return self.catalog.sequence

    def __repr__(self) -> str:
        return f"<World {self.sequence}: {len(self.sites)} sites, {len(self.hosts)} hosts>"

    def site(self, name: str) -> Site:
        site = self.sites.get(name)
        if site is None:
            raise Missing(f"no site {name!r}", "no_site")
        return site


@dataclass(frozen=True, slots=True)
class Written:
    """A Draft written down: the new World, all its new blocks, and those of them that nodes need with the Head."""

    world: World
    blocks: list[Block]
    control: list[Block]


@dataclass(slots=True)
class Draft:
    """The World to come. Changes are made one after another; one that is refused leaves it as it was."""

    world: World
    store: Store
    plans: Plans
    signing: Signing
    ipns_of: Callable[[str], str]  # the IPNS name of a site, whose key is made where there is none
    successor: str | None = None
    again: bool = False  # write a new Catalog though no site changed (rotation of the key)
    sites: dict[str, Site] = field(init=False)
    hosts: dict[str, str] = field(init=False)
    denied: dict[str, Row] = field(init=False)
    touched: dict[str, None] = field(default_factory=dict)
    changes: int = 0
    entries: list[Entry] = field(default_factory=list)  # what the log is to say of the changes
    _moved: set[str] = field(default_factory=set)  # hosts that came or went
    _lent: list[Block] = field(default_factory=list)  # new nodes of attics and bases

    def __post_init__(self) -> None:
        self.sites = dict(self.world.sites)
        self.hosts = dict(self.world.hosts)
        self.denied = dict(self.world.denied)

    @property
    def changed(self) -> bool:
        return bool(self.touched) or self.again or self.denied != self.world.denied

    def site(self, name: str, or_new: bool = False) -> Site:
        site = self.sites.get(name)
        if site is None and not or_new:
            raise Missing(f"no site {name!r}", "no_site")
        return create(name) if site is None else site

    def note(self, entry: Entry) -> None:
        """What the log is to say, if this change is taken and changes something."""
        self.entries.append(entry)

    def put(self, site: Site) -> Site:
        """Take over a changed site. Raises Conflict when another site has one of its hosts."""
        old = self.sites.get(site.name)
        if old == site:
            return site
        self.check_hosts(site)
        if site.ipns is None:
            site = replace(site, ipns=self.ipns_of(site.name))
        if old is not None:
            site = self.plans.follow(old, site, self._lent.append)
        site = replace(site, signed=self.signing.follow(old, site, self.world.sequence))
        self._move_hosts(old, site)
        self.sites[site.name] = site
        self._touch(site.name)
        return site

    def check_hosts(self, site: Site) -> None:
        """Raises Conflict when another site has one of these hosts, or the host whose preview this would be."""
        for host in site.hosts:
            for name in {host, _previewed(host)}:
                owner = self.hosts.get(name, site.name)
                if owner != site.name:
                    raise Conflict(f"host {name!r} belongs to site {owner!r}", "host_taken", site=owner, host=host)

    def drop(self, name: str) -> None:
        self._move_hosts(self.site(name), None)
        del self.sites[name]
        self._touch(name)

    def deny(self, rule: str, row: Row | None) -> None:
        """Put a rule into the Catalog's own denylist; None: take it out. Raises LimitExceeded, and changes nothing."""
        if self.denied.get(rule) == row:
            return
        if row is None:
            del self.denied[rule]
        else:
            check("rules of the catalog", len(self.denied.keys() | {rule}), DENIED_ROWS)
            check(
                "bytes of a rule", len(rule.encode()), PATH_BYTES
            )  # the tree's limit: else the whole batch would fail
            self.denied[rule] = row
        self.changes += 1

    def _touch(self, name: str) -> None:
        self.touched[name] = None
        self.changes += 1

    def write(self, sequence: int) -> Written:
        """The blocks of this draft under this sequence."""
        old, control = self.world.catalog, list[Block]()
        catalog = Catalog(
            sequence,
            sites=read(self.store, tree.update(old.sites, self._site_rows(control), control.append)),
            hosts=read(self.store, tree.update(old.hosts, self._host_rows(), control.append)),
            denied=read(self.store, tree.update(old.denied, _changed(self.world.denied, self.denied), control.append)),
            successor=self.successor,
        )
        block = catalog.to_block()
        control.append(block)
        world = World(block.cid, catalog, self.sites, self.hosts, self.denied)
        named = releases_of((self.sites[name] for name in self.touched if name in self.sites), self.store)
        return Written(world, self._lent + control, control + named)

    def _move_hosts(self, old: Site | None, new: Site | None) -> None:
        for host in old.hosts if old else ():
            del self.hosts[host]
            self._moved.add(host)
        if new is not None:
            self.hosts.update(dict.fromkeys(new.hosts, new.name))
            self._moved.update(new.hosts)

    def _site_rows(self, control: list[Block]) -> dict[str, CID | None]:
        rows: dict[str, CID | None] = {}
        for name in self.touched:
            site = self.sites.get(name)
            block = None if site is None else site.to_block()
            rows[name] = None if block is None else block.cid
            if block is not None:
                control.append(block)
        return rows

    def _host_rows(self) -> dict[str, str | None]:
        before = self.world.hosts
        return {host: self.hosts.get(host) for host in self._moved if self.hosts.get(host) != before.get(host)}


def _changed(before: Mapping[str, Row], now: Mapping[str, Row]) -> dict[str, dict[str, Any] | None]:
    """How one denylist becomes another, as changes of its tree."""
    moved = [rule for rule in before.keys() | now.keys() if before.get(rule) != now.get(rule)]
    return {rule: now[rule].to_value() if rule in now else None for rule in moved}


def releases_of(sites: Iterable[Site], store: Store) -> list[Block]:
    """The Release blocks that these sites serve from: nodes need them with the Head."""
    named = [release for site in sites for release in served(site)]
    return [block for block in map(store.get, dict.fromkeys(named)) if block is not None]


def served(site: Site) -> list[CID]:
    """The releases that answer at an edge without being asked for by name: live, next, rolled out, previews."""
    rollout = None if site.rollout is None else site.rollout.item
    items = [item.release for item in (site.live, site.next, rollout) if item is not None]
    return [*items, *(cid for alias in site.aliases.values() for cid in (alias.release, alias.before) if cid)]


def named(site: Site) -> list[CID]:
    """Every release that the site keeps, for whatever reason."""
    return list(dict.fromkeys([*served(site), *(item.release for item in site.kept)]))


def _previewed(host: str) -> str:
    """The host whose preview this would name. `xn--` begins an internationalized name, and is no preview's."""
    name, mark, rest = host.partition(PREVIEW_MARK)
    return rest if mark and name != "xn" else host


def control_of(world: World, store: Store) -> list[Block]:
    """Every block a node needs to know this World: Catalog, the nodes of its trees, Sites, the Releases they serve."""
    get = source(store)
    catalog = world.catalog
    trees = [
        cid for root in (catalog.sites, catalog.hosts, catalog.denied) for cid in read(store, tree.node_cids(root))
    ]
    sites = [site.to_block() for site in world.sites.values()]
    return [get(world.cid), *map(get, dict.fromkeys(trees)), *sites, *releases_of(world.sites.values(), store)]


def empty(sequence: int) -> tuple[World, list[Block]]:
    """A World without sites, and its blocks."""
    none = tree.EMPTY.cid
    catalog = Catalog(sequence, none, none, none)
    block = catalog.to_block()
    return World(block.cid, catalog, {}, {}), [tree.EMPTY, block]


def load(cid: CID, store: Readable) -> World:
    """The World of this Catalog. Raises Absent, BadNode."""
    get = source(store)
    catalog = Catalog.from_block(get(cid))
    rows = read(store, tree.rows(catalog.sites))
    sites = {name: Site.from_block(get(link(value))) for name, value in rows}
    hosts = {host: typed(site, str, "host") for host, site in read(store, tree.rows(catalog.hosts))}
    denied = {rule: Row.from_value(value) for rule, value in read(store, tree.rows(catalog.denied))}
    return World(cid, catalog, sites, hosts, denied)
