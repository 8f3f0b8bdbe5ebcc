"""Handler of the ring: the register, for nodes that join through this origin. Who is in it: origin/register."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from origin.api.asking import allowed_node, number, origin_of, unless_gone, whole
from origin.api.follow import NAME_CHARS, WAIT_MAX, key_of


async def members(request: Request) -> Response:
    """GET /api/v1/ring?since=GENERATION&wait=S&node=NAME&serves=N&key=K51: waits for another generation than this one;
    lower or higher, for generations of an origin that was put back are others. With `node` it is a sign of life."""
    allowed_node(request)
    origin, since = origin_of(request), whole(request, "since")
    query = request.query_params
    if node := query.get("node", "")[:NAME_CHARS]:
        origin.edges.heard(node, key_of(request, node, whole(request, "serves"), query.get("key", "")))
    register, until = origin.register, time.monotonic() + number(request, "wait", 0.0, WAIT_MAX)
    while register.generation == since and not origin.stopping:
        left = until - time.monotonic()
        if left <= 0 or not await unless_gone(request, register.signal.wait(left)):
            break
    head = b'{"generation":%d,"up":%.3f,"members":' % (register.generation, register.up)
    headers = {"Cache-Control": "no-store"}
    return Response(head + register.text + b"}", headers=headers, media_type="application/json")
