"""Handlers of the log: what was committed, when and by whom.

Here lives the way from a request to origin/log. A token for some sites sees their lines only; what is the whole
origin's (a rotated key) is shown to tokens for all.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from origin.api.asking import number, origin_of, token_of, whole
from origin.errors import Forbidden
from origin.log import Row

LIMIT, LIMIT_MAX = 100, 1000


async def entries(request: Request) -> Response:
    """GET /api/v1/log?site=NAME&since=N&limit=K: newest last"""
    token, query = token_of(request), request.query_params
    site = query.get("site")
    if site is not None and not token.sees(site):
        raise Forbidden(f"token {token.name!r} is not for site {site!r}", site=site)
    catalog, limit = origin_of(request).catalog, max(1, int(number(request, "limit", LIMIT, LIMIT_MAX)))
    since = whole(request, "since") if "since" in query else None

    def wanted(row: Row) -> bool:
        if site is not None:
            return bool(row["site"] == site)
        return token.sees(row["site"]) if row["site"] else token.sites == "*"

    sequence = catalog.world.sequence
    rows = await asyncio.to_thread(catalog.log.read, wanted, sequence, limit, since)
    return JSONResponse({"sequence": sequence, "entries": rows})
