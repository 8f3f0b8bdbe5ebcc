"""Stub: `/.rim/sw.js`, one line that says whose worker this is, which release it installs, and where the script lies.

Here live the line, and which release a visitor's worker is of. Not here: the manifest behind it (content/manifest), the
scripts (edge/site/browser/scripts).

A browser looks whether a worker is new by comparing bytes (Service Workers, Update algorithm). So every deploy is
another stub, of a few hundred bytes, while the script that it imports stays where it is, and its size has nothing to do
with the number of files. What the worker leaves alone stands here and not in the manifest: it has to know in the turn
of the event, and what it keeps is read later.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass

from content import manifest
from content.catalog import Signed
from content.passed import expression
from edge.site.browser import scripts
from edge.site.view import Published, SiteView


@dataclass(frozen=True, slots=True)
class Standing:
    """The release that a visitor's worker is of, and the site's word for its manifest."""

    site: str
    ipns: str  # the name of the key that must have signed
    published: Published
    signed: Signed


def standing(view: SiteView, trial: bool) -> Standing | None:
    """What this visitor's worker is of; None: there is none here. `trial`: he gets what is rolled out."""
    published = view.rollout if trial and view.rollout is not None else view.live
    if not view.has_worker or published is None or view.site.ipns is None:
        return None
    signed = view.site.signed_of(published.cid)
    if signed is None or published.release.rules.worker is None:
        return None
    return Standing(view.site.name, view.site.ipns, published, signed)


def stub(view: SiteView, of: Standing) -> bytes:
    """The line, as JavaScript. Raises BadRecord where the site's name is not that of an Ed25519 key."""
    told = {
        "site": view.site.name,
        "key": b64encode(manifest.public_key(of.ipns)).decode(),
        "release": str(of.signed.release),
        "serial": of.signed.serial,
        "passed": expression(of.published.release.rules.worker_passes),
        "clear": 0 if view.site.browsers is None else view.site.browsers[0],
    }
    settings = json.dumps(told, separators=(",", ":"))
    return f'self.rim={settings};importScripts("{scripts.worker_path()}")\n'.encode()
