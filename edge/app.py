"""App: the public side of an edge, for every request that is not a ready hit.

Here lives a request's biography, from Host to last byte, as one ASGI app. Not here: what a path means (edge/site), what
an asset answers (edge/http/answer), where bytes come from (edge/cache), the wire (edge/http/protocol), the private side
(edge/control/admin).

    rates → host → site → path → admission → method → visitor → meaning → asset → choice → first verified block → rest

Nothing is sent before the first block is there and verified, so what cannot be had is a 502 or 504 and never half a
page. What breaks later ends in a cut connection under a Content-Length: no client takes that for the whole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from math import ceil
from secrets import token_urlsafe
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from content.denylists import Denied, Refusal
from content.errors import ContentError
from content.media import media_type
from edge.bodies import open_body
from edge.browsers.deltas import Deltas
from edge.browsers.own import Browsers
from edge.browsers.reports import REPORT, Reports
from edge.cache.loaded import Overloaded
from edge.cache.loader import Loader, Unavailable
from edge.counting import Told
from edge.denials import Denials
from edge.gateway.app import Gateway
from edge.guard import Guard
from edge.http.answer import Answer, Asking, Redirection, is_shared_across_sites
from edge.http.dictionary import is_delta
from edge.http.door import Door
from edge.http.fields import pairs
from edge.http.hints import early
from edge.http.outcome import OF_SOURCE, Outcome
from edge.http.problem import Problem
from edge.http.target import BadTarget, host_of, path_of
from edge.pages import index_page
from edge.peers.states import State
from edge.pressure import ASKER
from edge.ready import Ready
from edge.reload import Reloads
from edge.replies import ALLOW, RETRY, Asked, Reply, denied, preflight, unavailable
from edge.site.delta import may_have_deltas
from edge.site.rules import SHELL_VARY
from edge.site.view import Found, Meaning, Missing, Moved, Refused, SiteView, Visit
from edge.site.visitor import Visitor, receive
from edge.standing import Standing

logger = logging.getLogger("rim.edge")
RESERVED = "/.rim/"
HEALTH = RESERVED + "health"
_CLOSE = ("Connection", "close")  # who sends what has no one meaning may mean the next request otherwise too
_TRIES = 8  # of an answer that a pause comes into; each pause holds answers for a second at most
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class SiteApp:
    """Answers for all sites of a router."""

    def __init__(
        self,
        ready: Ready,
        loader: Loader,
        deltas: Deltas,
        *,
        reloads: Reloads | None = None,
        door: Door | None = None,
        denials: Denials | None = None,
        gateway: Gateway | None = None,
        development: bool = False,
        early_hints: bool = False,
        contact_age: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`contact_age`: seconds since the origin was last heard of, for sites with `max_stale`. `clock`: unix seconds,
        for what has an end. `reloads`: pages are sent with a script that reloads them, for development only.
        `door`: knows the rates that hold. `gateway`: answers for hosts that are no site's."""
        self.ready = ready
        self.router = ready.router
        self.loader = loader
        self.deltas = deltas
        self.reloads = reloads
        self.door = door
        self.denials = Denials() if denials is None else denials
        self.gateway = gateway
        self.development = development
        self.early_hints = early_hints
        self.hinted = 0  # answers that hints went before
        self.contact_age = contact_age
        self.clock = clock
        self.guard = Guard()
        self.browsers = Browsers(loader, self.router, clock)
        self.reports = Reports()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens becomes a Reply, and is counted."""
        asked = Asked.read(scope)
        turned_away = ASKER.set("visitor")
        reply = await self._current(asked)
        ASKER.reset(turned_away)  # what an answer needs that has begun, it gets
        await self._send(asked, reply, scope, send)

    async def _current(self, asked: Asked) -> Reply:
        """A reply that was made since this process last stood still. Where it stands still at every try (a machine
        that is far too busy looks the same), it is told to come again, and not made for ever."""
        pause = self.ready.pause
        for tries in range(_TRIES):
            await pause.over()
            seen = pause.seen
            reply = await self._told(asked)
            pause.look()
            if seen == pause.seen or (reply.settled and tries):
                return reply
            await reply.discard()
        return Reply.of(Problem(503, "This edge is too busy to know that its answer is of now.", headers=RETRY))

    async def _told(self, asked: Asked) -> Reply:
        try:
            return await self._reply(asked)
        except Problem as problem:
            return Reply.of(problem)
        except Denied as error:
            self.denials.count(error.refusal)
            return Reply.of(denied(error.refusal))
        except Unavailable as error:
            if not isinstance(error, Overloaded):  # of which there may be thousands a second; they are counted
                logger.warning("%s: %s", asked.target, error)
            return Reply.of(unavailable(error))
        except ContentError as error:
            logger.error("%s: %s", asked.target, error)
            return Reply.of(Problem(502, "What was published here does not hold together."))
        except Exception:
            logger.exception("while answering %s", asked.target)
            return Reply.of(Problem(500, "This edge failed; the fault is in its log."))

    async def _reply(self, asked: Asked) -> Reply:
        self._count_in(asked)
        if self.gateway is not None and (reply := await self._by_gateway(self.gateway, asked)) is not None:
            return reply
        view = self._view(asked)
        path = self._path(asked)
        await self._admit(view, asked)
        if path.startswith(RESERVED):
            return await self.browsers.reply(asked, view, path)
        plain = Visit(asked.is_navigation, asked.query, host_of(asked.host))
        if asked.method == "OPTIONS":
            return preflight(asked, _shared_with(path, view.fields(path, plain)))
        if asked.method not in ("GET", "HEAD"):
            raise Problem(405, "Only GET and HEAD are served here.", headers=(ALLOW,))
        visitor = receive(view, plain, asked.fields, self.clock(), lambda: token_urlsafe(12))
        meaning: Meaning = await self.loader.run(view.resolve(path, visitor.visit))
        match meaning:
            case Found():
                await self._check_above(view, path, meaning)
                if (
                    meaning.immutable
                    and visitor.visit != plain
                    and not await self._is_for_all(view, path, plain, meaning)
                ):
                    meaning = replace(meaning, immutable=False)
                return await self._asset(asked, path, visitor, meaning)
            case Moved():
                return self._moved(asked, visitor, meaning)
            case Missing():
                raise Problem(404, "This site has no such path.", headers=(("Rim-Reason", meaning.reason),))
            case Refused():
                raise Denied(path, meaning.refusal)

    async def _check_above(self, view: SiteView, path: str, found: Found) -> None:
        """Raises Denied where a folder above the file is denied. Folders that cannot be had say nothing: the file, its
        path and the Root have been asked about already, and a site must not hang on what nobody reads of it."""
        refusal: Refusal | None = None
        if view.denials.mark:
            with suppress(Unavailable, ContentError):
                refusal = await self.loader.run(view.refusal_above(found))
        if refusal is not None:
            raise Denied(path, refusal)

    async def _by_gateway(self, gateway: Gateway, asked: Asked) -> Reply | None:
        """The gateway's answer; None for a host that is a site's, or nobody's. Sites are never shadowed."""
        told, scheme = self.door.asked_as(asked.peer, asked.sent) if self.door is not None else (None, None)
        try:
            own = host_of(asked.host)
            host, field = (own, asked.host) if told is None else (host_of(told), told)
        except BadTarget:
            return None
        if self.router.view(own) is not None or self.router.lost_preview(own) is not None:
            return None
        if self.development and own in _LOOPBACK and asked.raw_path == b"/":
            return None
        place = await gateway.place(host, field.decode("latin-1"))
        if place is None:
            return None
        # What a hash names no purge changes. What is long to make must not be made again and again on a busy machine.
        return replace(await gateway.reply(asked, place, scheme or asked.scheme), settled=True)

    def _count_in(self, asked: Asked) -> None:
        """Raises Problem where a rate does not allow one more request, whatever it asks for."""
        wait = self.door.wait(asked.client, self.ready.site_of(asked.host)) if self.door is not None else None
        if wait is not None:
            headers = (("Retry-After", str(ceil(wait))),)
            raise Problem(429, "Too many requests: wait as long as Retry-After says.", headers=headers)

    async def _is_for_all(self, view: SiteView, path: str, plain: Visit, found: Found) -> bool:
        """Whether who says nothing of himself gets the same. Else one visitor's Rim-Release or cookie would put the
        bytes of his release, where a forced publish changed them, before everyone."""
        common: Meaning = await self.loader.run(view.resolve(path, plain))
        return isinstance(common, Found) and common.immutable and common.asset == found.asset

    async def _admit(self, view: SiteView, asked: Asked) -> None:
        """Raises Problem unless the site may be shown now, and to this visitor."""
        if view.max_stale is not None and self.contact_age() > view.max_stale:
            raise Problem(503, "This site asks not to be served so long without its origin.", headers=RETRY)
        if view.has_ended(self.clock()):
            reason = ("Rim-Reason", "preview-ended")
            raise Problem(404, f"The preview {view.alias} of {view.site.name} has ended.", headers=(reason,))
        if view.terms is not None and view.terms.password is not None:
            realm = f"{view.alias}--{view.site.name}"
            await self.guard.check(view.terms.password, asked.fields.get(b"authorization"), realm)

    def _view(self, asked: Asked) -> SiteView:
        """The site of the request's Host. Raises Problem."""
        try:
            host = host_of(asked.host)
        except BadTarget as error:
            raise Problem(400, f"{error}.", headers=(_CLOSE,)) from error
        view = self.router.view(host)
        if view is not None:
            return view
        if self.development and host in _LOOPBACK and asked.method in ("GET", "HEAD"):
            if asked.raw_path != b"/":
                raise Problem(404, f"The host {host} has one page: /. Each site has a host of its own.")
            raise Problem(200, "", html=index_page(self.ready.name, sorted(self.router.sites), asked.host))
        if (lost := self.router.lost_preview(host)) is not None:
            reason = ("Rim-Reason", "no-such-preview")
            raise Problem(404, f"{lost[1].site.name} has no preview {lost[0]}, or not any more.", headers=(reason,))
        raise Problem(
            421,
            f"No site is served here under the host {host}. If it is yours: "
            f"rim site set NAME --host {host}, and point its DNS at this edge.",
        )

    def _path(self, asked: Asked) -> str:
        try:
            return path_of(asked.raw_path)
        except BadTarget as error:
            raise Problem(400, f"{error}.", headers=(_CLOSE,)) from error

    async def _asset(self, asked: Asked, path: str, visitor: Visitor, found: Found) -> Reply:
        """The asset's answer to this request; the first block of its body is at hand when this returns."""
        personal = visitor.is_personal(found, self.clock())
        visit = visitor.visit if personal else replace(visitor.visit, trial=False)  # one header for all who share it
        fields = visitor.view.fields(path, visit)
        answer = Answer(
            found.asset,
            immutable=found.immutable,
            status=found.status,
            vary=(SHELL_VARY if found.is_shell else ())
            + (visitor.vary() if personal else visitor.shared_vary(found, fields)),
            personal=personal,
            fields=fields,
            reason=found.reason,
            dictionary_for=path if may_have_deltas(visitor.view, found) and not personal else None,
        )
        live = visitor.view.live
        if self.reloads is not None and live is not None and self.reloads.takes(found.asset):
            return await self._reloading(self.reloads, str(live.cid), answer)
        choice, made_from = await self.deltas.choose(visitor.view, found.asset, answer, asked.asking)
        if self.early_hints and choice.body is not None and choice.body not in self.loader.memory:
            self._hint(asked, found, fields)
        opened = await open_body(self.loader, choice)
        outcome = opened.outcome if made_from is None else OF_SOURCE[made_from]
        if not found.is_shell and not personal:  # a shell is chosen by more than host and path
            leaves = {choice.body: opened.leaves} if choice.body is not None and opened.leaves else {}
            self.ready.keep(visitor.view, asked.host, asked.raw_path, asked.query, answer, leaves)
        if found.status == 404:
            outcome = Outcome.NEGATIVE
        head = choice.head + visitor.lines(found) if personal else choice.head
        return Reply(choice.status, head, outcome, opened.body)

    def _hint(self, asked: Asked, found: Found, fields: Sequence[tuple[str, str | None]]) -> None:
        """Have a browser begin with what the document will need while the document is fetched. Its own fields, so its
        rules have been asked about; a 304, a HEAD and what is in memory are as fast as a hint."""
        if asked.hint is None or found.status != 200 or not found.asset.media_type.startswith("text/html"):
            return
        links = next((early(value) for name, value in fields if value and name.lower() == "link"), "")
        if links:
            self.hinted += asked.hint(b"link: %s\r\n" % links.encode("latin-1"))

    async def _reloading(self, reloads: Reloads, release: str, answer: Answer) -> Reply:
        """A page with the script that reloads it: whole, plain, and kept by nobody."""
        choice = answer.choose(Asking())
        opened = await open_body(self.loader, choice)
        body = opened.body
        html = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        page = reloads.page(html, release)
        return Reply(choice.status, reloads.head(choice.head, len(page)), opened.outcome, page)

    def _moved(self, asked: Asked, visitor: Visitor, moved: Moved) -> Reply:
        personal = visitor.has_own_paths
        answer = Redirection(moved.location, moved.status, personal, visitor.vary() if personal else ())
        if not personal:
            self.ready.keep(visitor.view, asked.host, asked.raw_path, asked.query, answer)
        head = answer.choose(asked.asking).head + (visitor.lines(None) if personal else b"")
        return Reply(answer.status, head, Outcome.HIT)

    async def _send(self, asked: Asked, reply: Reply, scope: Scope, send: Send) -> None:
        """Write the reply; where the body breaks, cut the connection."""
        outcome = self.ready.outcome(reply.outcome)
        lines = reply.head
        if reply.tells_cache_status:
            lines += self.ready.status_line(outcome)
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs(lines)})
        sent = 0
        if isinstance(reply.body, bytes):
            sent = len(reply.body) if asked.method != "HEAD" else 0
            await send({"type": "http.response.body", "body": b"" if asked.method == "HEAD" else reply.body})
        else:
            sent = await self._stream(asked, reply.body, scope, send)
        site = self.ready.site_of(asked.host)
        said = (asked.client, site, asked.method, asked.host, asked.raw_target, reply.status, sent, outcome)
        self.ready.count(Told(*said, asked.sent), sent > 0 and is_delta(reply.head))

    async def _stream(self, asked: Asked, body: AsyncGenerator[bytes, None], scope: Scope, send: Send) -> int:
        sent = 0
        wire: dict[str, Callable[[], Any]] = scope["extensions"]["rim"]
        async with aclosing(body):
            try:
                async for piece in body:
                    if wire["is_closing"]():
                        return sent  # nobody reads on; the blocks that are under way still warm the cache
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    sent += len(piece)
            except (Denied, Unavailable, ContentError) as error:
                logger.warning("%s: cut off after %d bytes: %s", asked.target, sent, error)
                self.ready.counts.broken += 1
                wire["abort"]()
                return sent
        await send({"type": "http.response.body", "body": b""})
        return sent


