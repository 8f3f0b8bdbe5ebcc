"""Handlers of denials: deny, allow, and what is denied.

Here lives only the way from a request to origin/denying and back. What is denied is the operator's business, and the
list of it no less: a token of scope admin for all sites is needed.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from origin.api.asking import allowed_everywhere, body_json, origin_of, text_field, who
from origin.errors import BadRequest

WHAT_CHARS = 4_096


async def deny(request: Request) -> Response:
    """POST /api/v1/deny"""
    token, body = allowed_everywhere(request, "admin"), await body_json(request)
    what, status, reason = text_field(body, "what", WHAT_CHARS), body.get("status", 410), body.get("reason") or ""
    if type(status) is not int or not isinstance(reason, str):
        raise BadRequest("status: 410 or 451; reason: a text")
    recursive = body.get("recursive") is True
    return JSONResponse(await origin_of(request).denying.deny(what, status, reason, recursive, who(token, body)))


async def allow(request: Request) -> Response:
    """POST /api/v1/allow"""
    token, body = allowed_everywhere(request, "admin"), await body_json(request)
    what, always = text_field(body, "what", WHAT_CHARS), body.get("always") is True
    return JSONResponse(await origin_of(request).denying.allow(what, always, who(token, body)))


async def denied(request: Request) -> Response:
    """GET /api/v1/denied"""
    allowed_everywhere(request, "admin")
    origin = origin_of(request)
    lists = [{"name": name, "rules": rules} for name, rules in origin.denials.told()]
    return JSONResponse({"rules": origin.denying.told(), "lists": lists})
