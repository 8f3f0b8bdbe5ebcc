"""Signing: the site's word for what a service worker fetches unasked.

Here lives which releases of a site have such a word, and its making with the site's key at the commit that changes
them. Not here: the manifest itself (content/manifest, which edges make again), keys (origin/keys), the operator's
switch (origin/changes).

One commit, one serial, for live and for what is rolled out: a browser that goes from one to the other (its share was
narrowed, a cookie is gone) meets no lower one. Serials are made like the Head's sequence, and are ahead of it: so also
of those that a site had before it was switched off, removed, or restored from a backup.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

from content import manifest
from content.catalog import Signed, Site
from content.cid import CID
from content.errors import ContentError
from content.limits import GATEWAY_BYTES, GATEWAYS_MAX
from content.manifest import Entry
from content.release import Release
from origin.errors import OriginError
from origin.keys import Keys
from origin.reading import Absent, read, source
from origin.records import Clock
from origin.store import Store

MANIFESTS_KEPT = 64  # of a thousand files each: some 0.5 MB
log = logging.getLogger("rim.origin")

_Known: TypeAlias = tuple[Release, tuple[Entry, ...]]


class Signing:
    """Makes the words. `gateways` tells the URLs of the edges that are here, in whichever thread commits."""

    def __init__(self, store: Store, keys: Keys, clock: Clock = time.time) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._known: dict[CID, _Known] = {}
        self.gateways: Callable[[], Iterable[str]] = lambda: ()

    def __repr__(self) -> str:
        return f"<Signing {len(self._known)} manifests known>"

    def prepare(self, release: CID) -> None:
        """Read what a manifest of this release lists, so that its commit need not. That it fails is no harm."""
        try:
            self._entries(release)
        except (OriginError, ContentError, Absent) as error:
            log.debug("manifest of release %s: %s", release, error)

    def follow(self, old: Site | None, new: Site, sequence: int) -> tuple[Signed, ...]:
        """The words of `new`, which `old` becomes at a commit after the one of this sequence: those it has, if they are
        for the same releases still. A manifest that cannot be made is no reason to refuse the commit: the site then
        goes without a worker, and browsers let go of theirs."""
        made: dict[CID, _Known] = {}
        for release in () if new.has_worker_off else _shown(new):
            try:
                known = self._entries(release)
            except (OriginError, ContentError, Absent):
                log.exception("manifest of site %s, release %s", new.name, release)
                continue
            if known[0].rules.worker is not None:
                made[release] = known
        if tuple(made) == tuple(signed.release for signed in new.signed):
            return new.signed
        last = max((signed.serial for signed in (*new.signed, *(old.signed if old else ()))), default=0)
        serial = max(last + 1, sequence + 1, int(self._clock() * 1e6))
        if serial > manifest.SERIAL_MAX:
            log.error("manifest of site %s: the clock has been past what a script can count", new.name)
            return ()
        return tuple(self._sign(new.name, release, *known, serial) for release, known in made.items())

    def _sign(self, site: str, cid: CID, release: Release, entries: tuple[Entry, ...], serial: int) -> Signed:
        gateways = chosen(release.rules.worker_gateways, self.gateways())
        core = manifest.core(site, cid, release, serial, gateways, entries)
        return Signed(cid, serial, gateways, self._keys.site(site).sign(manifest.message(core)))

    def _entries(self, cid: CID) -> _Known:
        known = self._known.get(cid)
        if known is None:
            release = Release.from_block(source(self._store)(cid))
            entries = () if release.rules.worker is None else read(self._store, manifest.entries(release))
            while len(self._known) >= MANIFESTS_KEPT:
                self._known.pop(next(iter(self._known)), None)
            known = self._known[cid] = release, entries
        return known


def chosen(own: Iterable[str], edges: Iterable[str]) -> tuple[str, ...]:
    """The gateways of a manifest: those the site names, then the edges', each once and not too many."""
    urls = dict.fromkeys(url.rstrip("/") for url in (*own, *sorted(edges)))
    return tuple(url for url in urls if url and len(url.encode()) <= GATEWAY_BYTES)[:GATEWAYS_MAX]


def _shown(site: Site) -> tuple[CID, ...]:
    """The releases that visitors may get: live, and what is rolled out."""
    items = (site.live, None if site.rollout is None else site.rollout.item)
    return tuple(dict.fromkeys(item.release for item in items if item is not None))
