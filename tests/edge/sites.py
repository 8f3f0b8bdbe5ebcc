"""Small sites made of real blocks, for the edge's tests: a folder as a dict in, a Catalog and its signed Head out.

Here lives what a publisher and an origin would have made. Not here: serving it (tests/edge/origin).
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

import brotli
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import bases, car, ipns, tree, unixfs
from content.block import Block
from content.catalog import Catalog, Floor, Retained, Site
from content.cid import CID, RAW
from content.deltas import BASE_RELEASES, control_for, is_delta_coded, is_fresh
from content.denylists import Row
from content.denyrule import Rule
from content.media import compressible, media_type
from content.naming import is_hash_named
from content.release import Asset, Encoding, Release, Rules
from content.walk import drive
from edge.site.rules import Tables
from edge.site.view import Lender, Meaning, Published, SiteView, Visit

File = bytes | str  # text: the target of a symlink


@dataclass
class Store:
    """Blocks in a dict."""

    blocks: dict[bytes, Block] = field(default_factory=dict)

    def emit(self, block: Block) -> None:
        self.blocks[block.cid.store_key] = block

    def get(self, cid: CID) -> Block:
        return self.blocks[cid.store_key]

    def asset(self, path: str, content: File) -> Asset:
        """The row of one file, with its encodings where they are smaller."""
        immutable = is_hash_named(path)
        if isinstance(content, str):
            node = unixfs.symlink(content, self.emit)
            return Asset(node.cid, 0, node.cid.digest.hex(), "inode/symlink", immutable=immutable, link_target=content)
        kind = media_type(path)
        encodings = {}
        if compressible(kind):
            for coding, coded in _encoded(content).items():
                if len(coded) < len(content):
                    encodings[coding] = Encoding(unixfs.file(coded, self.emit).cid, len(coded))
        cid = unixfs.file(content, self.emit).cid
        return Asset(cid, len(content), sha256(content).hexdigest(), kind, encodings, immutable)

    def index(self, files: Mapping[str, File]) -> CID:
        rows = sorted((f"/{path}", self.asset(f"/{path}", content).to_row()) for path, content in files.items())
        return tree.build(rows, self.emit)

    def release(self, files: Mapping[str, File], **fields: Any) -> CID:
        """A Release of these files (path without its first slash → bytes, or a symlink's target as text)."""
        spa = fields.pop("spa", False)
        rules = fields.pop("rules", None) or Rules(spa=spa)
        nodes = {
            path: unixfs.symlink(content, self.emit) if isinstance(content, str) else unixfs.file(content, self.emit)
            for path, content in files.items()
        }
        root = unixfs.root(nodes, self.emit)
        size = sum(len(content) for content in files.values())
        release = Release(root.cid, self.index(files), rules, files=len(files), size=size, **fields)
        block = release.to_block()
        self.emit(block)
        return block.cid

    def bases(self, kept: Sequence[Retained]) -> CID:
        """The bases of these releases, live first, then newest first, as an origin keeps them."""
        found: dict[str, Any] = {}
        for number, item in enumerate(kept):
            release = Release.from_block(self.get(item.release))
            table = Tables.of(release.rules).headers
            for path, row in drive(tree.rows(release.index), self.get):
                asset = Asset.from_row(row)
                key = bases.key(asset.sha256, path)
                if key and is_delta_coded(asset, is_fresh(control_for(table, path, asset.immutable))):
                    found.setdefault(key, bases.value(row, item.generation if number else None))
        return tree.build(sorted(found.items()), self.emit)

    def view(self, site: Site) -> SiteView:
        """The site as an edge would hold it."""

        def published(kept: Retained | None) -> Published | None:
            if kept is None:
                return None
            return Published(kept.release, Release.from_block(self.get(kept.release)), kept.generation)

        rollout = None if site.rollout is None else site.rollout.item
        return SiteView(
            site.to_block().cid, site, published(site.live), published(site.next), rollout=published(rollout)
        )

    def preview(self, site: Site, name: str) -> SiteView:
        """One preview of the site, as an edge would hold it."""
        view, alias = self.view(site), site.aliases[name]

        def published(cid: CID) -> Published:
            return Published(cid, Release.from_block(self.get(cid)), alias.generation)

        lent = [] if view.live is None else [(Lender.LIVE, view.live)]
        lent += [] if alias.before is None else [(Lender.BEFORE, published(alias.before))]
        return SiteView(view.epoch, site, published(alias.release), alias=name, terms=alias, lent=tuple(lent))

    def resolve(self, view: SiteView, path: str, navigation: bool = False, **visit: Any) -> Meaning:
        return drive(view.resolve(path, Visit(navigation, **visit)), self.get)


@lru_cache(maxsize=256)
def _encoded(content: bytes) -> dict[str, bytes]:
    """Each content once: many plays publish the same files. Long ones less hard, which takes seconds."""
    return {
        "br": brotli.compress(content, quality=11 if len(content) < 1 << 18 else 5),
        "gzip": gzip.compress(content, mtime=0),
        "zstd": zstandard.compress(content, 3),
    }


def site_of(store: Store, files: Mapping[str, File], name: str = "demo", **fields: Any) -> Site:
    """A site with these files live."""
    rules = {key: fields.pop(key) for key in ("spa", "rules") if key in fields}
    kept = Retained(store.release(files, **rules), 1, 0)
    return Site(name, generation=1, live=kept, retained=(kept,), **fields)


class World:
    """An origin's truth: sites, the Catalog over them, the key that signs its Head."""

    def __init__(self) -> None:
        self.store = Store()
        self.key = Ed25519PrivateKey.generate()
        self.sites: dict[str, Site] = {}
        self.sequence = 1_000
        self.successor: str | None = None
        self.denied: dict[str, Row] = {}  # the Catalog's own denylist
        self.head = b""
        self.catalog_cid = CID.of(RAW, b"")

    @property
    def name(self) -> str:
        return ipns.name_of(self.key.public_key())

    def put(self, site: Site) -> None:
        """Make this the site's state (signed by the next sign())."""
        self.sites[site.name] = site

    def publish(self, name: str, files: Mapping[str, File], *, stage_only: bool = False, **fields: Any) -> Site:
        """A release of these files, live (or staged) under the name."""
        rules = {key: fields.pop(key) for key in ("spa", "rules") if key in fields}
        old = self.sites.get(name, Site(name))
        generation = old.generation + 1
        kept = Retained(self.store.release(files, **rules), generation, 0)
        if stage_only:
            new = replace(old, generation=generation, next=kept, **fields)
        else:
            new = replace(old, generation=generation, live=kept, next=None, retained=(kept, *old.retained), **fields)
        self.put(new)
        return new

    def remember_bases(self, name: str) -> Site:
        """What an origin does at each commit: the bases of live and of the last releases."""
        site = self.sites[name]
        self.put(replace(site, bases=self.store.bases(site.retained[: BASE_RELEASES + 1])))
        return self.sites[name]

    def activate(self, name: str) -> None:
        """Commit 2: next becomes live."""
        self.change(name, live=self.sites[name].next, next=None)

    def change(self, name: str, **fields: Any) -> Site:
        """The site's next generation, with these fields."""
        old = self.sites[name]
        self.put(replace(old, generation=old.generation + 1, **fields))
        return self.sites[name]

    def purge(self, name: str, kind: str, value: str, *, soft: bool = False) -> None:
        """A floor over what stands under this value."""
        old = self.sites[name]
        floor = Floor(kind, value, old.generation + 1)
        self.change(name, **({"soft": (*old.soft, floor)} if soft else {"floors": (*old.floors, floor)}))

    def deny(self, *rules: str, status: int = 410, reason: str = "") -> None:
        """Put rules into the Catalog's own denylist, each as it is kept."""
        self.denied.update({str(Rule.parse(rule)): Row(status, reason) for rule in rules})

    def sign(self, *, key: Ed25519PrivateKey | None = None, sequence: int | None = None, hours: float = 48) -> bytes:
        """A Head over the sites as they are; the sequence grows by one unless given."""
        self.sequence = self.sequence + 1 if sequence is None else sequence
        rows = []
        for name, site in sorted(self.sites.items()):
            block = site.to_block()
            self.store.emit(block)
            rows.append((name, block.cid))
        emit = self.store.emit
        hosts = sorted((host, name) for name, site in self.sites.items() for host in site.hosts)
        emit(tree.EMPTY)
        denied = sorted((rule, row.to_value()) for rule, row in self.denied.items())
        catalog = Catalog(
            self.sequence, tree.build(rows, emit), tree.build(hosts, emit), tree.build(denied, emit), self.successor
        ).to_block()
        emit(catalog)
        self.catalog_cid = catalog.cid
        self.head = ipns.create(
            key or self.key, f"/ipfs/{catalog.cid}", self.sequence, time.time() + hours * 3600, 60.0
        )
        return self.head

    def car(self) -> bytes:
        """What the origin answers to a request for the Head: record, Catalog, and all control blocks but Indexes."""
        record = Block.make(RAW, self.head)
        control = [record, self.store.get(self.catalog_cid)]
        catalog = Catalog.from_block(control[1])
        for root in (catalog.sites, catalog.denied):
            control += [self.store.get(cid) for cid in drive(tree.node_cids(root), self.store.get)]
        for site in self.sites.values():
            control.append(self.store.get(site.to_block().cid))
            control += [self.store.get(kept.release) for kept in (site.live, site.next) if kept is not None]
        return car.write((record.cid, self.catalog_cid), control)
