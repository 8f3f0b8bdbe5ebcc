"""App: the origin over HTTP. Routes, and the one place that writes error answers.

Here lives the table of routes. Not here: the handlers (origin/api, origin/gateway), the listener (origin/node).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from content.catalog import BadName
from content.errors import BadBlock, ContentError
from origin import gateway, metrics, routing
from origin.api import admin, asks, deny, follow, log, publish, ring, services, sites, trials
from origin.api.asking import origin_of, token_of
from origin.errors import BadRequest, OriginError, Stopping, Unprocessable
from origin.origin import Origin
from origin.places import Placed
from origin.reading import Absent

Handler = Callable[[Request], Awaitable[Response]]
_V1 = "/api/v1"
_SITE = f"{_V1}/sites/{{name}}"
_SERVICE = f"{_V1}/services/{{name}}"

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/ipfs/{cid}", gateway.ipfs),
    ("GET", "/ipfs/{cid}/{path:path}", gateway.ipfs),
    ("GET", "/ipns/{name}", gateway.ipns),
    ("GET", "/routing/v1/ipns/{name}", routing.ipns_record),
    ("GET", f"{_V1}/head", follow.head),
    ("POST", f"{_V1}/report", follow.report),
    ("GET", f"{_V1}/ring", ring.members),
    ("GET", f"{_V1}/edges", follow.edges),
    ("DELETE", f"{_V1}/edges/{{name}}", follow.forget),
    ("POST", f"{_V1}/asks", asks.ask),
    ("GET", f"{_V1}/asks/{{id}}", asks.question),
    ("DELETE", f"{_V1}/asks/{{id}}", asks.close),
    ("POST", f"{_V1}/asks/{{id}}/answers", asks.answer),
    ("GET", f"{_V1}/asks/{{id}}/answers", asks.answers),
    ("GET", f"{_V1}/status", admin.status),
    ("GET", f"{_V1}/log", log.entries),
    ("GET", f"{_V1}/sites", sites.index),
    ("GET", _SITE, sites.show),
    ("PUT", _SITE, sites.put),
    ("PATCH", _SITE, sites.patch),
    ("DELETE", _SITE, sites.delete),
    ("GET", f"{_SITE}/releases", sites.releases),
    ("GET", f"{_SITE}/export", gateway.export),
    ("POST", f"{_SITE}/missing", publish.missing),
    ("POST", f"{_V1}/leases/{{id}}/blocks", publish.blocks),
    ("POST", f"{_SITE}/stage", publish.stage),
    ("POST", f"{_SITE}/activate", publish.activate),
    ("POST", f"{_SITE}/rollback", sites.rollback),
    ("POST", f"{_SITE}/purge", sites.purge),
    ("PUT", f"{_SITE}/worker", sites.put_worker),
    ("PUT", f"{_SITE}/previews/{{alias}}", trials.put_preview),
    ("DELETE", f"{_SITE}/previews/{{alias}}", trials.delete_preview),
    ("PUT", f"{_SITE}/rollout", trials.put_rollout),
    ("DELETE", f"{_SITE}/rollout", trials.delete_rollout),
    ("GET", f"{_V1}/pins", admin.pins),
    ("POST", f"{_V1}/pins/missing", admin.announce),
    ("POST", f"{_V1}/pins/leases/{{id}}/blocks", admin.send),
    ("GET", f"{_V1}/public/{{cid}}", admin.public),
    ("PUT", f"{_V1}/pins/{{cid}}", admin.pin),
    ("DELETE", f"{_V1}/pins/{{cid}}", admin.unpin),
    ("GET", f"{_V1}/services", services.index),
    ("POST", f"{_V1}/services", services.add),
    ("GET", _SERVICE, services.show),
    ("PATCH", _SERVICE, services.change),
    ("DELETE", _SERVICE, services.remove),
    ("POST", f"{_SERVICE}/check", services.check),
    ("GET", f"{_SERVICE}/pins", services.pins),
    ("GET", f"{_SERVICE}/pins/{{cid}}", services.show_pin),
    ("PUT", f"{_SERVICE}/pins/{{cid}}", services.pin),
    ("DELETE", f"{_SERVICE}/pins/{{cid}}", services.unpin),
    ("POST", f"{_V1}/gc", admin.collect),
    ("GET", f"{_V1}/denied", deny.denied),
    ("POST", f"{_V1}/deny", deny.deny),
    ("POST", f"{_V1}/allow", deny.allow),
    ("GET", f"{_V1}/tokens", admin.tokens),
    ("POST", f"{_V1}/tokens", admin.add_token),
    ("DELETE", f"{_V1}/tokens/{{id}}", admin.remove_token),
    ("GET", f"{_V1}/keys", admin.keys),
    ("POST", f"{_V1}/keys/rotate", admin.rotate),
)


async def healthz(request: Request) -> Response:
    """GET /healthz: the process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """GET /readyz: it takes work."""
    if origin_of(request).stopping:
        raise Stopping("the origin is stopping")
    return PlainTextResponse("ready\n")