def _shared_with(path: str, fields: Sequence[tuple[str, str | None]]) -> str | None:
    """Who of other origins may use what this path answers; None: nobody."""
    for name, value in fields:
        if name.lower() == "access-control-allow-origin":
            return value
    return "*" if is_shared_across_sites(media_type(path)) else None


def public_app(site_app: SiteApp, standing: Standing) -> Starlette:
    """The ASGI app of the public listener."""

    async def health(request: Request) -> Response:
        """Whether visitors should be sent here, and why not; to who asks for JSON also which release of the Host's site
        is served, as the demo shows it. A load balancer that knows a word for "no more, but finish what is there" may
        name its status, as HAProxy's is 404: `?leaving=404`."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
        lacks = standing.lacks()
        status = 503 if lacks else 200
        if standing.state is State.DRAINING and request.query_params.get("leaving") == "404":
            status = 404
        if "application/json" in request.headers.get("accept", ""):
            said = _served(site_app, request.headers.get("host", ""), ", ".join(lacks) or "ok")
            return JSONResponse(said, status, headers)
        return PlainTextResponse("\n".join((*(lacks or ("ok",)), "")), status, headers)

    reloads = [] if site_app.reloads is None else site_app.reloads.routes()
    routes = [Route(HEALTH, health), Route(REPORT, site_app.reports), *reloads]
    app = Starlette(routes=routes)
    app.router.default = site_app  # not a Mount of "": its pattern ends at a line break, and a file's name may hold one
    app.router.redirect_slashes = False
    return app


def _served(site_app: SiteApp, host: str, status: str) -> dict[str, str]:
    """What this edge serves under a Host, by names alone: a CID gives nothing away of what it names."""
    said = {"status": status, "edge": site_app.ready.name}
    view = site_app.router.view_of_field(host.encode("latin-1"))
    if view is None or view.live is None:
        return said
    return {**said, "site": view.site.name, "release": str(view.live.cid), "root": str(view.live.release.root)}
