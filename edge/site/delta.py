"""Delta: which base a visitor's dictionary is, and which pairs a path has.

Here lives the pure part: the lookup of a digest in a site's bases, as a walk, and what may not be a base any more. Not
here: the fields on the wire (edge/http/dictionary), which files are delta-coded (content/deltas), the compression
(edge/deltas).

A digest is looked up in the bases of the Host's site and nowhere else. So another site's file is never a base: what a
delta leaves out would tell that this edge holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from content import tree
from content.cbor import typed
from content.deltas import is_delta_coded, match_of
from content.errors import BadNode
from content.release import Asset
from content.walk import Walk
from edge.site.view import Found, SiteView


@dataclass(frozen=True, slots=True)
class Base:
    """A file of live or of one of the last releases. `at`: where it lay, newest first; `generation`: of the newest
    release that has it; `sha256`: hex, of all of it."""

    sha256: str
    asset: Asset
    at: tuple[str, ...]
    generation: int

    @classmethod
    def from_row(cls, sha256: str, row: Any) -> Base:
        """Read a row of a site's bases. Raises BadNode."""
        asset = Asset.from_row(row)
        at = tuple(typed(path, str, "at") for path in typed(row.get("at"), list, "at"))
        if not at:
            raise BadNode(f"base {sha256}: it lay nowhere")
        return cls(sha256, asset, at, typed(row.get("gen"), int, "gen"))


def may_have_deltas(view: SiteView, found: Found) -> bool:
    """Whether what is found may be sent as a delta, and be a base. A preview's releases are in no bases, and it has a
    host of its own, so its dictionaries would never be found; a shell is chosen by more than its path."""
    return not view.alias and found.status == 200 and not found.is_shell


def base_of(view: SiteView, digest: bytes) -> Walk[Base | None]:
    """The file with this SHA-256 that a delta may be made from; None: this site had none lately, or it is purged or
    denied. Raises BadNode."""
    if view.site.bases is None or view.alias:
        return None
    sha256 = digest.hex()
    row = yield from tree.get(view.site.bases, sha256)
    if row is None:
        return None
    base = Base.from_row(sha256, row)
    return base if _is_fit(view, base) else None


def bases_like(view: SiteView, match: str) -> Walk[list[Base]]:
    """The bases that a dictionary with this pattern may be, newest first: all rows are looked at, for people alone."""
    if view.site.bases is None or view.alias:
        return []
    rows = yield from tree.rows(view.site.bases)
    bases = [Base.from_row(sha256, row) for sha256, row in rows]
    like = [base for base in bases if any(match_of(path, base.asset.immutable) == match for path in base.at)]
    return sorted((base for base in like if _is_fit(view, base)), key=lambda base: (-base.generation, base.at))


def _is_fit(view: SiteView, base: Base) -> bool:
    """The origin takes out what a purge covers; here it is looked at again, for an origin of another version may not.
    What live holds is below no floor."""
    if not is_delta_coded(base.asset, fresh=True):
        return False
    live = 0 if view.live is None else view.live.generation
    tags = base.asset.tags
    if base.generation != live and all(base.generation < view.site.floor_of(path, tags) for path in base.at):
        return False
    return not view.denials.mark or not any(view.refusal_of(Found(base.asset, path=path), path) for path in base.at)
