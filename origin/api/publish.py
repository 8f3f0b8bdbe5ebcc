"""Handlers of a publish: announce, upload, stage, activate.

Here lives the way from a request to origin/upload and origin/staging. The whole walk: missing → blocks → stage →
(edges warm) → activate.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content.catalog import check_site_name
from origin.api.asking import (
    CIDS_BYTES,
    allowed,
    body_bytes,
    body_chunks,
    body_json,
    cid_field,
    optional_cid,
    origin_of,
    settings_field,
    text_field,
    texts,
    who,
)
from origin.staging import Wish


async def missing(request: Request) -> Response:
    """POST /api/v1/sites/{name}/missing"""
    name = check_site_name(request.path_params["name"])
    token = allowed(request, "publish", name)
    body = await body_bytes(request, CIDS_BYTES)
    lease = request.query_params.get("lease")
    answer = await asyncio.to_thread(origin_of(request).uploads.announce, token, name, lease, body)
    return JSONResponse(answer)


async def blocks(request: Request) -> Response:
    """POST /api/v1/leases/{id}/blocks"""
    token, origin = allowed(request, "publish"), origin_of(request)
    received = await origin.uploads.receive(token, request.path_params["id"], body_chunks(request))
    origin.counters.blocks_received += received["blocks"]
    origin.counters.bytes_received += received["bytes"]
    return JSONResponse(received)


async def stage(request: Request) -> Response:
    """POST /api/v1/sites/{name}/stage: commit 1"""
    name = request.path_params["name"]
    token = allowed(request, "publish", name)
    body = await body_json(request)
    lease = None if body.get("lease") is None else text_field(body, "lease")
    release, expected = cid_field(body, "release"), optional_cid(body, "expected")
    force = body.get("force") is True
    staging, by, wish = origin_of(request).staging, who(token, body), wish_of(body)
    return JSONResponse(await staging.stage(token, name, release, expected, lease, force, by, wish))


async def activate(request: Request) -> Response:
    """POST /api/v1/sites/{name}/activate: commit 2"""
    name = request.path_params["name"]
    token = allowed(request, "publish", name)
    body = await body_json(request)
    release, expected = cid_field(body, "release"), optional_cid(body, "expected")
    by, wish = who(token, body), wish_of(body)
    return JSONResponse(await origin_of(request).staging.activate(name, release, expected, by, wish))


def wish_of(body: dict[str, Any]) -> Wish:
    """What a publish asks of its site: `hosts` and `settings`, each optional."""
    hosts = tuple(texts(body, "hosts")) if "hosts" in body else None
    return Wish(hosts, settings_field(body))
