"""Handlers of the operator: status, pins, garbage collection, tokens, keys.

Here lives the way from a request to those tables and back.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content.cid import CID
from origin.api.asking import (
    CIDS_BYTES,
    allowed_everywhere,
    allowed_node,
    body_bytes,
    body_chunks,
    body_json,
    origin_of,
    parse_cid,
    token_of,
    who,
)
from origin.errors import Conflict
from origin.gc import PIN_NAME
from origin.origin import Origin
from origin.pins import Pin
from origin.tokens import read_request

NAME_CHARS = 200
PINS = ""  # whose lease it is: no site is named so


async def status(request: Request) -> Response:
    """GET /api/v1/status"""
    token_of(request)
    origin = origin_of(request)
    return JSONResponse(
        {
            "catalog": origin.catalog.head.name,
            "sequence": origin.catalog.world.sequence,
            "expires": int(origin.catalog.head.eol),
            "sites": len(origin.catalog.world.sites),
            "blocks": origin.store.blocks,
            "bytes": origin.store.bytes,
            "pins": len(origin.pins),
            "leases": len(origin.leases.all()),
            "edges": origin.edges.all(),
            "services": origin.keeper.summary(),
            "version": _version(),
        }
    )


async def pins(request: Request) -> Response:
    """GET /api/v1/pins"""
    token_of(request)
    return JSONResponse({"pins": [pin.public() for pin in origin_of(request).pins.all()]})


async def pin(request: Request) -> Response:
    """PUT /api/v1/pins/{cid}: keep this DAG, all of which must be here."""
    allowed_everywhere(request, "pin")
    origin, cid = origin_of(request), parse_cid(request.path_params["cid"])
    body = await body_json(request)
    name = str(body.get("name") or "")[:NAME_CHARS]
    async with origin.collector.hold(cid):
        kept = await asyncio.to_thread(_pin, origin, cid, name, body.get("partial") is True)
    return JSONResponse(kept.public())


async def announce(request: Request) -> Response:
    """POST /api/v1/pins/missing: blocks of DAGs to be pinned; which are lacking, and the lease to send them under."""
    token = allowed_everywhere(request, "pin")
    body = await body_bytes(request, CIDS_BYTES)
    lease = request.query_params.get("lease")
    return JSONResponse(await asyncio.to_thread(origin_of(request).uploads.announce, token, PINS, lease, body))


async def send(request: Request) -> Response:
    """POST /api/v1/pins/leases/{id}/blocks: those blocks, as a CAR."""
    token, origin = allowed_everywhere(request, "pin"), origin_of(request)
    received = await origin.uploads.receive(token, request.path_params["id"], body_chunks(request))
    origin.counters.blocks_received += received["blocks"]
    origin.counters.bytes_received += received["bytes"]
    return JSONResponse(received)


async def public(request: Request) -> Response:
    """GET /api/v1/public/{cid}: for nodes: whether a gateway may show what this CID names."""
    allowed_node(request)
    origin, cid = origin_of(request), parse_cid(request.path_params["cid"])
    return JSONResponse({"public": await asyncio.to_thread(origin.public.shows, cid)})


async def unpin(request: Request) -> Response:
    """DELETE /api/v1/pins/{cid}"""
    allowed_everywhere(request, "pin")
    origin, cid = origin_of(request), parse_cid(request.path_params["cid"])
    await asyncio.to_thread(_unpin, origin, cid)
    origin.follower.signal.notify()
    return JSONResponse({})


async def collect(request: Request) -> Response:
    """POST /api/v1/gc"""
    allowed_everywhere(request, "admin")
    collected = await asyncio.to_thread(origin_of(request).collect)
    return JSONResponse({"blocks_removed": collected.blocks_removed, "bytes_freed": collected.bytes_freed})


async def tokens(request: Request) -> Response:
    """GET /api/v1/tokens: all but their secrets, which are not kept."""
    allowed_everywhere(request, "admin")
    return JSONResponse({"tokens": [token.public() for token in origin_of(request).tokens.all()]})


async def add_token(request: Request) -> Response:
    """POST /api/v1/tokens"""
    allowed_everywhere(request, "admin")
    origin, wanted = origin_of(request), read_request(await body_json(request))
    token, secret = await asyncio.to_thread(lambda: origin.tokens.make(**wanted))
    return JSONResponse({**token.public(), "token": secret}, 201)


async def remove_token(request: Request) -> Response:
    """DELETE /api/v1/tokens/{id}"""
    allowed_everywhere(request, "admin")
    await asyncio.to_thread(origin_of(request).tokens.remove, request.path_params["id"])
    return JSONResponse({})


async def keys(request: Request) -> Response:
    """GET /api/v1/keys"""
    token_of(request)
    catalog = origin_of(request).catalog
    previous = sorted(catalog.last_words.items(), key=lambda item: -item[1].sequence)
    return JSONResponse({"catalog": catalog.head.name, "previous": [name for name, _ in previous]})


async def rotate(request: Request) -> Response:
    """POST /api/v1/keys/rotate"""
    by = who(allowed_everywhere(request, "admin"), await body_json(request))
    origin = origin_of(request)
    old = origin.catalog.head.name
    new = await origin.catalog.rotate(by)
    return JSONResponse({"catalog": new, "previous": old, "sequence": origin.catalog.world.sequence})


def _pin(origin: Origin, cid: CID, name: str, partial: bool) -> Pin:
    """Raises Conflict where blocks are lacking; with `partial`, only where the first one is."""
    lacking = origin.proofs.lacking(cid)
    if partial and lacking and cid not in lacking:
        with origin.gate:
            return origin.pins.add(cid, name, partial=True)
    if lacking:
        missing = [str(block) for block in lacking]
        raise Conflict(f"{len(missing)} blocks below {cid} are not here", "incomplete", missing=missing)
    origin.store.pin(cid, PIN_NAME)
    with origin.gate:
        return origin.pins.add(cid, name)


def _unpin(origin: Origin, cid: CID) -> None:
    with origin.gate:
        origin.pins.remove(cid)


def _version() -> str:
    try:
        return version("rim-cdn")
    except PackageNotFoundError:
        return "0"
