"""Delta: which base a visitor's dictionary is, and which pairs a path has.

Here lives the pure part: the lookup of a digest in a site's bases, as a walk, and what may not be a base any more. Not
here: the fields on the wire (edge/http/dictionary), which files are delta-coded (content/deltas), the compression
(edge/browsers/deltas).

A digest is looked up in the bases of the Host's site and nowhere else. So another site's file is never a base: what a
delta leaves out would tell that this edge holds it.
"""

from __future__ import annotations

from content import bases
from content.bases import Base
from content.deltas import is_delta_coded, match_of
from content.walk import Walk
from edge.site.view import Found, SiteView


def may_have_deltas(view: SiteView, found: Found) -> bool:
    """Whether what is found may be sent as a delta, and be a base. A preview's releases are in no bases, and it has a
    host of its own, so its dictionaries would never be found; a shell is chosen by more than its path."""
    return not view.alias and found.status == 200 and not found.is_shell


def base_of(view: SiteView, digest: bytes) -> Walk[Base | None]:
    """The file with this SHA-256 that a delta may be made from; None: this site had none lately, or it is purged or
    denied. Raises BadNode."""
    if view.site.bases is None or view.alias:
        return None
    base = yield from bases.find(view.site.bases, digest.hex())
    return base if base is not None and _is_fit(view, base) else None


def bases_like(view: SiteView, match: str) -> Walk[list[Base]]:
    """The bases that a dictionary with this pattern may be, live's first, then from the newest: all rows are looked at,
    for people alone."""
    if view.site.bases is None or view.alias:
        return []
    every = yield from bases.rows(view.site.bases)
    like = [base for base in every if match_of(base.path, base.asset.immutable) == match and _is_fit(view, base)]
    return sorted(like, key=lambda base: (base.generation is not None, -(base.generation or 0), base.path))


def _is_fit(view: SiteView, base: Base) -> bool:
    """Whether a delta may be made from it: this version takes such a file, and it is not denied. What a purge covers,
    the origin takes out of the bases in the same commit."""
    if not is_delta_coded(base.asset, fresh=True):
        return False
    return not view.denials.mark or view.refusal_of(Found(base.asset, path=base.path), base.path) is None
