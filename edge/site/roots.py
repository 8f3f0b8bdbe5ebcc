"""Roots: the Roots that sites show to anybody, as this edge serves them.

Here lives the set, made anew when other views are there. Not here: what a gateway does with it (edge/gateway/access).
"""

from __future__ import annotations

from content.cid import CID
from edge.site.router import Router, Table


class LiveRoots:
    """Called, it gives the Roots that are live now, and those of previews that anybody may see."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._table: Table | None = None
        self._roots: frozenset[CID] = frozenset()

    def __call__(self) -> frozenset[CID]:
        table = self._router.table
        if table is not self._table:
            shown = [view for view in table.hosts.values() if view.terms is None or view.terms.password is None]
            self._roots = frozenset(view.live.release.root.v1 for view in shown if view.live is not None)
            self._table = table
        return self._roots
