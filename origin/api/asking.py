"""Asking: what every handler reads from a request.

Here live the token, bounded bodies, parameters. Everything that is wrong is raised (origin/errors) and answered in one
place (origin/app). Not here: what the handlers do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request

from content.cid import CID
from content.errors import BadCID
from content.limits import MiB
from origin.errors import BadRequest, Forbidden, Stalled, TooLarge, Unauthorized
from origin.log import By
from origin.origin import Origin
from origin.tokens import Token

JSON_BYTES = 1 * MiB
WHO_CHARS = 1024  # of an author or a message that the log keeps
STALL_SECONDS = 30.0  # without one byte: a dead sender must not hold its place
CIDS_BYTES = 40 * MiB  # a release of a million entries in one question


def origin_of(request: Request) -> Origin:
    origin: Origin = request.app.state.origin
    return origin


def token_of(request: Request) -> Token:
    """The token of this request. Raises Unauthorized."""
    token = optional_token(request)
    if token is None:
        raise Unauthorized("a bearer token is needed (Authorization: Bearer …)", "no_token")
    return token


def optional_token(request: Request) -> Token | None:
    """The token, if one was sent. A wrong one is refused and never taken for none."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized("only bearer tokens are known here (Authorization: Bearer …)", "no_token")
    return origin_of(request).tokens.find(secret.strip())


def allowed(request: Request, scope: str, site: str | None = None) -> Token:
    """The token, if it has this scope (for this site). No browser page is ever allowed: we have no pages."""
    if "origin" in request.headers:
        raise Forbidden("requests from web pages are not taken", "browser")
    token = token_of(request)
    token.require(scope, site)
    return token


def allowed_node(request: Request) -> Token:
    """The token, if it is a node's (scope edge), or of an admin of all sites."""
    token = allowed(request, "edge")
    if not token.is_node:
        raise Forbidden(f"token {token.name!r} is for some sites only, and a node serves all", scope="edge")
    return token


def allowed_everywhere(request: Request, scope: str) -> Token:
    """As `allowed`, for what belongs to no site. A token for some sites is refused: it could make itself a wider one,
    or let go what another site has pinned."""
    token = allowed(request, scope)
    if token.sites != "*":
        raise Forbidden(f"token {token.name!r} is for some sites only, and this is the whole origin's", scope=scope)
    return token


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Stalled when it stops coming, BadRequest when its client goes away."""
    stream = request.stream()
    try:
        while True:
            async with asyncio.timeout(STALL_SECONDS):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError as error:
        raise Stalled(f"nothing came for {STALL_SECONDS:g} s") from error
    except ClientDisconnect as error:  # the sender's doing, not our failure
        raise BadRequest("the request's body was cut short", "cut_short") from error


async def body_bytes(request: Request, limit: int) -> bytes:
    """The whole body. Raises TooLarge as soon as it is."""
    data = bytearray()
    async for chunk in body_chunks(request):
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"a body of more than {limit:,} bytes")
    return bytes(data)


async def body_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty one."""
    return parse_json(await body_bytes(request, JSON_BYTES))


def parse_json(data: bytes) -> dict[str, Any]:
    """A JSON object; nothing is an empty one."""
    if not data.strip():
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value


def number(request: Request, name: str, default: float = 0.0, most: float = float(2**63)) -> float:
    """A number in the query, not negative."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError as error:
        raise BadRequest(f"{name}: not a number") from error
    if not 0 <= value < float("inf"):
        raise BadRequest(f"{name}: not a number from 0 up")
    return min(value, most)


def whole(request: Request, name: str) -> int:
    """A sequence in the query: exact, where a float would round."""
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise BadRequest(f"{name}: not a whole number")
    return int(text)


def text_field(body: dict[str, Any], name: str, limit: int = 1024) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise BadRequest(f"{name}: a text is needed")
    return value


def who(token: Token, body: dict[str, Any]) -> By:
    """Whom the log names: the client's own word for author and message, and the token's name."""
    return By(_said(body, "author"), _said(body, "message"), token.name)


def _said(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name}: a text")
    return (value or "")[:WHO_CHARS]


def cid_field(body: dict[str, Any], name: str) -> CID:
    """A CID in the body. Raises BadRequest when it is missing or none."""
    return parse_cid(text_field(body, name))


def optional_cid(body: dict[str, Any], name: str) -> CID | None:
    return None if body.get(name) is None else cid_field(body, name)


def parse_cid(text: str) -> CID:
    try:
        return CID.parse(text)
    except BadCID as error:
        raise BadRequest(str(error), "bad_cid") from error


def texts(body: dict[str, Any], name: str, most: int = 10_000) -> list[str]:
    """A list of texts in the body; missing is empty."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) and item for item in value):
        raise BadRequest(f"{name}: a list of at most {most:,} texts")
    return value


def settings_field(body: dict[str, Any]) -> dict[str, Any] | None:
    """A site's settings in the body, None where none are given. Raises BadRequest."""
    settings = body.get("settings")
    if settings is not None and not isinstance(settings, dict):
        raise BadRequest("settings: an object")
    return settings


async def unless_gone(request: Request, work: asyncio.Future[None]) -> bool:
    """Wait, but not for a client that has gone away: False then. (Only for requests whose body has been read.)"""
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        for task in (work, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
