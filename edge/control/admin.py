"""Admin: the private listener. Peers, health, metrics, status and the explaining of an answer.

Here live its routes. Not here: the giving of blocks (edge/control/giving), or anything of the public side; no route of
this listener is ever reachable there.

Who may: control blocks, status and explain need the node token, on loopback too. Content blocks, and health and metrics
beside them, are open on loopback only. A request that a browser could have been tricked into (DNS rebinding, CSRF) is
refused: Host must be an address or localhost, no Origin but our own, JSON only.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from content.limits import KiB
from edge.control.giving import Giving
from edge.control.metrics import CONTENT_TYPE, Value, render
from edge.control.refused import Refused
from edge.http.target import BadTarget, host_of
from edge.names.asking import RECORD_TYPE
from edge.peers import words
from edge.peers.states import State
from edge.standing import Standing

BODY_MAX = 64 * KiB
Explain = Callable[[str], Awaitable[dict[str, Any]]]


@dataclass(slots=True, kw_only=True)
class Private(Giving):
    """What all routes need, handed in by edge/assembly."""

    standing: Standing
    values: Callable[[], Awaitable[Mapping[str, Value]]]
    status: Callable[[], Awaitable[dict[str, Any]]]
    explain: Explain
    about: Callable[[], Mapping[str, object]] = dict  # what this node says of itself to those it is in a ring with
    record: Callable[[str], bytes | None] = lambda name: None  # of an IPNS name, as far as it is held here

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
        """GET /readyz: it can answer for what it is asked; else 503, and why it is not to be asked."""
        lacks = self.standing.lacks()
        headers = {"Cache-Control": "no-store"}
        return PlainTextResponse("\n".join((*(lacks or ("ok",)), "")), 503 if lacks else 200, headers)

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

    async def show_member(self, request: Request) -> Response:
        """GET /api/v1/member: name, region, weight, version, state: for who found this node's address and no more."""
        self.authorize(request)
        return JSONResponse(dict(self.about()), headers={"Cache-Control": "no-store"})

    async def show_explanation(self, request: Request) -> Response:
        """POST /api/v1/explain {"url"}: what this edge would answer, and why."""
        self.authorize(request, control=True)
        self.refuse_browsers(request)
        return JSONResponse(await self.explain(await _url(request)), headers={"Cache-Control": "no-store"})

    # Who may.

    def refuse_browsers(self, request: Request) -> None:
        self.refuse_other_sites(request)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refused(415, "media_type", "send application/json")

    def refuse_other_sites(self, request: Request) -> None:
        """Of a browser that was told that a site's name means this address (DNS rebinding)."""
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if not _is_address(host) or (origin is not None and urlsplit(origin).netloc != host):
            raise Refused(403, "origin", "this is not for browsers of other sites")


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
            Route("/api/v1/member", _told(private, private.show_member)),
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
        response.headers[words.WIRE] = str(words.VERSION)
        if private.standing.state is not State.READY:
            response.headers[words.STATE] = private.standing.state
        return response

    return handler


async def body_of(request: Request, most: int = BODY_MAX) -> Any:
    """The JSON of a body of at most so many bytes; None where it is none. Raises Refused."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise Refused(413, "too_large", f"the body is above {most // KiB} KiB")
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError):
        return None


async def _url(request: Request) -> str:
    told = await body_of(request)
    if not isinstance(told, dict) or "url" not in told:
        raise Refused(400, "bad_request", 'send {"url": "http://host/path"}')
    url = told["url"]
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
