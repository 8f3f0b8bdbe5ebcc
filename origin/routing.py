"""Routing: the origin as a delegated router, for the names of its own sites.

Here lives GET /routing/v1/ipns/{name}: with it another Rim, a Kubo or a browser can follow a site's key without a DHT.
Records are signed and public, so no token is asked for. Read only: what a name means here is decided by publishing.
Not here: which record that is (origin/gateway), telling other routers (origin/announce).

Spec: https://specs.ipfs.tech/routing/http-routing-v1/
"""

from __future__ import annotations

import asyncio
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content import ipns
from content.cid import CID, RAW
from content.trustless import RECORD_TYPE
from origin.api.asking import origin_of, parse_cid
from origin.errors import Missing, OriginError
from origin.gateway import NotAcceptable, record_of

UNKNOWN_SECONDS = 60  # the spec's max-age where there is no TTL to go by
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, OPTIONS"}


class NotImplementedHere(OriginError):
    """A part of delegated routing that is not offered."""

    status = 501
    code = "not_implemented"


async def ipns_record(request: Request) -> Response:
    """GET /routing/v1/ipns/{name}: the record of a site, or of the catalog."""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=_CORS)
    accepts = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    if RECORD_TYPE not in accepts and "*/*" not in accepts:
        raise NotAcceptable(f"ask with Accept: {RECORD_TYPE}")
    name = parse_cid(request.path_params["name"]).base36()
    raw = await asyncio.to_thread(record_of, origin_of(request), name)
    if raw is None:
        error = Missing(f"no record of {name} here")
        headers = {**_CORS, "Cache-Control": f"public, max-age={UNKNOWN_SECONDS}"}
        return JSONResponse(error.body(), error.status, headers)
    record = ipns.verify(name, raw)
    left = record.eol - time.time()  # of a key that was rotated away the last record is all there will ever be
    age = max(0, int(min(record.ttl or UNKNOWN_SECONDS, left)))
    headers = {
        **_CORS,
        "Cache-Control": f"public, max-age={age}",
        "ETag": f'"{CID.of(RAW, raw)}"',
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{name}.ipns-record"',
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(raw, media_type=RECORD_TYPE, headers=headers)


async def nothing_else(request: Request) -> Response:
    """The rest of /routing/v1: the spec's answer for what a server does not offer."""
    raise NotImplementedHere("this router knows IPNS names only: GET /routing/v1/ipns/{name}")
