"""Sites with a service worker, signed as an origin would: for plays of what an edge serves below /.rim/.

Here lives the signing over a World. Not here: the origin's own signing (tests/origin/test_signing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns, manifest
from content.catalog import Retained, Rollout, Signed, Site
from content.cid import CID
from content.release import Release, Rules
from content.walk import drive
from tests.edge.sites import File, World

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = ipns.name_of(KEY.public_key())


def worker_rules(*precached: str, **more: Any) -> Rules:
    """Rules of a release with a worker, which precaches these."""
    worker = more.pop("worker", {"check": 60, "gateways": [], "complete": False})
    return Rules(precache={"paths": list(precached), "bytes": 1 << 20}, worker=worker, **more)


def signed(world: World, site: str, release: CID, serial: int, gateways: tuple[str, ...] = ()) -> Signed:
    """The site's word for the manifest of this release."""
    unsigned = Signed(release, serial, gateways, b"")
    _, core = drive(manifest.made(site, unsigned, Release.from_block(world.store.get(release))), world.store.get)
    return replace(unsigned, signature=KEY.sign(manifest.message(core)))


def publish(world: World, files: Mapping[str, File], *precached: str, name: str = "demo", **rules: Any) -> Site:
    """A release of these files, live, with a worker that precaches these paths (default: all of them)."""
    paths = precached or tuple(f"/{path}" for path in files)
    site = world.publish(name, files, rules=worker_rules(*paths, **rules), ipns=NAME)
    assert site.live is not None
    return world.change(name, signed=(signed(world, name, site.live.release, world.sequence),))


def roll_out(world: World, files: Mapping[str, File], share: int, name: str = "demo", **rules: Any) -> CID:
    """A release of these files for a share of the visitors, with a worker too. Both words are of one commit, and so of
    one serial; another share alone leaves them as they are."""
    given = worker_rules(*(f"/{path}" for path in files), **rules)
    item = Retained(world.store.release(files, rules=given), world.sites[name].generation + 1, 0)
    live = world.sites[name].live
    assert live is not None
    words = world.sites[name].signed
    if [word.release for word in words] != [live.release, item.release]:
        words = tuple(signed(world, name, cid, world.sequence) for cid in (live.release, item.release))
    world.change(name, rollout=Rollout(item, share), signed=words)
    return item.release


def take_back(world: World, name: str = "demo") -> None:
    """The end of a rollout: live for everybody."""
    live = world.sites[name].live
    assert live is not None
    world.change(name, rollout=None, signed=(signed(world, name, live.release, world.sequence),))
