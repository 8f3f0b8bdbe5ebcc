"""Handlers of pinning services: the services, and the pins at each.

Here lives the way from a request to origin/store/pinning and back, and what may be pinned there. Not here: the work.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content.cid import CID, DAG_CBOR, IDENTITY
from origin.api.admin import NAME_CHARS
from origin.api.asking import allowed_everywhere, body_json, origin_of, parse_cid, text_field
from origin.errors import Forbidden
from origin.origin import Origin


async def index(request: Request) -> Response:
    """GET /api/v1/services: all but their tokens."""
    allowed_everywhere(request, "pin")
    keeper = origin_of(request).keeper
    return JSONResponse({"services": [keeper.public(follower) for follower in keeper.all()]})


async def add(request: Request) -> Response:
    """POST /api/v1/services"""
    allowed_everywhere(request, "admin")
    body, keeper = await body_json(request), origin_of(request).keeper
    service = await keeper.add(text_field(body, "name"), body)
    return JSONResponse(keeper.one(service.name), 201)


async def show(request: Request) -> Response:
    """GET /api/v1/services/{name}"""
    allowed_everywhere(request, "pin")
    return JSONResponse(origin_of(request).keeper.one(_name(request)))


async def change(request: Request) -> Response:
    """PATCH /api/v1/services/{name}: what is given changes."""
    allowed_everywhere(request, "admin")
    body, keeper = await body_json(request), origin_of(request).keeper
    service = await keeper.change(_name(request), body)
    return JSONResponse(keeper.one(service.name))


async def remove(request: Request) -> Response:
    """DELETE /api/v1/services/{name}?unpin=1"""
    allowed_everywhere(request, "admin")
    unpin = request.query_params.get("unpin") == "1"
    left = await origin_of(request).keeper.remove(_name(request), unpin)
    return JSONResponse({"pins": left, "leaving": unpin and left > 0})


async def check(request: Request) -> Response:
    """POST /api/v1/services/{name}/check"""
    allowed_everywhere(request, "pin")
    origin_of(request).keeper.check(_name(request))
    return JSONResponse({})


async def pins(request: Request) -> Response:
    """GET /api/v1/services/{name}/pins"""
    allowed_everywhere(request, "pin")
    rows = origin_of(request).keeper.pins(_name(request))
    return JSONResponse({"pins": [row.public() for row in rows]})


async def show_pin(request: Request) -> Response:
    """GET /api/v1/services/{name}/pins/{cid}"""
    allowed_everywhere(request, "pin")
    return JSONResponse(origin_of(request).keeper.pin_of(_name(request), _cid(request)).public())


async def pin(request: Request) -> Response:
    """PUT /api/v1/services/{name}/pins/{cid}: have this DAG pinned there."""
    allowed_everywhere(request, "pin")
    origin, cid = origin_of(request), _cid(request)
    label = str((await body_json(request)).get("name") or "")[:NAME_CHARS]
    await asyncio.to_thread(_check_public, origin, cid)
    return JSONResponse((await origin.keeper.pin(_name(request), cid, label)).public(), 202)


async def unpin(request: Request) -> Response:
    """DELETE /api/v1/services/{name}/pins/{cid}: have it taken away there."""
    allowed_everywhere(request, "pin")
    await origin_of(request).keeper.unpin(_name(request), _cid(request))
    return JSONResponse({}, 202)


def _check_public(origin: Origin, cid: CID) -> None:
    """Raise Forbidden for what is not public: a service fetches over IPFS, where whoever has a CID may ask for it.

    What the origin does not hold is not its secret. Control blocks are refused under every codec: an IPFS node asks for
    blocks by their hash alone.
    """
    control = cid.hash_code != IDENTITY and origin.store.has(CID.of_digest(DAG_CBOR, cid.digest))
    if cid.is_control or control:
        raise Forbidden(f"{cid} is a control block, or DAG-CBOR: those never leave for a pinning service", "not_public")
    if origin.store.has(cid) and not origin.public.has(cid):
        raise Forbidden(
            f"{cid} is not public here (staged, or behind a password): if it may be, `rim pin` it first", "not_public"
        )


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _cid(request: Request) -> CID:
    return parse_cid(request.path_params["cid"])
