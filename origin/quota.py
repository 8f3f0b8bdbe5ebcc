"""Quota: how much the sites of one token may hold.

Here lives the arithmetic. `quota_bytes` bounds two sums: the sizes of all live and staged releases of the sites the
token may publish, and the bytes uploaded under its open leases (which are not released yet, and go when they expire).
`quota_sites` bounds how many of those sites exist. Not here: the tokens (origin/tokens).
"""

from __future__ import annotations

from content.catalog import Site
from content.release import Release
from origin.errors import Forbidden
from origin.leases import Lease, Leases
from origin.reading import source
from origin.store import Store
from origin.tokens import Token
from origin.world import World


def check_upload(token: Token, leases: Leases, more: int) -> None:
    """Refuse bytes that take the token's open leases past its quota. Raises Forbidden."""
    if token.quota_bytes is None:
        return
    used = sum(lease.bytes for lease in leases.all() if lease.token == token.id)
    _check(token, used + more, "uploads not yet published")


def check_stage(token: Token, world: World, store: Store, name: str, size: int) -> None:
    """Refuse a release that takes the token's sites past its quotas. Raises Forbidden."""
    mine = [site for site in world.sites.values() if token.sees(site.name)]
    if token.quota_sites is not None and name not in world.sites and len(mine) >= token.quota_sites:
        raise Forbidden(f"token {token.name!r} may have {token.quota_sites} sites, and has them", "over_quota")
    if token.quota_bytes is not None:
        held = sum(_size(store, site, replaced=site.name == name) for site in mine)
        _check(token, held + size, "live and staged releases")


def owner(token: Token, lease: Lease) -> None:
    """A lease is its token's alone (an admin may help). Raises Forbidden."""
    if lease.token != token.id and not token.allows("admin", lease.site):
        raise Forbidden("this lease was opened with another token", "not_your_lease")


def _size(store: Store, site: Site, replaced: bool) -> int:
    items = [site.live, None if replaced else site.next]
    get = source(store)
    return sum(Release.from_block(get(item.release)).size for item in items if item is not None)


def _check(token: Token, used: int, what: str) -> None:
    assert token.quota_bytes is not None
    if used > token.quota_bytes:
        raise Forbidden(
            f"token {token.name!r}: {what} come to {used:,} bytes, its quota is {token.quota_bytes:,}", "over_quota"
        )