async def metrics_(request: Request) -> Response:
    """GET /metrics: open on loopback, with any token elsewhere."""
    if not origin_of(request).config.loopback:
        token_of(request)
    return Response(metrics.render(origin_of(request)), headers={"Content-Type": metrics.CONTENT_TYPE})


def make(origin: Origin) -> ASGIApp:
    """The ASGI application of this origin."""
    more = [
        Route("/routing/v1/ipns/{name}", routing.ipns_record, methods=["OPTIONS"]),
        Route("/routing/v1/{rest:path}", routing.nothing_else, methods=["GET", "HEAD", "PUT", "POST"]),
    ]
    open_routes = (("GET", "/healthz", healthz), ("GET", "/readyz", readyz), ("GET", "/metrics", metrics_))
    app = Starlette(
        routes=[_route(origin, *row) for row in (*ROUTES, *open_routes)] + more,
        exception_handlers={
            OriginError: _refused,
            ContentError: _refused,
            Absent: _refused,
            HTTPException: _http,
        },
    )
    app.state.origin = origin
    return _Sequenced(app, origin)


def _route(origin: Origin, method: str, path: str, handler: Handler) -> Route:
    if handler is gateway.ipfs:
        return Route(path, Placed(request_response(handler), origin.places), methods=[method])
    return Route(path, handler, methods=[method])


class _Sequenced:
    """Every answer says the newest sequence, so a node that asks for any block learns that it is behind."""

    def __init__(self, app: ASGIApp, origin: Origin) -> None:
        self._app = app
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sequenced(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                sequence = self._origin.catalog.world.sequence
                message["headers"] = [*message.get("headers", ()), (b"rim-sequence", b"%d" % sequence)]
            await send(message)

        await self._app(scope, receive, sequenced if scope["type"] == "http" else send)


async def _refused(request: Request, error: Exception) -> Response:
    """What was refused, in the words of origin/errors."""
    refusal = _translate(error)
    origin_of(request).counters.refuse(refusal.code)
    headers = {"Cache-Control": "no-store"}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="rim"'
    if refusal.code == "denied" and refusal.status in (410, 451):
        headers["Rim-Reason"] = "denied"  # or it would read as: no such block
    if refusal.status == 503:
        headers["Retry-After"] = "1"
    return JSONResponse(refusal.body(), refusal.status, headers)


def _translate(error: Exception) -> OriginError:
    """Faults of content as refusals: they are always the sender's."""
    match error:
        case OriginError():
            return error
        case BadBlock():
            return Unprocessable(str(error), "bad_block", cid=error.cid)
        case BadName():
            return BadRequest(str(error), "bad_name")
        case ContentError():
            return Unprocessable(str(error), _word(type(error).__name__))
        case _:
            return OriginError(f"{error}: run `rim origin fsck`", "damaged")


def _word(name: str) -> str:
    """BadCAR → bad_car, LimitExceeded → limit_exceeded."""
    return {"BadCAR": "bad_car", "BadCID": "bad_cid"}.get(
        name, "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")
    )


async def _http(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405, in our form."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    return JSONResponse({"error": code, "message": str(error.detail)}, error.status_code, error.headers)
