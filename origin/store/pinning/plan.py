"""Plan: the rows of a service as they should be, from the rows as they are and what is wanted now.

Here lives one pure function and those for single wishes. Not here: what is wanted (store/pinning/wanted), or how a row
comes true (store/pinning/follower).

An old release goes when its site is gone from what is wanted, or once a wanted release of the site stands at the
service: until then the service would hold nothing of the site.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from content.cid import CID
from origin.store.pinning.answer import PINNED
from origin.store.pinning.service import Service
from origin.store.pinning.table import PINS_MAX, WAITING, Remote, Rows
from origin.store.pinning.wanted import Wanted, label


def settled(rows: Rows, service: Service, desired: Wanted, denied: Collection[CID], now: int) -> Rows:
    """The rows as they should be. Where nothing is pinned by itself (any more), what was stays as it is; what is denied
    goes, whoever asked for it."""
    rows = {cid: _away(row) if cid in denied else row for cid, row in rows.items()}
    if service.leaving:
        return _present(replace(row, site="", asked=False, going=True) for row in rows.values())
    if not service.auto:
        return _present(iter(rows.values()))
    after = {row.cid: row for row in _judged(rows, desired)}
    for cid, site in desired.items():
        if cid not in after and len(after) < PINS_MAX:
            after[cid] = Remote(cid, label(site), now, site=site)
    return _present(iter(after.values()))


def asked(rows: Rows, cid: CID, name: str, now: int) -> Rows:
    """Somebody asks for this pin. One that stands keeps its name."""
    row = rows.get(cid) or Remote(cid, name or str(cid), now)
    return {**rows, cid: _back(replace(row, asked=True))}


def unasked(rows: Rows, cid: CID) -> Rows:
    """Nobody wants this pin any more."""
    row = rows.get(cid)
    return rows if row is None else _present(iter({**rows, cid: _away(row)}.values()))


def _judged(rows: Rows, desired: Wanted) -> Iterator[Remote]:
    standing = {desired[cid] for cid, row in rows.items() if cid in desired and row.status == PINNED and not row.going}
    sites = set(desired.values())
    for cid, row in rows.items():
        if cid in desired:
            yield _back(replace(row, site=desired[cid]))
        elif not row.site or (row.status == PINNED and row.site in sites - standing):
            yield row  # asked for, or going already; or all that the service has of its site
        else:
            yield replace(row, site="") if row.asked else _away(row)


def _back(row: Remote) -> Remote:
    """Wanted. Whatever was said of one that was to go is old."""
    if not row.going:
        return row
    return replace(row, going=False, status=WAITING, pinned=None, tries=0, error="")


def _away(row: Remote) -> Remote:
    return row if row.going else replace(row, site="", asked=False, going=True, tries=0, error="")


def _present(rows: Iterator[Remote]) -> dict[CID, Remote]:
    """Without those that are to go and are not ours at the service, or were never asked for."""
    return {row.cid: row for row in rows if not row.going or (row.sent and not row.foreign)}
