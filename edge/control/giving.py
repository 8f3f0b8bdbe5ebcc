"""Giving: blocks for peers, in the language of the trustless gateway.

Here live the questions of other nodes: what they may have, how far this node goes for it, and what its answer says
besides. Not here: the other routes of the private listener (edge/control/admin), or the going (edge/cache/ladder).

Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/, RFC 8586 (CDN-Loop), RFC 9110 §10.2.3 (Retry-After).
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from content.block import Block
from content.cid import CID, IDENTITY
from content.denylists import Denied, Refusal
from content.errors import BadCID, ContentError, NotFound
from content.trustless import IMMUTABLE, Asked, BadQuestion, NotSpoken, attachment, is_match, read, segments_of
from edge.cache.loaded import Overloaded
from edge.cache.loader import Loaded, Loader, Unavailable
from edge.control import dags
from edge.control.refused import Refused
from edge.denials import Denials
from edge.peers import words
from edge.peers.client import RAW_TYPE
from edge.peers.mirrors import Mirrors
from edge.pressure import ASKER

OWNER_TIER = "1"  # of questions that take this node for the owner in its region


@dataclass(slots=True, kw_only=True)
class Giving:
    """What giving blocks needs, handed in by edge/assembly."""

    node: str
    token: str | None
    open: bool  # on loopback: what is not control needs no token
    loader: Loader
    sequence: Callable[[], int]
    fills: Callable[[], bool] = lambda: True  # whether it gets for others what it does not hold
    mirrors: Mirrors | None = None  # counts what is asked, and says how far it may be spread
    tiers: tuple[str, ...] = ("1", "2")  # the rungs that a question may have climbed to
    served: int = 0
    newer: int = 0  # questions in a later version of this language
    denials: Denials = field(default_factory=Denials)

    async def block(self, request: Request) -> Response:
        """GET /ipfs/{cid}?format=raw: one block, in the language of the trustless gateway. Other forms: `dag`."""
        if (request.query_params.get("format") or request.headers.get("accept", "")) not in ("raw", RAW_TYPE):
            return await self.dag(request)
        cid = self._cid(request)
        loaded = await self._load(request, cid)
        self.served += 1
        headers = {
            "ETag": f'"{cid}.raw"',
            "Cache-Control": IMMUTABLE,
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": f'attachment; filename="{cid}.bin"',
        }
        if self._is_inner:
            headers[words.SOURCE] = loaded.source
        elif (spread := self._spread(request, cid)) > 1:
            headers[words.MIRRORS] = str(spread)
        return Response(loaded.block.data, headers=headers, media_type=RAW_TYPE)

    async def dag(self, request: Request) -> Response:
        """GET /ipfs/{cid}[/{path}]?format=raw|car: the block at the end of a path, or a CAR of what is there."""
        asked, segments = _asked(request)
        root = self._cid(request)
        if (refusal := self.denials.refusal_of_path(root, segments)) is not None:
            raise self._denied(root, refusal)
        with_control = self.proves(request)

        async def get(cid: CID) -> Block:
            if cid.is_control and not with_control:  # as a root it was asked about; below one it is as if it were not
                raise Refused(404, "not_found", f"block {cid} is not here")
            return (await self._load(request, cid)).block

        try:
            place, block = await dags.find(get, root, segments)
        except NotFound as error:
            raise Refused(404, "not_found", f"{error} is not below {root}") from error
        except ContentError as error:
            raise Refused(502, "bad_content", str(error)) from error
        self.served += 1
        headers = {
            "ETag": asked.etag(root, place.cid, segments),
            "Cache-Control": IMMUTABLE,
            "X-Content-Type-Options": "nosniff",
            "X-Ipfs-Roots": ",".join(map(str, place.passed)),
            "Content-Disposition": attachment(asked.filename(root, place.cid, segments)),
        }
        if is_match(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        if asked.format == "raw":
            return Response(block.data, headers=headers, media_type=asked.media_type)
        headers["Accept-Ranges"] = "none"
        if request.method == "HEAD":
            response = Response(headers=headers, media_type=asked.media_type)
            del response.headers["content-length"]  # nobody knows it, and 0 it is not
            return response
        stream = dags.pieces(get, root, segments, asked.terms, place.cid)
        return StreamingResponse(stream, headers=headers, media_type=asked.media_type)

    def _cid(self, request: Request) -> CID:
        """The CID that is asked for, by whom may have it and was not here before."""
        try:
            cid = CID.parse(request.path_params["cid"])
        except BadCID as error:
            raise Refused(400, "bad_cid", str(error)) from error
        if cid.hash_code == IDENTITY:
            raise Refused(400, "bad_cid", "an identity CID holds its own bytes")
        self.authorize(request, control=cid.is_control)
        chain = words.chain_of(request.headers.get("cdn-loop", ""))
        if self.node in chain:
            raise Refused(508, "loop", "this request has been here before")  # RFC 8586
        if len(chain) > words.HOPS + self._is_inner:
            raise Refused(508, "loop", f"this request has been at more than {words.HOPS} nodes")
        self.newer += words.wire_of(request.headers) > words.VERSION
        return cid

    async def _load(self, request: Request, cid: CID) -> Loaded:
        """From here or from rungs above the asker's. Raises Refused."""
        try:
            return await self._unless_denied(request, cid)
        except Denied as error:
            raise self._denied(cid, error.refusal) from error

    def _denied(self, cid: CID, refusal: Refusal) -> Refused:
        self.denials.count(refusal)
        return Refused(refusal.status, "denied", f"block {cid} is denied", **{"Rim-Reason": "denied"})

    async def _unless_denied(self, request: Request, cid: CID) -> Loaded:
        if "only-if-cached" in request.headers.get("cache-control", ""):
            return await self._held(request, cid)
        tier = request.headers.get("rim-tier", OWNER_TIER)
        if tier not in self.tiers:
            raise Refused(400, "tier", f"Rim-Tier is {' or '.join(self.tiers)}")
        if not self.fills():
            return await self._held(request, cid)
        # What one process asks another is no hop: its name never leaves the machine
        chain = words.chain_of(request.headers.get("cdn-loop", ""))
        if not self._is_inner:  # that one was let in where it was asked for
            ASKER.set("peer")
        try:
            return await self.loader.get(cid, int(tier), chain[:-1] if self._is_inner else chain)
        except Unavailable as error:
            if (refusal := self.denials.refusal(cid)) is not None:  # under a codec that control blocks have
                raise self._denied(cid, refusal) from error
            raise _unavailable(error) from error

    async def _held(self, request: Request, cid: CID) -> Loaded:
        """What is here, and nothing else. A mirror gets what it lacks, for the next who asks."""
        loaded = await self.loader.held(cid)
        if loaded is None:
            if words.MIRROR in request.headers and self.fills():
                self.loader.fetch_behind(cid)
            raise Refused(504, "not_held", "this edge does not hold it")
        return loaded

    def _spread(self, request: Request, cid: CID) -> int:
        """Count the question, and say over how many of the order reads of this block may be spread; 1: none but us."""
        if self.mirrors is None:
            return 1
        key, weight = cid.store_key, words.mirrors_of(request.headers)
        self.mirrors.heat.hit(key, weight)
        if request.headers.get("rim-tier") != OWNER_TIER:
            return 1
        sources = self.loader.sources
        return self.mirrors.advised(key, len(sources.ring.order(key, sources.region)))

    @property
    def _is_inner(self) -> bool:
        """Whether it is asked by another process of this machine."""
        return "0" in self.tiers

    # Who may.

    def authorize(self, request: Request, *, control: bool = False) -> None:
        """Raises Refused unless the request bears the node token, or needs none."""
        if not (self.open and not control) and not self.proves(request):
            raise Refused(401, "token", "this needs the node token")

    def proves(self, request: Request) -> bool:
        """Whether the request bears the node token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        proved = scheme.lower() == "bearer" and self.token is not None
        return proved and hmac.compare_digest(given.strip().encode(), (self.token or "").encode())


def _asked(request: Request) -> tuple[Asked, list[str]]:
    """Format and path of a request to the trustless gateway. Raises Refused."""
    try:
        asked = read(request.query_params, request.headers.get("accept", ""), ("raw", "car"))
        return asked, segments_of(request.scope["raw_path"], "/ipfs/")[1:]
    except NotSpoken as error:
        raise Refused(406, "format", str(error)) from error
    except BadQuestion as error:
        raise Refused(400, "bad_request", str(error)) from error


def _unavailable(error: Unavailable) -> Refused:
    """That it cannot be had, and by whose fault."""
    if isinstance(error, Overloaded):
        return Refused(503, "overloaded", str(error), **{"Retry-After": str(math.ceil(error.rest or 1))})
    if error.rest is not None:
        seconds = {"Retry-After": str(max(1, math.ceil(error.rest)))}
        return Refused(503, "origin_busy", str(error), **seconds, **{words.REASON: words.ORIGIN_BUSY})
    if error.absent:
        return Refused(404, "not_found", str(error))
    return Refused(504, "unavailable", str(error))
