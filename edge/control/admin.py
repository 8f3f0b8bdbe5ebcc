"""Admin: the private listener. Peers, health, metrics, status and the explaining of an answer.

Here live its routes and who may use them. Not here: anything of the public side; no route of this listener is ever
reachable there.

Who may: control blocks, status and explain need the node token, on loopback too. Content blocks, and health and metrics
beside them, are open on loopback only. A request that a browser could have been tricked into (DNS rebinding, CSRF) is
refused: Host must be an address or localhost, no Origin but our own, JSON only.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from content.block import Block
from content.cid import CID, IDENTITY
from content.denylists import Denied, Refusal
from content.errors import BadCID, ContentError, NotFound
from content.limits import KiB
from content.trustless import IMMUTABLE, Asked, BadQuestion, NotSpoken, attachment, is_match, read, segments_of
from edge.cache.loader import Loaded, Loader, Unavailable
from edge.control import dags
from edge.control.metrics import CONTENT_TYPE, Value, render
from edge.denials import Denials
from edge.http.target import BadTarget, host_of
from edge.names.asking import RECORD_TYPE
from edge.peers.client import RAW_TYPE, SOURCE_HEADER

BODY_MAX = 64 * KiB
Explain = Callable[[str], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """A request that is not answered as it wished."""

    def __init__(self, status: int, error: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.headers = headers

    def response(self) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else self.headers
        body = {"error": self.error, "message": str(self)}
        return JSONResponse(body, self.status, {"Cache-Control": "no-store", **headers})


@dataclass(slots=True)
class Private:
    """What the routes need, handed in by edge/assembly."""

    node: str
    token: str | None
    open: bool  # on loopback: what is not control needs no token
    loader: Loader
    sequence: Callable[[], int]
    ready: Callable[[], bool]
    values: Callable[[], Awaitable[Mapping[str, Value]]]
    status: Callable[[], Awaitable[dict[str, Any]]]
    explain: Explain
    record: Callable[[str], bytes | None] = lambda name: None  # of an IPNS name, as far as it is held here
    tiers: tuple[str, ...] = ("1", "2")  # the rungs that a question may have climbed to
    served: int = 0
    denials: Denials = field(default_factory=Denials)

    # Blocks, for peers.

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
        if "0" in self.tiers:  # asked by another process of this machine
            headers[SOURCE_HEADER] = loaded.source
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
        if f'node="{self.node}"' in request.headers.get("cdn-loop", ""):
            raise Refused(508, "loop", "this request has been here before")  # RFC 8586
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
        loaded: Loaded | None
        if "only-if-cached" in request.headers.get("cache-control", ""):
            loaded = await self.loader.held(cid)
        else:
            tier = request.headers.get("rim-tier", "1")
            if tier not in self.tiers:
                raise Refused(400, "tier", f"Rim-Tier is {' or '.join(self.tiers)}")
            try:
                loaded = await self.loader.get(cid, int(tier))
            except Unavailable as error:
                if (refusal := self.denials.refusal(cid)) is not None:  # under a codec that control blocks have
                    raise self._denied(cid, refusal) from error
                if error.absent:
                    raise Refused(404, "not_found", str(error)) from error
                raise Refused(504, "unavailable", str(error)) from error
        if loaded is None:
            raise Refused(504, "not_held", "this edge does not hold it")
        return loaded

    # IPNS records, for peers.

    async def held_record(self, request: Request) -> Response:
        """GET /ipns/{name}?format=ipns-record: what is held here; nobody is asked on a peer's behalf."""
        self.authorize(request)
        raw = self.record(request.path_params["name"])
        if raw is None:
            raise Refused(504, "not_held", "this edge holds no record of this name")
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(raw, headers=headers, media_type=RECORD_TYPE)

    # Health and numbers.

    async def healthz(self, request: Request) -> Response:
        """GET /healthz: the loop turns."""
        return PlainTextResponse("ok\n")

    async def readyz(self, request: Request) -> Response:
        """GET /readyz: it can answer for what it is asked."""
        return PlainTextResponse("ok\n") if self.ready() else PlainTextResponse("no Head yet\n", 503)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        self.authorize(request)
        return Response(
            render(await self.values()), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        )

    async def show_status(self, request: Request) -> Response:
        """GET /api/v1/status: what this edge serves and holds."""
        self.authorize(request, control=True)
        return JSONResponse(await self.status(), headers={"Cache-Control": "no-store"})

    async def show_explanation(self, request: Request) -> Response:
        """POST /api/v1/explain {"url"}: what this edge would answer, and why."""
        self.authorize(request, control=True)
        self._refuse_browsers(request)
        return JSONResponse(await self.explain(await _url(request)), headers={"Cache-Control": "no-store"})

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

    def _refuse_browsers(self, request: Request) -> None:
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if not _is_address(host) or (origin is not None and urlsplit(origin).netloc != host):
            raise Refused(403, "origin", "this is not for browsers of other sites")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused(415, "media_type", "send application/json")


def private_app(private: Private, more: Sequence[Route] = ()) -> Starlette:
    """The ASGI app of the private listener; `more` are routes of the inner one (edge/processes/inner)."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return error.response()

    app = Starlette(
        routes=[
            Route("/ipfs/{cid}", _told(private, private.block)),
            Route("/ipfs/{cid}/{path:path}", _told(private, private.dag)),
            Route("/ipns/{name}", _told(private, private.held_record)),
            Route("/healthz", private.healthz),
            Route("/readyz", private.readyz),
            Route("/metrics", private.metrics),
            Route("/api/v1/status", _told(private, private.show_status)),
            Route("/api/v1/explain", private.show_explanation, methods=["POST"]),
            *more,
        ],
        exception_handlers={Refused: refused},
    )
    app.router.redirect_slashes = False
    return app


def _told(private: Private, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Any]:
    """With the sequence that this edge serves on the answer: a hint for whoever is behind."""

    async def handler(request: Request) -> Response:
        try:
            response = await handle(request)
        except Refused as error:
            response = error.response()
        response.headers["Rim-Sequence"] = str(private.sequence())
        return response

    return handler


def _asked(request: Request) -> tuple[Asked, list[str]]:
    """Format and path of a request to the trustless gateway. Raises Refused."""
    try:
        asked = read(request.query_params, request.headers.get("accept", ""), ("raw", "car"))
        return asked, segments_of(request.scope["raw_path"], "/ipfs/")[1:]
    except NotSpoken as error:
        raise Refused(406, "format", str(error)) from error
    except BadQuestion as error:
        raise Refused(400, "bad_request", str(error)) from error


async def _url(request: Request) -> str:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_MAX:
            raise Refused(413, "too_large", "the body is above 64 KiB")
    try:
        url = json.loads(bytes(body))["url"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(400, "bad_request", 'send {"url": "http://host/path"}') from error
    if not isinstance(url, str) or not urlsplit(url).hostname:
        raise Refused(400, "bad_request", "url: http://host/path")
    return url


def _is_address(host: str) -> bool:
    """Whether a Host field names an address or localhost: a page of another site cannot make it do so."""
    try:
        name = host_of(host.encode("latin-1", "replace"))
    except BadTarget:
        return False
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
