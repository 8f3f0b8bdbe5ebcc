"""Handing: the routes of the private listener by which members give each other their hottest blocks.

Here live the two questions and who may ask them. Not here: what follows from them (edge/control/handover).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from content.cid import CID
from content.limits import KiB
from edge.control.admin import Private, body_of
from edge.control.handover import KEYS, Handover, cids_of
from edge.control.refused import Refused
from edge.peers.ring import Member

BODY_MAX = 128 * KiB  # 1,024 CIDs and their quotes
_JSON = {"Cache-Control": "no-store"}


def routes(private: Private, handover: Handover) -> list[Route]:
    """Both."""

    async def show_hot(request: Request) -> Response:
        """GET /api/v1/hot?for=NAME&region=R&weight=W&limit=N: what NAME would own, hottest first."""
        private.authorize(request)
        if not private.proves(request):
            private.refuse_other_sites(request)
        query = request.query_params
        try:
            member = Member(query["for"], handover.me.url, query["region"], float(query.get("weight", "1")))
            limit = max(0, min(int(query.get("limit", KEYS)), KEYS))
        except (KeyError, ValueError) as error:
            raise Refused(400, "bad_request", f"for=NAME&region=R&weight=W&limit=N: {error}") from error
        keys = await handover.hot.of(member, handover.loader.ring, limit)
        return JSONResponse({"keys": [str(cid) for cid in keys]}, headers=_JSON)

    async def take(request: Request) -> Response:
        """POST /api/v1/handover {"node", "keys"}: pull these from that member; answers when they have come."""
        private.authorize(request)
        if not private.proves(request):
            private.refuse_browsers(request)
        if not private.fills():
            raise Refused(503, "draining", "this edge leaves too", **{"Retry-After": "1"})
        node, keys = await _told(request)
        pulled = await handover.take(node, keys)
        if pulled is None:
            raise Refused(404, "unknown", f"no member {node!r} is known here")
        return JSONResponse({"pulled": pulled}, headers=_JSON)

    return [Route("/api/v1/hot", show_hot), Route("/api/v1/handover", take, methods=["POST"])]


async def _told(request: Request) -> tuple[str, list[CID]]:
    """Who leaves, and what it had. Raises Refused."""
    told = await body_of(request, BODY_MAX)
    if not isinstance(told, dict) or not isinstance(told.get("node"), str) or not isinstance(told.get("keys"), list):
        raise Refused(400, "bad_request", 'send {"node": NAME, "keys": [CID, …]}')
    if len(told["keys"]) > KEYS:
        raise Refused(413, "too_large", f"at most {KEYS} keys at a time")
    return told["node"], cids_of(told["keys"])
