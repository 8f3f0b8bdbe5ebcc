"""Handlers of questions to edges: asking, the way of a question to a node and of its answers back.

Here lives who may ask what, and the two long polls' ends. Not here: how questions are kept (origin/asks), or how a node
hears of one (origin/api/follow).
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from origin.api.asking import (
    JSON_BYTES,
    allowed_node,
    body_bytes,
    body_json,
    number,
    origin_of,
    parse_json,
    text_field,
    token_of,
    unless_gone,
    whole,
)
from origin.api.follow import NAME_CHARS, WAIT_MAX, key_of
from origin.asks import Ask
from origin.errors import BadRequest, Forbidden
from origin.tokens import Token

FILTERS = ("site", "status", "outcome", "method", "path", "edge", "region")
FILTER_CHARS = 1024


async def ask(request: Request) -> Response:
    """POST /api/v1/asks"""
    if "origin" in request.headers:
        raise Forbidden("requests from web pages are not taken", "browser")
    token, body, origin = token_of(request), await body_json(request), origin_of(request)
    match body.get("kind"):
        case "explain":
            question = _explain(token, text_field(body, "url", 8192), request)
        case "tail":
            question = _tail(token, body)
        case _:
            raise BadRequest("kind: explain or tail")
    opened = origin.asks.open(str(body["kind"]), question, token)
    origin.catalog.feed.signal.notify()  # the waiting requests look up, and take it along
    return JSONResponse({"id": opened.id}, 201)


async def question(request: Request) -> Response:
    """GET /api/v1/asks/{id}: for nodes"""
    allowed_node(request)
    found = origin_of(request).asks.get(request.path_params["id"])
    return JSONResponse({"kind": found.kind, **found.question})


async def answer(request: Request) -> Response:
    """POST /api/v1/asks/{id}/answers: for nodes"""
    allowed_node(request)
    data = await body_bytes(request, JSON_BYTES)
    body, origin = parse_json(data), origin_of(request)
    node, rows = text_field(body, "node", NAME_CHARS), body.get("rows")
    sequence, lost = body.get("sequence"), body.get("lost", 0)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadRequest("rows: a list of objects")
    if type(sequence) is not int or type(lost) is not int or lost < 0:
        raise BadRequest("sequence and lost: whole numbers")
    origin.edges.check_holder(node, key_of(request, node, sequence, str(body.get("catalog")), data))
    found = origin.asks.get(request.path_params["id"])
    found.take(node, str(body.get("region") or "")[:NAME_CHARS], rows, body.get("done") is True, lost)
    return JSONResponse({})


async def answers(request: Request) -> Response:
    """GET /api/v1/asks/{id}/answers?after=N&wait=S: rows from the N-th on, as soon as there is one"""
    origin, after = origin_of(request), whole(request, "after")
    found = _own(request)
    until = time.monotonic() + number(request, "wait", 0.0, WAIT_MAX)
    known = len(found.done)
    while found.end <= after and len(found.done) == known and not origin.stopping:
        left = until - time.monotonic()
        if left <= 0 or not await unless_gone(request, found.signal.wait(left)):
            break
    rows = found.rows(after)
    return JSONResponse({"rows": rows, "next": max(after, found.end), "lost": found.lost, "done": sorted(found.done)})


async def close(request: Request) -> Response:
    """DELETE /api/v1/asks/{id}"""
    origin_of(request).asks.close(_own(request).id)
    return JSONResponse({})


def _own(request: Request) -> Ask:
    """The question, for whom asked it. Raises Forbidden for others."""
    token, found = token_of(request), origin_of(request).asks.get(request.path_params["id"])
    if found.token.id != token.id:
        raise Forbidden("another token asked this")
    return found


def _explain(token: Token, url: str, request: Request) -> dict[str, Any]:
    """The question, if this token may ask it: it sees the site, or may see everything."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    if not host:
        raise BadRequest("url: http://host/path")
    world = origin_of(request).catalog.world
    name = host.partition("--")[2] if "--" in host else host  # a preview is its site's
    site = next((site for site in (world.hosts.get(host), world.hosts.get(name)) if site is not None), None)
    site = site or next((label for label in (name.partition(".")[0],) if label in world.sites), None)
    if site is None:
        token.require("admin")
        if token.sites != "*":
            raise Forbidden(f"token {token.name!r} is for some sites only, and no site has the host {host!r}")
    elif not token.sees(site):
        raise Forbidden(f"token {token.name!r} is not for site {site!r}", site=site)
    return {"url": url}


def _tail(token: Token, body: dict[str, Any]) -> dict[str, Any]:
    """What to tell of. A site that the token does not see is refused; of all others it gets no rows anyway."""
    given = {key: body[key] for key in FILTERS if body.get(key) is not None}
    if not all(isinstance(value, str) and len(value) <= FILTER_CHARS for value in given.values()):
        raise BadRequest(f"{', '.join(FILTERS)}: texts")
    if "site" in given and not token.sees(given["site"]):
        raise Forbidden(f"token {token.name!r} is not for site {given['site']!r}", site=given["site"])
    return {**given, "events": body.get("events") is not False}
