"""Handlers of nodes: following the Head, reporting, and asking how far the others are.

Here lives the waiting request. Every answer to a node carries Rim-Sequence (origin/app), so any of them is a hint.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from content import receipt
from origin.api.asking import (
    JSON_BYTES,
    allowed_everywhere,
    allowed_node,
    body_bytes,
    number,
    origin_of,
    parse_json,
    text_field,
    token_of,
    unless_gone,
    whole,
)
from origin.edges import UNNAMED, Edge
from origin.errors import BadRequest, Forbidden
from origin.feed import pack
from origin.origin import Origin
from origin.reading import source
from origin.world import control_of

WAIT_MAX = 60.0
CAR_TYPE = "application/vnd.ipld.car"
NAME_CHARS = 200


async def head(request: Request) -> Response:
    """GET /api/v1/head?since=N&wait=SECONDS&node=NAME&region=R&serves=M

    `serves` is the report "I serve M"; without it `since` is, and without `node` nothing is reported. `key`, the
    catalog key the node trusts, is optional: a node that was away during a rotation first gets the old key's last
    record, which names the successor.
    """
    allowed_node(request)
    origin, since = origin_of(request), whole(request, "since")
    edge = _edge(request, origin, whole(request, "serves") if "serves" in request.query_params else since)
    origin.edges.compare(edge, origin.catalog.world.sequence)
    feed, until = origin.catalog.feed, time.monotonic() + number(request, "wait", 0.0, WAIT_MAX)
    with origin.edges.waits(edge):
        while feed.head.sequence <= since and not origin.stopping and not origin.asks.has_for(edge.node):
            left = until - time.monotonic()
            if left <= 0 or not await unless_gone(request, feed.signal.wait(left)):
                break
    asked = {"Rim-Ask": ",".join(ids)} if (ids := origin.asks.tell(edge.node)) else {}
    if feed.head.sequence <= since:
        return Response(status_code=204, headers={"Cache-Control": "no-store", **asked})
    key = request.query_params.get("key", "")  # looked at after the waiting: it may have been rotated meanwhile
    if key and key != feed.head.name:
        last = await asyncio.to_thread(_last_word, origin, key, since)
        if last is not None:
            return _car(last, asked)
    return _car(await feed.answer(since), asked)


async def report(request: Request) -> Response:
    """POST /api/v1/report"""
    allowed_node(request)
    origin, data = origin_of(request), await body_bytes(request, JSON_BYTES)
    body = parse_json(data)
    sequence = body.get("sequence", 0)
    if isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0:
        raise BadRequest("sequence: a whole number")
    node, public = text_field(body, "node", NAME_CHARS), body.get("public")
    edge = origin.edges.saw(
        node,
        str(body.get("region") or "")[:NAME_CHARS],
        sequence,
        public if isinstance(public, str) else None,
        body.get("leaving") is True,
        key_of(request, node, sequence, str(body.get("catalog")), data),
        aside=True,
    )
    if "gateway" in body:  # an edge of an older version says nothing of it
        origin.edges.told_gateway(edge, body["gateway"])
    if "state" in body:
        origin.edges.told_member(edge, body)
    edge.take_staged(_rows(body.get("staged")))
    origin.edges.signal.notify()
    return JSONResponse({})


async def edges(request: Request) -> Response:
    """GET /api/v1/edges?sequence=N&wait=S&present=1: how far every node is; waits until all that are expected (with
    `present`: that are here now) serve N."""
    token_of(request)
    origin, sequence = origin_of(request), whole(request, "sequence")
    until, present = time.monotonic() + number(request, "wait", 0.0, WAIT_MAX), "present" in request.query_params
    while not origin.edges.all_serve(sequence, present) and not origin.stopping:
        left = until - time.monotonic()
        if left <= 0 or not await unless_gone(request, origin.edges.signal.wait(min(left, 1.0))):
            break
    return JSONResponse({"sequence": origin.catalog.world.sequence, "edges": origin.edges.all()})


async def forget(request: Request) -> Response:
    """DELETE /api/v1/edges/{name}: expect this node no more"""
    allowed_everywhere(request, "admin")
    origin_of(request).edges.forget(request.path_params["name"])
    return JSONResponse({})


def _edge(request: Request, origin: Origin, serves: int) -> Edge:
    query = request.query_params
    node = query.get("node", "")[:NAME_CHARS]
    if not node:
        return Edge(UNNAMED)  # one of a node's processes, for which another one speaks
    key = key_of(request, node, serves, query.get("key", ""))
    return origin.edges.saw(node, query.get("region", "")[:NAME_CHARS], serves, key=key)


def key_of(request: Request, node: str, sequence: int, catalog: str, body: bytes = b"") -> str | None:
    """The key by which a node proves that it says this; None where it proves nothing. Raises Forbidden on a false
    proof."""
    key, signature = request.headers.get(receipt.KEY_HEADER), request.headers.get(receipt.RECEIPT_HEADER)
    if key is None and signature is None:
        return None
    ours = origin_of(request).catalog
    if catalog != ours.head.name and catalog not in ours.last_words:
        raise Forbidden(
            f"node {node!r} follows catalog {catalog or '?'}, which is none of this origin's: start it with "
            f"--catalog {ours.head.name}. Was this origin restored from before its key was rotated? Then restore it "
            "with the key of now (--key)",
            "other_catalog",
        )
    if not receipt.verifies(key or "", signature or "", node, sequence, catalog, body):
        raise Forbidden(
            f"the receipt of node {node!r} does not verify: its Rim-Node-Key did not sign this. If it takes another "
            f"node's place, run `rim edges forget {node}`",
            "other_node",
            node=node,
        )
    return key


def _last_word(origin: Origin, key: str, since: int) -> bytes | None:
    """For a node that trusts a key rotated away: that key's last record and Catalog, if the node lacks them.

    With all control blocks of today: from here on the node counts as having seen them.
    """
    catalog = origin.catalog
    if not key or key == catalog.head.name:
        return None
    last = catalog.last_words.get(key)
    if last is None or last.sequence <= since:
        return None
    return pack(
        last.record, last.catalog, [source(origin.store)(last.catalog), *control_of(catalog.world, origin.store)]
    )


def _rows(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > 1000 or not all(isinstance(row, dict) for row in value):
        raise BadRequest("staged: a list of objects")
    return value


def _car(data: bytes, more: dict[str, str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **more}
    return Response(data, media_type=CAR_TYPE, headers=headers)
