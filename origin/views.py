"""Views: sites and releases as the API shows them.

Here lives their JSON form. Not here: handlers (origin/api).
"""

from __future__ import annotations

from typing import Any

from content.catalog import WHOLE, Alias, Retained, Rollout, Site
from content.cid import CID
from content.release import Release
from origin.check import release_of
from origin.store import Store

CACHED = 20_000


class Views:
    """Shows sites and releases; read Releases are remembered (they never change)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._releases: dict[CID, Release] = {}

    def site(self, site: Site) -> dict[str, Any]:
        return {
            "name": site.name,
            "hosts": list(site.hosts),
            "live": self._item(site.live),
            "next": self._item(site.next),
            "retained": len(site.retained),
            "generation": site.generation,
            "ipns": site.ipns,
            "settings": dict(site.settings),
            "previews": [self._preview(name, alias) for name, alias in sorted(site.aliases.items())],
            "rollout": self._rollout(site.rollout),
            "floors": len(site.floors),
            "worker": self.worker(site),
        }

    def worker(self, site: Site) -> dict[str, Any]:
        """The service worker: the operator's switch, whether live has one, and the manifests that are signed."""
        return {
            "on": not site.has_worker_off,
            "live": site.live is not None and self.release(site.live.release).rules.worker is not None,
            "signed": [
                {"release": str(signed.release), "serial": signed.serial, "gateways": list(signed.gateways)}
                for signed in site.signed
            ],
        }

    def _preview(self, name: str, alias: Alias) -> dict[str, Any]:
        item = self._item(Retained(alias.release, alias.generation, alias.time)) or {}
        return {**item, "name": name, "set": alias.time, "expires": alias.expires, "protected": bool(alias.password)}

    def _rollout(self, rollout: Rollout | None) -> dict[str, Any] | None:
        return None if rollout is None else {**(self._item(rollout.item) or {}), "percent": rollout.share * 100 / WHOLE}

    def releases(self, site: Site) -> list[dict[str, Any]]:
        """The retained releases, newest first."""
        live = None if site.live is None else site.live.release
        return [{**(self._item(item) or {}), "live": item.release == live} for item in site.retained]

    def _item(self, item: Retained | None) -> dict[str, Any] | None:
        if item is None:
            return None
        release = self.release(item.release)
        return {
            "release": str(item.release),
            "root": str(release.root),
            "index": str(release.index),
            "rules": release.rules.to_value(),
            "files": release.files,
            "size": release.size,
            "time": release.time,
            "message": release.message,
            "author": release.author,
            "generation": item.generation,
        }

    def release(self, cid: CID) -> Release:
        """A Release that is here. Raises Absent."""
        release = self._releases.get(cid)
        if release is None:
            if len(self._releases) >= CACHED:
                self._releases.clear()
            release = self._releases[cid] = release_of(self._store, cid)
        return release
