"""Handlers of previews and rollouts.

Here lives only the way from a request to a trial and back. Not here: what trials are (origin/trials).
"""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content.catalog import WHOLE, Alias
from origin.api.asking import allowed, body_json, cid_field, origin_of, text_field, who
from origin.errors import BadRequest


async def put_preview(request: Request) -> Response:
    """PUT /api/v1/sites/{name}/previews/{alias}: this release, until `expires`, for who knows the password."""
    name, alias = request.path_params["name"], request.path_params["alias"]
    token, body = allowed(request, "publish", name), await body_json(request)
    lease = None if body.get("lease") is None else text_field(body, "lease")
    password = None if body.get("password") is None else text_field(body, "password")
    wanted = Alias(cid_field(body, "release"), 0, int(time.time()), _expires(body), password)
    return JSONResponse(await origin_of(request).showing.preview(token, name, alias, wanted, lease, who(token, body)))


async def delete_preview(request: Request) -> Response:
    """DELETE /api/v1/sites/{name}/previews/{alias}"""
    name = request.path_params["name"]
    token, body = allowed(request, "publish", name), await body_json(request)
    alias = request.path_params["alias"]
    return JSONResponse(await origin_of(request).showing.drop_preview(name, alias, who(token, body)))


async def put_rollout(request: Request) -> Response:
    """PUT /api/v1/sites/{name}/rollout: `release` (a preview's name, or a retained one) for `percent` of visitors."""
    name = request.path_params["name"]
    token, body = allowed(request, "publish", name), await body_json(request)
    wanted, percent = text_field(body, "release"), body.get("percent")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100:
        raise BadRequest("percent: a number above 0, and 100 at most")
    share = max(1, round(percent * WHOLE / 100))
    return JSONResponse(await origin_of(request).showing.roll_out(name, wanted, share, who(token, body)))


async def delete_rollout(request: Request) -> Response:
    """DELETE /api/v1/sites/{name}/rollout: all visitors get live again."""
    name = request.path_params["name"]
    token, body = allowed(request, "publish", name), await body_json(request)
    return JSONResponse(await origin_of(request).showing.abort(name, who(token, body)))


def _expires(body: dict[str, Any]) -> int | None:
    value = body.get("expires")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 2**53:
        raise BadRequest("expires: unix seconds, or null")
    return int(value)
